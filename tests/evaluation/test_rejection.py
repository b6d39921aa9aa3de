"""Scores of items of unknown classes, the fitted one, and its threshold."""

import numpy as np
import pytest

from keras_transfer.decisions import RejectionLimit, auroc
from keras_transfer.errors import InputError
from keras_transfer.evaluation.rejection import SCORES, fit_rejection, promised


def made(n_items: int, classes: int = 4, features: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(n_items) % classes
    rows = random.normal(size=(n_items, features))
    rows[np.arange(n_items), labels] += 5
    return rows.astype(np.float32), labels


def logits_of(rows: np.ndarray, classes: int = 4) -> np.ndarray:
    return 2 * rows[:, :classes]


@pytest.mark.parametrize("name", SCORES)
def test_every_score_tells_the_unknown(name):
    rows, labels = made(400)
    known, _ = made(200, seed=1)
    random = np.random.default_rng(2)
    unknown = random.normal(size=(200, 12)).astype(np.float32)  # between all classes
    unknown[:, 8] += 6
    scorer = SCORES[name].fit(rows, labels, logits_of(rows))
    seen, unseen = (scorer(part, logits_of(part)) for part in (known, unknown))
    assert seen.shape == (200,)
    assert auroc(seen, unseen) > 0.9
    assert SCORES[name].source


def test_the_fitted_score_knows_what_is_near_and_what_is_far():
    rows, labels = made(600, classes=6)
    rejection, figures = fit_rejection(rows[::2], labels[::2], rows[1::2])
    assert figures["left_out"] > 0.95
    assert figures["permuted"] > 0.7
    far = np.random.default_rng(3).normal(scale=20, size=(50, 12))
    assert (rejection.scores(far) > rejection.limit.threshold).all()
    assert rejection.limit.unlikeness(rejection.scores(far)).min() == 1
    accepted = rejection.scores(made(600, classes=6, seed=9)[0]) <= rejection.limit.threshold
    assert 0.9 < accepted.mean() < 0.99


def test_two_classes_and_few_features_are_enough():
    rows, labels = made(60, classes=2, features=2)
    rejection, figures = fit_rejection(rows, labels, rows)
    assert figures["left_out"] is None
    assert np.isfinite(rejection.scores(rows)).all()


def test_the_promise_holds_on_average():
    random = np.random.default_rng(0)
    accepted = []
    for _ in range(2000):
        threshold, promise = RejectionLimit.of(random.normal(size=80), 0.95).threshold, promised(80, 0.95)
        accepted.append((random.normal(size=500) <= threshold).mean())
    assert 0.948 <= np.mean(accepted) < 0.955  # 77 of 81
    inside = np.mean([promise["low"] <= share <= promise["high"] for share in accepted])
    assert inside > 0.9


@pytest.mark.parametrize(
    ("labels", "n_val", "acceptance", "words"),
    [
        (np.ones((8, 2)), 4, 0.95, "one label per item"),
        (np.zeros(8, int), 4, 0.95, "two classes"),
        (np.arange(8) % 2, 0, 0.95, "validation items"),
        (np.arange(8) % 2, 4, 1.0, "acceptance=1.0"),
    ],
)
def test_what_cannot_be_fitted_is_refused(labels, n_val, acceptance, words):
    rows = np.random.default_rng(0).normal(size=(8, 3))
    with pytest.raises(InputError, match=words):
        fit_rejection(rows, labels, rows[:n_val], acceptance=acceptance)
