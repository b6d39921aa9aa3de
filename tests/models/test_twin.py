"""Twins in tf_keras: as exact as float32, there and back, for every row of the table and for models of one's own."""

import keras
import numpy as np
import pytest
from tame_networks import shake

from keras_transfer.errors import InputError
from keras_transfer.modalities.image.builder import build_classifier
from keras_transfer.models.twin import copy_weights, make_twin

LAYERS = keras.layers


def pictures(side, count=3):
    """Coloured squares `float32 [count, side, side, 3]`: unlike noise, each picture differs from the others."""
    squares = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3)).astype("float32")
    return squares.repeat(-(-side // 4), 1).repeat(-(-side // 4), 2)[:, :side, :side]


def answers(model, images):
    return np.asarray(model(images, training=False))


def test_every_backbone_there_and_back(light_row):
    images = pictures(light_row.min_size)
    keras.utils.set_random_seed(0)  # some random networks blow rounding up to what the tolerance is
    model = build_classifier(light_row.name, 3, weights="none", image_size=light_row.min_size)
    shake(model, pictures(light_row.min_size, 8))
    twin = make_twin(model)
    assert type(twin).__module__.startswith("tf_keras")
    assert not [layer for layer in twin.layers if "OpLambda" in type(layer).__name__]
    plain = {layer.name for layer in model.layers if not isinstance(layer, keras.Sequential)}
    assert plain <= {layer.name for layer in twin.layers}
    before = answers(model, images)
    np.testing.assert_allclose(answers(twin, images), before, rtol=0, atol=1e-5)
    assert np.ptp(before, axis=0).max() > 1e-3  # pictures are told apart: the comparison means something
    random = np.random.default_rng(1)
    for layer in twin.layers:
        if type(layer).__name__ != "Normalization":
            layer.set_weights([array * random.uniform(0.98, 1.02, array.shape) for array in layer.get_weights()])
    copy_weights(twin, model)
    after = answers(model, images)
    np.testing.assert_allclose(answers(twin, images), after, rtol=0, atol=1e-5)
    assert np.abs(before - after).max() > 1e-4
    del model, twin
    keras.backend.clear_session()


def own_model():
    inputs = keras.Input((16, 16, 3), name="picture")
    inner = keras.Sequential([LAYERS.Dense(4, name="conv"), LAYERS.LeakyReLU(negative_slope=0.2)], name="inner")
    x = LAYERS.Rescaling(1 / 255)(inputs)
    x = LAYERS.RandomFlip("horizontal")(x)
    x = LAYERS.Conv2D(8, 3, padding="same", activation="hard_swish", kernel_regularizer="l2", name="conv")(x)
    x = LAYERS.BatchNormalization(name="norm")(x)
    x = keras.ops.relu(x) * 0.5 - 1.0
    y = LAYERS.DepthwiseConv2D(3, padding="same", activation="hard_sigmoid", depth_multiplier=1)(x)
    x = LAYERS.Concatenate()([x + y, 1.0 - y, keras.ops.gelu(x), keras.ops.mean(x, axis=(1, 2), keepdims=True) * y])
    x = LAYERS.GroupNormalization(4)(LAYERS.PReLU(shared_axes=[1, 2])(x))
    x = LAYERS.SeparableConv2D(8, 3, activation="relu6")(LAYERS.ZeroPadding2D(((0, 1), (1, 0)))(x))
    x = keras.ops.reshape(LAYERS.MaxPooling2D()(x), (-1, 49, 8))
    x = LAYERS.LayerNormalization()(inner(x))
    x = LAYERS.Flatten()(LAYERS.Dropout(0.5)(x))
    x = LAYERS.Dense(4, activation="silu", name="dense")(x)
    return keras.Model(inputs, [LAYERS.Dense(3, "softmax", name="classes")(x), LAYERS.Dense(1, name="value")(x)])


def test_own_model_with_a_nested_one_two_outputs_and_bare_operations():
    model = own_model()
    model.get_layer("norm").trainable = False
    twin = make_twin(model)
    assert {"picture", "conv", "norm", "dense", "inner_conv"} <= {layer.name for layer in twin.layers}
    assert not twin.get_layer("norm").trainable and twin.get_layer("conv").trainable
    assert len(twin.losses) == 1  # the regularizer came along
    images = pictures(16)
    for ours, theirs in zip(model(images, training=False), twin(images, training=False), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_sequential_and_shared_layers():
    conv = LAYERS.Conv2D(3, 3, padding="same", name="shared")
    model = keras.Sequential([keras.Input((8, 8, 3)), conv, LAYERS.ReLU(), conv, LAYERS.Flatten(), LAYERS.Dense(2)])
    twin = make_twin(model)
    assert [layer.name for layer in twin.layers].count("shared") == 1
    np.testing.assert_allclose(answers(model, pictures(8)), answers(twin, pictures(8)), rtol=1e-5, atol=1e-3)


def test_bounds_are_layers():
    inputs = keras.Input((8, 8, 3))
    x = keras.ops.minimum(6.5, keras.ops.maximum(LAYERS.Rescaling(0.1)(inputs), 2.5))
    model = keras.Model(inputs, x)
    ours, theirs = answers(model, pictures(8)), answers(make_twin(model), pictures(8))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert ours.min() == pytest.approx(2.5) and ours.max() == pytest.approx(6.5)


class Mine(LAYERS.Layer):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x: Mine(name="odd")(x), r"'odd' \(Mine\)"),
        (lambda x: LAYERS.Lambda(lambda y: y, name="odd")(x), r"'odd' \(Lambda\)"),
        (lambda x: LAYERS.RMSNormalization(name="odd")(x), r"'odd' \(RMSNormalization\)"),
        (lambda x: LAYERS.Activation("squareplus", name="odd")(x), r"'odd' \(Activation\).*'squareplus'"),
        (lambda x: keras.ops.sort(x), r"Operation 'sort\w*' \(Sort\)"),
        (lambda x: LAYERS.Add()(keras.ops.split(x, [1], axis=1)[:2]), r"several|outputs"),
    ],
)
def test_what_has_no_counterpart_is_named(make, said):
    inputs = keras.Input((8, 8, 3))
    with pytest.raises(InputError, match=said):
        make_twin(keras.Model(inputs, make(inputs)))


def test_strangers_get_no_weights():
    def model(*units):
        return keras.Sequential([keras.Input((4,)), *(LAYERS.Dense(n, name=f"d{i}") for i, n in enumerate(units))])

    twin = make_twin(model(3))
    with pytest.raises(InputError, match="no twins: only one of them has weights in d1"):
        copy_weights(model(3, 2), twin)
    with pytest.raises(InputError, match=r"'d0': weights of shapes \[\[4, 2\], \[2\]\] do not fit"):
        copy_weights(model(2), twin)


def test_a_twin_that_answers_otherwise_is_not_returned(monkeypatch):
    monkeypatch.setattr("keras_transfer.models.twin.layers._RENAMED", {})  # LeakyReLU's slope is lost
    model = keras.Sequential([keras.Input((8,)), LAYERS.Rescaling(-1.0), LAYERS.LeakyReLU(negative_slope=0.01)])
    with pytest.raises(InputError, match="gives other outputs"):
        make_twin(model)
