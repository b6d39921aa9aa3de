"""Whole searches: what they tried in a given time, what the best and the usual training read on the test split, once.

    python benchmarks/search.py runs food10/ --weights WEIGHTS --hours 0.4 --csv docs/results/search.csv
    python benchmarks/search.py saved flowers5/ --weights bundled --trials 40 --csv docs/results/search_saved.csv

`saved` compares the predictor with choices by chance, on the same networks, rounds and folds: the best whole training
so far after each round, by cross-validation. No test split is read for it.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from table import write_rows

from keras_transfer.evaluation.predictor import Space, Tried, next_choices
from keras_transfer.jobs import search as job
from keras_transfer.jobs.search import search
from keras_transfer.quick_start import quicken
from keras_transfer.recipe import AUTO, Recipe, make_recipe
from keras_transfer.schemas import Search, SearchRun

Row = Mapping[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("runs", "saved"))
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--fit", help="a budget, see docs/search.md")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--hours", type=float)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    quicken()
    rows: list[Row] = []
    for data in options.data:
        for seed in options.seeds:
            recipe = make_recipe(data=str(data), weights=options.weights, seed=seed, fit=options.fit, backbone=AUTO)
            make = run if options.what == "runs" else saved
            rows += make(recipe, options.trials, options.hours)
            print(*rows[-2:], sep="\n", flush=True)
            write_rows(options.csv, rows)


def run(recipe: Recipe, trials: int, hours: float | None) -> list[Row]:
    """One search."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        found = search(recipe, folder, trials=trials, hours=hours)
        assert found is not None
        whole = sum(trial["rung"] == "whole" for trial in found["trials"])
        return [
            {
                "data": Path(recipe.data.source).name,
                "seed": recipe.seed,
                "networks": len(found["networks"]),
                "short": len(found["trials"]) - whole,
                "whole": whole,
                "trainings": len(found["trials"]) - whole + 3 * whole,
                "best": found["best"]["network"],
                **figures("best", found["best"]),
                **figures("usual", found["usual"] or found["best"]),
                "difference_low": found["difference"]["low"] if found["difference"] else 0,
                "difference_high": found["difference"]["high"] if found["difference"] else 0,
                "optimism": round(found["optimism"] or 0.0, 4),
                "seconds": round(time.perf_counter() - started),
                "load": round(os.getloadavg()[0], 1),
            }
        ]  # fmt: skip


def figures(name: str, run: SearchRun) -> dict[str, object]:
    """What a training reached."""
    return {f"{name}_test": run["test"]["value"], f"{name}_file": run["file"]}


def saved(recipe: Recipe, trials: int, hours: float | None) -> list[Row]:
    """The predictor's search and one by chance."""
    rows: list[Row] = []
    for way, choose in {"predictor": next_choices, "chance": by_chance}.items():
        with tempfile.TemporaryDirectory() as folder:
            job.next_choices = choose  # type: ignore[attr-defined]
            job._ended = so_far  # type: ignore[assignment]
            found = search(recipe, folder, trials=trials, hours=hours)
            assert found is not None
            best = 0.0
            for trial in found["trials"]:
                if trial["rung"] == "whole":
                    best = max(best, trial["accuracy"] or 0.0)
                    rows.append(
                        {"data": Path(recipe.data.source).name, "seed": recipe.seed, "way": way,
                         "trials": trial["place"] + 1, "best": round(best, 4)}
                    )  # fmt: skip
    return rows


def by_chance(space: Space, tried: Sequence[Tried], count: int, seed: int) -> list[dict[str, str | int | float]]:
    """Choices by chance."""
    random = np.random.default_rng(seed)
    return [space.draw(random) for _ in range(count)]


def so_far(task: object, done: Mapping[int, job.Trial], *_: object) -> Search:
    """The trials alone: nothing is trained on all items."""
    return {"trials": [job._row(place, trial) for place, trial in sorted(done.items())]}  # type: ignore[typeddict-item]


if __name__ == "__main__":
    main()
