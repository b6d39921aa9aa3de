"""Pruning: how many zeros, where, in which pattern, and that they arrive in the files."""

import os

import numpy as np
import pytest
from small_network import kernels, small_classifier

import keras_transfer as kt
from keras_transfer.compression.cut import cut_below, soft_label_samples
from keras_transfer.compression.plan_sparsity import plan_sparsity
from keras_transfer.compression.prune import prune
from keras_transfer.compression.sparsity import weight_figures
from keras_transfer.compression.tfmot import load_tfmot
from keras_transfer.errors import InputError
from keras_transfer.litert import convert

ITEM_BYTES = 32 * 32 * 3


@pytest.fixture(scope="module")
def data():
    return kt.load_images("pizza:per_class=12,side=32")


@pytest.mark.parametrize("nested", [False, True])
def test_the_requested_zeros_and_nothing_else(data, nested):
    model = small_classifier(len(data.class_names), nested)
    model.get_layer("stem").trainable = False
    before = model.get_weights()
    rows = []
    options = {"pattern": "1x1", "allocation": 0.3, "spare": ("first", "last")}
    pruned = prune(model, data, 0.6, epochs=2, batch_size=16, augmentation="none", on_epoch=rows.append, **options)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert weight_figures(pruned)["sparsity"] == pytest.approx(0.6, abs=0.01)
    after, plan = kernels(pruned), plan_sparsity(model, 0.6, **options)
    assert plan["wide"] > plan["hidden"] > 0
    for name, kernel in after.items():
        assert np.mean(kernel == 0) == pytest.approx(plan.get(name, 0), abs=0.005), name
    # Below the lowest pruned layer everything is as before; what is above trained.
    start = kernels(model)
    assert np.array_equal(after["stem"], start["stem"])
    assert not np.array_equal(after["logits"], start["logits"])
    assert [layer.trainable for layer in pruned._flatten_layers()] == [
        layer.trainable for layer in model._flatten_layers()
    ]
    assert pruned.get_config() == model.get_config()


def test_the_largest_weights_stay(data):
    model = small_classifier(len(data.class_names))
    pruned = prune(
        model, data, 0.5, schedule="constant", pattern="1x1", epochs=1, learning_rate=1e-9, augmentation="none"
    )
    kernel, start = kernels(pruned)["wide"], np.abs(kernels(model)["wide"])
    assert start[kernel == 0].max() <= start[kernel != 0].min()


@pytest.mark.parametrize("pattern", ["4x1", (1, 2), "2:4"])
def test_patterns(data, pattern):
    model = small_classifier(len(data.class_names))
    pruned = prune(model, data, 0.5, pattern=pattern, allocation=0, epochs=1, augmentation="none")
    for name in ("expand", "wide", "hidden"):
        zero = kernels(pruned)[name] == 0
        if pattern == "2:4":
            groups = np.moveaxis(zero, -1, 0).reshape(-1, 4)
            assert (groups.sum(1) == 2).all()
            continue
        rows, columns = (4, 1) if pattern == "4x1" else pattern
        matrix = zero.reshape(-1, zero.shape[-1])
        blocks = matrix.reshape(len(matrix) // rows, rows, -1, columns).sum((1, 3))
        assert set(np.unique(blocks)) == {0, rows * columns}, name
    assert weight_figures(pruned)["sparsity"] == pytest.approx(0.5, abs=0.03)


def test_zeros_survive_into_the_files(data):
    model = small_classifier(len(data.class_names))
    pruned = prune(model, data, 0.6, epochs=2, augmentation="none")
    files = convert(pruned, ["float16", "int8"], calibration=data.train.pixels((32, 32))[:20])
    wanted = weight_figures(pruned)
    for content in files.values():
        figures = weight_figures(content)
        assert figures["weights"] == wanted["weights"]
        assert wanted["sparsity"] <= figures["sparsity"] < wanted["sparsity"] + 0.03  # small ones round to zero
        assert [layer["sparsity"] >= 0.5 for layer in figures["layers"]] == [
            layer["sparsity"] >= 0.5 for layer in wanted["layers"]
        ]


def test_stages_and_spared_layers(data):
    model = small_classifier(len(data.class_names))
    assert set(plan_sparsity(model, stages={"head": 0.5}, spare=("last",))) == {"hidden"}
    assert plan_sparsity(model, stages={"stage1": 0.8}, allocation=0) == {
        "expand": pytest.approx(0.8),
        "wide": pytest.approx(0.8),
    }
    assert plan_sparsity(model, stages={"stage1": 0.8}, spare=("expand",))["wide"] > 0.8
    uniform = plan_sparsity(model, 0.5, allocation=0, spare=())
    assert set(uniform.values()) == {0.5} and set(uniform) == set(kernels(model))


def test_only_what_is_above_is_trained(data):
    model = small_classifier(len(data.class_names))
    below, top = cut_below(model, {id(model.get_layer("hidden"))}, ITEM_BYTES)
    assert below.output is model.get_layer("hidden").input
    assert not any(layer.trainable for layer in below.layers if layer.weights)
    assert top.trainable_weights
    below, top = cut_below(model, {id(model.get_layer("stem"))}, ITEM_BYTES)
    assert below is None and top is model


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sparsity": 1.5}, "1.5"),
        ({"sparsity": 0.999}, "stay dense"),
        ({"pattern": "4"}, "pattern='4'"),
        ({"pattern": "2:4", "sparsity": 0.75}, "0.75"),
        ({"allocation": 3}, "allocation=3"),
        ({"alpha": 2}, "alpha=2"),
        ({"spare": ("stemm",)}, "stemm"),
        ({"stages": {"stage9": 0.5}}, "stage9"),
        ({"schedule": "cubic"}, "cubic"),
    ],
)
def test_wrong_calls(data, options, words):
    with pytest.raises(InputError, match=words):
        prune(small_classifier(len(data.class_names)), data, **options)


def test_tfmot_leaves_the_environment_alone(monkeypatch):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    assert load_tfmot().__name__ == "tensorflow_model_optimization"
    assert os.environ["TF_USE_LEGACY_KERAS"] == "0"


def test_labels_are_in_part_what_the_dense_model_predicts(data):
    model = small_classifier(len(data.class_names))
    below, top = cut_below(model, {id(model.get_layer("hidden"))}, ITEM_BYTES)
    options = {"augmentation": "none", "temperature": 2.0}
    with soft_label_samples(below, top, data, alpha=0.0, **options) as (train, _):
        labels = np.array(train.labels)
    with soft_label_samples(below, top, data, alpha=0.25, **options) as (train, val):
        answers = model.predict(data.train.pixels((32, 32)), verbose=0) ** 0.5
        answers /= answers.sum(1, keepdims=True)
        np.testing.assert_allclose(train.labels, 0.25 * answers + 0.75 * labels, atol=2e-3)
        assert set(np.unique(val.labels)) == {0, 1}
