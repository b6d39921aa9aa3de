"""Distances between sets of features: equal to their definitions, and honest where nothing differs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, ortho_group

from keras_transfer.evaluation.shift import classifier_two_sample, expected_accuracy, judge, mmd
from keras_transfer.evaluation.similarity import cka_by_stage, linear_cka
from keras_transfer.models.batchnorm import hellinger_squared


def test_mmd_is_its_definition():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(12, 3)), random.normal(1, 2, size=(9, 3))
    both = np.concatenate([x, y]) / (x.std(axis=0) + 1e-6)
    squares = ((both[:, None] - both[None]) ** 2).sum(-1)
    width = np.median(squares[np.triu_indices(21, 1)])

    def mean(first, second):
        return np.mean([np.exp(-squares[i, j] / width) for i in first for j in second if i != j])

    ours, theirs = range(12), range(12, 21)
    expected = mean(ours, ours) + mean(theirs, theirs) - 2 * mean(ours, theirs)
    assert mmd(x, y)["mmd2"] == pytest.approx(expected, abs=1e-12)


def test_where_nothing_differs_little_is_found():
    random = np.random.default_rng(1)
    p_values = []
    for seed in range(60):
        x, y = random.normal(size=(2, 30, 5))
        p_values.append([mmd(x, y, permutations=39, seed=seed)["p_value"], classifier_two_sample(x, y)["p_value"]])
    assert (np.array(p_values) <= 0.05).mean(axis=0).max() <= 0.12  # 5% on average


def test_what_is_newest_comes_first():
    random = np.random.default_rng(2)
    ours, theirs = random.normal(size=(60, 4)), random.normal(size=(60, 4))
    theirs[::2] += 4
    found = classifier_two_sample(ours, theirs)
    first = found["typical"][: len(found["typical"]) // 3]
    assert all(index % 2 == 0 for index in first) and 0.6 < found["accuracy"] < 0.95


def test_cka_of_what_two_networks_share_is_one():
    import keras

    import keras_transfer as kt

    pixels = np.random.default_rng(0).integers(0, 256, (12, 64, 64, 3), np.uint8)
    ours = kt.build_classifier("mobilenet_v2", 3, image_size=64, alpha=0.35, weights="none")
    theirs = keras.models.clone_model(ours)
    theirs.set_weights(ours.get_weights())
    assert {row["cka"] for row in cka_by_stage(ours, theirs, pixels)} == {1.0}
    cut = kt.stages(theirs)
    for layer in cut[-1].layers:
        layer.set_weights([weight + 0.2 * np.sign(weight) for weight in layer.get_weights()])
    found = [row["cka"] for row in cka_by_stage(ours, theirs, pixels)]
    last = [kt.stages(model)[-1].output for model in (ours, theirs)]
    rows = [
        keras.Model(model.input, tensor)(pixels.astype("float32"), training=False).numpy().reshape(12, -1)
        for model, tensor in zip((ours, theirs), last, strict=True)
    ]
    assert found[:-1] == [1.0] * (len(cut) - 1) and found[-1] == pytest.approx(linear_cka(*rows), abs=1e-4) != 1.0


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 5), st.floats(0.1, 10))
def test_cka_is_its_definition_and_blind_to_rotation_and_scale(seed, width, scale):
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(15, width)), random.normal(size=(15, 7))
    a, b = x - x.mean(0), y - y.mean(0)
    expected = (np.linalg.norm(b.T @ a) ** 2) / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    assert linear_cka(x, y) == pytest.approx(expected, abs=1e-9) and 0 <= expected <= 1
    turned = scale * x @ ortho_group.rvs(width, random_state=seed) + 3
    assert linear_cka(turned, y) == pytest.approx(expected, abs=1e-9)
    assert linear_cka(x, np.ones((15, 2))) == 0


@settings(max_examples=30)
@given(st.floats(-3, 3), st.floats(0.05, 20))
def test_hellinger_is_its_integral(mean, variance):
    grid = np.linspace(-40, 40, 200_001)
    overlap = np.sqrt(norm.pdf(grid) * norm.pdf(grid, mean, np.sqrt(variance))).sum() * (grid[1] - grid[0])
    assert hellinger_squared(np.array([mean]), np.array([variance]))[0] == pytest.approx(1 - overlap, abs=1e-6)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 60))
def test_the_expected_accuracy_of_the_same_answers_is_their_own(seed, count):
    random = np.random.default_rng(seed)
    answers = random.dirichlet(np.ones(4), count)
    labels = random.integers(0, 4, count)
    assert expected_accuracy(labels, answers, answers) == pytest.approx((answers.argmax(1) == labels).mean())


def test_a_small_but_certain_shift_is_some_shift():
    found = {"two_sample": {"accuracy": 0.62, "p_value": 0.001}, "differences": [], "own_accuracy": 0.8}
    said = judge(**found, expected_accuracy=None, accuracy={"value": 0.7, "low": 0.6, "high": 0.8})
    assert (
        said["outcome"] == "some" and "70.0%" in said["sentences"][-1] and "do not explain it" in said["sentences"][1]
    )
    assert expected_accuracy(np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 2))) is None


def test_the_map_is_umaps_where_it_is_installed(monkeypatch):
    import sys
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from keras_transfer.evaluation.embedding import embed

    class UMAP:
        def __init__(self, n_components, random_state, n_jobs):
            self.columns = n_components

        def fit_transform(self, rows):
            return rows[:, : self.columns] * 7 - 3

    rows = np.random.default_rng(0).normal(size=(20, 4)) * [1, 1, 9, 9]
    places, name = embed(rows)
    assert "principal" in name and places.min() == 0 and places.max() == 1
    stub = ModuleType("umap")
    stub.UMAP, stub.__spec__ = UMAP, ModuleSpec("umap", None)
    monkeypatch.setitem(sys.modules, "umap", stub)
    other, name = embed(rows)
    assert name == "UMAP" and np.array_equal(other.argmax(axis=0), rows[:, :2].argmax(axis=0))
    assert not np.array_equal(other.argmax(axis=0), places.argmax(axis=0))
