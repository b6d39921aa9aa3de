"""How series are shown, made worse and explained, and the made gestures."""

import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer import InputError
from keras_transfer.modalities import modality_of
from keras_transfer.modalities.series.appearance import PROPERTIES, plot
from keras_transfer.modalities.series.attribution import moment_weights
from keras_transfer.modalities.series.augmentation import SETTINGS, STRENGTHS, build_augmenter
from keras_transfer.modalities.series.corruptions import CORRUPTIONS, corrupt
from keras_transfer.modalities.series.made import made_gestures
from keras_transfer.modalities.series.overlaps import overlapping

WAVES = np.random.default_rng(0).normal(size=(6, 50, 4)).cumsum(axis=1).astype(np.float32)


def test_plots_of_one_sample_of_constants_and_of_many_channels():
    for series in (np.zeros((1, 1), np.float32), np.full((30, 2), 7, np.float32), np.tile(WAVES[0], (1, 5))):
        assert plot(series, 64).startswith("data:image/png;base64,")
    assert plot(WAVES[0], 64) != plot(WAVES[0], 64, np.linspace(0, 1, 50)) != plot(WAVES[0], 64, np.zeros(50))


def test_properties_are_what_they_say():
    smooth, rough = WAVES[0], np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    assert PROPERTIES["roughness"].measure(smooth) < 0.8 < PROPERTIES["roughness"].measure(rough)
    assert PROPERTIES["size"].measure(3 * smooth) == pytest.approx(3 * PROPERTIES["size"].measure(smooth), rel=1e-5)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_worse_is_worse_the_stronger_it_is(name):
    distances = [float(np.abs(corrupt(WAVES, name, s, 1) - WAVES).mean()) for s in (1, 2, 3)]
    assert 0 < distances[0] < distances[1] < distances[2]
    assert corrupt(WAVES[:, :, :1], name, 3).shape == (6, 50, 1)
    with pytest.raises(InputError, match="1 to 3"):
        corrupt(WAVES, name, 4)


def test_rotation_keeps_how_strong_the_movement_is():
    turned = corrupt(WAVES[:, :, :3], "rotation", 3)
    assert np.allclose(np.linalg.norm(turned, axis=2), np.linalg.norm(WAVES[:, :, :3], axis=2), atol=1e-4)


@pytest.mark.parametrize("setting", [name for name in SETTINGS if name != "mixup"])
def test_each_setting_changes_series_and_keeps_their_form(setting):
    augmenter = build_augmenter({"strength": "none", setting: SETTINGS[setting][1] / 2}, None, 2)
    views, labels = augmenter(WAVES, np.zeros(6, np.int32), 3)
    assert views.shape == WAVES.shape and views.dtype == np.float32 and not np.array_equal(views, WAVES)
    assert labels.tolist() == [0] * 6 and np.isfinite(views).all()


def test_mixup_and_series_of_one_sample():
    _, labels = build_augmenter({"strength": "strong", "mixup": 0.2}, None, 2)(WAVES, np.arange(6) % 2, 1)
    assert labels.shape == (6, 2) and np.allclose(labels.sum(axis=1), 1)
    for strength in STRENGTHS:
        one, _ = build_augmenter(strength, None, 2)(WAVES[:, :1], np.zeros(6, np.int32), 1)
        assert one.shape == (6, 1, 4)


def test_the_moment_that_decides_is_found():
    import keras

    series = np.zeros((1, 80, 1), np.float32)
    series[0, 60:64] = 5
    inputs = keras.Input((80, 1))
    score = keras.layers.Lambda(lambda x: keras.ops.max(x, axis=1))(inputs)
    model = keras.Model(inputs, keras.layers.Concatenate()([-score, score]))
    (weights,) = moment_weights(model, series, np.array([1]))
    assert 55 < weights.argmax() < 70 and weights.max() == 1 and weights[:40].max() == 0


def test_overlapping_series_are_found_and_idle_ones_are_not():
    recording = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    series = [recording[:50], recording[25:75], recording[100:150], np.zeros((50, 2), np.float32), recording[130:180]]
    assert overlapping(5, series.__getitem__) == [[0, 1], [2, 4], [3]]
    switches = [np.repeat([0.0, 1.0], [4, 16]).astype(np.float32)[:, None], np.repeat([0, 1, 0], [4, 8, 9])[:, None]]
    assert overlapping(2, lambda i: switches[i].astype(np.float32)) == [[0], [1]]


def test_gestures_come_from_hands_that_stay_together():
    series, labels, hands = made_gestures(60)
    assert series.shape == (60, 100, 3) and len(set(labels)) == 5 and len(set(hands)) > 6
    assert np.array_equal(series, made_gestures(60)[0]) and not np.array_equal(series, made_gestures(60, 1)[0])
    assert modality_of("made-gestures").name == "series"
    data = kt.load("made-gestures:100", val=0.2, test=0.3)
    assert data.train.preparer.rate == 50 and data.train.preparer.channels == ("x", "y", "z")
    sides = {}
    for record in data.records:
        assert sides.setdefault(record.group, record.split) == record.split
    with pytest.raises(InputError, match="from 40 to 20000"):
        kt.load("made-gestures:3")
