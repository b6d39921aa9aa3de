"""Damages LiteRT files in many ways and gives each to the code behind `check`, `predict` and `evaluate`.

    python benchmarks/mutated_files.py --files 300 --csv docs/results/mutated_files.csv

The files are of a small network made here, float32 and int8, with class names inside, or those given. For each kind of
damage: how many files there were; how many `check` refuses in one sentence, and how many it judges for every target;
how many `predict` and `evaluate` refuse in one sentence, and how many they answer (some mutations change a weight and
no more); and how many ended in anything else, of which there must be none.
"""

import argparse
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from table import write_rows

from keras_transfer.errors import InputError
from keras_transfer.evaluation import evaluate, open_classifier
from keras_transfer.inputs import TensorSpec
from keras_transfer.jobs.check import judge_file

Damage = Callable[[bytes, random.Random, bytes], bytes]


def flip(content: bytes, chance: random.Random, where: Callable[[], int], most: int) -> bytes:
    """Flips a bit in each of a few bytes."""
    damaged = bytearray(content)
    for _ in range(chance.randint(1, most)):
        damaged[where()] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def in_tables(size: int, chance: random.Random) -> Callable[[], int]:
    """Places near both ends, where the tables of a flatbuffer lie."""
    return lambda: chance.choice((chance.randrange(min(400, size)), size - 1 - chance.randrange(min(2400, size))))


def fill(content: bytes, chance: random.Random, value: int) -> bytes:
    """Overwrites a stretch with one value."""
    start = chance.randrange(len(content))
    length = min(chance.randint(1, 400), len(content) - start)
    return content[:start] + bytes([value]) * length + content[start + length :]


FOREIGN = (
    b"", b"PK\x03\x04" + bytes(100), b"\x89HDF\r\n\x1a\n" + bytes(100), b"\xff\xd8\xff\xe0" + bytes(100), b"hello\n",
    bytes(4) + b"TFL3", bytes(4) + b"TFL3" + b"\xff" * 400, b"\x1c\0\0\0TFL3" + bytes(400),
)  # fmt: skip

DAMAGES: dict[str, Damage] = {
    "flipped bits": lambda c, chance, _: flip(c, chance, lambda: chance.randrange(len(c)), 12),
    "flipped bits in tables": lambda c, chance, _: flip(c, chance, in_tables(len(c), chance), 8),
    "truncated": lambda c, chance, _: c[: chance.randrange(len(c))],
    "zeroed stretch": lambda c, chance, _: fill(c, chance, 0),
    "stretch of ones": lambda c, chance, _: fill(c, chance, 255),
    "spliced": lambda c, chance, other: (lambda at: c[:at] + other[at:])(chance.randrange(len(c))),
    "foreign": lambda _, chance, other: chance.choice((*FOREIGN, chance.randbytes(500))),
}


class Pictures:
    """A split of a few pictures in memory."""

    name = "test"

    def __init__(self, class_names: list[str], shape: tuple[int, int, int]) -> None:
        self.class_names = class_names
        self.labels = np.arange(4) % len(class_names)
        self.pixels = np.random.default_rng(0).integers(0, 256, (4, *shape), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, inputs: Sequence[TensorSpec], batch_size: int) -> Iterator[tuple[Any, Any]]:
        """The whole of it, whatever size is asked for: a damaged file may ask for any."""
        yield np.resize(self.pixels, (4, *inputs[0].shape)), self.labels


def outcome(act: Callable[[], Any]) -> str:
    """`"refused"` where it ends in one sentence, `"done"` where it ends well, else the error's name."""
    try:
        act()
    except InputError as error:
        return "refused" if str(error) and "\n" not in str(error) else "several lines"
    except Exception as error:
        return type(error).__name__
    return "done"


def measure(sources: Sequence[bytes], count: int, targets: Iterable[str] | None, seed: int = 0) -> list[dict[str, Any]]:
    """Returns a row a kind of damage.

    Args:
        sources: sound files of image classifiers.
        count: damaged files, spread evenly over kinds and sources.
        targets: what `check` judges for; None for all.
        seed: of the damages.
    """
    chance = random.Random(seed)
    keys = ("files", "check refused", "check judged", "predict refused", "predict answered", "evaluate refused",
            "evaluate answered", "other")  # fmt: skip
    rows: dict[str, dict[str, Any]] = {kind: {"damage": kind, **dict.fromkeys(keys, 0)} for kind in DAMAGES}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "damaged.tflite")
        sound = Path(folder, "sound.tflite")
        sound.write_bytes(sources[0])
        classifier = open_classifier(sound)
        split: Any = Pictures(classifier.class_names, classifier.image_shape)
        for index in range(count):
            kind = [*DAMAGES][index % len(DAMAGES)]
            content, other = sources[index % len(sources)], sources[(index + 1) % len(sources)]
            path.write_bytes(DAMAGES[kind](content, chance, other))
            row = rows[kind]
            row["files"] += 1

            def predict() -> None:
                opened = open_classifier(path)
                opened.predict(np.zeros((1, *opened.image_shape), np.uint8))

            acts: dict[str, tuple[str, Callable[[], Any]]] = {
                "check": ("judged", lambda: judge_file(path, targets and list(targets), {})),
                "predict": ("answered", predict),
                "evaluate": ("answered", lambda: evaluate(path, split)),
            }
            for command, (well, act) in acts.items():
                found = outcome(act)
                key = {"refused": f"{command} refused", "done": f"{command} {well}"}.get(found, "other")
                row[key] += 1
                if key == "other":
                    print(f"{kind}, file {index}, {command}: {found}")
    return list(rows.values())


def make_sources() -> list[bytes]:
    """Files of a small network, float32 and int8, with class names inside."""
    import keras

    from keras_transfer.litert import convert, write_labels

    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((32, 32, 3))
    for filters in (32, 64, 64):
        x = keras.layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    files = convert(model, ["int8", "float32"], calibration=pixels)
    return [write_labels(content, ["cat", "dog", "horse"]) for content in files.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="*")
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    sources = [path.read_bytes() for path in options.sources] or make_sources()
    rows = measure(sources, options.files, None)
    rows.append({"damage": "all", **{key: sum(row[key] for row in rows) for key in rows[0] if key != "damage"}})
    for row in rows:
        print(row)
    write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
