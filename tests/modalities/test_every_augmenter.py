"""What every `Augmenter` keeps to."""

import json

import numpy as np
import pytest
from examples import Sample

from keras_transfer.inputs import as_tuple


@pytest.mark.parametrize("strength", ["auto", "none", "light"])
def test_views_are_pure_in_seed_and_of_the_same_kind(sample: Sample, strength: str) -> None:
    train = sample.dataset.train
    augmenter = train.augmenter(strength)
    inputs, labels = train.arrays(sample.spec), train.labels
    before = [array.copy() for array in as_tuple(inputs)]
    views = [augmenter(inputs, labels, seed) for seed in (1, 1, 2)]
    assert all(np.array_equal(a, b) for a, b in zip(as_tuple(inputs), before, strict=True))
    first, again, other = (as_tuple(arrays) for arrays, _ in views)
    for array, same, tensor in zip(first, again, sample.spec.tensors, strict=True):
        assert np.array_equal(array, same)
        assert array.shape[1:] == tensor.shape and array.dtype == tensor.dtype
        assert tensor.low is None or array.min() >= tensor.low
        assert tensor.high is None or array.max() <= tensor.high
    changes = not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert changes == bool(augmenter)
    if not augmenter:
        assert all(np.array_equal(a, b) for a, b in zip(first, before, strict=True))
    if not augmenter.mixes:
        assert np.array_equal(views[0][1], labels)


def test_settings_are_figures(sample: Sample) -> None:
    for strength in ("auto", "none", "light"):
        augmenter = sample.dataset.train.augmenter(strength)
        settings = json.loads(json.dumps(dict(augmenter.settings)))
        assert settings == dict(augmenter.settings)
        assert bool(settings) == bool(augmenter)
    assert not sample.dataset.train.augmenter("none")
