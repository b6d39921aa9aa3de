"""Makes the golden vectors on which `verify.py` tests `:core`: golden.py FOLDER [PHOTOGRAPH...]

`sizes/` has pictures of many sizes and orientations; `uint8/`, `int8/`, `float32/` what a small model with such outputs
answers, `gray/` one of one channel; `photographs/` the same of the photographs that are given; `assets/` that model,
its labels and a geometry, for the APK; `alpha.bytes` every byte with every alpha, laid on white; `sentences/` a folder
of made sentences for each way of treating letters and accents; `sounds/` one of made clips for each front end;
`series/` one for each type of input; `rejection/` scores of unknown items; `log/` lines of a log; `updates/` manifests,
where `cryptography` is installed.
"""

import importlib.util
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
from PIL import Image

from keras_transfer.decisions import RejectionLimit
from keras_transfer.geometry import MODES
from keras_transfer.litert import convert
from keras_transfer.litert.flatbuffer import TensorInfo
from keras_transfer.litert.io_types import int8_io
from keras_transfer.litert.labels import labels_text, write_labels
from keras_transfer.modalities.audio import golden as audio_golden
from keras_transfer.modalities.image import decode_image
from keras_transfer.modalities.image.golden import golden_vectors
from keras_transfer.modalities.series import golden as series_golden
from keras_transfer.modalities.text import golden as text_golden
from keras_transfer.modalities.text.wordpiece import WordPiece
from keras_transfer.operations import golden as update_golden

CLASSES = ("apple pie", "crème brûlée", "sushi", "waffles")


def main(folder: Path, photographs: Sequence[str]) -> None:
    golden_vectors(folder / "sizes", count=224)
    files = small_model() | {"gray": small_model(channels=1)["uint8"]}
    if photographs:
        golden_vectors(folder / "photographs", files["uint8"], photographs, count=len(photographs))
    for kind, content in files.items():
        golden_vectors(folder / kind, content, count=16, seed=1)
    for i, modes in enumerate([(True, True), (True, False), (False, False), (False, True)]):
        tokenizer = WordPiece(text_golden.made_vocabulary(), *modes)
        text_golden.golden_vectors(folder / f"sentences/{i}", tokenizer, seed=i)
    for name, front_end in audio_golden.FRONT_ENDS.items():
        audio_golden.golden_vectors(folder / f"sounds/{name}", front_end)
    for dtype, *quantization in (("uint8", (0.5,), (131,)), ("int8", (float(np.float32(0.0123)),), (3,)), ("float32",)):
        tensor = TensorInfo(0, "series", (), dtype, *quantization)
        series_golden.golden_vectors(folder / f"series/{dtype}", tensor)
        series_golden.golden_vectors(folder / f"series/normalized_{dtype}", tensor, None, [(9.81, 0.3), (-1e-3, 70.0)])
    rejection_vectors(folder / "rejection")
    update_golden.log_vectors(folder / "log")
    if importlib.util.find_spec("cryptography") is not None:
        update_golden.golden_vectors(folder / "updates")
    assets = folder / "assets"
    assets.mkdir()
    (assets / "model.tflite").write_bytes(write_labels(files["uint8"], CLASSES))
    (assets / "labels.txt").write_text(labels_text(CLASSES), "utf-8")
    (assets / "geometry.json").write_text(json.dumps(MODES["squash"].to_dict()), "utf-8")
    every = np.zeros((256, 256, 4), np.uint8)
    every[..., 2] = np.arange(256)  # the lowest byte of a packed pixel
    every[..., 3] = np.arange(256)[:, None]
    buffer = io.BytesIO()
    Image.fromarray(every).save(buffer, "PNG")
    (folder / "alpha.bytes").write_bytes(decode_image(buffer.getvalue())[..., 2].tobytes())


def rejection_vectors(folder: Path) -> None:
    """`rejection.json`, and scores with what they mean: the share of items that are less unlike, and 1 for rejected."""
    random = np.random.default_rng(0)
    limit = RejectionLimit.of(random.normal(size=500).astype(np.float32), 0.95)
    scores = np.float32([*random.normal(size=200), *limit.reference[::20], limit.threshold, -1e9, 1e9])
    rows = zip(scores, limit.unlikeness(scores), scores > limit.threshold, strict=True)
    folder.mkdir()
    (folder / "rejection.json").write_text(json.dumps(limit.to_dict()), "utf-8")
    lines = [f"{score!s},{float(share)!r},{rejected:d}\n" for score, share, rejected in rows]
    (folder / "scores.csv").write_text("".join(lines), "utf-8")


def small_model(channels: int = 3) -> dict[str, bytes]:
    """A classifier of random weights, by the type of its output; all take uint8, but for the one that gives int8."""
    keras.utils.set_random_seed(0)
    image = keras.Input((40, 32, channels))
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    x = keras.layers.Conv2D(8, 3, strides=4, activation="relu")(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(image, keras.layers.Dense(len(CLASSES), activation="softmax")(x))
    calibration = np.random.default_rng(0).integers(0, 256, (16, 40, 32, channels), np.uint8)
    made = convert(model, ["int8", "float32"], calibration=calibration)
    return {"uint8": made["int8"], "int8": int8_io(made["int8"]), "float32": made["float32"]}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
