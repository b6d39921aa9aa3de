"""A tiny trained classifier and splits of pictures in memory."""

from dataclasses import dataclass

import keras
import numpy as np
import pytest

from keras_transfer.models import load_model


@dataclass
class MemorySplit:
    """What export asks of a `Split`, on arrays."""

    images: np.ndarray
    labels: np.ndarray
    class_names: list[str]

    def __len__(self):
        return len(self.images)

    def stratified(self, count, seed=0):
        chosen = np.random.default_rng(seed).permutation(len(self))[:count]
        return MemorySplit(self.images[chosen], self.labels[chosen], self.class_names)

    def arrays(self, inputs):
        assert self.images.shape[1:] == _shape(inputs)
        return self.images

    def batches(self, inputs, batch_size):
        assert self.images.shape[1:] == _shape(inputs)
        for start in range(0, len(self), batch_size):
            yield self.images[start : start + batch_size], self.labels[start : start + batch_size]


def _shape(inputs):
    return inputs[0].shape if hasattr(inputs[0], "shape") else tuple(inputs)


def make_split(count: int, seed: int, classes: int = 3) -> MemorySplit:
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype="int32") % classes
    colours = np.eye(3)[labels] * 100 + 60
    images = np.clip(colours[:, None, None] + random.normal(0, 30, (count, 24, 24, 3)), 0, 255).astype("uint8")
    return MemorySplit(images, labels, ["red one", "grün", "blue"][:classes])


def make_model(units: int, activation: str) -> keras.Model:
    inputs = keras.Input((24, 24, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False, name="stem")(x)
    x = keras.layers.BatchNormalization(name="stem_bn")(x)
    x = keras.layers.ReLU(6.0, name="stem_relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(units, name="logits")(x)
    return keras.Model(inputs, keras.layers.Activation(activation, name="predictions")(x))


@pytest.fixture(scope="session")
def train_split() -> MemorySplit:
    return make_split(60, 0)


@pytest.fixture(scope="session")
def test_split() -> MemorySplit:
    return make_split(151, 1)


@pytest.fixture(scope="session")
def classifier(train_split, tmp_path_factory) -> keras.Model:
    """As whoever exports a finished run has it: loaded from a file, never called."""
    keras.utils.set_random_seed(0)
    model = make_model(3, "softmax")
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(train_split.images.astype("float32"), train_split.labels, epochs=15, batch_size=12, verbose=0)
    path = tmp_path_factory.mktemp("classifier") / "model.keras"
    model.save(path)
    return load_model(path)
