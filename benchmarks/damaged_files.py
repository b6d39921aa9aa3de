"""Damages copies of real photographs in many ways, puts them among good ones, and loads the lot.

    python benchmarks/damaged_files.py photos/ --files 800 --damaged 300 --csv out.csv

Takes so many JPEG files of class folders, which are written as TIFF, AVIF and HEIC as well. For each format and kind of
damage: how many files there were, how many the listing names with a reason, how many still decode (bits flipped inside
the data often do), and how many the listing lacks (there must be none).
"""

import argparse
import io
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pillow_heif
from PIL import Image
from table import write_rows

import keras_transfer as kt

FORMATS = ("JPEG", "TIFF", "AVIF", "HEIC")
TIFFS = (None, "tiff_lzw", "tiff_adobe_deflate", "jpeg")

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


def original(file: Path, format_: str, number: int) -> tuple[str, bytes]:
    """A photograph's ending and content: as it is, or written as another format."""
    if format_ == "JPEG":
        return file.suffix, file.read_bytes()
    buffer = io.BytesIO()
    method = {"compression": TIFFS[number % len(TIFFS)]} if format_ == "TIFF" else {}
    Image.fromarray(kt.decode_image(file)).save(buffer, "HEIF" if format_ == "HEIC" else format_, **method)
    return f".{format_.lower()}", buffer.getvalue()


def measure(files: list[Path], format_: str, count: int) -> list[dict[str, object]]:
    """Rows of one format: `count` of the files damaged, each way in turn, among the others."""
    chance = random.Random(0)
    chosen = dict(zip(chance.sample(files, count), [*DAMAGES] * count, strict=False))
    with tempfile.TemporaryDirectory() as name:
        kinds = {}
        for number, file in enumerate(files):
            suffix, content = original(file, format_, number)
            copy = (Path(name) / file.parent.name / file.name).with_suffix(suffix)
            copy.parent.mkdir(exist_ok=True)
            if file in chosen:
                content = DAMAGES[chosen[file]](content, chance)
                kinds[copy.resolve()] = chosen[file]
            copy.write_bytes(content)
        data = kt.load_images(name, allow_bad=True)
        problems = {record.path.resolve(): record.problem for record in data.records}
    good = [problem for path, problem in problems.items() if path not in kinds]
    print(f"{format_}: good files: {len(good)}, named: {sum(bool(p) and 'duplicate' not in p for p in good)}")
    rows: list[dict[str, object]] = []
    for kind in DAMAGES:
        found = [problems.get(path) for path, damage in kinds.items() if damage == kind]
        named = sum(bool(problem) for problem in found)
        counts = {"named": named, "decode": found.count(""), "lacking": found.count(None)}
        rows.append({"format": format_, "damage": kind, "files": len(found), **counts})
        print(rows[-1])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--files", type=int, help="of the photographs, drawn at random; all by default")
    parser.add_argument("--damaged", type=int, default=300)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    pillow_heif.register_heif_opener()  # the writer comes with it
    files = sorted(file for file in options.photos.glob("*/*") if file.is_file())
    files = sorted(random.Random(0).sample(files, options.files or len(files)))
    write_rows(options.csv, [row for format_ in options.formats for row in measure(files, format_, options.damaged)])


if __name__ == "__main__":
    main()
