"""Schedules, optimizers, layer-wise rates, callbacks and the learning-rate finder."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from small_task import small_classifier

import keras_transfer as kt
from keras_transfer.errors import InputError
from keras_transfer.training import ReduceRatesOnPlateau, learning_rate_schedule, make_optimizer


@settings(max_examples=40)
@given(
    st.sampled_from(["constant", "cosine", "cyclical", "plateau"]),
    st.floats(1e-6, 1),
    st.integers(8, 5000),
    st.floats(0, 0.5),
)
def test_a_schedule_stays_between_zero_and_its_peak(schedule, peak, steps, warmup):
    rate = learning_rate_schedule(schedule, peak, steps, warmup)
    values = [float(rate(step)) if callable(rate) else rate for step in range(0, steps, max(1, steps // 50))]
    assert min(values) >= 0 and max(values) <= peak * (1 + 1e-5)


def test_warmup_climbs_and_cosine_falls_to_zero():
    rate = learning_rate_schedule("cosine", 1.0, 100, warmup=0.1)
    values = [float(rate(step)) for step in range(101)]
    assert values[0] < 0.1 and np.argmax(values) == 10 and values[10] == pytest.approx(1) and values[100] < 1e-6


def test_layerwise_rates_fall_by_stage_and_survive_saving(tmp_path):
    model = small_classifier()
    kt.unfreeze_top(model, stages=2)
    optimizer = kt.layerwise_optimizer(model, 0.1, decay=0.5, optimizer="sgd", momentum=0.0)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    rates = {v.path.split("/")[-2]: float(optimizer._optimizer_map(v).learning_rate) for v in model.trainable_variables}
    assert rates["logits"] == pytest.approx(0.1)
    assert rates["conv2"] == pytest.approx(0.05) and rates["conv1"] == pytest.approx(0.025)
    model.fit(np.zeros((4, 32, 32, 3)), np.zeros(4), verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert len(loaded.optimizer.optimizers) == len(optimizer.optimizers)


def test_a_schedule_is_scaled_by_stage():
    model = small_classifier()
    kt.unfreeze_top(model, stages=1)
    optimizer = kt.layerwise_optimizer(model, learning_rate_schedule("cosine", 0.1, 10, 0.5), decay=0.5)
    peaks = sorted({part.get_config()["learning_rate"]["config"]["warmup_target"] for part in optimizer.optimizers})
    assert peaks == pytest.approx([0.05, 0.1])


def test_biases_and_norms_are_not_decayed():
    optimizer = make_optimizer("adamw", 1e-3, weight_decay=0.1)
    kernel, bias = keras.Variable(np.ones(2), name="kernel"), keras.Variable(np.ones(2), name="bias")
    optimizer.build([kernel, bias])
    assert optimizer._use_weight_decay(kernel) and not optimizer._use_weight_decay(bias)


@pytest.mark.parametrize("call", [lambda: make_optimizer("lion", 1), lambda: learning_rate_schedule("step", 1, 1)])
def test_unknown_names_are_refused(call):
    with pytest.raises(InputError, match=r"must be .* Received"):
        call()


def test_the_plateau_callback_lowers_every_rate():
    model = small_classifier()
    kt.unfreeze_top(model, stages=1)
    model.compile(kt.layerwise_optimizer(model, 0.1, decay=0.5), "sparse_categorical_crossentropy")
    callback = ReduceRatesOnPlateau(factor=0.1, patience=2)
    callback.set_model(model)
    for loss in (1.0, 0.9, 0.95, 0.95):
        callback.on_epoch_end(0, {"val_loss": loss})
    assert sorted(float(part.learning_rate) for part in model.optimizer.optimizers) == pytest.approx([0.005, 0.01])


def test_the_finder_suggests_a_rate_that_learns_and_puts_all_back(data):
    model = small_classifier()
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    before = model.get_weights()
    sweep = kt.find_learning_rate(model, data.train.dataset(32, batch_size=16), steps=40)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert 1e-4 < sweep.suggestion <= 1 and float(model.optimizer.learning_rate) == 0.5
    assert len(sweep.rates) == len(sweep.losses) and np.isfinite(sweep.losses).all()


def least_squares(start=(0.0, 0.0)):
    """A linear model and batches of two standard normal inputs, of which the first is the answer."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.set_weights([np.reshape(start, (2, 1)), np.zeros(1)])
    inputs = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    return model, tf.data.Dataset.from_tensor_slices((inputs, inputs[:, :1])).batch(16)


@pytest.mark.parametrize("start", [(0.68, 0.6), (0.95, -1.31), (0.25, 1.23), (1.0, -1.04)])
def test_the_finder_is_not_fooled_by_easy_and_hard_batches(start):
    for first in range(4):
        model, batches = least_squares(start)
        sweep = kt.find_learning_rate(model, batches.skip(first).concatenate(batches.take(first)), steps=30)
        assert 0.05 < sweep.suggestion < 0.3, first


def test_the_finder_stops_where_the_loss_diverges_and_says_so_where_it_is_no_number():
    model, batches = least_squares()
    sweep = kt.find_learning_rate(model, batches, lowest=1e-4, highest=1e6, steps=100)
    assert len(sweep.losses) < 60 and sweep.suggestion < 1
    with pytest.raises(InputError, match="makes the loss fall"):
        kt.find_learning_rate(model, batches.map(lambda x, y: (x, y * np.nan)), steps=20)


@pytest.mark.parametrize("wrong", [{"lowest": 0}, {"lowest": 1, "highest": 0.1}, {"steps": 3}])
def test_the_finder_refuses_senseless_ranges(data, wrong):
    with pytest.raises(InputError, match="Received"):
        kt.find_learning_rate(small_classifier(), data.train.dataset(32), **wrong)
