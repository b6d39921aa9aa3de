"""Sentences by `keras-transfer train`, by its rivals, and by full fine-tuning with KerasHub (`text_guide.py`).

    python benchmarks/text.py sentences.csv minilm_l6_h384 --csv docs/results/text.csv
    python benchmarks/text.py sentences.csv minilm_l6_h384 --splits random --ways default lora guide --csv more.csv

The table has the columns `text`, `label` and `domain`. A split is `random` (15% to test, 15% to validate, drawn by the
package, near-duplicates on one side), or the name of a domain that is held out as the test split. Every way gets the
same texts: `default`, `lora` and `bitfit` are whole commands with an empty cache, from the table to proven files;
`guide` trains all weights for as many epochs on texts of 128 tokens. `rivals` are TF-IDF and logistic regression on
frozen features. One row a run, written as it comes; rows that the CSV file has are not made again, and the means over
the seeds are written beside it.
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

from keras_transfer.data.dataset import Dataset
from keras_transfer.decisions import correct
from keras_transfer.jobs.baselines import probe
from keras_transfer.jobs.parts import load_data
from keras_transfer.modalities import open_modality, settled
from keras_transfer.recipe import make_recipe
from keras_transfer.run import processor

GUIDE = Path(__file__).with_name("text_guide.py")
WAYS = ("default", "lora", "bitfit", "guide", "rivals")
DEFAULT = ("default", "rivals")
NAMES = {"rivals": "frozen features"}  # the last of the rows that a way writes
STRATEGIES = {"default": [], "lora": ["--strategy", "lora"], "bitfit": ["--strategy", "bitfit"]}
Row = Mapping[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoder", help="as for --backbone")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--splits", nargs="+", default=["random", "amazon", "imdb", "yelp"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=DEFAULT)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows: list[Row] = [*read_rows(options.csv)]
    done = {(row["split"], row["way"], str(row["seed"])) for row in rows}
    for seed in options.seeds:
        for split in options.splits:
            with tempfile.TemporaryDirectory() as temporary:
                table = arranged(options.data, split, seed, options.encoder, Path(temporary))
                for way in options.ways:
                    if (split, NAMES.get(way, way), str(seed)) in done:
                        continue
                    told = {"processor": processor(), "seed": seed}
                    for row in measure(way, table, options.encoder, seed, Path(temporary)):
                        rows.append({"split": split, **told, **row})
                        print(rows[-1], flush=True)
                        write_rows(options.csv, rows)
    write_rows(options.csv.with_stem(options.csv.stem + "_means"), means(rows))


def arranged(data: Path, split: str, seed: int, encoder: str, folder: Path) -> Path:
    """The table with a column `split`: so every way learns from, and answers, the same texts."""
    with data.open(newline="", encoding="utf-8") as file:
        texts = list(csv.DictReader(file))
    table = folder / "texts.csv"
    if split == "random":
        loaded = load(str(data), encoder, seed)
        sides = {path.name: part.name for part in (loaded.train, loaded.val, loaded.test) for path in part.paths}
        for number, row in enumerate(texts, start=1):
            row["split"] = sides.get(f"{data.name}#{number}", "train")
    else:
        rest = [row for row in texts if row["domain"] != split]
        for row in texts:
            row["split"] = "test" if row["domain"] == split else "train"
        chosen = folder / "rest.csv"
        write_table(chosen, rest)
        loaded = load(str(chosen), encoder, seed)
        for path in loaded.val.paths:
            rest[int(path.name.partition("#")[2]) - 1]["split"] = "val"
    write_table(table, texts)
    return table


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def load(data: str, encoder: str, seed: int) -> Dataset:
    return load_data(settled(make_recipe(data=data, backbone=encoder, seed=seed)))


def measure(way: str, table: Path, encoder: str, seed: int, folder: Path) -> list[Row]:
    if way == "rivals":
        return rivals(table, encoder, seed)
    if way == "guide":
        measured = run_measured([str(GUIDE), str(table), encoder, "--seed", str(seed)])
        found = json.loads(measured.output.splitlines()[-1])
        return [
            {"way": way, **found, "seconds": round(measured.seconds, 1), "cpu_seconds": round(measured.cpu_seconds, 1)}
        ]
    out = folder / way
    words = [
        "-m",
        "keras_transfer.cli",
        "train",
        str(table),
        "--backbone",
        encoder,
        "--seed",
        str(seed),
        "--out",
        str(out),
    ]
    with tempfile.TemporaryDirectory() as cache:
        measured = run_measured(
            [*words, "--out", str(out), "--baselines", "none", "--json", *STRATEGIES[way]],
            {"KERAS_TRANSFER_CACHE": cache},
        )
    result = json.loads((out / "result.json").read_text())
    files = {entry["format"]: entry for entry in result["artifacts"]}
    quantized = files["dynamic"]
    return [
        {
            "way": way,
            "accuracy": round(result["test"]["accuracy"], 4),
            "macro_f1": round(result["test"]["macro_f1"], 4),
            "seconds": round(measured.seconds, 1),
            "cpu_seconds": round(measured.cpu_seconds, 1),
            "kept": result["kept"],
            "sequence_length": result["sequence_length"],
            "quantized_accuracy": round(quantized["test_accuracy"], 4),
            "quantized_agreement": round(quantized["agreement"], 4),
            "quantized_bytes": round(quantized["bytes"] / files["float32"]["bytes"], 3),
            "gate": quantized["gate"]["outcome"],
        }
    ]


def rivals(table: Path, encoder: str, seed: int) -> list[Row]:
    recipe = settled(make_recipe(data=str(table), backbone=encoder, seed=seed))
    modality, data = open_modality("text"), load_data(recipe)
    length = modality.choose_preparation(recipe, data, None, None)  # type: ignore[arg-type]  # it asks the texts alone
    recipe, data = modality.prepared(recipe, data, length)
    answers = {"tf-idf": modality.rival(data, data.test, seed)[1], "frozen features": probe(recipe, data)[1]}
    return [
        {"way": name, "accuracy": round(float(correct(data.test.labels, rows).mean()), 4)}
        for name, rows in answers.items()
    ]


def means(rows: list[Row]) -> list[Row]:
    """The mean of each figure over the seeds, a row for each split and way."""
    found: list[Row] = []
    for split, way in dict.fromkeys((str(row["split"]), str(row["way"])) for row in rows):
        own = [row for row in rows if (row["split"], row["way"]) == (split, way)]
        mean: dict[str, object] = {"split": split, "way": way, "seeds": len(own)}
        for name in ("accuracy", "macro_f1", "cpu_seconds", "quantized_accuracy", "quantized_bytes"):
            values = [float(str(row[name])) for row in own if row.get(name) not in (None, "")]
            mean[name] = round(statistics.mean(values), 4) if values else ""
        found.append(mean)
    return found


if __name__ == "__main__":
    main()
