"""Corruptions: each strength is worse than the one before, and nothing else changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_transfer.errors import InputError
from keras_transfer.modalities.image.corruptions import CORRUPTIONS, corrupt


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(0)
    coarse = [Image.fromarray(random.integers(30, 225, (40, 40, 3), np.uint8)) for _ in range(4)]
    return np.stack([np.asarray(picture.resize((96, 96))) for picture in coarse])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_strength_is_worse(name, pictures):
    worse = [corrupt(pictures, name, strength) for strength in range(1, 6)]
    assert all(found.dtype == np.uint8 and found.shape == pictures.shape for found in worse)
    errors = [np.abs(found.astype(float) - pictures).mean() for found in worse]
    assert errors[0] > 0.5 and (np.diff(errors) > 0).all()
    assert (corrupt(pictures, name, 3) == worse[2]).all()


@settings(max_examples=20)
@given(st.integers(0, 255), st.integers(1, 5))
def test_light_adds_to_the_value_and_keeps_the_hue(level: int, strength: int) -> None:
    gray = np.full((1, 8, 8, 3), level, np.uint8)
    for name, sign in (("brightness", 1), ("darkness", -1)):
        expected = np.clip(level + sign * 25.5 * strength, 0, 255)
        assert np.abs(corrupt(gray, name, strength).astype(float) - expected).max() <= 0.51
    colour = np.array([[[[200, 100, 50]]]], np.uint8)
    found = corrupt(colour, "darkness", strength)[0, 0, 0].astype(float)
    assert abs(found[1] / found[0] - 0.5) < 0.02 and abs(found[2] / found[0] - 0.25) < 0.02


def test_wrong_names_and_strengths_are_refused(pictures):
    with pytest.raises(InputError, match="'fog'"):
        corrupt(pictures, "fog", 1)
    with pytest.raises(InputError, match="strength=6"):
        corrupt(pictures, "noise", 6)
