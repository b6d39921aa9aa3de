"""Time and peak memory of listing, examining and splitting a table of texts.

    python benchmarks/text_reading.py --rows 100000 1000000 --csv docs/results/text_reading.csv

Makes tables of an id, texts of about 100 characters of made-up words, and labels of three classes. Each is loaded in a
process of its own, without TensorFlow.
"""

import csv
import itertools
import random
import time
from pathlib import Path

from measured import measure_reading

from keras_transfer.data.loading import load_listing
from keras_transfer.inputs import InputSpec
from keras_transfer.modalities import NoAugmenter
from keras_transfer.modalities.text.items import KIND, load_text
from keras_transfer.modalities.text.reader import NOTES, TextReader
from keras_transfer.modalities.text.sources import list_source


class Unprepared:
    """A preparer of texts that are not prepared."""

    modality = "text"
    settings = property(lambda self: {})
    load = staticmethod(load_text)
    spec = staticmethod(lambda inputs: InputSpec("text", ()))
    prepare = staticmethod(lambda content, spec: ())
    adapt = staticmethod(lambda values, spec: values)
    augmenter = staticmethod(lambda strength, per_class, classes: NoAugmenter())


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
    data = load_listing(listing, TextReader(Unprepared(), KIND, NOTES))
    assert sum(len(split) for split in (data.train, data.val, data.test)) == len(listing.entries)
    return {"listing_cpu_s": round(listed - begun, 1), "splitting_cpu_s": round(time.process_time() - listed, 1)}


if __name__ == "__main__":
    measure_reading(__doc__, __file__, make_table, load)
