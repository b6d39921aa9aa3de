"""Every way of making a classifier smaller, on one data set, over seeds: one CSV row a seed and way.

    python benchmarks/compression.py food10/ --weights notop.weights.h5 --runs runs/ --csv docs/results/compression.csv

Each way is a `keras-transfer compress` of the seed's own `train`; the files are then timed side by side by
`keras-transfer compare`. Runs that are there already are not made again, so a stopped benchmark goes on where it was.

With `--student-weights` (of MobileNet 0.25 at 128) that student is trained three ways: `alone`, as `keras-transfer
train` does it; `alone, as long`, by the schedule and the augmentation of `distill` without the teacher; `distilled`.
"""

import argparse
import json
import statistics
import subprocess
import sys
from inspect import signature
from pathlib import Path
from typing import Any

from table import write_rows

from keras_transfer.compression.distill import MIXED, distill
from keras_transfer.recipe import Phase, make_recipe, write_recipe

END = ["--tolerance", "0.3", "--format", "int8"]
STUDENT = ["--alpha", "0.25", "--image-size", "128"]
STUDENT_WAYS = ("alone", "alone, as long", "distilled")
WAYS: dict[str, list[str]] = {
    "prune 50%": ["--prune", "0.5"],
    "prune 75%": ["--prune", "0.75"],
    "channels 57%": ["--channels", "0.57"],
    "qat": ["--qat"],
    "qat per tensor": ["--qat", "--per-tensor"],
    "prune 50%, qat": ["--prune", "0.5", "--qat"],
    "cluster 32": ["--cluster", "32"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--weights", required=True, help="of MobileNetV2 without its top")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--student-weights", type=Path, help="of MobileNet 0.25 at 128 without its top")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the run directories")
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows = [row for seed in options.seeds for row in measure(options, seed)]
    write_rows(options.csv, rows)
    write_rows(options.csv.with_stem(options.csv.stem + "_means"), means(rows))


def measure(options: argparse.Namespace, seed: int) -> list[dict[str, Any]]:
    """One row for the dense run of a seed, and one for each way."""
    base = options.runs / f"seed{seed}"
    told = ["--weights", options.weights, "--seed", seed, "--target", "android", "--baselines", "none"]
    run("train", options.data, *told, "--tolerance", "0.05", "--out", base)
    folders = {"dense": base}
    for way in options.ways:
        folders[way] = folder_of(options, seed, way)
        run("compress", base, *WAYS[way], *END, "--out", folders[way])
    if options.student_weights:
        folders |= train_students(options, seed, base)
    page = options.runs / f"compared-seed{seed}"
    run("compare", *folders.values(), "--out", page)
    files = json.loads((page / "comparison.json").read_text())["files"]
    dense, rows = files[0], []
    for (way, folder), file in zip(folders.items(), files, strict=True):
        result = json.loads((folder / "result.json").read_text())
        steps = result.get("steps") or [{"zeros": None, "multiply_adds": None}]
        rows.append(
            {
                "seed": seed,
                "way": way,
                "keras_accuracy": result["test"]["accuracy"],
                "int8_accuracy": file["accuracy"]["value"],
                "bytes": file["bytes"],
                "zipped_bytes": file["zipped_bytes"],
                "zipped_ratio": round(file["zipped_bytes"] / dense["zipped_bytes"], 4),
                "latency_ratio": file["ratio"],
                "zeros": steps[-1]["zeros"],
                "multiply_adds_ratio": steps[-1]["multiply_adds"]
                and steps[-1]["multiply_adds"] / steps[0]["multiply_adds"],
                "seconds": result["seconds"],
            }
        )
    return rows


def folder_of(options: argparse.Namespace, seed: int, way: str) -> Path:
    """A run's place."""
    return options.runs / f"seed{seed}-{way.replace(' ', '-').replace('%', '').replace(',', '')}"


def train_students(options: argparse.Namespace, seed: int, base: Path) -> dict[str, Path]:
    """The student, three ways; the folders by their names."""
    folders = {way: folder_of(options, seed, way) for way in STUDENT_WAYS}
    told = [*STUDENT, "--weights", options.student_weights]
    run("compress", base, "--student", "mobilenet", *told, *END, "--out", folders["distilled"])
    alone = ["train", options.data, "--backbone", "mobilenet", *told, "--seed", seed, "--baselines", "none", *END]
    run(*alone, "--out", folders["alone"])
    recipe = folders["alone, as long"].with_suffix(".yaml")
    epochs = signature(distill).parameters["epochs"].default
    rate = signature(distill).parameters["learning_rate"].default
    phase = Phase(
        name="whole", stages="all", epochs=epochs, learning_rate=rate, schedule="cosine", warmup=0.1, patience=epochs,
        monitor="val_accuracy",
    )  # fmt: skip
    write_recipe(recipe, make_recipe(data=options.data, strategy="full", phases=[phase], augmentation=MIXED))
    run(*alone, "--recipe", recipe, "--out", folders["alone, as long"])
    return folders


def run(*words: Any) -> None:
    """A `keras-transfer` command; 3 says that a gate failed, which the rows show."""
    done = subprocess.run([sys.executable, "-m", "keras_transfer.cli", *map(str, words)])
    if done.returncode not in (0, 3):
        raise SystemExit(done.returncode)


def means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each way's means over the seeds, with the points of int8 accuracy that it is above the dense run's int8 file."""
    keys = ("keras_accuracy", "int8_accuracy", "bytes", "zipped_bytes", "zipped_ratio", "latency_ratio", "seconds")
    table = []
    for way in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == way]
        mean = {key: statistics.mean(row[key] for row in own) for key in keys}
        row = {"way": way, "seeds": len(own), **{key: float(f"{value:.4g}") for key, value in mean.items()}}
        points = 100 * (mean["int8_accuracy"] - (table[0]["int8_accuracy"] if table else mean["int8_accuracy"]))
        table.append(row | {"points_to_dense_int8": round(points, 2)})
    return table


if __name__ == "__main__":
    main()
