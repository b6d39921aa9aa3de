"""How pictures are fitted: properties of every mode, and the filter of MediaPipe against its definition."""

import ast
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from keras_transfer import geometry as module
from keras_transfer.geometry import LEGACY, MODES, Geometry

MODE_NAMES = st.sampled_from(["crop", "squash", "letterbox"])
SIDES = st.integers(1, 90)


@st.composite
def geometries(draw):
    mode = draw(MODE_NAMES)
    crop = draw(st.floats(0.05, 1)) if mode == "crop" else 1.0
    return Geometry(mode, crop, draw(st.sampled_from(["bilinear", "mediapipe"])), draw(st.integers(0, 255)))


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


@given(geometries(), SIDES, SIDES, SIDES, SIDES)
@example(MODES["letterbox"], 1, 90, 90, 1)
@example(MODES["letterbox"], 90, 1, 1, 90)
@example(LEGACY, 89, 2, 3, 90)
def test_every_picture_is_fitted(geometry, width, height, out_width, out_height):
    picture = noise(width, height)
    found = geometry.fit(picture, out_width, out_height)
    assert found.size == (out_width, out_height) and found.mode == "RGB"
    pixels, place = np.asarray(found), geometry.place(width, height, out_width, out_height)
    assert place.left >= 0 and place.left + place.width <= out_width and place.width >= 1
    assert place.top >= 0 and place.top + place.height <= out_height and place.height >= 1
    assert abs(out_width - place.width - 2 * place.left) <= 1 and abs(out_height - place.height - 2 * place.top) <= 1
    bars = np.ones((out_height, out_width), bool)
    bars[place.top : place.top + place.height, place.left : place.left + place.width] = False
    if picture.size != found.size:
        assert (pixels[bars] == geometry.padding).all() and (geometry.mode == "letterbox" or not bars.any())
    inside = pixels[~bars]
    assert inside.min() >= np.asarray(picture).min() and inside.max() <= np.asarray(picture).max()


@given(geometries(), SIDES, SIDES, SIDES, SIDES)
def test_what_is_used_is_the_centre(geometry, width, height, out_width, out_height):
    left, top, right, bottom = geometry.window(width, height, out_width, out_height)
    assert -1e-9 <= left < right <= width + 1e-9 and -1e-9 <= top < bottom <= height + 1e-9
    assert left == pytest.approx(width - right, abs=1e-9) and top == pytest.approx(height - bottom, abs=1e-9)
    if geometry.mode == "crop":
        assert (right - left) * out_height == pytest.approx((bottom - top) * out_width)
        assert max((right - left) / width, (bottom - top) / height) == pytest.approx(geometry.crop)
    else:
        assert (left, top, right, bottom) == (0, 0, width, height)


@given(SIDES, SIDES, SIDES, SIDES)
def test_a_letterboxed_picture_keeps_its_proportions(width, height, out_width, out_height):
    place = MODES["letterbox"].place(width, height, out_width, out_height)
    assert place.width == out_width or place.height == out_height
    scale = min(out_width / width, out_height / height)
    for found, exact in ((place.width, width * scale), (place.height, height * scale)):
        assert abs(found - max(1, exact)) <= 0.5 + 1e-9


@given(geometries(), SIDES, SIDES, st.integers(0, 255))
def test_a_picture_of_one_colour_stays_so(geometry, width, height, value):
    found = np.asarray(geometry.fit(Image.new("RGB", (width, height), (value,) * 3), 24, 17))
    assert set(np.unique(found)) <= {value, geometry.padding}


@given(geometries())
def test_it_is_plain_data(geometry):
    assert Geometry.of(json.loads(json.dumps(geometry.to_dict()))) == geometry
    assert geometry.describe()


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 70), st.integers(1, 70))
@example(45, 33, 30, 30)
def test_the_filter_of_mediapipe_is_as_it_is_defined(width, height, out_width, out_height):
    """Linear between four pixels, positions at 32 a pixel, corners on corners: in fractions, that is without rounding.

    `tests/exporters/test_mediapipe.py` compares it with MediaPipe itself.
    """
    picture = noise(width, height)
    if width // out_width >= 4 or height // out_height >= 4 or picture.size == (out_width, out_height):
        return
    found = np.asarray(MODES["squash"].fit(picture, out_width, out_height))
    pixels = np.asarray(picture).astype(int)
    for y, x in {(0, 0), (out_height - 1, out_width - 1), (out_height // 2, out_width // 3)}:
        down, across = (
            Fraction(round(Fraction(32 * position * size, out)), 32)
            for position, size, out in ((y, height, out_height), (x, width, out_width))
        )
        rows, columns = ([int(at), min(int(at) + 1, size - 1)] for at, size in ((down, height), (across, width)))
        far_down, far_across = down - int(down), across - int(across)
        for channel in range(3):
            corners = [[Fraction(int(pixels[row, column, channel])) for column in columns] for row in rows]
            sides = [left * (1 - far_across) + right * far_across for left, right in corners]
            exact = sides[0] * (1 - far_down) + sides[1] * far_down
            assert found[y, x, channel] == int(exact + Fraction(1, 2))


def test_what_is_four_times_as_large_is_averaged_first():
    board = np.indices((256, 256)).sum(axis=0) % 2 * 255
    picture = Image.fromarray(np.repeat(board[..., None], 3, 2).astype(np.uint8))
    found = np.asarray(MODES["squash"].fit(picture, 32, 32))
    assert found.min() == found.max() == 128  # read at single pixels it would be black


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"mode": "zoom"}, "mode='zoom'"),
        ({"mode": ["crop"]}, "mode=\\['crop'\\]"),
        ({"crop": 0}, "crop=0"),
        ({"crop": float("nan")}, "crop=nan"),
        ({"crop": True}, "crop=True"),
        ({"mode": "squash", "crop": 0.9}, "must be 1"),
        ({"interpolation": "bicubic"}, "interpolation='bicubic'"),
        ({"interpolation": ["bilinear"]}, "interpolation="),
        ({"padding": 256}, "padding=256"),
        ({"padding": 1.5}, "padding=1.5"),
        ({"corp": 1}, "corp"),
    ],
)
def test_what_is_no_geometry_is_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        Geometry.of(fields)


def test_the_file_stands_alone(tmp_path):
    """Kits for devices carry it: it needs nothing of this package, and a Python from 2020."""
    source = Path(module.__file__).read_text("utf-8")
    ast.parse(source, feature_version=(3, 9))
    (tmp_path / "geometry.py").write_text(source, "utf-8")
    code = "import geometry, sys; print(geometry.MODES['crop'].describe(), 'keras_transfer' in sys.modules)"
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=True, env={"PYTHONPATH": ""})
    assert done.stdout.strip() == f"{MODES['crop'].describe()} False"
