"""The engine that is chosen gives what Keras gives, whichever it is and however the images come."""

import keras
import numpy as np
import pytest
from small_task import small_classifier

from keras_transfer.training import engines


@pytest.mark.parametrize("way", ["litert", "tensorflow", "fast enough"])
@pytest.mark.parametrize("at_once", [7, 16, 130])
def test_answers_are_keras_ones(way, at_once, monkeypatch):
    monkeypatch.setattr(engines, "SMALL_JOB", 100)
    monkeypatch.setattr(engines, "matrix_speed", lambda: 1.0 if way == "fast enough" else 1e30)
    real, asked = engines._timed, []

    def timed(converting, sample, answers, seconds):
        asked.append(len(sample))
        return real(converting, sample, answers, 1e9 if way == "litert" else 0.0)

    monkeypatch.setattr(engines, "_timed", timed)
    model = small_classifier()
    prefix = keras.Model(model.input, [model.get_layer("bn1").output, model.layers[-3].output])
    images = list(np.random.default_rng(0).integers(0, 256, (130, *model.input_shape[1:]), np.uint8))
    engine = engines.choose_engine(prefix, len(images))
    found = [row for start in range(0, 130, at_once) for row in engine(images[start : start + at_once])]
    expected = list(engines.keras_engine(prefix)(images))
    assert len(found) == 130 and asked == ([16] if at_once >= 16 and way != "fast enough" else [])
    for row, wanted in zip(found, expected, strict=True):
        assert all(np.abs(a - b).max() < 1e-4 and a.shape == b.shape for a, b in zip(row, wanted, strict=True))


def test_a_network_that_litert_lacks_stays_in_tensorflow(monkeypatch):
    monkeypatch.setattr(engines, "SMALL_JOB", 100)
    monkeypatch.setattr(engines, "matrix_speed", lambda: 1e30)
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.Lambda(lambda x: keras.ops.erfinv(x / 256.0))(inputs)
    images = list(np.random.default_rng(0).integers(0, 256, (120, 8, 8, 3), np.uint8))
    prefix = keras.Model(inputs, outputs)
    found = list(engines.choose_engine(prefix, 120)(images))
    expected = list(engines.keras_engine(prefix)(images))
    assert all(np.allclose(a[0], b[0]) for a, b in zip(found, expected, strict=True))
