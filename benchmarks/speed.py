"""The Keras guide's flow (`keras_guide.py`) and `keras-transfer train` in turn on the same photographs and weights.

    python benchmarks/speed.py photos/ --weights backbone.weights.h5 --csv docs/results/speed.csv

`photos/` has `train/` and `test/`. Ours runs three times: whole with an empty cache; its frozen part alone with an
empty cache; and again with what that left. All end in an int8 file that is scored on the test photographs. Rows go to
the CSV file, medians and ratios beside it. The file system's cache is warm for all: the photographs are read first.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from table import write_rows

GUIDE = Path(__file__).with_name("keras_guide.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", help="of the backbone without its top; random without")
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--frozen", type=int, default=10, help="the guide's epochs with the backbone frozen")
    parser.add_argument("--tune", type=int, default=10, help="the guide's epochs of fine-tuning")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", choices=("whole", "frozen"), help="measure one of the two alone")
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    for path in options.data.rglob("*"):
        if path.is_file():
            path.read_bytes()
    rows = []
    for seed in options.seeds:
        for row in measure(options, seed):
            rows.append({"backbone": options.backbone, "size": options.size, "seed": seed, **row})
            print(rows[-1], flush=True)
            write_rows(options.csv, rows)
    write_rows(options.csv.with_stem(options.csv.stem + "_ratios"), ratios(rows))


def measure(options: argparse.Namespace, seed: int) -> list[dict[str, Any]]:
    """One row for each way of a seed; `part_s` is what trains with the backbone frozen, decoding included."""
    rows = [guide(options, seed)]
    with tempfile.TemporaryDirectory() as temporary:
        if options.only != "frozen":
            rows.append(ours(options, seed, "whole", "fine-tuning", Path(temporary) / "whole", "cache"))
        if options.only != "whole":
            rows.append(ours(options, seed, "frozen", "feature-extraction", Path(temporary) / "cold", "other cache"))
            rows.append(
                ours(options, seed, "frozen, warm", "feature-extraction", Path(temporary) / "warm", "other cache")
            )
    return rows


def guide(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """The guide's flow."""
    told = ["--backbone", options.backbone, "--size", options.size, "--seed", seed]
    told += ["--frozen", options.frozen, "--tune", 0 if options.only == "frozen" else options.tune]
    told += ["--weights", options.weights] if options.weights else []
    command = [GUIDE, options.data / "train", options.data / "test", *told]
    seconds, peak, output = run(list(map(str, command)), {})
    found = json.loads(output.strip().splitlines()[-1])
    return {
        "way": "guide",
        "seconds": round(seconds, 1),
        "frozen_s": found["frozen_s"],
        "accuracy": found["accuracy"],
        "int8_accuracy": found["int8_accuracy"],
        "peak_mb": peak,
    }


def ours(options: argparse.Namespace, seed: int, way: str, strategy: str, folder: Path, cache: str) -> dict[str, Any]:
    """`keras-transfer train`, without the baselines and the files that the guide does not make."""
    told = ["--backbone", options.backbone, "--image-size", options.size, "--seed", seed, "--strategy", strategy]
    told += ["--weights", options.weights or "none", "--baselines", "none", "--format", "int8", "--tolerance", "0.9"]
    command = ["-m", "keras_transfer.cli", "train", options.data, *told, "--out", folder]
    place = {"KERAS_TRANSFER_CACHE": str(folder.with_name(cache))}
    seconds, peak, _ = run(list(map(str, command)), place)
    result = json.loads((folder / "result.json").read_text())
    return {
        "way": way,
        "seconds": round(seconds, 1),
        "frozen_s": result["parts"]["training"] if strategy == "feature-extraction" else None,
        "accuracy": result["test"]["accuracy"],
        "int8_accuracy": result["artifacts"][-1]["test_accuracy"],
        "peak_mb": peak,
    }


def run(words: list[str], environment: dict[str, str]) -> tuple[float, int, str]:
    """Runs Python; seconds, peak memory in MB and what it printed."""
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, env=os.environ | environment, text=True
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return time.perf_counter() - begun, usage.ru_maxrss // 1024, output


def ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each way's medians and mean accuracies, and how many times as fast as the guide it is."""
    table = []
    for way in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == way]
        frozen = [row["frozen_s"] for row in own if row["frozen_s"] is not None]
        row = {
            "backbone": own[0]["backbone"],
            "size": own[0]["size"],
            "way": way,
            "runs": len(own),
            "median_seconds": statistics.median(row["seconds"] for row in own),
            "median_frozen_s": statistics.median(frozen) if frozen else None,
            "mean_accuracy": round(statistics.mean(row["accuracy"] for row in own), 4),
            "mean_int8_accuracy": round(statistics.mean(row["int8_accuracy"] for row in own), 4),
            "median_peak_mb": statistics.median(row["peak_mb"] for row in own),
        }
        first = table[0] if table else row
        row["times_as_fast"] = round(first["median_seconds"] / row["median_seconds"], 2)
        row["frozen_times_as_fast"] = (
            round(first["median_frozen_s"] / frozen_median, 1) if (frozen_median := row["median_frozen_s"]) else None
        )
        table.append(row)
    return table


if __name__ == "__main__":
    main()
