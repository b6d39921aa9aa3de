"""Whole jobs by geometry, over seeds: what is chosen, and what is right on the test split.

    python benchmarks/geometry_runs.py food10/ flowers5/ --weights WEIGHTS --out runs/ --csv out.csv --means means.csv

`crop-mediapipe` is the crop by MediaPipe's filter. Runs that `--out` holds already are read, not repeated; each has a
cache of its own, so that `seconds` (of the job's parts) can be compared.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from table import write_rows

from keras_transfer.files import write_text

BY_MEDIAPIPE = "geometry: " + json.dumps({"mode": "crop", "interpolation": "mediapipe"})


def one(data: str, geometry: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One run of the job, as a row."""
    run = options.out / f"{Path(data).name}-{geometry}-{seed}"
    if not (run / "result.json").is_file():
        told = ["--geometry", geometry]
        if geometry == "crop-mediapipe":
            told = ["--recipe", str(write_text(options.out / "crop-mediapipe.yaml", BY_MEDIAPIPE))]
        words = ["train", data, "--weights", options.weights, "--seed", str(seed), "--baselines", "none", *told]
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | {"KERAS_TRANSFER_CACHE": cache}
            command = [sys.executable, "-m", "keras_transfer.cli", *words, "--out", str(run)]
            done = subprocess.run(command, stdout=subprocess.DEVNULL, env=environment)
        if done.returncode not in (0, 3):
            sys.exit(f"{run} ended with exit code {done.returncode}")
    result = json.loads((run / "result.json").read_text())
    kept = next(phase for phase in result["phases"] if phase["name"] == result["kept"])
    files = {artifact["format"]: artifact for artifact in result["artifacts"]}
    return {
        "data": Path(data).name,
        "geometry": geometry,
        "seed": seed,
        "chosen": result["geometry"]["mode"],
        "validation": round(kept["val_accuracy"], 4),
        "test": round(result["test"]["accuracy"], 4),
        "int8": round(files["int8"]["test_accuracy"], 4),
        "choosing": result["parts"].get("geometry", 0.0),
        "seconds": result["seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--geometries", nargs="+", default=["auto", "squash", "crop", "today"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--means", type=Path, required=True)
    options = parser.parse_args()
    rows, means = [], []
    for data in options.data:
        for geometry in options.geometries:
            own = [one(data, geometry, seed, options) for seed in options.seeds]
            rows += own
            figures = {
                name: round(statistics.mean(row[name] for row in own), 4) for name in ("validation", "test", "int8")
            }
            chosen = " ".join(row["chosen"] for row in own)
            means.append(
                {"data": Path(data).name, "geometry": geometry, "seeds": len(own), "chosen": chosen, **figures}
            )
            print(means[-1], flush=True)
    write_rows(options.csv, rows)
    write_rows(options.means, means)


if __name__ == "__main__":
    main()
