"""Peak memory of `keras-transfer train` against the number of photographs.

    python benchmarks/memory.py --images 2000 20000 100000 --csv docs/results/memory.csv -- --weights notop.weights.h5

Makes folders of small JPEG files of ten classes, each with its own colours and stripes and no two alike, and trains on
them; what follows `--` goes to `train`. `photos/` in place of `--images` measures a folder of one's own.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measured import run_measured
from PIL import Image
from table import write_rows

from keras_transfer.progress import track

CLASSES, SIDE = 10, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", type=Path, help="folders of photographs")
    parser.add_argument("--images", nargs="*", type=int, default=[], help="sizes of folders to make")
    parser.add_argument("--csv", type=Path, required=True)
    own, more = sys.argv[1:], []
    if "--" in own:
        own, more = own[: own.index("--")], own[own.index("--") + 1 :]
    options = parser.parse_args(own)
    rows: list[dict[str, Any]] = []
    for told in [*options.data, *options.images]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            data = told if isinstance(told, Path) else make_photographs(folder / "photographs", told)
            count = sum(path.is_file() for path in data.rglob("*"))
            call = ["-m", "keras_transfer.cli", "train", str(data), "--baselines", "none", "--format", "int8"]
            call += ["--tolerance", "0.9", "--out", str(folder / "run"), *more]
            found = run_measured(call, {"KERAS_TRANSFER_CACHE": str(folder / "cache")})
            kept = sum(path.stat().st_size for path in (folder / "cache").rglob("*") if path.is_file())
            rows.append(
                {
                    "data": data.name if isinstance(told, Path) else "made",
                    "images": count,
                    "peak_mb": found.peak_mb,
                    "all_processes_mb": found.all_mb,
                    "cache_mb": kept // 2**20,
                    "seconds": round(found.seconds),
                }
            )
            print(rows[-1], flush=True)
            shutil.rmtree(folder / "run", ignore_errors=True)
    write_rows(options.csv, rows)


def make_photographs(folder: Path, count: int) -> Path:
    """`count` JPEG files in a folder a class: stripes of its own period; colours, clouds and noise of each its own."""
    for kind in range(CLASSES):
        (folder / f"class{kind}").mkdir(parents=True)
    chance = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    for index in track(range(count), f"Making {count} photographs"):
        kind = index % CLASSES
        turn, phase = chance.uniform(0, np.pi), chance.uniform(0, 2 * np.pi)
        wave = np.sin(2 * np.pi * (kind + 1) * (x * np.cos(turn) + y * np.sin(turn)) + phase)[..., None]
        low, high = chance.uniform(0, 110, 3), chance.uniform(145, 255, 3)
        pixels = low + (high - low) * (0.5 + 0.5 * wave) + chance.normal(0, 20, (SIDE, SIDE, 3))
        clouds = Image.fromarray(chance.integers(0, 256, (8, 8, 3), np.uint8)).resize((SIDE, SIDE))
        pixels = 0.4 * pixels + 0.6 * np.asarray(clouds)  # else many would be taken for copies of each other
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        image.save(folder / f"class{kind}" / f"{index}.jpg", quality=90)
    return folder


if __name__ == "__main__":
    main()
