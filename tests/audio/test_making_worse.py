"""Augmentation, corruptions, properties, pictures and explanations of sounds."""

import base64
import io

import numpy as np
import pytest
import soundfile
from PIL import Image
from sounds import chirp, melody, noise

from keras_transfer import InputError
from keras_transfer.evaluation.shift import differences
from keras_transfer.inputs import TensorSpec
from keras_transfer.modalities.audio.appearance import PROPERTIES, picture, sound_address
from keras_transfer.modalities.audio.augmentation import SETTINGS, build_augmenter, loudness
from keras_transfer.modalities.audio.corruptions import corrupt
from keras_transfer.modalities.audio.front_end import FrontEnd, log_mel
from keras_transfer.modalities.audio.items import as_wav
from keras_transfer.modalities.audio.preparer import open_preparer

CLIPS = np.stack([melody(2, seed=i) for i in range(6)])


def decibels(sound, rest):
    return 20 * np.log10(float(loudness(sound[None])[0, 0] / loudness(rest[None])[0, 0]))


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_changes_sounds_and_keeps_them_in_range(name):
    augmenter = build_augmenter({name: min(0.5, SETTINGS[name][1])}, None, 3, 16000)
    labels = np.array([0, 1, 2, 0, 1, 2])
    views, mixed = augmenter(CLIPS, labels, seed=4)
    assert views.shape == CLIPS.shape and views.dtype == np.float32 and np.abs(views).max() <= 1
    assert not np.array_equal(views, CLIPS)
    assert mixed.shape == ((6, 3) if name == "mixup" else (6,)) and augmenter.mixes == (name == "mixup")
    with pytest.raises(InputError, match=name):
        build_augmenter({name: -1}, None, 3, 16000)


def test_noise_is_as_much_softer_as_was_said():
    views, _ = build_augmenter({"noise": 1}, None, 2, 16000)(CLIPS, np.zeros(6, int), seed=1)
    assert all(9 < decibels(clip, view - clip) < 31 for clip, view in zip(CLIPS, views, strict=True))
    for strength, wanted in enumerate((20, 10, 0), start=1):
        clip = 0.2 * CLIPS[:1]
        assert decibels(clip[0], (corrupt(clip, 16000, "noise", strength) - clip)[0]) == pytest.approx(wanted, abs=0.3)


def test_a_band_is_taken_out_and_the_rest_left():
    clip = noise(2)[None]
    view, _ = build_augmenter({"band_mask": 0.5}, None, 2, 16000)(clip, np.zeros(1, int), seed=3)
    before, after = (np.abs(np.fft.rfft(each[0])) for each in (clip, view))
    gone = after < 0.01 * before
    assert 0.002 < gone.mean() < 0.6 and np.allclose(before[~gone], after[~gone], rtol=0.05)


def test_a_telephone_lets_a_band_through():
    heard = corrupt(noise(2)[None], 16000, "telephone", 1)[0]
    power = np.square(np.abs(np.fft.rfft(heard)))
    hertz = np.fft.rfftfreq(len(heard), 1 / 16000)
    assert power[hertz > 4000].sum() < 0.01 * power.sum() < power[(hertz > 300) & (hertz < 3400)].sum()


def test_mp3_and_echo_keep_length_and_loudness():
    for name in ("mp3", "reverberation"):
        heard = corrupt(CLIPS[:2], 16000, name, 1)
        assert heard.shape == (2, 32000) and abs(decibels(heard[0], CLIPS[0])) < 1
    assert np.corrcoef(corrupt(CLIPS[:1], 16000, "mp3", 1)[0], CLIPS[0])[0, 1] > 0.95
    assert corrupt(noise(1, rate=44100)[None], 44100, "mp3", 1).shape == (1, 44100)


def test_differences_are_named():
    soft = [0.05 * noise(1, seed=i) for i in range(20)]
    rows = {
        row["property"]: row["words"] for row in differences(PROPERTIES, [noise(1, seed=i) for i in range(20)], soft)
    }
    assert rows["level"] == "much softer" and rows["seconds"] == "" and rows["brightness"] == ""


def test_pictures_and_sounds_can_be_shown():
    clip = chirp(1, low=500, high=6000)
    content = base64.b64decode(picture(clip, 60).partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("L"), int)
    assert pixels.shape == (60, 60)
    assert pixels[:, 10].argmax() > pixels[:, 50].argmax()  # it rises
    hot = base64.b64decode(picture(clip, 60, np.eye(96, 64)).partition(",")[2])
    assert hot != content
    kind, _, coded = sound_address(clip, 16000).partition(",")
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(coded)))
    assert kind == "data:audio/mpeg;base64" and rate == 16000 and 16000 <= len(samples) < 19000


def test_what_speaks_for_a_class_glows():
    import keras

    from keras_transfer.modalities.audio.attribution import sound_weights
    from keras_transfer.modalities.audio.layers import log_mel_layers

    front_end = FrontEnd(400, 160, 512, 32, 60.0, 7500.0, offset=1e-3)
    inputs = keras.Input((16000,), name="waveform")
    mels = log_mel_layers(inputs, front_end)
    halves = keras.layers.Reshape((2, 16))(keras.layers.GlobalAveragePooling1D()(mels))
    logits = keras.layers.Dense(2, name="logits")(keras.layers.Flatten()(halves))
    model = keras.Model(inputs, keras.layers.Activation("softmax", name="predictions")(logits))
    kernel = np.zeros((32, 2), np.float32)
    kernel[:16, 0] = kernel[16:, 1] = 1  # low notes speak for one class, high notes for the other
    model.get_layer("logits").set_weights([kernel, np.zeros(2, np.float32)])
    low, high = sound_weights(model, np.stack([noise(), noise()]), np.array([0, 1]))
    assert low.shape == (98, 32) and low[:, :14].mean() > 5 * low[:, 18:].mean()
    assert high[:, 18:].mean() > 5 * high[:, :14].mean() and low.max() == high.max() == 1
    assert sound_weights(keras.Model(mels, model.output), noise()[None], np.array([0])) is None


def test_files_behind_the_front_end_get_spectrograms():
    front_end = FrontEnd(400, 160, 512, 32, 60.0, 7500.0, offset=1e-3)
    preparer = open_preparer({"window": 1, "front_end": front_end.to_dict()})
    spec = preparer.spec([TensorSpec("log_mel", (98, 32))])
    made = preparer.prepare(as_wav(chirp(), 16000), spec)
    assert np.array_equal(made, log_mel(chirp(), front_end)) and spec.tensor.shape == made.shape
    for wrong in ([TensorSpec("log_mel", (50, 32))], [TensorSpec("image", (9, 9, 3))], [1, 2]):
        with pytest.raises(InputError):
            preparer.spec(wrong)
    for settings in ({"window": -1}, {"samples": "x"}, {"rate": 3}, {"window": 900}, {"front_end": {"hop": 3}}):
        with pytest.raises(InputError):
            open_preparer(settings)
