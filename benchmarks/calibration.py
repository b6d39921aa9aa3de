"""What temperature scaling does to the calibration error on images that nothing was fitted on.

    python benchmarks/calibration.py food10/=WEIGHTS flowers5/=WEIGHTS digits=bundled --run RUN --csv out.csv

For each data set (SOURCE=WEIGHTS of MobileNetV2) heads are trained on frozen features; the temperature of each is
fitted on validation photographs and judged on another fifth of the photographs, and on all five together, since the
error of some hundred answers is itself uncertain by a point or two. Runs that are named add what their reports say.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from table import write_rows

from keras_transfer.data.folds import item_groups, joined, stratified_folds
from keras_transfer.evaluation.calibration import apply_temperature, fit_temperature, reliability
from keras_transfer.jobs.retrain import retrained
from keras_transfer.modalities.image import load_images
from keras_transfer.recipe import make_recipe

PARTS = 5  # one in so many is for the test, and one in so many of the rest for validation


def row_of(data: str, way: str, test: str, temperature: float, before: Any, after: Any, images: int) -> dict[str, Any]:
    figures = {"ece": before["ece"], "ece_scaled": after["ece"]}
    figures |= {"log_loss": before["log_loss"], "log_loss_scaled": after["log_loss"]}
    told = {"data": data, "trained": way, "test": test, "test_images": images, "temperature": round(temperature, 3)}
    row = told | {name: round(value, 4) for name, value in figures.items()}
    print(row, flush=True)
    return row


def heads(source: str, weights: str) -> list[dict[str, Any]]:
    """Heads on frozen features, each tested on another fifth of the photographs; and all their answers together."""
    data = load_images(source, val=0, test=0)
    whole = joined([split for split in (data.train, data.val, data.test) if len(split)])
    groups, rows, name, way = item_groups(data, whole), [], Path(source).name, "head on frozen features"
    told = make_recipe(data=source, weights=weights, strategy="feature-extraction", augmentation="none", views=1)
    plain, scaled, temperatures, order = [], [], [], []
    for fold, (rest, test) in enumerate(stratified_folds(whole.labels, groups, PARTS)):
        train, val = stratified_folds(whole.labels[rest], groups[rest], PARTS)[0]
        parts = replace(data, train=whole.part(rest[train]), val=whole.part(rest[val]))
        both, _ = retrained(told, parts, whole.part(np.concatenate([test, rest[val]])))
        answers, held_out = both[: len(test)], both[len(test) :]
        temperatures.append(fit_temperature(parts.val.labels, held_out))
        plain.append(answers)
        scaled.append(apply_temperature(answers, temperatures[-1]))
        order.append(test)
        before, after = (reliability(whole.labels[test], found[-1]) for found in (plain, scaled))
        rows.append(row_of(name, way, f"part {fold + 1}", temperatures[-1], before, after, len(test)))
    labels = whole.labels[np.concatenate(order)]
    before, after = (reliability(labels, np.concatenate(found)) for found in (plain, scaled))
    rows.append(row_of(name, way, "all parts", float(np.mean(temperatures)), before, after, len(labels)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", help="SOURCE=WEIGHTS")
    parser.add_argument("--run", type=Path, action="append", default=[], help="a finished run; may be repeated")
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows = []
    for told in options.data:
        source, _, weights = told.rpartition("=")
        rows += heads(source, weights)
    for run in options.run:
        report = json.loads((run / "calibration.json").read_text())
        result, recipe = json.loads((run / "result.json").read_text()), make_recipe(run / "recipe.yaml")
        test = report["test"]
        way, images = result["strategy"], result["images"]["test"]
        name, split = Path(recipe.data.source).name, f"test split, seed {recipe.seed}"
        rows.append(
            row_of(
                name,
                way,
                split,
                report["temperature"],
                test["before"],
                test["after"],
                images,
            )
        )
    write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
