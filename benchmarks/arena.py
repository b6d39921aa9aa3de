"""Least tensor arena and file size of backbones in TFLM, measured: what `--fit` and `--board` suggest from.

python benchmarks/arena.py   # some minutes; needs the extra `microcontroller`

Neither figure depends on what the weights are, only that they are sane: they are random, with BatchNormalization
calibrated on noise (TFLM aborts on a network whose activations explode). Ten classes, int8, dense per tensor.
"""

import csv
import sys

import keras
import numpy as np

import keras_transfer as kt
from keras_transfer.errors import KerasTransferError
from keras_transfer.exporters.targets.microcontroller.boards import ARENAS
from keras_transfer.files import replacing
from keras_transfer.litert.io_types import int8_io
from keras_transfer.litert.tflm import least_arena
from keras_transfer.progress import say, track

CLASSES = 10
ROWS = [
    *(("mobilenet", alpha, size) for alpha in (0.25, 0.5, 0.75, 1.0) for size in (96, 128, 160, 224)),
    *(("mobilenet_v2", alpha, size) for alpha in (0.35, 0.5, 0.75, 1.0) for size in (96, 128, 160, 224)),
    *(("mobilenet_v3_small", None, size) for size in (96, 128, 224)),
    *(("mobilenet_v3_small_minimalistic", None, size) for size in (96, 128, 224)),
    ("efficientnet_b0", None, 96),
    ("efficientnet_b0", None, 224),
]


def measure(backbone: str, alpha: float | None, size: int) -> dict[str, object]:
    """A row of the table."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), np.uint8)
    model = kt.build_classifier(backbone, CLASSES, image_size=size, weights=None, alpha=alpha)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    for _ in range(2):
        model(pixels.astype(np.float32), training=True)
    content = int8_io(kt.convert(model, ["int8"], calibration=pixels, per_tensor_dense=True)["int8"])
    return {
        "backbone": backbone,
        "alpha": alpha or "",
        "image_size": size,
        "bytes": len(content),
        "arena_bytes": least_arena(content),
    }


def main() -> None:
    """Measures all rows, or those of the backbones named, and replaces them in the table."""
    wanted = [row for row in ROWS if not sys.argv[1:] or row[0] in sys.argv[1:]]
    with ARENAS.open(newline="", encoding="utf-8") as file:
        table = {(row["backbone"], row["alpha"], row["image_size"]): row for row in csv.DictReader(file)}
    for backbone, alpha, size in track(wanted, "Measuring arenas"):
        try:
            row = measure(backbone, alpha, size)
        except KerasTransferError as error:  # TFLM refuses the file, or the converter fails
            say(f"{backbone} {alpha} {size}: {error}")
            continue
        table[backbone, str(row["alpha"]), str(size)] = row
        with replacing(ARENAS) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            writer.writeheader()
            writer.writerows(table.values())


if __name__ == "__main__":
    main()
