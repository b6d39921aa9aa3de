"""Time and peak memory of listing, examining and splitting a table of texts.

    python benchmarks/text_reading.py --rows 100000 1000000 --csv docs/results/text_reading.csv

Makes tables of an id, texts of about 100 characters of made-up words, and labels of three classes. Each is loaded in a
process of its own, without TensorFlow.
"""

import argparse
import csv
import itertools
import json
import random
import tempfile
import time
from pathlib import Path

from measured import run_measured
from table import write_rows

from keras_transfer.data.loading import load_listing
from keras_transfer.inputs import InputSpec
from keras_transfer.modalities import NoAugmenter
from keras_transfer.modalities.text.items import load_text
from keras_transfer.modalities.text.reader import TextReader
from keras_transfer.modalities.text.sources import list_source
from keras_transfer.run import processor


class Unprepared:
    """A preparer of texts that are not prepared."""

    modality = "text"
    settings = property(lambda self: {})
    load = staticmethod(load_text)
    spec = staticmethod(lambda inputs: InputSpec("text", ()))
    prepare = staticmethod(lambda content, spec: ())
    adapt = staticmethod(lambda values, spec: values)
    augmenter = staticmethod(lambda strength, per_class, classes: NoAugmenter())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[])
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--load", type=Path, help="a table to load in this process")
    options = parser.parse_args()
    if options.load:
        print(json.dumps(load(options.load)))
        return
    rows = []
    for count in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            path = make_table(Path(folder) / "texts.csv", count)
            measured = run_measured([__file__, "--load", str(path)])
            times = json.loads(measured.output.splitlines()[-1])
            file_mb = path.stat().st_size // 2**20
        size = {"processor": processor(), "rows": count, "file_mb": file_mb, "peak_mb": measured.peak_mb}
        rows.append({**size, "cpu_seconds": round(measured.cpu_seconds, 1), **times})
        print(rows[-1], flush=True)
    write_rows(options.csv, rows)


def make_table(path: Path, count: int) -> Path:
    """A CSV of `count` texts of words as rare as in a language: the k-th most frequent one in 1 / (k + 10) places."""
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(30_000)]
    weights = list(itertools.accumulate(1 / (rank + 10) for rank in range(len(words))))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label"])
        for number in range(count):
            text = " ".join(chance.choices(words, cum_weights=weights, k=16))
            writer.writerow([number, text, ("good", "bad", "neither")[number % 3]])
    return path


def load(path: Path) -> dict[str, float]:
    """CPU seconds of listing, and of examining and splitting."""
    begun = time.process_time()
    listing = list_source(path)
    listed = time.process_time()
    data = load_listing(listing, TextReader(Unprepared()))
    assert sum(len(split) for split in (data.train, data.val, data.test)) == len(listing.entries)
    return {"listing_cpu_s": round(listed - begun, 1), "splitting_cpu_s": round(time.process_time() - listed, 1)}


if __name__ == "__main__":
    main()
