"""Comparing runs: accuracy against bytes, zipped bytes and latency, and which files no other beats in both."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from keras_transfer.errors import InputError
from keras_transfer.files import write_json, write_text
from keras_transfer.recipe import OTHER_RUNTIMES
from keras_transfer.report.tradeoff import pareto_front
from keras_transfer.run import command_line, read_run
from keras_transfer.schemas import N_ITEMS, ComparedFile, Cost, Proof, Result, RunComparison, Timing

COSTS: dict[Cost, str] = {"bytes": "bytes", "zipped_bytes": "zipped bytes", "latency_ms": "latency"}
"""What a file costs, and how it is called."""


class _ProvenFile(NamedTuple):
    """A file of a run, before it is timed."""

    run: Path
    file: str  # as `result.json` lists it
    format: str
    steps: list[str]
    proof: Proof
    test: frozenset[tuple[str, str]]

    @property
    def path(self) -> Path:
        return self.run / self.file


def compare(
    runs: Sequence[str | Path], out: str | Path, *, formats: Sequence[str] | None = None, seconds: float = 2.0
) -> RunComparison:
    """Sets the files of several runs side by side: `OUT/comparison.html`, `comparison.csv` and `comparison.json`.

    Accuracies are those of the files' proofs, on the same test items; latencies are taken anew, in turns.

    Args:
        runs: directories of finished runs on the same test items.
        out: the folder to write to.
        formats: the files' formats that are looked at; unless given int8, or the next smaller one that all runs have.
        seconds: how long each file is timed.

    Returns:
        What stands in `OUT/comparison.json`. A file's `name` is that of its run, with as many folders above it as tell
        the runs apart; its `ratio` is that of its latency to the first file's; its `front` are the costs by which no
        other file is both cheaper and at least as accurate.

    Raises:
        InputError: a folder holds no finished run or no such file, or the runs' test items differ.
    """
    from keras_transfer.exporters import benchmark
    from keras_transfer.report import comparison_html

    results = {folder: read_run(folder)[1] for folder in map(Path, dict.fromkeys(map(str, runs)))}
    wanted = formats or _common(list(results.values()))
    proven = [file for folder, result in results.items() for file in _files(folder, result, wanted)]
    if len({file.test for file in proven}) > 1:
        raise InputError("The runs were scored on different test items: their accuracies cannot be compared.")
    timed = benchmark([file.path for file in proven], seconds=seconds)
    names = short_names([str(file.run) for file in proven])
    rows = [_row(*each) for each in zip(proven, names, timed, strict=True)]
    for cost in COSTS:
        for index in pareto_front([(row["accuracy"]["value"], row[cost]) for row in rows]):
            rows[index]["front"].append(cost)
    result: RunComparison = {N_ITEMS: rows[0][N_ITEMS], "machine": timed[0]["machine"], "files": rows}
    out = Path(out)
    write_json(out / "comparison.json", result)
    write_text(out / "comparison.csv", _csv(rows))
    write_text(out / "comparison.html", comparison_html(result, COSTS))
    return result


def _row(file: _ProvenFile, name: str, times: Timing) -> ComparedFile:
    """A file with its costs; the fronts that it lies on are found later."""
    from keras_transfer.evaluation.intervals import share_interval

    accuracy, count = file.proof["test_accuracy"], file.proof[N_ITEMS]
    low, high = share_interval(accuracy * count, count)
    return {
        "run": str(file.run),
        "name": name,
        "file": file.file,
        "path": str(file.path),
        "format": file.format,
        "steps": file.steps,
        N_ITEMS: count,
        "accuracy": {"value": accuracy, "low": low, "high": high},
        "bytes": file.proof["bytes"],
        "zipped_bytes": file.proof["zipped_bytes"],
        "latency_ms": times["median_ms"],
        "ratio": times["ratio"],
        "front": [],
    }


def short_names(folders: Sequence[str]) -> list[str]:
    """Of each folder its name, with as many of the folders above it as it takes to tell it from the others.

    >>> short_names(["a/runs/x", "b/runs/x", "b/runs/y", "b/runs/y"])
    ['a/runs/x', 'b/runs/x', 'y', 'y']
    """
    parts = {folder: Path(folder).resolve().parts for folder in folders}

    def name(folder: str) -> str:
        own = parts[folder]
        same = [other for other in parts.values() if other != own]
        depth = next(i for i in range(1, len(own) + 1) if all(other[-i:] != own[-i:] for other in same))
        return str(Path(*own[-depth:]))

    return [name(folder) for folder in folders]


def _common(results: Sequence[Result]) -> tuple[str, ...]:
    """The first of `PREFERRED` that every run has a file of; int8, which is then asked for, where there is none."""
    from keras_transfer.exporters.gate import PREFERRED

    made = [{artifact["format"] for artifact in result["artifacts"]} for result in results]
    return (
        next((kind for kind in PREFERRED if kind not in OTHER_RUNTIMES and all(kind in one for one in made)), "int8"),
    )


def _files(folder: Path, result: Result, formats: Sequence[str]) -> list[_ProvenFile]:
    steps = [step["what"] for step in result.get("steps", []) if step["name"] != "base"]
    test = _test_items(folder)
    rows = []
    for artifact in result["artifacts"]:
        path = folder / artifact["path"]
        if artifact["format"] not in formats or path.suffix != ".tflite":
            continue
        try:
            proof = json.loads(path.with_suffix(".json").read_text())
        except (OSError, ValueError) as error:
            again = command_line("export", folder)
            raise InputError(f"{path} has no proof beside it: `{again}` makes it.") from error
        rows.append(_ProvenFile(folder, artifact["path"], artifact["format"], steps, proof, test))
    if not rows:
        lacking = [kind for kind in formats if kind not in OTHER_RUNTIMES]
        if not lacking:
            raise InputError("`compare` times LiteRT files: ask for another --format.")
        again = command_line("export", folder, *(word for kind in lacking for word in ("--format", kind)))
        raise InputError(f"{folder} has no file of format {', '.join(lacking)}: `{again}` makes it.")
    return rows


def _test_items(folder: Path) -> frozenset[tuple[str, str]]:
    """Content and labels of each test item."""
    with (folder / "data.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    return frozenset((row["sha256"], row.get("class") or row["labels"]) for row in rows)


def _csv(rows: Sequence[ComparedFile]) -> str:
    text = io.StringIO()
    columns = ("run", "file", "format", "accuracy", "low", "high", *COSTS, "ratio", "front")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        accuracy = row["accuracy"]
        figures = {"accuracy": accuracy["value"], "low": accuracy["low"], "high": accuracy["high"]}
        writer.writerow({**row, **figures, "front": " ".join(row["front"])})
    return text.getvalue()
