"""Whole `train` commands with each effort: accuracy on the test split, of the int8 file too, and what they took.

    python benchmarks/effort.py food10/ --weights NOTOP.weights.h5 --efforts quick --csv docs/results/effort.csv

Each command is a process of its own with an empty cache. Wall time means something on a quiet machine alone: the load
while it ran stands beside it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from table import write_rows

Row = dict[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--efforts", nargs="+", default=["quick", "standard"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows: list[Row] = []
    for data in options.data:
        for effort in options.efforts:
            for seed in options.seeds:
                rows.append(
                    {"data": data.name, "effort": effort, "seed": seed, **job(data, effort, seed, options.weights)}
                )
                print(rows[-1], flush=True)
                write_rows(options.csv, rows)


def job(data: Path, effort: str, seed: int, weights: str) -> Row:
    """One command's figures."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        words = ("train", data, "--weights", weights, "--effort", effort, "--seed", seed, "--out", run, "--json")
        environment = os.environ | {"KERAS_TRANSFER_CACHE": str(Path(folder, "cache"))}
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "keras_transfer.cli", *map(str, words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        result = json.loads((run / "result.json").read_text())
        int8 = next(file for file in result["artifacts"] if file["path"].endswith("model_int8.tflite"))
        return {
            "code": done.returncode,
            "accuracy": round(result["test"]["accuracy"], 4),
            "int8": round(int8["test_accuracy"], 4),
            "wall_seconds": round(wall, 1),
            "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
            "load": round(os.getloadavg()[0], 1),
        }


if __name__ == "__main__":
    main()
