"""What temperature scaling does to the calibration error on images that nothing was fitted on.

    python benchmarks/calibration.py food10/=WEIGHTS flowers5/=WEIGHTS digits=bundled --run RUN --csv out.csv

For each data set (SOURCE=WEIGHTS of MobileNetV2) and seed a head is trained on frozen features; the temperature is
fitted on the validation photographs and judged on the test photographs. Runs that are named add what their reports say.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from table import write_rows

from keras_transfer.data import load_images
from keras_transfer.data.folds import joined, kin, stratified_folds
from keras_transfer.evaluation.calibration import apply_temperature, fit_temperature, reliability
from keras_transfer.jobs.retrain import retrained
from keras_transfer.recipe import make_recipe

PART = 5  # one in so many is for the test, and one in so many of the rest for validation


def row_of(data: str, way: str, seed: int, temperature: float, before: Any, after: Any, images: int) -> dict[str, Any]:
    figures = {"ece": before["ece"], "ece_scaled": after["ece"]}
    figures |= {"log_loss": before["log_loss"], "log_loss_scaled": after["log_loss"]}
    told = {"data": data, "trained": way, "seed": seed, "test_images": images, "temperature": round(temperature, 3)}
    row = told | {name: round(value, 4) for name, value in figures.items()}
    print(row, flush=True)
    return row


def heads(source: str, weights: str, seeds: int) -> list[dict[str, Any]]:
    """Heads on frozen features, trained on other parts of the same photographs for each seed."""
    data = load_images(source, val=0, test=0)
    whole = joined([split for split in (data.train, data.val, data.test) if len(split)])
    groups, rows = kin(data, whole), []
    recipe = make_recipe(data=source, weights=weights, strategy="feature-extraction", augmentation="none", views=1)
    for seed in range(seeds):
        rest, test = stratified_folds(whole.labels, groups, PART, seed)[0]
        train, val = stratified_folds(whole.labels[rest], groups[rest], PART, seed)[0]
        parts = replace(data, train=whole.part(rest[train]), val=whole.part(rest[val]))
        told = recipe.model_copy(update={"seed": seed})
        both, _ = retrained(told, parts, whole.part(np.concatenate([test, rest[val]])))
        answers, held_out = both[: len(test)], both[len(test) :]
        temperature = fit_temperature(parts.val.labels, held_out)
        before = reliability(whole.labels[test], answers)
        after = reliability(whole.labels[test], apply_temperature(answers, temperature))
        name = Path(source).name
        rows.append(row_of(name, "head on frozen features", seed, temperature, before, after, len(test)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", help="SOURCE=WEIGHTS")
    parser.add_argument("--run", type=Path, action="append", default=[], help="a finished run; may be repeated")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows = []
    for told in options.data:
        source, _, weights = told.rpartition("=")
        rows += heads(source, weights, options.seeds)
    for run in options.run:
        report = json.loads((run / "calibration.json").read_text())
        result, recipe = json.loads((run / "result.json").read_text()), make_recipe(run / "recipe.yaml")
        test = report["test"]
        way, images = result["strategy"], result["images"]["test"]
        name = Path(recipe.data).name
        rows.append(row_of(name, way, recipe.seed, report["temperature"], test["before"], test["after"], images))
    write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
