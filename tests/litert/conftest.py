"""A small network with everything a backbone has, converted once."""

import keras
import numpy as np
import pytest

from keras_transfer.litert import convert
from keras_transfer.litert.convert import FORMATS


def small_network(classes: int = 3) -> keras.Model:
    inputs = keras.Input((32, 32, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    for index, filters in enumerate((8, 16)):
        x = keras.layers.SeparableConv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization(name=f"bn_{index}")(x)
        x = keras.layers.ReLU(6.0)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    x = keras.layers.Dense(classes, name="logits")(x)
    return keras.Model(inputs, keras.layers.Activation("softmax")(x))


@pytest.fixture(scope="session")
def pictures() -> np.ndarray:
    """`uint8 [64, 32, 32, 3]`: smooth blobs of three colours, so that a little network can tell them apart."""
    random = np.random.default_rng(0)
    colours = np.eye(3)[np.arange(64) % 3] * 160 + 40
    noise = random.normal(0, 25, (64, 32, 32, 3))
    return np.clip(colours[:, None, None] + noise, 0, 255).astype("uint8")


@pytest.fixture(scope="session")
def trained(pictures: np.ndarray) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = small_network()
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(pictures.astype("float32"), np.arange(64) % 3, epochs=15, batch_size=16, verbose=0)
    return model


@pytest.fixture(scope="session")
def files(trained: keras.Model, pictures: np.ndarray) -> dict[str, bytes]:
    """format -> file, of the trained network."""
    return convert(trained, FORMATS, calibration=pictures)
