"""What frozen networks of sounds are worth: logistic regression on their features, by groups.

    python benchmarks/audio.py SHARED/data --speech SHARED/weights/speech_embedding --pictures NOTOP.weights.h5 \\
        --csv docs/results/audio_frozen.csv

`esc10` holds out each of its folds 1 to 4 in turn, `spoken_digits` two speakers of six. The strength of the penalty is
chosen by groups (sources, speakers) within the training side; `training_side` is the accuracy of that choice there.
Variants with a remark are not what the package builds: they say what its choices are worth.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from audio_jobs import SETS
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from table import read_rows, write_rows
from threadpoolctl import threadpool_limits

import keras_transfer as kt
from keras_transfer.modalities.audio.items import decode, resample
from keras_transfer.models.replay import replay

STRENGTHS = (1e-2, 1e-1, 1.0)
# Seconds of a set's clips, and one in how many is taken: as many as it takes minutes to measure.
CHOSEN = {"esc10": (5.0, 1), "spoken_digits": (1.3, 3)}
RATE = 16000
Floats = NDArray[np.float32]
Words = NDArray[np.str_]


@dataclass(frozen=True)
class Sounds:
    """Clips of one length, and what they are; `folds` says which are held out together."""

    waveforms: list[Floats]
    seconds: float
    labels: Words
    folds: Words
    groups: Words

    def clips(self, behind: bool = False) -> Floats:
        """float32 `[n, samples]`, silence on both sides or behind only."""
        count = round(self.seconds * RATE)
        short = [waveform[:count] for waveform in self.waveforms]
        before = [0 if behind else (count - len(each)) // 2 for each in short]
        return np.stack([np.pad(each, (n, count - len(each) - n)) for each, n in zip(short, before, strict=True)])


def sounds_of(data: Path, name: str) -> Sounds:
    """The clips of a set, as whole jobs are measured on them."""
    seconds, every = CHOSEN[name]
    paths, *words = zip(*SETS[name](data)[::every], strict=True)
    labels, groups, folds = map(np.array, words)
    return Sounds(list(map(waveform, paths)), seconds, labels, folds, groups)


def waveform(path: Path) -> Floats:
    samples, rate = decode(path.read_bytes())
    return resample(samples, rate, RATE)


def features(clips: Floats, backbone: str, weights: str) -> Floats:
    """float32 `[n, places, channels]`: the network's last map."""
    model = kt.build_audio_classifier(backbone, 2, samples=clips.shape[1], weights=weights)
    return flat(keras.Model(model.input, kt.stages(model)[-1].output).predict(clips, verbose=0))


def at_once(clips: Floats) -> Floats:
    """YAMNet run over the whole clip instead of over windows."""
    window = kt.build_audio_classifier("yamnet", 2)
    whole = kt.build_audio_classifier("yamnet", 2, samples=clips.shape[1], weights="none")
    network = keras.Model(window.get_layer("layer1_conv").input, window.get_layer("pool").input)
    log_mel = whole.get_layer("log_mel").output
    (output,) = replay(network, [keras.ops.expand_dims(log_mel, -1)])
    return flat(keras.Model(whole.input, output).predict(clips, verbose=0))


def flat(maps: Floats) -> Floats:
    return maps.reshape(len(maps), -1, maps.shape[-1])


def pooled(maps: Floats) -> dict[str, Floats]:
    average, largest = maps.mean(1), maps.max(1)
    return {"avg": average, "avg and max": np.concatenate([average, largest], axis=1)}


def probe(rows: Floats, labels: Words, folds: Words, groups: Words) -> tuple[float, float]:
    """The mean accuracy on the folds that are held out in turn, and on the training side by the choice made there."""
    held_out, chosen = [], []
    for fold in sorted(set(folds)):
        test = folds == fold
        # The rotation changes nothing but the time that it takes.
        pipeline = make_pipeline(StandardScaler(), PCA(svd_solver="full"), LogisticRegression(max_iter=300, tol=1e-3))
        search = GridSearchCV(pipeline, {"logisticregression__C": STRENGTHS}, cv=GroupKFold(3))
        with threadpool_limits(1):  # such small matrices gain nothing by more
            search.fit(rows[~test], labels[~test], groups=groups[~test])
        held_out.append(search.score(rows[test], labels[test]))
        chosen.append(search.best_score_)
    return float(np.mean(held_out)), float(np.mean(chosen))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of esc10 and spoken_digits")
    parser.add_argument("--speech", required=True, help="weights of speech_embedding")
    parser.add_argument("--pictures", required=True, help="ImageNet weights of mobilenet_v2")
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows = read_rows(options.csv)  # which are not made again
    done = {(row["data"], row["features"]) for row in rows}
    for name in CHOSEN:
        sounds = sounds_of(options.data, name)
        variants: dict[str, Callable[[Sounds], Floats]] = {
            "yamnet": lambda s: features(s.clips(), "yamnet", "pretrained"),
            "yamnet, the whole clip at once": lambda s: at_once(s.clips()),
            "speech_embedding": lambda s: features(s.clips(), "speech_embedding", options.speech),
            "speech_embedding, silence behind": lambda s: features(
                s.clips(behind=True), "speech_embedding", options.speech
            ),
            "mobilenet_v2": lambda s: features(s.clips(), "mobilenet_v2", options.pictures),
        }
        for variant, make in variants.items():
            if (name, variant) in done:
                continue
            for pooling, values in pooled(make(sounds)).items():
                held_out, chosen = probe(values, sounds.labels, sounds.folds, sounds.groups)
                found = {"training_side": chosen, "held_out": held_out}
                row = {"data": name, "seconds": sounds.seconds, "features": variant, "pooling": pooling}
                rows.append(row | {key: f"{value:.3f}" for key, value in found.items()})
                print(rows[-1], flush=True)
                write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
