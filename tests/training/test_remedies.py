"""Remedies for a shift and for forgetting: AdaBN, alignment, WiSE-FT; each on a small real task."""

import keras
import numpy as np
import pytest
from small_task import small_classifier, textures

import keras_transfer as kt
from keras_transfer.errors import InputError
from keras_transfer.models.batchnorm import adapt_batchnorm, batchnorm_layers, batchnorm_shift
from keras_transfer.recipe import Phase
from keras_transfer.training.align import PENALTIES, align
from keras_transfer.training.wise import interpolate_weights, wise_ft


def dull(images):
    """Contrast a quarter, about a darker gray: a strong shift."""
    return np.rint(60 + 0.25 * (images.astype(float) - 127.5)).astype(np.uint8)


@pytest.fixture(scope="module")
def everything():
    return (Phase(name="all", stages="all", batchnorm=True, epochs=12, learning_rate=3e-3, batch_size=16),)


@pytest.fixture(scope="module")
def trained(everything, tmp_path_factory):
    """A small classifier, trained wholly; its data; and pictures of the shifted kind, to adapt to and to test on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path_factory.mktemp("cache")))
        images, labels = textures(60)
        data = kt.load_images(images, labels=labels, val=0.2, test=0.2)
        model = small_classifier()
        for layer in batchnorm_layers(model):
            layer.momentum = 0.8
        kt.fit(model, data, phases=everything, augmentation="none")
    new, names = textures(40, seed=9)
    shifted = kt.load_images(dull(new), labels=names, val=0, test=0.5)
    return model, data, shifted


@pytest.fixture
def model(trained):
    """A copy that a test may change."""
    copy = keras.models.clone_model(trained[0])
    copy.set_weights(trained[0].get_weights())
    return copy


def accuracy(model, split):
    return kt.evaluate(model, split)["accuracy"]


def test_adabn_brings_back_what_a_contrast_shift_costs(trained, model):
    _, data, shifted = trained
    plain, before = accuracy(model, data.test), accuracy(model, shifted.test)
    weights = model.get_weights()
    assert adapt_batchnorm(model, shifted.train) == len(shifted.train)
    assert accuracy(model, shifted.test) - before >= (plain - before) / 3 > 0.05
    moved = [not np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True)]
    names = [weight.name for weight in model.weights]
    assert {n for n, m in zip(names, moved, strict=True) if m} == {"moving_mean", "moving_variance"}
    assert all(layer.momentum == 0.8 for layer in batchnorm_layers(trained[0]))


def test_statistics_over_batches_are_those_of_all_pictures_at_once(trained, model):
    _, data, _ = trained
    assert len(data.train) > 64
    adapt_batchnorm(model, data.train)
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization))
    below = keras.Model(model.input, first.input)
    values = np.asarray(below(data.train.pixels((32, 32)).astype(np.float32))).reshape(-1, 8)
    np.testing.assert_allclose(first.moving_mean, values.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(first.moving_variance, values.var(axis=0), rtol=1e-3)
    stored = np.asarray(first.moving_mean)
    adapt_batchnorm(model, data.val.take(range(4)), prior=1e9)
    np.testing.assert_allclose(first.moving_mean, stored, rtol=1e-5, atol=1e-6)


def test_with_a_reference_of_the_same_kind_nothing_moves_whatever_is_stored(trained, model):
    _, data, shifted = trained
    for layer in batchnorm_layers(model):  # statistics of some other pretraining
        layer.moving_mean.assign(layer.moving_mean + 0.3)
        layer.moving_variance.assign(layer.moving_variance * 1.7)
    before = [np.asarray(weight) for weight in model.weights]
    adapt_batchnorm(model, data.train, reference=data.train)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_allclose(weight, value, rtol=0.02, atol=0.02, err_msg=weight.path)
    dark, usual = accuracy(model, shifted.test), accuracy(model, data.test)
    adapt_batchnorm(model, shifted.train, reference=data.train)
    assert accuracy(model, shifted.test) > dark + (usual - dark) / 3


def test_layers_without_scale_and_centre_are_adapted_too():
    images, labels = textures(10)
    data = kt.load_images(images, labels=labels, val=0, test=0)
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.BatchNormalization(scale=False, center=False)(inputs)
    x = keras.layers.BatchNormalization(scale=False)(keras.layers.Conv2D(4, 3)(x))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    adapt_batchnorm(model, data.train, reference=None)
    one, two = batchnorm_layers(model)
    pixels = data.train.pixels((32, 32)).astype(np.float32)
    np.testing.assert_allclose(one.moving_mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-4)
    assert one.gamma is None and one.beta is None and not one.scale and two.center and two.gamma is None
    assert [len(layer.weights) for layer in (one, two)] == [2, 3]
    rows = np.asarray(model(pixels, training=False))
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-3)


def test_the_distance_grows_with_the_shift_and_is_nothing_after_adapting(trained, model):
    _, data, shifted = trained
    near, far = batchnorm_shift(model, data.test), batchnorm_shift(model, shifted.test)
    assert [row["stage"] for row in near] == ["stage0", "stage1", "stage2"]
    assert all(0 <= a["distance"] < b["distance"] <= 1 for a, b in zip(near, far, strict=True))
    adapt_batchnorm(model, shifted.train)
    assert max(row["distance"] for row in batchnorm_shift(model, shifted.train)) < 0.05
    flat = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3), keras.layers.GlobalAveragePooling2D()])
    assert batchnorm_shift(flat, data.test) == []
    with pytest.raises(InputError, match="no BatchNormalization"):
        adapt_batchnorm(flat, data.test)


@pytest.mark.parametrize(("method", "gain"), {"coral": 0.02, "mmd": 0.05, "dann": -0.3}.items())
def test_alignment_keeps_most_of_what_was_known_and_coral_and_mmd_help(method, gain, trained, model):
    _, data, shifted = trained
    before, known = accuracy(model, shifted.test), accuracy(model, data.test)
    rows = align(model, data, shifted.train, method=method, stages=3, epochs=10, learning_rate=5e-3, seed=1)
    assert len(rows) == 10 and all(np.isfinite(list(row.values())).all() for row in rows)
    assert accuracy(model, shifted.test) > before + gain
    assert accuracy(model, data.test) > known - 0.3
    assert set(PENALTIES) == {"coral", "mmd", "dann"}


def test_alignment_refuses_what_it_cannot_do(trained, model):
    _, data, shifted = trained
    with pytest.raises(InputError, match="coral"):
        align(model, data, shifted.train, method="magic")
    with pytest.raises(InputError, match="new domain"):
        align(model, data, shifted.train.take([]))


def test_wise_ft_is_never_worse_on_validation_than_either_end(trained, model):
    _, data, _ = trained
    before = model.get_weights()
    chance = np.random.default_rng(0)
    head = {id(weight) for weight in model.get_layer("logits").weights}
    after = [
        value + (chance.normal(0, 0.5, value.shape) if id(weight) in head else 0).astype("float32")
        if id(weight) in head
        else value
        for weight, value in zip(model.weights, before, strict=True)
    ]
    model.set_weights(after)
    share, rows = wise_ft(model, before, data.val)
    figures = {row["share"]: row["accuracy"] for row in rows}
    assert figures[share] == max(figures.values()) and set(figures) >= {0.0, 1.0}
    assert accuracy(model, data.val) == pytest.approx(figures[share])
    interpolate_weights(model, before, after, 0.0)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    with pytest.raises(InputError, match="another model"):
        wise_ft(model, before[:-1], data.val)


def test_l2_sp_keeps_the_backbone_near_where_it_began(trained, model):
    _, data, _ = trained
    start, gone = model.get_weights(), {}
    for strength in (0.0, 250.0):
        model.set_weights(start)
        phase = Phase(name="tuned", stages=3, epochs=2, learning_rate=3e-3, batch_size=16, l2_sp=strength)
        kt.fit(model, data, phases=(phase,), augmentation="none")
        gone[strength] = {w.path: float(np.abs(w - s).max()) for w, s in zip(model.weights, start, strict=True)}
    assert 0 < gone[250.0]["conv1/kernel"] < 0.3 * gone[0.0]["conv1/kernel"]
    assert gone[250.0]["logits/kernel"] > 0.3 * gone[0.0]["logits/kernel"]  # the head is free
