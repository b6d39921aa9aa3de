"""A site around a small model, served by a file server."""

from collections.abc import Iterator
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from serving import NAMES, written

from keras_transfer.exporters.targets import Kit
from keras_transfer.geometry import MODES
from keras_transfer.inputs import TensorSpec
from keras_transfer.litert import convert
from keras_transfer.litert.labels import write_labels
from keras_transfer.modalities.image import ImagePreparer
from keras_transfer.modalities.image.targets import web


@pytest.fixture(scope="session")
def model() -> bytes:
    """An int8 classifier of 48 x 64 pixels with random weights whose answers differ from picture to picture."""
    keras.utils.set_random_seed(7)
    inputs = keras.Input((48, 64, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    x = keras.layers.DepthwiseConv2D(3, activation="relu6")(x)
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(x))
    logits = keras.layers.Dense(len(NAMES), kernel_initializer=keras.initializers.RandomNormal(stddev=0.6))(x)
    model = keras.Model(inputs, keras.layers.Softmax()(logits))
    pixels = np.random.default_rng(0).integers(0, 256, (16, 48, 64, 3), dtype=np.uint8)
    return write_labels(convert(model, ["int8"], calibration=pixels)["int8"], NAMES)


@pytest.fixture(scope="session")
def kit(model: bytes) -> Kit:
    proof = {"test_accuracy": 0.75, "images": 400}
    inputs = ImagePreparer(MODES["squash"]).spec((TensorSpec("image", (48, 64, 3)),))
    return Kit("model_int8", model, NAMES, proof, SimpleNamespace(labels=np.zeros(4, np.int32)), inputs)


@pytest.fixture(scope="session")
def site(kit: Kit, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from written(web.write, kit, tmp_path_factory.mktemp("site"))
