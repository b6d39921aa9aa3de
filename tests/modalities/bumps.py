"""A modality made for tests: 1-D signals with a bump up or down, a file of 64 float32 values each."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_transfer.data.dataset import load_listing
from keras_transfer.data.listing import Kind, Layout
from keras_transfer.data.reader import FileReader
from keras_transfer.data.sources import list_path
from keras_transfer.errors import InputError
from keras_transfer.files import read_file
from keras_transfer.inputs import InputSpec, TensorSpec
from keras_transfer.modalities.defaults import *  # noqa: F403  (a modality has what it does not define)
from keras_transfer.modalities.defaults import NoAugmenter

KIND = Kind("signals", "signal", frozenset({".bump"}), facts=("peak",))


@dataclass(frozen=True)
class BumpPreparer:
    gain: float = 1.0
    modality: str = "bumps"
    settings = property(lambda self: {"gain": self.gain})
    load = staticmethod(read_file)
    adapt = staticmethod(lambda values, spec: values)
    augmenter = staticmethod(lambda strength, per_class, classes: NoAugmenter())

    def spec(self, inputs):
        tensor = TensorSpec(inputs[0].name, (64, 1), "float32", -1, 1, "a signal, from -1 to 1")
        return InputSpec("bumps", (tensor,), self.settings)

    def prepare(self, content, spec=None):
        if len(content) != 256:
            raise InputError(f"a signal has 64 values. Received: {len(content) / 4:g}")
        return self.gain * np.frombuffer(content, np.float32).reshape(64, 1)


def open_preparer(preparation):
    return BumpPreparer(**preparation)


def recognizes(source):
    return isinstance(source, str) and any(Path(source).rglob("*.bump"))


def load_source(source, **options):
    reader = FileReader(KIND, BumpPreparer(), lambda content: (int(BumpPreparer().prepare(content).argmax()),))
    return load_listing(list_path(Path(source), Layout(), KIND), reader, **options)


def load(recipe):
    return load_source(recipe.data.source, val=recipe.data.val, test=recipe.data.test, seed=recipe.seed)


def build(recipe, dataset):
    x = inputs = keras.Input((64, 1), name="signal")
    for stage, width in enumerate((8, 16)):
        x = keras.layers.Conv1D(width, 5, strides=2, padding="same", activation="relu", name=f"conv{stage}")(x)
    x = keras.layers.Dense(len(dataset.class_names), name="logits")(keras.layers.GlobalAveragePooling1D()(x))
    return keras.Model(inputs, keras.layers.Activation("softmax", name="predictions")(x), name="bumps")


def input_words(described):
    return {"task": "other", "words": "64 values from -1 to 1", "sentence": ""}


def views(model, test, wanted, asked):
    return {i: {"picture": "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>"} for i in wanted}
