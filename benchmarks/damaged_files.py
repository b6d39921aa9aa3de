"""Damages copies of real photographs in many ways, puts them among good ones, and loads the lot.

    python benchmarks/damaged_files.py photos/ --damaged 300 --csv out.csv

Takes a folder a class. For each kind of damage: how many files there were, how many the listing names with a reason,
how many still decode (bits flipped inside JPEG data often do), and how many the listing lacks (there must be none).
"""

import argparse
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from table import write_rows

import keras_transfer as kt

Damage = Callable[[bytes, random.Random], bytes]


def flip(content: bytes, chance: random.Random) -> bytes:
    """Flips a bit in each of a few bytes."""
    damaged = bytearray(content)
    for _ in range(chance.randint(1, 20)):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def zero(content: bytes, chance: random.Random) -> bytes:
    """Overwrites a stretch with zeros."""
    start, length = chance.randrange(len(content)), chance.randint(100, 5000)
    return content[:start] + bytes(min(length, len(content) - start)) + content[start + length :]


DAMAGES: dict[str, Damage] = {
    "truncated": lambda content, chance: content[: chance.randrange(1, len(content) - 1)],
    "empty": lambda content, chance: b"",
    "header": lambda content, chance: chance.randbytes(64) + content[64:],
    "no image": lambda content, chance: chance.randbytes(2000),
    "zeroed stretch": zero,
    "flipped bits": flip,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--damaged", type=int, default=300)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    chance = random.Random(0)
    files = sorted(file for file in options.photos.glob("*/*") if file.is_file())
    chosen = dict(zip(chance.sample(files, options.damaged), [*DAMAGES] * options.damaged, strict=False))
    with tempfile.TemporaryDirectory() as name:
        kinds = {}
        for file in files:
            copy = Path(name) / file.parent.name / file.name
            copy.parent.mkdir(exist_ok=True)
            if file in chosen:
                copy.write_bytes(DAMAGES[chosen[file]](file.read_bytes(), chance))
                kinds[copy.resolve()] = chosen[file]
            else:
                shutil.copyfile(file, copy)
        data = kt.load_images(name, allow_bad=True)
        problems = {record.path.resolve(): record.problem for record in data.records}
    rows = []
    for kind in DAMAGES:
        found = [problems.get(path) for path, damage in kinds.items() if damage == kind]
        named = sum(bool(problem) for problem in found)
        rows.append(
            {
                "damage": kind,
                "files": len(found),
                "named": named,
                "decode": found.count(""),
                "lacking": found.count(None),
            }
        )
        print(rows[-1])
    good = [problem for path, problem in problems.items() if path not in kinds]
    print(f"good files: {len(good)}, named: {sum(bool(p) and 'duplicate' not in p for p in good)}")
    write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
