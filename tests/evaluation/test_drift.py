"""Tests of windows of predictions, and accuracy without labels: how often they are wrong, and what they see."""

import numpy as np
import pytest

from keras_transfer.evaluation.drift import Predictions, drift_tests, estimate_accuracy, holm, to_label

ALIKE = ("score", "unlike", "features", "two_sample")  # which see the same


def some(random, n, shares=(0.5, 0.3, 0.2), low=0.3, score=0.0, sketch=0.0, bright=0.5, stuck=0.0, ms=10.0):
    return Predictions(
        random.choice(["cat", "dog", "owl"], n, p=shares),
        random.uniform(low, 1, n),
        random.normal(score, 1, n),
        random.normal(sketch, 1, (n, 64)),
        {"brightness": random.normal(bright, 0.1, n)},
        (random.random(n) < stuck).astype(float),
        random.normal(ms, 1, n),
    )


def test_false_alarms_are_as_rare_as_promised():
    random = np.random.default_rng(0)
    found = [drift_tests(some(random, 200), some(random, 100), alpha=0.1, seed=turn) for turn in range(80)]
    assert [test["name"] for test in found[0]] == [
        "classes", "confidence", "score", "unlike", "features", "two_sample", "brightness", "repeats",
    ]  # fmt: skip
    assert sum(any(test["alarm"] for test in tests) for tests in found) <= 14  # 8 expected, 14 in 2% of cases


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("classes", {"shares": (0.2, 0.3, 0.5)}),
        ("confidence", {"low": 0.1}),
        ("score", {"score": 0.8}),
        ("unlike", {"score": 2.0}),
        ("features", {"sketch": 0.5}),
        ("two_sample", {"sketch": 0.5}),
        ("brightness", {"bright": 0.4}),
        ("repeats", {"stuck": 0.1}),
        ("latency", {"ms": 20.0}),
    ],
)
def test_each_change_is_seen_by_its_own_test(name, changed):
    random = np.random.default_rng(1)
    own, window = some(random, 500), some(random, 300, **changed)
    tests = {test["name"]: test for test in drift_tests(own, window, alpha=0.05 / 30, before=own.ms)}
    alarms = {test for test, found in tests.items() if found["alarm"]}
    assert name in alarms and alarms <= {name, *ALIKE} and tests[name]["words"]


def test_what_a_side_lacks_is_not_tested():
    random = np.random.default_rng(2)
    own, few = some(random, 100), some(random, 10)
    bare = Predictions(own.classes, own.confidence, np.full(100, np.nan))
    assert [test["name"] for test in drift_tests(own, bare, alpha=0.05)] == ["classes", "confidence"]
    assert drift_tests(own, few, alpha=0.05) == []
    assert holm([]) == []


def test_the_accuracy_is_estimated_within_its_interval():
    random, within, errors = np.random.default_rng(3), 0, []
    for turn in range(40):
        own, new = random.uniform(0.3, 1, 400), random.uniform(0.3, 0.8, 200)
        right, truth = random.random(400) < own**1.5, (random.random(200) < new**1.5).mean()
        guess = estimate_accuracy(own, right, new, trust=None, seed=turn)
        errors.append(guess["value"] - truth)
        within += guess["low"] <= truth <= guess["high"]
    assert abs(np.mean(errors)) < 0.02 and within >= 34
    sure = estimate_accuracy(np.full(50, 0.99), np.ones(50, bool), np.full(50, 0.99), trust=True)
    assert sure["value"] > 0.95 and sure["high"] <= 1


def test_what_to_label_next_is_uncertain_or_new_and_diverse():
    random = np.random.default_rng(4)
    window = some(random, 200, sketch=0.0)
    window.confidence[:50] = np.linspace(0.2, 0.25, 50)
    window.score[50:60] = 9.0
    window.sketch[:40] = 0.0  # forty that are alike
    chosen = to_label(window, 15)
    assert len(set(chosen)) == 15 and sum(index < 60 for index in chosen) >= 9
    assert sum(index < 40 for index in chosen) <= 3
    assert sorted(to_label(some(random, 5), 50)) == [0, 1, 2, 3, 4]
