"""A front end is the same in NumPy and in a network, and settings that make no sense are refused."""

import json

import keras
import numpy as np
import pytest

from keras_transfer import InputError
from keras_transfer.modalities.audio.backbones import AUDIO_BACKBONES
from keras_transfer.modalities.audio.front_end import FrontEnd, front_end_of, log_mel, mel_matrix
from keras_transfer.modalities.audio.layers import log_mel_layers

FRONT_ENDS = {name: row.front_end for name, row in AUDIO_BACKBONES.items()}
YAMNET = FRONT_ENDS["yamnet"]


def clips(samples: int) -> np.ndarray:
    """A chirp, noise, a faint tone, and silence but for a click."""
    random, time = np.random.default_rng(0), np.arange(samples) / 16000
    click = np.zeros(samples)
    click[samples // 2] = 1
    return np.stack(
        [
            0.02 * np.sin(2 * np.pi * (100 + 2000 * time) * time),
            random.uniform(-1, 1, samples),
            1e-3 * np.sin(2 * np.pi * 440 * time),
            click,
        ]
    ).astype(np.float32)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_layers_compute_what_numpy_computes(name: str) -> None:
    front_end = FRONT_ENDS[name]
    samples = front_end.samples(40) + front_end.hop - 1
    waveform = keras.Input((samples,))
    model = keras.Model(waveform, log_mel_layers(waveform, front_end))
    items = clips(samples)
    expected = np.stack([log_mel(item, front_end) for item in items])
    assert expected.shape == (4, front_end.frames(samples), front_end.mels) == (4, 40, front_end.mels)
    assert np.allclose(model.predict(items, verbose=0), expected, rtol=0, atol=1e-4)
    assert model.trainable_weights == []


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_settings_are_data(name: str) -> None:
    front_end = FRONT_ENDS[name]
    assert front_end_of(json.loads(json.dumps(front_end.to_dict()))) == front_end
    assert front_end.frames(front_end.samples(7)) == 7 and front_end.frames(front_end.samples(1) - 1) == 0


def test_bands_are_those_of_the_field() -> None:
    import tensorflow as tf

    theirs = tf.signal.linear_to_mel_weight_matrix(64, 257, 16000, 125.0, 7500.0)
    assert np.allclose(mel_matrix(YAMNET), theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hop": 0}, "hop"),
        ({"window": 600}, "window"),
        ({"high": 9000.0}, "high"),
        ({"offset": 0.0}, "offset"),
        ({"colour": 1}, "no setting colour"),
        ({"mels": "many"}, "wrong"),
    ],
)
def test_senseless_settings_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        front_end_of({**YAMNET.to_dict(), **change})


def test_a_clip_shorter_than_a_frame_is_refused() -> None:
    with pytest.raises(InputError, match="at least 400 samples"):
        log_mel(np.zeros(399, np.float32), YAMNET)
    assert FrontEnd(400, 160, 512, 64, 125.0, 7500.0, offset=1e-3).frames(399) == 0
