"""What the benchmarks share: options that several take, and their rows as a CSV file."""

import argparse
import csv
import io
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_transfer.files import write_text


def backbone_options(about: str | None, val: float | None = None) -> argparse.ArgumentParser:
    """A parser of the options of a benchmark that trains one backbone on one folder, over seeds.

    With `val`, `--val` is one of them: the share of the training photographs that judges.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--size", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    if val is not None:
        parser.add_argument("--val", type=float, default=val, help="the share of the training photographs that judges")
    parser.add_argument("--csv", type=Path, required=True)
    return parser


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes rows with the columns of the first; the folder is made if it is not there."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows that a CSV file has, as text; none where it is not there yet."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def show_rows(rows: Sequence[dict[str, Any]], path: Path | None) -> None:
    """Prints rows, and writes them where a path is given."""
    for row in rows:
        print(row)
    if path is not None:
        write_rows(path, rows)


def paired_gain(own: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """Mean validation accuracy over seeds, and what it gains over another's of the same seeds."""
    gains = [one - other for one, other in zip(own, base, strict=True)]
    error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
    found = {"val_accuracy": statistics.mean(own), "gain": statistics.mean(gains), "standard_error": error}
    return {name: round(value, 4) for name, value in found.items()}
