"""TensorFlow's kernels for training change nothing but the time."""

from contextlib import nullcontext

import keras
import numpy as np
import pytest
from small_task import small_classifier, textures

import keras_transfer as kt
from keras_transfer.training import kernels, learning_rate_schedule
from keras_transfer.training.kernels import quick_kernels


@pytest.mark.parametrize("name, decay", [("adam", 1.0), ("adamw", 1.0), ("adamw", 0.5), ("sgd", 1.0)])
def test_the_optimizers_do_what_keras_does(name, decay):
    ends = []
    for quick in (False, True):
        model = small_classifier()
        kt.unfreeze_top(model, stages=2)
        rate = learning_rate_schedule("cosine", 1e-2, 12, warmup=0.3)
        optimizer = kt.layerwise_optimizer(model, rate, decay=decay, optimizer=name, weight_decay=0.1)
        model.compile(optimizer, "categorical_crossentropy")
        optimizer.build(model.trainable_variables)
        chance, before = np.random.default_rng(0), model.get_weights()
        for number in range(6):  # the last by Keras's own again, from the same state
            gradients = [chance.normal(size=v.shape).astype("float32") for v in model.trainable_variables]
            with quick_kernels(model) if quick and number < 5 else nullcontext():
                optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], model.trainable_variables)
        assert not all(map(np.array_equal, before, model.get_weights()))
        ends.append([*model.get_weights(), *(np.asarray(variable) for variable in optimizer.variables)])
        again = optimizer.from_config(optimizer.get_config())
        assert keras.optimizers.serialize(optimizer) == keras.optimizers.serialize(again)
    for plain, fast in zip(*ends, strict=True):
        np.testing.assert_allclose(fast, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("momentum", [0.99, 0.5])
def test_batchnorm_learns_as_keras_has_it(momentum, tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "multiplies_bfloat16", lambda: False)
    images, _ = textures(8)
    labels, ends = np.eye(3)[np.arange(24) % 3], []
    for quick in (False, True):
        model = small_classifier()
        kinds = {}
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = momentum
                kinds[layer.name] = layer.call
        model.get_layer("bn1").trainable = False
        model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
        told = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0, "validation_data": (images, labels)}
        with quick_kernels(model) if quick else nullcontext():
            assert (model.get_layer("bn0").call != kinds["bn0"]) == quick
            history = model.fit(images, labels, **told)
        assert all(model.get_layer(name).call == call for name, call in kinds.items())
        model.save(tmp_path / "model.keras")
        answers = keras.models.load_model(tmp_path / "model.keras").predict(images, verbose=0)
        ends.append([*model.get_weights(), answers, history.history["val_loss"]])
    for plain, fast in zip(*ends, strict=True):
        np.testing.assert_allclose(fast, plain, rtol=1e-3, atol=1e-4)


def test_batchnorm_without_a_scale_over_rows_or_vectors_stays_keras_own():
    images, ends = np.random.default_rng(0).normal(size=(8, 6, 6, 3)), []
    for quick in (False, True):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6, 6, 3))
        x = keras.layers.BatchNormalization(scale=False)(inputs)
        x = keras.layers.BatchNormalization(axis=1)(x)
        x = keras.layers.BatchNormalization()(keras.layers.Flatten()(x))
        model = keras.Model(inputs, keras.layers.Dense(1)(x))
        model.compile("sgd", "mse")
        with quick_kernels(model) if quick else nullcontext():
            model.fit(images, np.ones(8), shuffle=False, verbose=0)
        ends.append(model.get_weights())
    for plain, fast in zip(*ends, strict=True):
        np.testing.assert_allclose(fast, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("half, near, size", [(False, 1e-4, 1e-4), (True, 0.01, 0.05)])
def test_convolutions_before_a_frozen_batchnorm_train_as_one_map_with_it(half, near, size, monkeypatch):
    monkeypatch.setattr(kernels, "multiplies_bfloat16", lambda: half)
    images, labels = np.random.default_rng(0).normal(size=(16, 12, 12, 8)), np.arange(16) % 3
    steps, losses = [], []
    for quick in (False, True):
        model = blocks(images)
        before = model.get_weights()
        as_it_was = [(layer.call, layer.autocast, layer.input_spec) for layer in model.layers]
        with quick_kernels(model) if quick else nullcontext():
            assert sum("call" in vars(layer) for layer in model.layers) == (10 if quick else 0)
            told = {"batch_size": 16, "shuffle": False, "verbose": 0, "validation_data": (images, labels)}
            history = model.fit(images, labels, **told).history
        assert as_it_was == [(layer.call, layer.autocast, layer.input_spec) for layer in model.layers]
        exact = model.evaluate(images, labels, batch_size=16, verbose=0)
        assert history["val_loss"][0] == pytest.approx(exact, rel=1e-6)  # validation is in float32
        steps.append([new - old for old, new in zip(before, model.get_weights(), strict=True)])
        losses.append(history["loss"][0])
    assert losses[1] == pytest.approx(losses[0], rel=near) and (losses[0] != losses[1] or not half)
    moved = [(plain.ravel(), quick.ravel()) for plain, quick in zip(*steps, strict=True) if np.any(plain)]
    assert len(moved) == 8  # five kernels and a bias, and the head's two
    for plain, quick in moved:
        assert plain @ quick > (1 - near) * np.linalg.norm(plain) * np.linalg.norm(quick)
        assert np.linalg.norm(quick) == pytest.approx(np.linalg.norm(plain), rel=size)


def blocks(images):
    """Every kind of convolution with a frozen BatchNorm that has the statistics of `images`."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input(images.shape[1:])
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(24, 1, use_bias=False)(inputs)))
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)))
    x = layers.Add()([inputs, layers.BatchNormalization()(layers.Conv2D(8, 1, use_bias=False)(x))])
    x = layers.DepthwiseConv2D(3, strides=2, use_bias=False)(layers.ZeroPadding2D(1)(x))
    x = layers.Activation("silu")(layers.BatchNormalization()(x))
    x = layers.BatchNormalization()(layers.Conv2D(16, 3, strides=2, padding="same")(x))
    x = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    for _ in norms:  # each settles on what those below it give
        model(images, training=True)
    for norm in norms:
        norm.trainable = False
    model.compile(keras.optimizers.SGD(1e-2), "sparse_categorical_crossentropy")
    return model


def test_convolutions_that_others_read_as_well_stay_keras_own(monkeypatch):
    monkeypatch.setattr(kernels, "multiplies_bfloat16", lambda: True)
    inputs = keras.Input((8, 8, 3))
    read_twice = keras.layers.Conv2D(4, 1)(inputs)
    normalized = keras.layers.BatchNormalization()(read_twice)
    learning = keras.layers.BatchNormalization()(
        keras.layers.Conv2D(4, 3)(keras.layers.Add()([normalized, read_twice]))
    )
    dilated = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, dilation_rate=2)(learning))
    active = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 1, activation="relu")(dilated))
    twice = keras.layers.Conv2D(4, 1)
    again = keras.layers.BatchNormalization()(twice(twice(active)))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(again))
    for layer in model.layers:
        layer.trainable = layer.output is learning or not isinstance(layer, keras.layers.BatchNormalization)
    assert kernels.normalized_convolutions(model) == []


def test_bfloat16_is_for_processors_that_multiply_it_faster(monkeypatch):
    speeds = {"float32": 100.0, "bfloat16": 110.0}
    monkeypatch.setattr(kernels, "matrix_speed", lambda dtype="float32": speeds[dtype])
    assert not kernels.multiplies_bfloat16()
    speeds["bfloat16"] = 190.0
    assert kernels.multiplies_bfloat16()
