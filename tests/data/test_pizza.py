"""Drawn pizzas, and embedded data sets with parameters."""

import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.modalities.image.embedded import load_embedded
from keras_transfer.modalities.image.pizza import KINDS, draw_pizzas


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
def test_the_same_seed_draws_the_same_pictures(difficulty):
    images, kinds = draw_pizzas(per_class=2, difficulty=difficulty, seed=3, side=64)
    again, _ = draw_pizzas(per_class=2, difficulty=difficulty, seed=3, side=64)
    other, _ = draw_pizzas(per_class=2, difficulty=difficulty, seed=4, side=64)
    np.testing.assert_array_equal(images, again)
    assert images.shape == (8, 64, 64, 3) and images.dtype == np.uint8 and kinds == [*KINDS] * 2
    assert np.abs(images.astype(int) - other).mean() > 10
    assert images.std(axis=(1, 2)).min() > 3  # no picture is of one colour


def test_more_pictures_leave_the_first_as_they_were():
    few, many = draw_pizzas(1, side=48)[0], draw_pizzas(3, side=48)[0]
    np.testing.assert_array_equal(few, many[:4])


def test_difficulty_makes_the_light_uneven():
    halves = []
    for difficulty in (0.0, 0.5, 1.0):
        grey = draw_pizzas(10, difficulty, side=48)[0].mean(-1)
        halves.append(np.abs(grey[:, :, :24].mean((1, 2)) - grey[:, :, 24:].mean((1, 2))).mean())
    assert halves[0] * 1.2 < halves[1] < halves[2] / 1.2


def test_an_embedded_name_takes_parameters():
    data = kt.load_images("pizza:per_class=12,difficulty=0,seed=5,side=40")
    assert data.class_names == sorted(KINDS) and len(data.records) == 48
    np.testing.assert_array_equal(load_embedded("pizza:per_class=1,side=32")[0], draw_pizzas(1, side=32)[0])


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("pizza:topping=ham", "topping"),
        ("pizza:difficulty=hard", "'hard'"),
        ("pizza:difficulty=2", "difficulty=2"),
        ("pizza:per_class=0", "per_class=0"),
        ("pizza:side=4", "side=4"),
        ("digits:side=8", "takes no parameters"),
    ],
)
def test_wrong_parameters_are_named(source, part):
    with pytest.raises(kt.InputError, match=part):
        kt.load_images(source)
