"""A champion, and a stream that shifts: what `retrain` gains on the new, loses on the old, and refuses.

    python benchmarks/retrain.py RUN food10/train --csv docs/results/retrain.csv

Makes negatives of photographs in class folders, as a camera with a fault would, lets `retrain` learn from them, then
from the same with shuffled labels. Exits with 1 unless the first is promoted and the second refused.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageOps
from table import write_rows

from keras_transfer.exporters.paired import drop_below
from keras_transfer.jobs.renew import MARGIN, Retraining, retrain_run

MARGINS = (0.02, 0.03, 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("photographs", type=Path, help="class folders")
    parser.add_argument("--per-class", type=int, default=60)
    parser.add_argument("--margin", type=float, default=MARGIN)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for stream in ("negatives", "negatives, labels shuffled"):
            added = folder / stream.replace(", ", " ")
            write(options.photographs, added, options.per_class, shuffled="shuffled" in stream)
            verdict = retrain_run(options.run, folder / f"run {stream}", str(added), margin=options.margin)
            rows += rows_of(stream, verdict)
            print(verdict, flush=True)
    write_rows(options.csv, rows)
    sys.exit(not (rows[0]["promoted"] and not rows[2]["promoted"]))


def write(photographs: Path, out: Path, per_class: int, shuffled: bool) -> None:
    """Negatives of photographs in class folders, maybe of other classes than they show."""
    chance = random.Random(0)
    paths = [path for place in sorted(photographs.iterdir()) for path in sorted(place.glob("*.jpg"))[:per_class]]
    labels = [path.parent.name for path in paths]
    if shuffled:
        chance.shuffle(labels)
    for path, label in zip(paths, labels, strict=True):
        (out / label).mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            small = image.convert("RGB")
            small.thumbnail((320, 320))
            ImageOps.invert(small).save(out / label / f"{path.stem}.png")


def rows_of(stream: str, verdict: Retraining) -> list[dict[str, object]]:
    """Old and new test items; for the old ones also whether other margins could be ruled out."""
    rows = []
    for test, side in (("old", verdict["old"]), ("new", verdict["new"])):
        counts = side["lost"], side["gained"], side["items"]
        ruled_out = {f"p_{margin}": round(drop_below(*counts, margin), 4) for margin in MARGINS}
        rows.append({"stream": stream, "test": test, "promoted": verdict["promote"], **side}
                    | (ruled_out if test == "old" else dict.fromkeys(ruled_out, "")))  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
