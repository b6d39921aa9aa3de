"""A modality made for tests: 1-D signals with a bump up or down, a file of 64 float32 values each."""

from dataclasses import dataclass

import keras
import numpy as np

from keras_transfer.data.listing import Kind
from keras_transfer.errors import InputError
from keras_transfer.files import read_file
from keras_transfer.inputs import InputSpec, TensorSpec
from keras_transfer.modalities import Modality, NoAugmenter


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


class Bumps(Modality):
    name = "bumps"
    kind = Kind("signals", "signal", frozenset({".bump"}), facts=("peak",))

    def preparer(self, preparation):
        return BumpPreparer(**preparation)

    def facts(self, preparer, content):
        return (int(preparer.prepare(content).argmax()),)

    def build(self, recipe, dataset):
        x = inputs = keras.Input((64, 1), name="signal")
        for stage, width in enumerate((8, 16)):
            x = keras.layers.Conv1D(width, 5, strides=2, padding="same", activation="relu", name=f"conv{stage}")(x)
        x = keras.layers.Dense(len(dataset.class_names), name="logits")(keras.layers.GlobalAveragePooling1D()(x))
        return keras.Model(inputs, keras.layers.Activation("softmax", name="predictions")(x), name="bumps")


MODALITY = Bumps()
