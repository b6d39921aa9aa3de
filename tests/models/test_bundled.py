"""The backbone inside the package."""

import hashlib

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.modalities.image import bundled
from keras_transfer.modalities.image.builder import build_imagenet_classifier

# Of the restored float32 weights, in order: the same on every machine.
RESTORED = "4e4efb7bcd7ac947b941ad17d305c6acd25e64729c22d8bee2e9b60425e2e689"


def test_it_is_small_and_restores_the_same_everywhere():
    digest = hashlib.sha256()
    for array in bundled.arrays():
        assert array.dtype == np.float32 and np.isfinite(array).all()
        digest.update(array.astype("<f4").tobytes())
    assert bundled.FILE.stat().st_size <= 1_000_000
    assert digest.hexdigest() == RESTORED


def test_weights_are_those_of_kerass_own_network():
    ours = kt.build_classifier("mobilenet_v2", 3, weights="bundled")
    plain = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, include_top=False, weights=None, pooling="avg")
    plain.set_weights(list(bundled.arrays()))
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 96, 96, 3)).astype("float32")
    pooled = keras.Model(ours.input, ours.get_layer("logits").input)
    expected = plain.predict(pixels / 127.5 - 1, verbose=0)
    np.testing.assert_allclose(pooled.predict(pixels, verbose=0), expected, atol=1e-5)
    assert expected.std(0).max() > 0.01  # it tells two pictures apart


def test_any_size_from_64_and_no_other_network():
    assert kt.build_classifier("mobilenet_v2", 2, weights="bundled", image_size=(64, 80)).input_shape[1:3] == (64, 80)
    with pytest.raises(kt.InputError, match="63"):
        kt.build_classifier("mobilenet_v2", 2, weights="bundled", image_size=63)
    with pytest.raises(kt.InputError, match=r"alpha=1\.0"):
        kt.build_classifier("mobilenet_v2", 2, weights="bundled", alpha=1.0)
    with pytest.raises(kt.InputError, match="resnet50"):
        kt.build_classifier("resnet50", 2, weights="bundled")
    with pytest.raises(kt.InputError):
        build_imagenet_classifier("mobilenet_v2", weights="bundled", alpha=0.35)


def test_packing_refuses_what_float16_cannot_hold(tmp_path):
    with pytest.raises(kt.InputError, match="float16"), np.errstate(over="ignore"):
        bundled.pack([np.array([1e6], np.float32)], tmp_path / "weights.npz")
    assert not (tmp_path / "weights.npz").exists()
