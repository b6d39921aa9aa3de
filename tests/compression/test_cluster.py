"""Clustering: few different weights, zeros kept, smaller packed files."""

import zlib

import numpy as np
import pytest
from small_network import kernels, small_classifier

import keras_transfer as kt
from keras_transfer.compression.cluster import cluster
from keras_transfer.compression.prune import prune
from keras_transfer.compression.sparsity import weight_figures
from keras_transfer.errors import InputError
from keras_transfer.litert import convert


@pytest.fixture(scope="module")
def data():
    return kt.load_images("pizza:per_class=12,side=32")


@pytest.fixture(scope="module")
def model(data):
    return small_classifier(len(data.class_names))


def test_few_values_in_the_large_layers(data, model):
    before = model.get_weights()
    clustered = cluster(model, data, 8, coverage=0.9, epochs=1, augmentation="none")
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert clustered.get_config() == model.get_config()
    start, after = kernels(model), kernels(clustered)
    assert {name for name, kernel in after.items() if len(np.unique(kernel)) <= 8} == {"wide", "hidden"}
    # The values are those nearest to the weights: with eight of them k-means leaves 3% of the power of even noise.
    assert np.square(after["wide"] - start["wide"]).mean() < 0.04 * np.square(start["wide"]).mean()
    files = [convert(m, ["float32"])["float32"] for m in (model, clustered)]
    assert [layer["unique"] <= 8 for layer in weight_figures(files[1])["layers"]] == [False, False, True, True, False]
    packed = [len(zlib.compress(content)) for content in files]
    assert packed[1] < 0.4 * packed[0]


@pytest.mark.parametrize("start", ["kmeans", "linear"])
def test_zeros_stay(data, model, start):
    options = {"epochs": 1, "augmentation": "none"}
    pruned = prune(model, data, 0.5, **options)
    zeros = {name: kernel == 0 for name, kernel in kernels(pruned).items()}
    clustered = kernels(cluster(pruned, data, 8, start=start, **options))
    name = "wide"
    assert zeros[name].mean() > 0.4
    assert not clustered[name][zeros[name]].any()
    assert len(np.unique(clustered[name])) <= 8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"clusters": 1}, "clusters=1"),
        ({"clusters": 300}, "clusters=300"),
        ({"coverage": 0}, "coverage=0"),
        ({"start": "random"}, "random"),
        ({"spare": ("nothing",)}, "nothing"),
    ],
)
def test_wrong_calls(data, model, options, words):
    with pytest.raises(InputError, match=words):
        cluster(model, data, **options)
