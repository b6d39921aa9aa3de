"""TensorFlow's kernels for training change nothing but the time."""

from contextlib import nullcontext

import keras
import numpy as np
import pytest
from small_task import small_classifier, textures

import keras_transfer as kt
from keras_transfer.training import learning_rate_schedule
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
def test_batchnorm_learns_as_keras_has_it(momentum, tmp_path):
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
