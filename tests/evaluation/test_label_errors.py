"""Wrong labels and outliers: planted ones are found, sound ones are left alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.evaluation.label_errors import label_suspicion, remoteness
from keras_transfer.training.probe import linear_probe, out_of_fold


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path))


def clouds(seed: int, each: int = 80, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    middles = random.normal(scale=1.2, size=(classes, 24))
    return (middles[labels] + random.normal(size=(len(labels), 24))).astype(np.float32), labels


def test_planted_errors_are_the_most_suspect_and_get_their_class_back() -> None:
    rows, truth = clouds(0)
    random = np.random.default_rng(1)
    wrong = random.choice(len(truth), len(truth) // 20, replace=False)
    given_labels = truth.copy()
    given_labels[wrong] = (truth[wrong] + random.integers(1, 4, len(wrong))) % 4
    answers = out_of_fold(rows, given_labels, np.arange(len(rows)), 4)
    suspicion, better, rate = label_suspicion(given_labels, answers)
    assert 0.01 < rate < 0.1
    most = np.argsort(-suspicion)[: int(0.08 * len(rows))]
    assert np.isin(wrong, most).mean() >= 0.8
    found = np.flatnonzero(better >= 0)
    assert np.isin(found, wrong).mean() >= 0.6
    hits = np.intersect1d(found, wrong)
    assert (better[hits] == truth[hits]).mean() >= 0.9


def test_a_weak_model_accuses_few_labels() -> None:
    """Right on two thirds, and as sure as it is right: the labels are sound, and so is nearly every one called."""
    random = np.random.default_rng(0)
    answers = random.dirichlet(np.full(5, 0.4), 2000)
    labels = np.array([random.choice(5, p=row) for row in answers])
    sound = label_suspicion(labels, answers)
    assert (answers.argmax(axis=1) == labels).mean() < 0.75
    assert (sound.better >= 0).sum() <= 5 and sound.rate < 0.005
    wrong = random.choice(2000, 40, replace=False)
    planted = labels.copy()
    planted[wrong] = (labels[wrong] + random.integers(1, 5, 40)) % 5
    found = label_suspicion(planted, answers)
    called = np.flatnonzero(found.better >= 0)
    assert np.isin(called, wrong).mean() >= 0.5 and 0.01 < found.rate < 0.04
    assert np.isin(called, wrong).sum() == pytest.approx(found.suspicion[called].sum(), rel=0.5)  # it knows how sure


def test_one_group_never_stands_on_both_sides() -> None:
    """Copies with labels at random: a probe that has seen a copy would know its label."""
    random = np.random.default_rng(0)
    rows = np.repeat(random.normal(size=(60, 200)), 2, axis=0).astype(np.float32)
    labels = np.repeat(random.integers(0, 2, 60), 2)
    apart = out_of_fold(rows, labels, np.repeat(np.arange(60), 2), 2).argmax(axis=1) == labels
    leaking = out_of_fold(rows, labels, np.arange(120), 2).argmax(axis=1) == labels
    assert apart.mean() < 0.65 and leaking.mean() > 0.8


@pytest.mark.parametrize("groups", [np.arange(60) % 3, np.arange(60) % 2, np.zeros(60, int)])
def test_few_groups_are_no_hindrance(groups: np.ndarray) -> None:
    """Three recordings; one for each class; one for all."""
    labels = np.arange(60) % 2
    rows = (labels[:, None] + 0.1 * np.random.default_rng(0).normal(size=(60, 4))).astype(np.float32)
    assert (out_of_fold(rows, labels, groups, 2).argmax(axis=1) == labels).all()


def test_several_labels_are_judged_one_by_one() -> None:
    labels = np.array([[1, 0], [1, 1], [0, 1]])
    answers = np.array([[0.9, 0.1], [0.9, 0.05], [0.1, 0.9]])
    suspicion, better, _ = label_suspicion(labels, answers)
    assert better.tolist() == [-1, 1, -1] and suspicion.argmax() == 1


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(2, 6), st.booleans())
def test_any_answers_give_sound_suspicions(seed: int, images: int, classes: int, several: bool) -> None:
    random = np.random.default_rng(seed)
    answers = random.dirichlet(np.ones(classes), images)
    labels = random.integers(0, 2, (images, classes)) if several else random.integers(0, classes, images)
    suspicion, better, rate = label_suspicion(labels, answers)
    assert 0 < rate <= 0.3 + 1e-9
    assert ((suspicion >= 0) & (suspicion <= 1)).all() and ((better >= -1) & (better < classes)).all()
    if not several:
        assert (better != labels).all()


def test_an_outlier_is_farthest() -> None:
    rows, _ = clouds(2)
    rows[7] = -20 * rows[7]
    assert remoteness(rows).argmax() == 7


def test_a_probe_is_as_good_as_scikit_learns_and_chooses_its_strength() -> None:
    rows, labels = clouds(3)
    half = np.arange(len(rows)) % 2 == 0
    answers = linear_probe((rows[half], labels[half]), (rows[~half], labels[~half]), rows[~half], 4)
    assert (answers.argmax(axis=1) == labels[~half]).mean() > 0.9
    again = linear_probe((rows[half], labels[half]), (rows[~half], labels[~half]), rows[~half], 4)
    assert np.array_equal(answers, again)  # from the cache
