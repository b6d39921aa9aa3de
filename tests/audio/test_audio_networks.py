"""Networks of sounds: flat graphs that can be cut, frozen, saved and converted, with their authors' weights."""

from pathlib import Path

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer import InputError
from keras_transfer.litert import open_litert, read_flatbuffer
from keras_transfer.modalities.audio.backbones import AUDIO_BACKBONES, at_hand
from keras_transfer.modalities.audio.builder import POOLINGS
from keras_transfer.models import boundary, cut_points, freeze_backbone, head_layers, model_inputs, prefix, suffix
from keras_transfer.models.stage import can_train

NAMES = ["no", "yes"]
CONVOLUTIONS = {"yamnet": [3, 4, 4, 12, 4], "speech_embedding": [3, 4, 4, 8, 1]}  # of each stage


@pytest.fixture(scope="module", params=AUDIO_BACKBONES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(name: str) -> keras.Model:
    return kt.build_audio_classifier(name, NAMES, samples=24000, weights="none")


def waveforms(model: keras.Model) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (3, *model.input_shape[1:])).astype(np.float32)


def test_stages_and_head(name: str, model: keras.Model) -> None:
    found = kt.stages(model)
    convolutions = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    assert [sum(isinstance(layer, convolutions) for layer in stage.layers) for stage in found] == CONVOLUTIONS[name]
    layers = [layer for stage in found for layer in stage.layers] + head_layers(model)
    assert sorted(layer.name for layer in layers) == sorted(layer.name for layer in model.layers[1:] if is_layer(layer))


def is_layer(layer: keras.Operation) -> bool:
    return isinstance(layer, keras.layers.Layer)


def test_what_is_frozen_is_cut_off(model: keras.Model) -> None:
    items = waveforms(model)
    expected = model(items, training=False)
    for point in [*cut_points(model)[1:-1:5], model.get_layer("log_mel").output]:
        assert np.allclose(suffix(model, point)(prefix(model, point)(items)), expected, atol=1e-5)
    freeze_backbone(model)
    assert len(boundary(model).shape) == 2
    trained = kt.unfreeze_top(model, stages="all")
    own = [layer for layer in model.layers if can_train(layer) and layer not in head_layers(model)]
    assert trained == [layer for layer in own if not isinstance(layer, keras.layers.BatchNormalization)]
    assert boundary(model).shape[1:3] == model.get_layer("log_mel").output.shape[1:]


def test_saved_and_converted_it_is_the_same(model: keras.Model, tmp_path: Path) -> None:
    items = waveforms(model)
    expected = model.predict(items, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert np.allclose(again.predict(items, verbose=0), expected, atol=1e-6)
    content = kt.convert(model, ["float32"])["float32"]
    assert not any(
        operator.custom or operator.name.startswith("FLEX") for operator in read_flatbuffer(content).operators
    )
    (tmp_path / "model.tflite").write_bytes(content)
    assert np.allclose(open_litert(tmp_path / "model.tflite").predict(items), expected, atol=1e-4)


def test_clips_of_any_length(name: str) -> None:
    row = AUDIO_BACKBONES[name]
    longer = kt.build_audio_classifier(name, NAMES, samples=2 * row.samples, weights="none", pooling="max")
    assert model_inputs(longer)[0].name == "waveform" and longer.input_shape == (None, 2 * row.samples)
    with pytest.raises(InputError, match=f"{row.samples} samples or more"):
        kt.build_audio_classifier(name, NAMES, samples=row.samples - 1, weights="none")


@pytest.mark.parametrize("pooling", POOLINGS)
def test_poolings(pooling: str) -> None:
    model = kt.build_audio_classifier("yamnet", NAMES, weights="none", pooling=pooling, hidden=[8], multi_label=True)
    assert model.get_layer("hidden_0").input.shape[1] == 1024
    assert model.layers[-1].activation.__name__ == "sigmoid" and kt.stages(model)[-1].layers[-1].name == "layer14_relu"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"classes": 1}, "2 classes"),
        ({"pooling": "mean"}, "pooling='mean'"),
        ({"backbone": "yamnett"}, "Did you mean yamnet"),
        ({"samples": 100}, "samples=100"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        kt.build_audio_classifier(**{"backbone": "yamnet", "classes": 2, "weights": "none", **arguments})


def test_yamnet_sees_each_window_by_itself() -> None:
    longer = kt.build_audio_classifier("yamnet", NAMES, samples=3 * 15360 + 240)
    single = kt.build_audio_classifier("yamnet", NAMES)
    items = waveforms(longer)
    maps = keras.Model(longer.input, longer.get_layer("pool").input).predict(items, verbose=0)
    assert maps.shape == (3, 3 * 3, 2, 1024)
    alone = keras.Model(single.input, single.get_layer("pool").input)
    windows = [alone.predict(items[:, start : start + 15600], verbose=0) for start in (0, 15360, 2 * 15360)]
    assert np.allclose(maps, np.concatenate(windows, axis=1), atol=1e-4) and maps.std() > 0.01


def test_yamnet_needs_no_network() -> None:
    assert at_hand("yamnet") and at_hand("yamnet", "none")
