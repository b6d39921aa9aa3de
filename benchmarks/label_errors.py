"""How many labels `inspect` calls wrong, and how many of them are: label errors planted in training photographs.

    python benchmarks/label_errors.py flowers5/ food10/ --weights mobilenet_v2.weights.h5 --csv out.csv

Replaces a share of the labels by other classes, at random, three times, and judges all of them by a linear probe on
frozen features, as `inspect` does: with ImageNet's weights and with the bundled ones, which are the weaker judge. Only
photographs to train and validate on are used. `seem wrong` is the estimate of the share; `named` are the labels that
are called wrong, `right` those of them that were planted (where none were, some may be wrong indeed); `in 8%` are the
planted ones among the 8% most suspect; `by thresholds` is how many the thresholds of confident learning call wrong
(Northcutt et al. 2021), which take a probe at its word however weak it is.
"""

import argparse
from pathlib import Path

import numpy as np
from table import write_rows

from keras_transfer.data.folds import item_groups, joined
from keras_transfer.evaluation.label_errors import label_suspicion
from keras_transfer.jobs.parts import frozen_features
from keras_transfer.modalities.image import load_images
from keras_transfer.recipe import Recipe, make_recipe
from keras_transfer.training.probe import out_of_fold

SHARES = (0.0, 0.02, 0.05)
SEEDS = (0, 1, 2)
MOST = 0.08


def by_thresholds(labels: np.ndarray, answers: np.ndarray) -> int:
    """How many labels have another class at least as probable as that class is, on average, where it is the label."""
    own = answers[np.arange(len(labels)), labels]
    usual = np.array([own[labels == label].mean() for label in range(answers.shape[1])])
    others = answers.copy()
    others[np.arange(len(labels)), labels] = -1
    return int(((others >= usual) & (others > own[:, None])).any(axis=1).sum())


def measure(recipe: Recipe) -> list[dict[str, object]]:
    """A row for each share of planted errors: means over the seeds."""
    data = load_images(recipe.data.source)
    splits = [data.train, data.val]
    whole, groups, classes = joined(splits), item_groups(data, joined(splits)), len(data.class_names)
    features = np.concatenate(frozen_features(recipe, data, splits))
    rows: list[dict[str, object]] = []
    for share in SHARES:
        found = []
        for seed in SEEDS if share else SEEDS[:1]:
            random, labels = np.random.default_rng(seed), whole.labels.astype(np.int64)
            planted = random.choice(len(labels), round(share * len(labels)), replace=False)
            labels[planted] = (labels[planted] + random.integers(1, classes, len(planted))) % classes
            answers = out_of_fold(features, labels, groups, classes)
            suspicion, better, rate = label_suspicion(labels, answers)
            named, most = np.flatnonzero(better >= 0), np.argsort(-suspicion)[: int(MOST * len(labels))]
            right, caught = np.isin(named, planted).sum(), np.isin(most, planted).sum()
            accuracy = (answers.argmax(axis=1) == labels).mean()
            found.append((accuracy, rate, len(named), right, caught, by_thresholds(labels, answers)))
        accuracy, rate, *counts = np.mean(found, axis=0)
        named, right, caught, thresholds = (f"{count:.0f}" for count in counts)
        rows.append({
            "data": Path(recipe.data.source).name,
            "weights": "bundled" if recipe.model.weights == "bundled" else "imagenet",
            "probe": f"{accuracy:.3f}", "labels": len(whole), "planted": round(share * len(whole)),
            "seem wrong": f"{rate:.1%}", "named": named, "right": right, "in 8%": caught, "by thresholds": thresholds,
        })  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows = []
    for data in options.data:
        rows += measure(make_recipe(data=data, weights="bundled", alpha=0.35))
        rows += measure(make_recipe(data=data, weights=options.weights, image_size=options.size))
    write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
