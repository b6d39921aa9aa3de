"""One stage at a time, and the model as it was afterwards."""

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.compression.sensitivity import sensitivity
from keras_transfer.errors import InputError
from keras_transfer.models import stages


@pytest.fixture(scope="module")
def data():
    return kt.load_images("pizza:per_class=20")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    for width in (24, 32):
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    wide = keras.initializers.RandomNormal(stddev=4.0)
    x = keras.layers.Dense(4, kernel_initializer=wide)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, keras.layers.Softmax()(x))


def test_a_row_for_every_stage_and_way(data, model):
    before = model.get_weights()
    kinds = ["prune 50%", "prune 90%", "channels 50%", "int8", "int3"]
    rows = sensitivity(model, data.train, kinds=kinds, n_items=40)
    assert [(row.stage, row.kind) for row in rows] == [(f"stage{i}", kind) for i in range(2) for kind in kinds]
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
    worth = {(row.stage, row.kind): row.divergence for row in rows}
    for stage in ("stage0", "stage1"):
        assert 0 <= worth[stage, "int8"] < 0.1 * worth[stage, "int3"]
        assert worth[stage, "prune 50%"] < worth[stage, "prune 90%"]
        assert worth[stage, "channels 50%"] > 0


def test_pruning_a_stage_is_what_it_says(data, model):
    (row, *_) = sensitivity(model, data.train, kinds=["prune 50%"], n_items=40)
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    kernel = next(layer for layer in stages(copy)[0].layers if isinstance(layer, keras.layers.Conv2D)).kernel
    values = kernel.numpy().copy()
    values[np.abs(values) < np.median(np.abs(values))] = 0
    kernel.assign(values)
    part = data.train.stratified(40, 0)
    images = part.pixels(32).astype(np.float32)
    whole, pruned = model(images).numpy(), copy(images).numpy()
    assert row.accuracy == pytest.approx((pruned.argmax(1) == part.labels).mean())
    assert row.drop == pytest.approx((whole.argmax(1) == part.labels).mean() - row.accuracy, abs=1e-6)
    assert row.divergence == pytest.approx((whole * np.log(whole / pruned)).sum(1).mean(), rel=1e-3)


@pytest.mark.parametrize("kind", ["prune", "channels 100%", "int1", "float16"])
def test_unknown_kinds_are_named(data, model, kind):
    with pytest.raises(InputError, match=f"Received: '{kind}'"):
        sensitivity(model, data.val, kinds=[kind])
