"""What encoders' frozen features are worth after each block: a probe fitted on one domain and read on another.

    python pretraining/text/probe.py sentences.csv mini MINILM --csv docs/results/text_probe.csv

The table has the columns `text`, `label` and `domain`. The mean over all ordered pairs of domains: none of them is
anybody's test split here.
"""

import argparse
import csv
from itertools import permutations
from pathlib import Path

import keras
import numpy as np

from keras_transfer.files import write_text
from keras_transfer.inputs import like_lengths
from keras_transfer.modalities.text.encoder import build_encoder
from keras_transfer.modalities.text.preparer import open_preparer
from keras_transfer.modalities.text.presets import encoder_shape, find_preset, load_weights

LENGTH = 64


def pooled(name: str, texts: list[str]) -> list[np.ndarray]:
    """The mean over a text's tokens after each block, float32 `[n, width]` each."""
    preset = find_preset(name)
    shape = encoder_shape(preset)
    encoder = build_encoder(shape)
    load_weights(encoder, preset)
    outputs = [encoder.get_layer(f"block{number}_outer_norm").output for number in range(shape.blocks)]
    blocks = keras.Model(encoder.input, outputs)
    preparer = open_preparer({"backbone": name, "length": LENGTH})
    spec = preparer.spec(LENGTH)
    ids = np.stack([preparer.prepare(text.encode(), spec) for text in texts])
    found = [np.zeros((len(ids), shape.width), np.float32) for _ in outputs]
    for items, (part,) in like_lengths((ids,), spec, 64):
        real = (part != shape.padding)[..., None]
        for block, features in zip(found, blocks(part), strict=True):
            block[items] = (np.asarray(features) * real).sum(1) / real.sum(1)
    return found


def across(features: np.ndarray, labels: np.ndarray, domains: np.ndarray) -> float:
    """Mean accuracy of logistic regressions on a domain that they were not fitted on."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scores = []
    for own, other in permutations(np.unique(domains), 2):
        logistic = LogisticRegressionCV(
            Cs=np.logspace(-4, -1, 4),
            cv=3,
            max_iter=300,
            l1_ratios=(0,),
            scoring="accuracy",
            use_legacy_attributes=False,
        )
        fitted = make_pipeline(StandardScaler(), logistic).fit(features[domains == own], labels[domains == own])
        scores.append(fitted.score(features[domains == other], labels[domains == other]))
    return float(np.mean(scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoders", nargs="+")
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    with options.data.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels, domains = (np.array([row[name] for row in rows]) for name in ("label", "domain"))
    lines = ["encoder,blocks,across_domains"]
    for name in options.encoders:
        for number, features in enumerate(pooled(name, [row["text"] for row in rows]), start=1):
            lines.append(f"{find_preset(name).name},{number},{across(features, labels, domains):.4f}")
            print(lines[-1], flush=True)
    write_text(options.csv, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
