"""A few photographs of each class, chosen for good."""

from collections import Counter

import numpy as np
import pytest

import keras_transfer as kt


@pytest.fixture(scope="module")
def pictures():
    images = np.random.default_rng(0).integers(0, 256, (90, 12, 12, 3), dtype=np.uint8)
    return images, ["a", "b", "c"] * 30


def test_each_class_keeps_so_many(pictures):
    whole = kt.load_images(pictures)
    few = kt.load_images(pictures, few_shot=3)
    assert few.train.labels.tolist().count(0) == 3 and Counter(few.train.labels.tolist()) == {0: 3, 1: 3, 2: 3}
    assert max(Counter(few.val.labels.tolist()).values()) <= 3
    assert few.test.hashes == whole.test.hashes
    assert set(few.train.hashes) < set(whole.train.hashes)


def test_fewer_are_some_of_more(pictures):
    sets = [set(kt.load_images(pictures, few_shot=count).train.hashes) for count in (2, 4, 8, 500)]
    assert sets[0] < sets[1] < sets[2] < sets[3]
    assert sets[1] != set(kt.load_images(pictures, few_shot=4, seed=1).train.hashes)


def test_none_is_too_few(pictures):
    with pytest.raises(kt.InputError, match="few_shot=0"):
        kt.load_images(pictures, few_shot=0)
