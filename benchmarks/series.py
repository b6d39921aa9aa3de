"""Whole jobs on sets of time series that have their own test split, beside what rivals reach.

    python benchmarks/series.py FOLDER/*/ --csv docs/results/series.csv          # the default job, seeds 0 to 4
    python benchmarks/series.py FOLDER/*/ --csv docs/results/series.csv target=microcontroller

A folder holds `NAME_TRAIN.ts` and `NAME_TEST.ts`. One row for each set and seed, in percent: what the run's network,
its int8 file and the rivals say of the test split. Arguments behind the folders, NAME=VALUE, are fields of the recipe;
`target` is short for `targets`. Rows of the same set, seed and fields that the CSV file has are replaced, and
`..._means.csv` beside it holds the means over seeds.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from table import read_rows, write_rows

from keras_transfer.data.folds import joined
from keras_transfer.errors import GateError
from keras_transfer.jobs.parts import load_data
from keras_transfer.jobs.train import train
from keras_transfer.modalities import open_modality, settled
from keras_transfer.recipe import make_recipe
from keras_transfer.run import read_result

_MEANS = ("cross-validated", "int8", "int8 kB", "arena kB", "1-NN DTW", "majority")


def row_of(place: Path, seed: int, fields: dict[str, Any]) -> dict[str, Any]:
    """What a job and its rivals reach."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = make_recipe(data=str(place), seed=seed, **fields)
        try:
            result = train(recipe, folder)
        except GateError:
            result = read_result(Path(folder))
        assert result is not None
    int8 = next((file for file in result["artifacts"] if file["format"] == "int8"), None)
    arenas = [verdict.get("arena_bytes") for file in result["artifacts"] for verdict in file["targets"].values()]
    audition = result.get("audition")
    chosen = (
        next((row for row in audition["candidates"] if row["name"] == audition["chosen"]), None) if audition else None
    )
    return {
        "set": place.name,
        "seed": seed,
        "fields": " ".join(f"{name}={value[0] if name == 'targets' else value}" for name, value in fields.items()),
        "backbone": result["backbone"],
        "cross-validated": _percent(chosen["accuracy"]) if chosen else "",
        "accuracy": _percent(result["test"]["accuracy"]),
        "int8": _percent(int8["test_accuracy"]) if int8 else "",
        "int8 kB": round(int8["bytes"] / 1000, 1) if int8 else "",
        "arena kB": next((round(arena / 1000, 1) for arena in arenas if arena), ""),
        "seconds": round(result["seconds"]),
    }


def rivals_of(place: Path) -> dict[str, Any]:
    """What the largest class and the nearest neighbour by dynamic time warping reach: both know all training series."""
    data = load_data(settled(make_recipe(data=str(place))))
    [(_, make)] = open_modality("series").other_baselines(data, data.test).items()
    known = joined([data.train, data.val]).labels
    answers = {"1-NN DTW": make()[1].argmax(axis=1), "majority": np.bincount(known).argmax()}
    return {name: _percent(float((own == data.test.labels).mean())) for name, own in answers.items()}


def means(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds, the least and the most."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["set"], row["fields"]].append(row)
    found = []
    for (name, fields), own in groups.items():
        accuracies = [float(row["accuracy"]) for row in own]
        found.append({
            "set": name,
            "fields": fields,
            "seeds": len(own),
            "backbones": " ".join(sorted({str(row["backbone"]) for row in own})),
            "accuracy": round(float(np.mean(accuracies)), 2),
            "least": min(accuracies),
            "most": max(accuracies),
            **{key: _mean([row[key] for row in own]) for key in _MEANS},
        })  # fmt: skip
    return found


def _mean(values: Sequence[Any]) -> float | str:
    given = [float(value) for value in values if value not in ("", None)]
    return round(float(np.mean(given)), 2) if given else ""


def _percent(share: float) -> float:
    return round(100 * share, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", help="folders, and NAME=VALUE")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    given = dict(each.split("=", 1) for each in options.sets if "=" in each)
    fields = {
        "targets" if name == "target" else name: (value,) if name == "target" else value
        for name, value in given.items()
    }
    rows: list[Mapping[str, Any]] = [*read_rows(options.csv)]
    for place in map(Path, (each for each in options.sets if "=" not in each)):
        rivals = rivals_of(place)
        for seed in range(options.seeds):
            row = {**row_of(place, seed, fields), **rivals}
            same = [(row["set"], str(row["seed"]), row["fields"])]
            rows = [*(old for old in rows if (old["set"], str(old["seed"]), old["fields"]) not in same), row]
            print(row, flush=True)
            write_rows(options.csv, rows)
            write_rows(options.csv.with_stem(options.csv.stem + "_means"), means(rows))


if __name__ == "__main__":
    main()
