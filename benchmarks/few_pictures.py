"""Transfer against training from scratch with few pictures: one CSV row a data set, draw and way of training.

    python benchmarks/few_pictures.py pizza:per_class=150 flowers5/ --csv results.csv

Each draw has another split and other training pictures; both ways see the same ones.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from table import write_rows

import keras_transfer as kt
from keras_transfer.modalities.image.embedded import is_embedded, load_embedded

WAYS = {"transfer": ("bundled", "auto"), "scratch": ("none", "scratch")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--few-shot", type=int, default=10, help="pictures of each class to train on")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows = []
    for source in options.data:
        pictures = load_embedded(source)[:2] if is_embedded(source) else source
        for draw in range(options.draws):
            data = kt.load_images(pictures, test=0.4, few_shot=options.few_shot, seed=draw)
            row = {
                "data": Path(source.partition(":")[0]).name,
                "few_shot": options.few_shot,
                "draw": draw,
                "test_images": len(data.test),
                **{way: round(accuracy(data, draw, *told), 4) for way, told in WAYS.items()},
            }
            rows.append(row | {"gain": round(row["transfer"] - row["scratch"], 4)})
            print(rows[-1], flush=True)
    write_rows(options.csv, rows)
    for name in dict.fromkeys(row["data"] for row in rows):
        own = [row for row in rows if row["data"] == name]
        for key in (*WAYS, "gain"):
            values = [row[key] for row in own]
            print(f"{name} {key}: mean {statistics.mean(values):.4f}, from {min(values):.4f} to {max(values):.4f}")


def accuracy(data: Any, seed: int, weights: str, strategy: str) -> float:
    """Test accuracy of the bundled backbone's network, trained so."""
    import keras

    keras.utils.set_random_seed(seed)
    model = kt.build_classifier("mobilenet_v2", data.class_names, weights=weights, alpha=0.35, image_size=96)
    kt.fit(model, data, strategy=strategy, pretrained=weights != "none", seed=seed)
    return float(kt.evaluate(model, data.test)["accuracy"])


if __name__ == "__main__":
    main()
