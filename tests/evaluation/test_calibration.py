"""Temperature scaling: found again where it was planted, left alone where it would be chance, applied by predict."""

import json
import shutil

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.errors import InputError
from keras_transfer.evaluation.calibration import apply_temperature, calibrated, fit_temperature, reliability
from keras_transfer.evaluation.classifier import Classifier
from keras_transfer.modalities.image import ImagePreparer
from keras_transfer.models.head import divide_logits


def drawn(seed: int, images: int, classes: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from known probabilities, and these sharpened: the right temperature is `sharpness`."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=1.5, size=(images, classes))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([random.choice(classes, p=row) for row in honest])
    return labels, apply_temperature(honest, 1 / sharpness)


@pytest.mark.parametrize("sharpness", [0.5, 2.0, 3.0])
def test_a_planted_temperature_is_found_and_lowers_the_error_on_other_images(sharpness: float) -> None:
    labels, probabilities = drawn(0, 3000, 5, sharpness)
    found = fit_temperature(labels[:1500], probabilities[:1500])
    assert found == pytest.approx(sharpness, rel=0.12)
    before = reliability(labels[1500:], probabilities[1500:])
    after = reliability(labels[1500:], apply_temperature(probabilities[1500:], found))
    assert after["ece"] < before["ece"] and after["log_loss"] < before["log_loss"]


def test_honest_probabilities_are_left_alone() -> None:
    alone = [fit_temperature(*drawn(seed, 150, 4, 1.0)) == 1.0 for seed in range(40)]
    assert sum(alone) >= 34
    assert fit_temperature(np.zeros(0, int), np.zeros((0, 3))) == 1.0


def test_several_labels_and_one_unit_are_scaled_as_the_logits_would_be() -> None:
    values = np.array([[0.9, 0.2], [0.5, 0.7]])
    logits = np.log(values / (1 - values)) / 2
    assert apply_temperature(values, 2.0, several=True) == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-6)
    both = np.concatenate([1 - values[:, :1], values[:, :1]], axis=1)
    assert apply_temperature(values[:, :1], 3.0)[:, 0] == pytest.approx(apply_temperature(both, 3.0)[:, 1], abs=1e-6)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 20), st.integers(2, 6), st.booleans())
def test_scaling_keeps_probabilities_and_decisions(seed: int, temperature: float, classes: int, several: bool) -> None:
    values = np.random.default_rng(seed).dirichlet(np.ones(classes), 20)
    found = apply_temperature(values, temperature, several)
    assert np.isfinite(found).all() and (found >= 0).all() and (found <= 1).all()
    if several:
        assert ((found >= 0.5) == (np.clip(values, 1e-7, 1) >= 0.5)).mean() > 0.99
    else:
        assert found.sum(axis=1) == pytest.approx(1, abs=1e-4)
        best = found[np.arange(20), values.argmax(axis=1)]
        assert (best >= found.max(axis=1) - 1e-6).all()


def test_calibrated_reads_the_runs_file(tmp_path) -> None:
    answer = np.array([[0.8, 0.2]], np.float32)
    file = tmp_path / "export" / "model.tflite"
    plain = Classifier(
        file, ImagePreparer().spec(4), ["a", "b"], True, False, lambda pixels: np.repeat(answer, len(pixels), axis=0)
    )
    with pytest.raises(InputError, match=r"calibration\.json"):
        calibrated(plain)
    (tmp_path / "calibration.json").write_text(json.dumps({"temperature": 2.0}))
    pixels = np.zeros((3, 4, 4, 3), np.uint8)
    assert calibrated(plain).predict(pixels) == pytest.approx(np.tile([[2 / 3, 1 / 3]], (3, 1)), abs=1e-3)
    for wrong in ("{", '{"temperature": 0}', '{"temperature": "NaN"}', "[]", "{}"):
        (tmp_path / "calibration.json").write_text(wrong)
        with pytest.raises(InputError):
            calibrated(plain)
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("units", [1, 4])
@pytest.mark.parametrize("fused", [True, False])
def test_a_temperature_goes_into_the_last_layer(units: int, fused: bool) -> None:
    kind = "sigmoid" if units == 1 else "softmax"
    inputs = keras.Input((6,))
    outputs = keras.layers.Dense(units, activation=kind if fused else None)(inputs)
    model = keras.Model(inputs, outputs if fused else keras.layers.Activation(kind)(outputs))
    items = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    before = np.asarray(model(items))
    assert divide_logits(model, 2.5)
    assert np.asarray(model(items)) == pytest.approx(apply_temperature(before, 2.5), abs=1e-5)


def test_a_model_without_a_last_dense_layer_stays() -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3), keras.layers.ReLU()])
    before = model.get_weights()
    assert not divide_logits(model, 2.0)
    assert all(map(np.array_equal, before, model.get_weights()))
