"""Few examples: episodes of unseen classes, ways to add a class to a model, and whole `add-class` commands.

    python benchmarks/few_shot.py episodes food10/ flowers5/ --weights NOTOP.weights.h5 --csv docs/results/few_shot.csv
    python benchmarks/few_shot.py ways food10/train flowers5/ --weights NOTOP.weights.h5 --csv .../few_shot_ways.csv
    python benchmarks/few_shot.py jobs flowers5/ --weights NOTOP.weights.h5 --csv docs/results/few_shot_jobs.csv

`episodes` draws five classes, one or five photographs of each and 15 others to recognize, on frozen features; the
accuracy has the 95% interval of a mean over episodes. `ways` leaves out each class in turn and adds it again, on frozen
features: a quarter of the training photographs judges; with `--test` the chosen way alone, on the test split. `jobs`
trains a run without each class in turn, runs `keras-transfer add-class` on photographs of it, and judges on the test
split, which is the same in all rounds.
"""

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from table import write_rows

from keras_transfer.data import Dataset
from keras_transfer.data.folds import joined
from keras_transfer.errors import GateError
from keras_transfer.evaluation import open_classifier, predict_files
from keras_transfer.jobs.parts import frozen_features
from keras_transfer.jobs.train import train
from keras_transfer.modalities.image import load_images
from keras_transfer.recipe import Recipe, make_recipe
from keras_transfer.training.linear import LinearHead, add_output, bias_for, fit_linear

Array = np.ndarray[Any, Any]
Row = dict[str, object]
WAYS, QUERIES = 5, 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--shots", type=int, nargs="+", default=None)
    parser.add_argument("--episodes", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--strategies", nargs="+", default=["feature-extraction", "auto"])
    parser.add_argument("--test", action="store_true", help="of `ways`: the last one alone, on the test split")
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows: list[Row] = []
    for source in options.data:
        for row in PARTS[options.part](source, options):
            rows.append({"data": source.name if source.name != "train" else source.parent.name, **row})
            print(rows[-1], flush=True)
            write_rows(options.csv, rows)


def recipe_of(source: object, weights: str, **fields: Any) -> Recipe:
    return make_recipe(data=str(source), backbone="mobilenet_v2", weights=weights, **fields)


# Episodes


def centroids(support: Array, labels: Array) -> Callable[[Array], Array]:
    """The nearest class mean by the cosine."""
    means = unit(np.stack([support[labels == label].mean(axis=0) for label in range(WAYS)]))
    return lambda rows: unit(rows) @ means.T


def imprinted(support: Array, labels: Array) -> Callable[[Array], Array]:
    """Means of rows of length 1, from the centre of the support (Qi et al. 2018, with centred features)."""
    centre = support.mean(axis=0)
    directions = unit(support - centre)
    means = unit(np.stack([directions[labels == label].mean(axis=0) for label in range(WAYS)]))
    return lambda rows: unit(rows - centre) @ means.T


def solved(support: Array, labels: Array) -> Callable[[Array], Array]:
    """Logistic regression."""
    return fit_linear(support, np.eye(WAYS)[labels], strength=1.0, evened=0.5).logits


METHODS = {"centroids, cosine": centroids, "imprinted, centred": imprinted, "solved head": solved}


def unit(rows: Array) -> Array:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def episodes(source: Path, options: argparse.Namespace) -> Iterator[Row]:
    """One row for each number of shots and method."""
    data = load_images(source)
    whole = joined([data.train, data.val, data.test])
    (rows,) = frozen_features(recipe_of(source, options.weights), data, [whole])
    for shots in options.shots or [1, 5]:
        chance, found = np.random.default_rng(0), defaultdict(list)
        for _ in range(options.episodes):
            classes = chance.permutation(len(data.class_names))[:WAYS]
            drawn = np.stack(
                [chance.permutation(np.flatnonzero(whole.labels == label))[: shots + QUERIES] for label in classes]
            )
            support, queries = rows[drawn[:, :shots].ravel()], rows[drawn[:, shots:].ravel()]
            for name, method in METHODS.items():
                scores = method(support, np.repeat(np.arange(WAYS), shots))(queries)
                found[name].append(float((scores.argmax(axis=1) == np.repeat(np.arange(WAYS), QUERIES)).mean()))
        for name, values in found.items():
            half = 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5
            yield {"shots": shots, "method": name, "episodes": len(values),
                   "accuracy": round(float(np.mean(values)), 4), "half_interval": round(half, 4)}  # fmt: skip


# Ways to add a class


def added(way: str, head: LinearHead, train: Array, labels: Array, new: Array, val: Array, truth: Array) -> LinearHead:
    """The head with one class more."""
    classes = len(head.bias)
    if way == "one column":
        return add_output(head, train, new, val, truth)[0]
    if way == "whole layer again":
        targets = np.eye(classes + 1)[np.append(labels, np.full(len(new), classes))]
        weights = np.append(np.ones(len(train)), np.full(len(new), len(train) / classes / len(new)))
        return fit_linear(np.concatenate([train, new]), targets, weights, strength=0.1, evened=0.5)
    centre = train.mean(axis=0) if "centred" in way else 0.0
    column = unit(unit(new - centre).mean(axis=0)) * np.linalg.norm(head.kernel, axis=0).mean()
    bias = bias_for(head, column, val, truth) if "validation" in way else head.bias.mean()
    return LinearHead(np.column_stack([head.kernel, column]), np.append(head.bias, bias), sigmoid=False)


ADDED = (
    *("imprinted", "imprinted, centred", "imprinted, centred, bias from validation"),
    *("whole layer again", "one column"),
)


def ways(source: Path, options: argparse.Namespace) -> Iterator[Row]:
    """One row for each number of examples and way: means over the classes and seeds."""
    found: dict[tuple[int, str], list[tuple[float, float]]] = defaultdict(list)
    data = load_images(source)
    splits = [data.train, data.val, *([data.test] if options.test else [])]
    rows, val_rows, *test_rows = frozen_features(recipe_of(source, options.weights), data, splits)
    rows, val_labels = np.concatenate([rows, *test_rows]), np.asarray(data.val.labels)
    labels = np.concatenate([split.labels for split in (splits[0], *splits[2:])])
    for seed in options.seeds:
        order = np.random.default_rng(seed).permutation(len(data.train))
        judged = np.arange(len(rows)) >= len(order) if options.test else np.isin(np.arange(len(rows)), order[::4])
        for left in range(len(data.class_names)):
            keep = [label for label in range(len(data.class_names)) if label != left]
            place = np.full(len(data.class_names), len(keep))
            place[keep] = np.arange(len(keep))
            own, others, val = ~judged & (labels != left), judged & (labels != left), val_labels != left
            known = place[labels[own]]
            head = fit_linear(rows[own], np.eye(len(keep))[known], strength=0.1, evened=0.5)
            before = head.logits(rows[others]).argmax(axis=1) == place[labels[others]]
            pool = order[~judged[order] & (labels[order] == left)]
            for shots in options.shots or [1, 5, 20]:
                for way in ("one column",) if options.test else ADDED:
                    wider = added(way, head, rows[own], known, rows[pool[:shots]], val_rows[val],
                                  place[val_labels[val]])  # fmt: skip
                    after = wider.logits(rows[others]).argmax(axis=1) == place[labels[others]]
                    new = wider.logits(rows[judged & (labels == left)]).argmax(axis=1) == len(keep)
                    found[shots, way].append((float(new.mean()), float(before.mean() - after.mean())))
    for (shots, way), pairs in found.items():
        new, lost = np.mean(pairs, axis=0)
        yield {"examples": shots, "way": way, "rounds": len(pairs), "new_class": round(float(new), 4),
               "others_lost": round(float(lost), 4)}  # fmt: skip


# Whole commands


def jobs(source: Path, options: argparse.Namespace) -> Iterator[Row]:
    """One row for each strategy, seed, class and number of examples."""
    data = load_images(source)
    for strategy in options.strategies:
        for seed in options.seeds:
            for left in data.class_names:
                with tempfile.TemporaryDirectory() as folder:
                    yield from job(data, left, strategy, seed, options, Path(folder))


def job(data: Dataset, left: str, strategy: str, seed: int, options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """A run without a class, and what `add-class` makes of it."""
    split_of = dict.fromkeys(data.test.paths, "test")
    records = [record for record in data.records if record.split]
    with (folder / "others.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for record in records:
            if data.labels_of(record) != left:
                writer.writerow([record.path.absolute(), data.labels_of(record), split_of.get(record.path, "train")])
    own = [record.path for record in records if data.labels_of(record) == left]
    test = [path for path in own if split_of.get(path) == "test"]
    pool = random.Random(seed).sample([path for path in own if path not in split_of], 20)
    fields = {"strategy": strategy, "seed": seed, "formats": ("int8",), "baselines": "none"}
    try:
        train(recipe_of(folder / "others.csv", options.weights, **fields), folder / "run")
    except GateError as error:
        print(error)
    for shots in options.shots or [5]:
        out = folder / f"{shots}"
        words = ["add-class", folder / "run", left, *pool[:shots], "--out", out]
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        code = subprocess.run([sys.executable, "-m", "keras_transfer.cli", *map(str, words)], check=False).returncode
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        figures = json.loads((out / "result.json").read_text())["added"]["others"]
        shares = {
            name: round(sum(each.label == left for each in predict_files(open_classifier(file), test)) / len(test), 4)
            for name, file in (("new_class", out), ("new_class_int8", out / "export" / "model_int8.tflite"))
        }
        yield {"strategy": strategy, "seed": seed, "class": left, "examples": shots, "code": code, **shares,
               "before": round(figures["before"], 4), "after": round(figures["after"], 4),
               "others_lost": round(figures["before"] - figures["after"], 4),
               "wall_seconds": round(wall, 1), "cpu_seconds": round(cpu, 1),
               "load": round(os.getloadavg()[0], 1)}  # fmt: skip


PARTS = {"episodes": episodes, "ways": ways, "jobs": jobs}

if __name__ == "__main__":
    main()
