"""Whole default jobs on recordings, each fold held out as the test split in turn.

    python benchmarks/audio_jobs.py SHARED/data --csv docs/results/audio_jobs.csv
    python benchmarks/audio_jobs.py SHARED/data --sets spoken_digits --fields weights=SHARED/weights/speech_embedding \\
        --csv docs/results/audio_jobs.csv

`esc10` holds out each of its folds 1 to 4, `spoken_digits` two speakers of six. Every job is `keras-transfer train`
from a table to proven files, with an empty cache. One row a job, written as it comes; rows that the CSV file has are
not made again, and the means over folds and seeds are written beside it.
"""

import argparse
import csv
import json
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

from measured import run_measured
from table import read_rows, write_rows

from keras_transfer.run import processor

Row = Mapping[str, object]
Clip = tuple[Path, str, str, str]  # the file, its class, its group, and what is held out together
KEYS = ("set", "fields", "fold", "seed")


def esc10(data: Path) -> list[Clip]:
    """Its names are FOLD-SOURCE-TAKE."""
    paths = sorted((data / "esc10").rglob("*.ogg"))
    return [(path, path.parent.name, path.name.split("-")[1], path.name[0]) for path in paths]


def spoken_digits(data: Path) -> list[Clip]:
    """Speakers are held out by two."""
    folder = data / "spoken_digits"
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    speakers = sorted({row["speaker"] for row in rows})
    pairs = {each: "+".join(speakers[n - n % 2 :][:2]) for n, each in enumerate(speakers)}
    return [(folder / row["path"], row["label"], row["speaker"], pairs[row["speaker"]]) for row in rows]


SETS = {"esc10": esc10, "spoken_digits": spoken_digits}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=["esc10"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--fields", default="", help="options of the command, such as weights=FOLDER")
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows: list[Row] = [*read_rows(options.csv)]
    done = {tuple(str(row[key]) for key in KEYS) for row in rows}
    fields = ", ".join(f"{name}={Path(value).name}" for name, _, value in map(_parts, options.fields.split()))
    for seed in options.seeds:
        for name in options.sets:
            clips = SETS[name](options.data)
            for fold in sorted({held for *_, held in clips}):
                if (name, fields, fold, str(seed)) in done:
                    continue
                where: Row = {"set": name, "fields": fields, "fold": fold, "seed": seed, "processor": processor()}
                rows.append(where | measure(clips, fold, seed, options.fields.split()))
                print(rows[-1], flush=True)
                write_rows(options.csv, rows)
                write_rows(options.csv.with_stem(options.csv.stem + "_means"), means(rows))


def _parts(field: str) -> tuple[str, str, str]:
    return field.partition("=")


def measure(clips: list[Clip], fold: str, seed: int, fields: list[str]) -> Row:
    with tempfile.TemporaryDirectory() as place:
        table, out = Path(place, "clips.csv"), Path(place, "run")
        with table.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "label", "group", "split"])
            for path, label, group, held in clips:
                writer.writerow([path.resolve(), label, group, "test" if held == fold else "train"])
        words = ["-m", "keras_transfer.cli", "train", str(table), "--group-by", "group", "--seed", str(seed), "--json"]
        for name, _, value in map(_parts, fields):
            words += [f"--{name.replace('_', '-')}", value]
        measured = run_measured(
            [*words, "--out", str(out), "--baselines", "none"], {"KERAS_TRANSFER_CACHE": f"{place}/cache"}
        )
        result = json.loads((out / "result.json").read_text())
    int8 = next((entry for entry in result["artifacts"] if entry["format"] == "int8"), None)
    return {
        "backbone": Path(result["backbone"]).name,
        "kept": result["kept"],
        "test": result["images"]["test"],
        "accuracy": round(result["test"]["accuracy"], 4),
        "int8": round(int8["test_accuracy"], 4) if int8 is not None else "",
        "gate": "fail" if result["gate"] else "pass",
        "seconds": round(measured.seconds, 1),
        "cpu_seconds": round(measured.cpu_seconds, 1),
    }


def means(rows: list[Row]) -> list[dict[str, object]]:
    """One row for each set and fields: over folds and seeds, weighted by test clips."""
    found = []
    for name, fields in dict.fromkeys((row["set"], row["fields"]) for row in rows):
        own = [row for row in rows if (row["set"], row["fields"]) == (name, fields)]
        weights = [float(str(row["test"])) for row in own]

        def mean(column: str, own: list[Row] = own, weights: list[float] = weights) -> float:
            return round(statistics.fmean([float(str(row[column])) for row in own], weights), 4)

        made = all(row["int8"] != "" for row in own)
        found.append({
            "set": name, "fields": fields, "jobs": len(own),
            "backbones": " ".join(sorted({str(row["backbone"]) for row in own})),
            "accuracy": mean("accuracy"), "int8": mean("int8") if made else "",
            "gates failed": sum(row["gate"] == "fail" for row in own),
            "seconds": mean("seconds"), "cpu_seconds": mean("cpu_seconds"),
        })  # fmt: skip
    return found


if __name__ == "__main__":
    main()
