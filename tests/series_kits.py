"""A small model of series, and what the exporter knows of its files: resting, shaking and turning an IMU."""

from functools import cache

import keras
import numpy as np

from keras_transfer.exporters.targets import Kit, judge
from keras_transfer.inputs import Array
from keras_transfer.litert import convert
from keras_transfer.litert.labels import write_labels
from keras_transfer.modalities.series.builder import build_series_classifier
from keras_transfer.modalities.series.preparer import SeriesPreparer

NAMES = ["rest", "shake", "turn"]
RATE = 50.0
LENGTH = 64
CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")


def make_series(count: int, seed: int = 0, length: int = LENGTH, width: int = 6) -> tuple[Array, Array]:
    """Series in the classes' turn, in g and degrees a second, float32 `[count, length, width]`, and their labels."""
    random, time = np.random.default_rng(seed), np.arange(length) / RATE
    labels = np.arange(count) % 3
    series = random.normal(0, 0.02, (count, length, 6))
    series[..., 2] += 1
    series[..., 3:] *= 50
    for own, label in zip(series, labels, strict=True):
        wave = np.sin(2 * np.pi * random.uniform(3, 6) * time + random.uniform(0, 6))[:, None]
        if label:
            own[:, slice(0, 3) if label == 1 else slice(3, 6)] += wave * (1.5 if label == 1 else 90)
    return series[..., 3 - width // 2 : 3 + width // 2].astype(np.float32), labels


class Items:
    """A split of made series."""

    paths = None

    def __init__(self, count: int = 24, seed: int = 1, width: int = 6) -> None:
        self.series, self.labels = make_series(count, seed, width=width)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, inputs, size):
        for start in range(0, len(self), size):
            yield self.series[start : start + size], None


@cache
def make_model(width: int = 6) -> keras.Model:
    """A network for microcontrollers, trained on such series."""
    keras.utils.set_random_seed(0)
    items = Items(96, 0, width)
    options = {"length": LENGTH, "channels": width, "examples": (items.series, items.labels)}
    model = build_series_classifier("ds_cnn_1d", NAMES, **options)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.8  # it learns for seconds
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(items.series, items.labels, epochs=15, verbose=0)
    return model


def make_kit(kind: str, target: str, width: int = 6, rate: float | None = RATE) -> Kit:
    """The kit of a float32 or an int8 file."""
    model, items = make_model(width), Items(96, 0, width)
    names = CHANNELS[3 - width // 2 : 3 + width // 2]
    spec = SeriesPreparer(LENGTH, names, rate).spec(LENGTH)
    options = {"calibration": items.series} if kind == "int8" else {}
    if target == "microcontroller":
        options |= {"input_dtype": "int8", "per_tensor_dense": True}
    content = convert(model, [kind], item=spec.tensors, **options)[kind]
    if target != "microcontroller":
        content = write_labels(content, NAMES, spec)
    proof = {"test_accuracy": 0.75, "images": 400, "targets": {target: judge(content, target)}}
    return Kit(f"model_{kind}", content, NAMES, proof, Items(width=width), spec)
