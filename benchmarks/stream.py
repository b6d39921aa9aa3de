"""Words found in long recordings of people and places that a model has not heard: misses, false accepts an hour.

    python benchmarks/stream.py SHARED/data SHARED/weights/speech_embedding --csv docs/results/stream.csv

The model knows the ten spoken digits of four speakers; by `background` also environmental sounds (ESC-10, folds 1 to 3)
that are none of them, and by `reject` it says "none of these" besides. The long recordings are digits of the two other
speakers, one every eight seconds or so, over sounds of fold 4 that are 15 dB softer; and as much of these sounds alone.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from audio_jobs import Clip, esc10, spoken_digits
from numpy.typing import NDArray
from table import write_rows

from keras_transfer.data.listing import Layout
from keras_transfer.jobs.stream import evaluate_stream
from keras_transfer.jobs.train import train
from keras_transfer.modalities.audio.items import decode, resample
from keras_transfer.recipe import make_recipe

WAYS = ("digits", "background", "reject")
RATE, SOFTER, EVERY, MINUTES = 16000, 15.0, 8.0, 10
Floats = NDArray[np.float32]


def samples(path: Path) -> Floats:
    sound, rate = decode(path.read_bytes())
    return resample(sound, rate, RATE)


def place(sounds: list[Path], random: np.random.Generator) -> Floats:
    """Minutes of environmental sounds, one after the other."""
    parts = [samples(path) for path in random.choice(np.array(sounds, object), MINUTES * 60 // 5 + 1)]
    return np.concatenate(parts)[: MINUTES * 60 * RATE]


def level(sound: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(sound)))) + 1e-6


def write_long(folder: Path, speaker: str, words: list[Clip], sounds: list[Path], random: np.random.Generator) -> None:
    """A recording with words and its label track, and one without words."""
    alone, behind = place(sounds, random), place(sounds, random)
    soundfile.write(folder / f"{speaker}_alone.wav", alone / max(1.0, np.abs(alone).max()), RATE)
    (folder / f"{speaker}_alone.txt").write_text("")
    lines, start = [], EVERY / 2
    for path, label, *_ in random.permutation(np.array(words, object)):
        word = samples(path)
        first = round(start * RATE)
        if first + len(word) > len(behind):
            break
        stretch = behind[max(0, first - RATE) : first + len(word) + RATE]  # a second around it
        stretch *= min(1.0, level(word) / level(stretch) * 10 ** (-SOFTER / 20))
        behind[first : first + len(word)] += word
        lines.append(f"{start:.3f}\t{start + len(word) / RATE:.3f}\t{label}\n")
        start += len(word) / RATE + random.uniform(EVERY / 2, 3 * EVERY / 2)
    soundfile.write(folder / f"{speaker}_words.wav", behind / max(1.0, np.abs(behind).max()), RATE)
    (folder / f"{speaker}_words.txt").write_text("".join(lines))


def measure(data: Path, weights: str, way: str, seed: int) -> list[dict[str, object]]:
    """A row for each threshold."""
    random, words = np.random.default_rng(seed), spoken_digits(data)
    held = sorted({fold for *_, fold in words})[seed % 3]
    scenes = [(path, fold) for path, _, _, fold in esc10(data)]
    with tempfile.TemporaryDirectory() as temporary:
        table, background, long = (Path(temporary, name) for name in ("words.csv", "background", "long"))
        background.mkdir()
        long.mkdir()
        with table.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "label", "speaker"])
            writer.writerows([path.resolve(), label, speaker] for path, label, speaker, fold in words if fold != held)
        for path, fold in scenes:
            if fold in "123":
                (background / path.name).symlink_to(path.resolve())
        recipe = make_recipe(
            data=str(table), backbone="speech_embedding", weights=weights, group_by="speaker", seed=seed,
            background=None if way == "digits" else str(background), reject=way == "reject", formats=["int8"],
            baselines="none",
        )  # fmt: skip
        train(recipe, Path(temporary, "run"))
        for speaker in sorted({speaker for _, _, speaker, fold in words if fold == held}):
            own = [clip for clip in words if clip[2] == speaker]
            write_long(long, speaker, own, [path for path, fold in scenes if fold == "4"], random)
        found = evaluate_stream(
            Path(temporary, "run", "export", "model_int8.tflite"),
            str(long),
            layout=Layout(hop=0.25, group_by="([a-z]+)_"),
        )
    return [
        {
            "way": way, "seed": seed, "held_out": held, "hours": round(found["hours"], 2),
            "threshold": row["threshold"],
            "events": row["events"], "missed": round(row["missed"]["value"] if row["missed"] else 0.0, 4),
            "false_accepts_an_hour": round(row["an_hour"]["value"] or 0.0, 1),
        }
        for row in found["curve"]
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of esc10 and spoken_digits")
    parser.add_argument("weights", help="of speech_embedding")
    parser.add_argument(
        "--ways", nargs="+", choices=("digits", "background", "reject"), default=["digits", "background", "reject"]
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    for seed in options.seeds:
        for way in options.ways:
            rows += measure(options.data, options.weights, way, seed)
            print(*rows[-9:], sep="\n", flush=True)
            write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
