"""How well near-duplicates are found, and how seldom two different photographs are taken for one.

Plants copies of photographs (resized, recompressed, cropped, mirrored) and compares all pairs, planted and natural:

    python benchmarks/near_duplicates.py FOLDER [FOLDER ...] [--count 300] --csv out.csv

On 300 photographs each of flowers5 and food10 resized, recompressed and mirrored copies are all found; of those cropped
by 5 % at least 95 %, by 10 % about the middle at least 97 %, by 10 % at a corner a third. Of 2 x 44850 natural pairs
none was taken for one.
"""

import argparse
import io
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from table import write_rows

from keras_transfer.modalities.image.decode import decode, decode_image
from keras_transfer.modalities.image.duplicates import THUMBNAIL, near_pairs, similarity, thumbnail


def _jpeg(image: Image.Image, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _crop(image: Image.Image, share: float, corner: bool) -> Image.Image:
    """Without `share` of the width and height: at the right and bottom, or half of it on each side."""
    width, height = image.size
    left, top = (0, 0) if corner else (width * share / 2, height * share / 2)
    return image.crop((round(left), round(top), round(left + width * (1 - share)), round(top + height * (1 - share))))


CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "resized to half": lambda image: _jpeg(
        image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    ),
    "resized to 150 %": lambda image: _jpeg(image.resize((image.width * 3 // 2, image.height * 3 // 2))),
    "recompressed, q50": lambda image: _jpeg(image, 50),
    "cropped 5 %, middle": lambda image: _jpeg(_crop(image, 0.05, False)),
    "cropped 5 %, corner": lambda image: _jpeg(_crop(image, 0.05, True)),
    "cropped 10 %, middle": lambda image: _jpeg(_crop(image, 0.10, False)),
    "cropped 10 %, corner": lambda image: _jpeg(_crop(image, 0.10, True)),
    "mirrored": lambda image: _jpeg(ImageOps.mirror(image)),
    "mirrored, 5 %, q50, half": lambda image: _jpeg(
        _crop(ImageOps.mirror(image), 0.05, False).resize((image.width // 2, image.height // 2)), 50
    ),
}


def main() -> None:
    """Prints the share found of each change, and the natural pairs taken for one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    rows = []
    for folder in arguments.folders:
        paths = sorted(folder.rglob("*.jpg"))
        random.Random(0).shuffle(paths)
        paths = paths[: arguments.count]
        own = np.stack([thumbnail(decode_image(path, THUMBNAIL)) for path in paths])
        natural = {(i, j) for i, j in near_pairs(own) if i < j}
        total = len(paths) * (len(paths) - 1) // 2
        print(f"{folder.name}: {len(paths)} photographs, {total} natural pairs")
        for name, change in CHANGES.items():
            found, scores = 0, []
            for path, original in zip(paths, own, strict=True):
                with Image.open(path) as image:
                    copy = thumbnail(decode(change(image.convert("RGB")), THUMBNAIL).pixels)
                scores.append([float(score[0]) for score in similarity(original, copy[None])])
                found += any(near_pairs(np.stack([original, copy])))
            whole, detail = np.percentile(scores, 1, axis=0)
            row = {"data": folder.name, "change": name, "pairs": len(paths), "found": round(found / len(paths), 4)}
            rows.append(row)
            print(f"  {name:26} found {found / len(paths):7.2%}   1st percentiles {whole:.3f}, details {detail:.3f}")
        print(f"  natural pairs taken for one: {len(natural)} ({len(natural) / total:.5%})")
        share = round(len(natural) / total, 6)
        rows.append({"data": folder.name, "change": "none: different photographs", "pairs": total, "found": share})
        for i, j in sorted(natural)[:20]:
            print(f"    {paths[i].relative_to(folder)} {paths[j].relative_to(folder)}")
    write_rows(arguments.csv, rows)


if __name__ == "__main__":
    main()
