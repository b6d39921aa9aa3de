"""Short messages of three uneven classes, from a table as it comes, against TF-IDF: one command.

    python benchmarks/short_messages.py sentences.csv minilm_l6_h384 --csv docs/results/short_messages.csv

The table has the columns `Tweet Id`, `Sentiment` and `Tweet Content`, in Windows-1252: 70% negative and 10% positive
sentences of reviews, and 20% neutral ones that are made here, with emoji (as `?` in that encoding), hashtags and names.
Nothing is said to the command but the encoder. One row a seed.
"""

import argparse
import csv
import json
import random
import tempfile
from pathlib import Path

from measured import run_measured
from table import write_rows

COUNTS = {"negative": 1050, "neutral": 300, "positive": 150}
SIGNS = {"negative": ["😡", "#fail"], "positive": ["😀", "#love"], "neutral": ["🙂", "#info"]}
SUBJECTS = ("The bus", "The meeting", "The shop", "Flight {n}", "The course", "The train", "Our store", "Version {n}")
ACTS = ("opens at {n}:15", "moves to {p}", "starts on {d}", "leaves from {p} at {n}:30", "has {n} seats",
        "is {n} km from {p}", "was built in 19{n}", "needs a ticket from {p}")  # fmt: skip
PLACES, DAYS = ("the station", "Leeds", "Gate 12", "the library", "Zürich", "room 204"), ("Monday", "Friday", "Sunday")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoder", help="as for --backbone")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            table = write_messages(options.data, Path(folder) / "messages.csv", seed)
            words = ["train", str(table), "--backbone", options.encoder, "--seed", str(seed), "--out", str(run)]
            measured = run_measured(["-m", "keras_transfer.cli", *words])
            report = json.loads((run / "report.json").read_text())
        rival = next(row for row in report["baselines"] if row["kind"] == "rival")
        found = {"accuracy": report["metrics"]["accuracy"], "tf-idf accuracy": rival["accuracy"]}
        found |= {"macro_f1": report["metrics"]["macro_f1"], "tf-idf macro_f1": rival["macro_f1"]}
        shown = {name: round(value["value"] if isinstance(value, dict) else value, 4) for name, value in found.items()}
        rows.append({"seed": seed, **shown, "cpu_seconds": round(measured.cpu_seconds, 1)})
        print(rows[-1], flush=True)
        write_rows(options.csv, rows)


def write_messages(data: Path, path: Path, seed: int) -> Path:
    """A table of messages, in an order of chance."""
    chance = random.Random(seed)
    with data.open(newline="", encoding="utf-8") as file:
        sentences = list(csv.DictReader(file))
    chance.shuffle(sentences)
    texts = {name: [row["text"] for row in sentences if row["label"] == name] for name in COUNTS}
    texts["neutral"] = list(dict.fromkeys(neutral(chance) for _ in range(2 * COUNTS["neutral"])))
    rows = [(name, text) for name, count in COUNTS.items() for text in texts[name][:count]]
    chance.shuffle(rows)
    with path.open("w", newline="", encoding="cp1252", errors="replace") as file:
        writer = csv.writer(file)
        writer.writerow(["Tweet Id", "Sentiment", "Tweet Content"])
        for number, (name, text) in enumerate(rows):
            start = f"@user{number % 7} " if chance.random() < 0.2 else ""
            end = f" {chance.choice(SIGNS[name])}" if chance.random() < 0.1 else ""
            writer.writerow([10**17 + number, name.title(), start + text[:130] + end])
    return path


def neutral(chance: random.Random) -> str:
    """A sentence without an opinion."""
    values = {"n": chance.randint(10, 59), "p": chance.choice(PLACES), "d": chance.choice(DAYS)}
    return f"{chance.choice(SUBJECTS)} {chance.choice(ACTS)}.".format(**values)


if __name__ == "__main__":
    main()
