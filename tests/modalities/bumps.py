"""A modality made for tests: 1-D signals of a bump up or down, a file of 64 float32 values each."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keras_transfer.data.dataset import Dataset, Examined, load_listing
from keras_transfer.data.listing import Kind, Layout
from keras_transfer.data.sources import list_path
from keras_transfer.data.splits import merge
from keras_transfer.errors import InputError
from keras_transfer.files import read_file
from keras_transfer.inputs import InputSpec, TensorSpec

KIND = Kind("signals", "signal", frozenset({".bump"}), ("peak",))
corruptions: dict = {}


class Still:
    """An augmenter that does nothing."""

    settings = property(lambda self: {})
    mixes = False
    __bool__ = staticmethod(lambda: False)
    __call__ = staticmethod(lambda arrays, labels, seed: (arrays, labels))


@dataclass(frozen=True)
class BumpPreparer:
    gain: float = 1.0
    modality: str = "bumps"
    settings = property(lambda self: {"gain": self.gain})

    def spec(self, inputs):
        meaning = "a signal, from -1 to 1"
        return InputSpec("bumps", (TensorSpec(inputs[0].name, (64, 1), "float32", -1, 1, meaning),), self.settings)

    def load(self, source):
        return read_file(source)

    def prepare(self, content, spec):
        if len(content) != 256:
            raise InputError(f"a signal has 64 values. Received: {len(content) / 4:g}")
        return self.gain * np.frombuffer(content, np.float32).reshape(64, 1)

    def adapt(self, values, spec):
        return values

    def augmenter(self, strength, per_class, classes):
        return Still()


@dataclass
class Look:
    items: list

    def clusters(self, indices, near):
        return merge([[i] for i in range(len(indices))], [self.items[i].sha256 for i in indices])


@dataclass(frozen=True)
class BumpReader:
    kind: Kind = KIND
    notes: Mapping[str, str] = field(default_factory=dict)

    def examine(self, paths):
        return Look([self._look(path) for path in paths])

    def _look(self, path):
        content = read_file(path)
        try:
            return Examined(
                hashlib.sha256(content).hexdigest(), "", (int(BumpPreparer().prepare(content, None).argmax()),)
            )
        except InputError as error:
            return Examined(hashlib.sha256(content).hexdigest(), str(error))

    def preparer(self):
        return BumpPreparer()

    def split(self, split):
        return split


def open_preparer(preparation):
    return BumpPreparer(**preparation)


def recognizes(source) -> bool:
    return isinstance(source, str) and any(Path(source).rglob("*.bump"))


def load_source(source, **options) -> Dataset:
    return load_listing(list_path(Path(source), Layout(), KIND), BumpReader(), **options)


def load(recipe) -> Dataset:
    return load_source(recipe.data, val=recipe.val, test=recipe.test, seed=recipe.seed)


def build(recipe, dataset):
    import keras

    x = inputs = keras.Input((64, 1), name="signal")
    for stage, width in enumerate((8, 16)):
        x = keras.layers.Conv1D(width, 5, strides=2, padding="same", activation="relu", name=f"conv{stage}")(x)
    x = keras.layers.Dense(len(dataset.class_names), name="logits")(keras.layers.GlobalAveragePooling1D()(x))
    return keras.Model(inputs, keras.layers.Activation("softmax", name="predictions")(x), name="bumps")


def choose_preparation(recipe, dataset, model, run):
    return {"gain": 1.0}


def prepared(recipe, dataset, chosen):
    return recipe, dataset.prepared_by(BumpPreparer(**chosen))


def describe(preparer):
    return {"gain": preparer.gain}


def input_words(described):
    return {"task": "other", "words": "64 values from -1 to 1", "sentence": ""}


def properties(dataset, test):
    return {}


def views(model, test, wanted: Sequence[int], asked):
    return {i: {"picture": "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>"} for i in wanted}
