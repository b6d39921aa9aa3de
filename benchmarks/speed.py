"""The Keras guide's flow (`keras_guide.py`) and `keras-transfer train` in turn on the same photographs and weights.

    python benchmarks/speed.py photos/ --weights backbone.weights.h5 --csv docs/results/speed.csv

`photos/` has `train/` and `test/`. Ours runs whole, with its own settings and an empty cache; its frozen part alone
with an empty cache; and again with what that left. All end in an int8 file that is scored on the test photographs. Rows
go to the CSV file, medians and ratios beside it. The photographs are read first, so that the file system's cache is
warm for all.
"""

import argparse
import json
import shutil
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measured import Measured, run_measured
from table import write_rows

from keras_transfer.run import processor

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
    parser.add_argument(
        "--take", type=int, nargs=2, metavar=("TRAIN", "TEST"), help="only the first so many photographs of each class"
    )
    parser.add_argument("--earlier", type=Path, help="a checkout of earlier code, whose whole job is measured as well")
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if options.take:
            options.data = first(options.data, options.take, Path(temporary))
        for path in options.data.rglob("*"):
            if path.is_file():
                path.read_bytes()
        rows = []
        for seed in options.seeds:
            for row in measure(options, seed):
                told = {"processor": processor(), "backbone": options.backbone, "size": options.size, "seed": seed}
                rows.append(told | row)
                print(rows[-1], flush=True)
                write_rows(options.csv, rows)
    write_rows(options.csv.with_stem(options.csv.stem + "_ratios"), ratios(rows))


def first(data: Path, most: list[int], folder: Path) -> Path:
    """Copies the first photographs of each class, by name, of `train/` and of `test/`."""
    for split, count in zip(("train", "test"), most, strict=True):
        for kind in sorted(path for path in (data / split).iterdir() if path.is_dir()):
            target = folder / split / kind.name
            target.mkdir(parents=True)
            for path in sorted(kind.iterdir())[:count]:
                shutil.copy(path, target)
    return folder


def measure(options: argparse.Namespace, seed: int) -> list[dict[str, Any]]:
    """One row for each way of a seed; `frozen_s` is what trains with the backbone frozen, decoding included."""
    rows = [guide(options, seed)]
    with tempfile.TemporaryDirectory() as temporary:
        if options.only != "frozen":
            if options.earlier:
                # Without PYTHONSAFEPATH the working directory, which holds the present code, would come first.
                code = {"PYTHONPATH": str(options.earlier.resolve()), "PYTHONSAFEPATH": "1"}
                place = Path(temporary) / "earlier", "earlier cache", code
                rows.append(ours(options, seed, "whole, earlier", "fine-tuning", *place))
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
    measured = run_measured(list(map(str, command)))
    found = json.loads(measured.output.strip().splitlines()[-1])
    frozen = found["frozen_s"], found["frozen_accuracy"]
    return row_of("guide", measured, frozen, found["accuracy"], found["int8_accuracy"])


def ours(
    options: argparse.Namespace,
    seed: int,
    way: str,
    strategy: str,
    folder: Path,
    cache: str,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """`keras-transfer train`, without the baselines and the files that the guide does not make."""
    told = ["--backbone", options.backbone, "--image-size", options.size, "--seed", seed, "--strategy", strategy]
    told += ["--weights", options.weights or "none", "--baselines", "none", "--format", "int8", "--tolerance", "0.9"]
    command = ["-m", "keras_transfer.cli", "train", options.data, *told, "--out", folder]
    place = {"KERAS_TRANSFER_CACHE": str(folder.with_name(cache)), **(environment or {})}
    measured = run_measured(list(map(str, command)), place)
    result = json.loads((folder / "result.json").read_text())
    accuracy, seconds = result["test"]["accuracy"], result["parts"]["training"]
    frozen = (seconds, accuracy) if strategy == "feature-extraction" else None
    return row_of(way, measured, frozen, accuracy, result["artifacts"][-1]["test_accuracy"])


def row_of(
    way: str, measured: Measured, frozen: tuple[float, float] | None, accuracy: float, int8: float
) -> dict[str, Any]:
    """One row of the table; `frozen` are the seconds and the accuracy of training with the backbone frozen."""
    return {
        "way": way,
        "seconds": round(measured.seconds, 1),
        "cpu_s": round(measured.cpu_seconds, 1),
        "frozen_s": frozen and round(frozen[0], 2),
        "frozen_accuracy": frozen and frozen[1],
        "accuracy": accuracy,
        "int8_accuracy": int8,
        "peak_mb": measured.peak_mb,
        "all_processes_mb": measured.all_mb,
    }


def ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each way's medians and mean accuracies, and how many times as fast as the guide it is."""
    table = []
    for way in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == way]
        told = {name: own[0][name] for name in ("processor", "backbone", "size")}
        row = told | {"way": way, "runs": len(own)}
        for name in ("seconds", "cpu_s", "frozen_s", "peak_mb", "all_processes_mb"):
            values = [found[name] for found in own if found[name] is not None]
            row[f"median_{name}"] = statistics.median(values) if values else None
        for name in ("frozen_accuracy", "accuracy", "int8_accuracy"):
            values = [found[name] for found in own if found[name] is not None]
            row[f"mean_{name}"] = round(statistics.mean(values), 4) if values else None
        first = table[0] if table else row
        row["times_as_fast"] = round(first["median_seconds"] / row["median_seconds"], 2)
        seconds = row["median_frozen_s"]
        row["frozen_times_as_fast"] = round(first["median_frozen_s"] / seconds, 1) if seconds else None
        table.append(row)
    return table


if __name__ == "__main__":
    main()
