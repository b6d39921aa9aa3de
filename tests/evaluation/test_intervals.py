"""Intervals: do they hold the truth as often as they say, and do they stay honest where there is little to go by."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from keras_transfer.decisions import correct
from keras_transfer.evaluation import metrics
from keras_transfer.evaluation.intervals import paired_difference, score_intervals, share_interval
from keras_transfer.evaluation.scores import weighted_auc, weighted_average_precision


def population(seed: int, images: int, classes: int, skill: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and the probabilities of a classifier that is good at the first classes and worse at the last."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, images)
    logits = random.normal(size=(images, classes))
    logits[np.arange(images), labels] += skill * (1 - 0.5 * labels / classes)
    powers = np.exp(logits)
    return labels, powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("images", "classes", "skill"), [(60, 3, 2.0), (200, 5, 2.0), (150, 4, 6.0)])
def test_intervals_hold_the_full_sets_figures_at_least_93_percent_of_the_time(
    images: int, classes: int, skill: float
) -> None:
    labels, probabilities = population(0, 20_000, classes, skill)
    names = [str(i) for i in range(classes)]
    whole = metrics(labels, probabilities, names)
    random = np.random.default_rng(1)
    held = {"accuracy": 0, "balanced_accuracy": 0, "macro_f1": 0, "auc_roc": 0, "recall": 0, "f1": 0}
    for _ in range(200):
        drawn = random.integers(0, len(labels), images)
        found = score_intervals(labels[drawn], probabilities[drawn], names, resamples=300)
        for name in held:
            last = names[-1]
            row = found["metrics"].get(name) or found["per_class"][last][name]
            truth = whole.get(name) or whole["per_class"][last][name]
            held[name] += row["low"] is None or row["low"] <= truth <= row["high"]
    assert held["accuracy"] >= 186, held
    assert min(held.values()) >= 184, held


def speakers(random: np.random.Generator, count: int, each: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and probabilities of some speakers, of whom each is well or badly understood, and who said what."""
    groups = np.repeat(np.arange(count), random.integers(each // 2, each * 2, count))
    labels = random.integers(0, 3, len(groups))
    logits = random.normal(size=(len(groups), 3))
    logits[np.arange(len(groups)), labels] += np.maximum(0, random.normal(1.8, 1.2, count))[groups]
    powers = np.exp(logits)
    return labels, powers / powers.sum(axis=1, keepdims=True), groups


@pytest.mark.parametrize("count", [6, 25])
def test_intervals_of_grouped_items_hold_the_truth_about_new_speakers(count: int) -> None:
    random = np.random.default_rng(count)
    everyone = metrics(*speakers(random, 4000, 12)[:2], ["a", "b", "c"])
    held, alone = dict.fromkeys(("accuracy", "macro_f1", "auc_roc"), 0), 0
    for _ in range(200):
        labels, probabilities, groups = speakers(random, count, 12)
        found = score_intervals(labels, probabilities, ["a", "b", "c"], groups=groups, resamples=100)["metrics"]
        for name in held:
            held[name] += found[name]["low"] <= everyone[name] <= found[name]["high"]
        plain = share_interval(int(correct(labels, probabilities).sum()), len(labels))
        alone += plain[0] <= everyone["accuracy"] <= plain[1]
    assert held["accuracy"] >= 182 and alone < 170, (held, alone)
    assert min(held.values()) >= (182 if count == 25 else 155), held  # means over classes of six groups are skewed


def test_a_difference_between_two_models_is_one_between_speakers() -> None:
    random = np.random.default_rng(0)
    believed = alone = 0
    for _ in range(300):  # two models of one skill, each better with some speakers
        groups = np.repeat(np.arange(12), 30)
        ours, theirs = (random.random(360) < random.uniform(0.5, 1, 12)[groups] for _ in range(2))
        found = paired_difference(ours, theirs, groups)
        assert (found["p"] < 0.05) == (found["low"] > 0 or found["high"] < 0)
        believed += found["p"] < 0.05
        alone += paired_difference(ours, theirs)["p"] < 0.05
    assert believed <= 24 and alone > 75, (believed, alone)
    gained = paired_difference(np.ones(360, bool), random.random(360) < 0.7, groups)
    assert gained["low"] > 0 and gained["p"] < 0.001


def test_groups_of_one_change_nothing_and_one_group_says_little() -> None:
    labels, probabilities = population(0, 60, 3, 2.0)
    plain = score_intervals(labels, probabilities, ["a", "b", "c"])
    assert score_intervals(labels, probabilities, ["a", "b", "c"], groups=np.arange(60) * 7) == plain
    one = score_intervals(labels, probabilities, ["a", "b", "c"], groups=np.zeros(60, int))["metrics"]["accuracy"]
    assert one["high"] - one["low"] > 0.8


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(2, 5), st.booleans())
def test_values_are_those_of_metrics_and_lie_inside_their_intervals(
    seed: int, images: int, classes: int, several: bool
) -> None:
    labels, probabilities = population(seed, images, classes, 1.0)
    truth = np.eye(classes)[labels] if several else labels
    names = [f"c{i}" for i in range(classes)]
    found, scores = score_intervals(truth, probabilities, names, resamples=100), metrics(truth, probabilities, names)
    json.dumps(found, allow_nan=False)
    for name, row in found["metrics"].items():
        assert row["value"] == scores[name]
        if row["low"] is not None:
            assert row["low"] <= row["high"]
    for name, row in found["per_class"].items():
        for figure in ("precision", "recall", "specificity", "f1"):
            value, low, high = row[figure].values()
            assert value == scores["per_class"][name][figure]
            assert value is None or low is None or low - 1e-12 <= value <= high + 1e-12


def test_no_mistake_among_few_images_is_no_certainty() -> None:
    labels = np.arange(20) % 2
    found = score_intervals(labels, np.eye(2)[labels], ["a", "b"])["metrics"]
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "auc_roc"):
        assert found[name]["value"] == 1 and found[name]["low"] < 0.85, name
    several = score_intervals(np.eye(2)[labels], np.eye(2)[labels], ["a", "b"])["metrics"]["mean_average_precision"]
    assert several["value"] == 1 and several["low"] < 0.85
    assert share_interval(0, 20)[1] > 0.15


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(4, 40))
def test_weighted_figures_are_those_of_the_copies(seed: int, images: int) -> None:
    random = np.random.default_rng(seed)
    wanted = np.arange(images) % 2 == 0
    values = np.round(random.random(images), 1)  # ties
    weights = random.integers(0, 3, images)
    weights[:2] = 1
    copies = np.repeat(np.arange(images), weights)
    found = weighted_auc(weights[None].astype(float), wanted, values)[0]
    assert found == pytest.approx(roc_auc_score(wanted[copies], values[copies]), abs=1e-9)
    precision = weighted_average_precision(weights[None].astype(float), wanted, values)[0]
    assert precision == pytest.approx(average_precision_score(wanted[copies], values[copies]), abs=1e-9)


def test_paired_difference_knows_chance_from_gain() -> None:
    random = np.random.default_rng(0)
    base = random.random(400) < 0.7
    flip = random.random(400) < 0.1
    same = np.where(flip, ~base, base)
    found = paired_difference(same, base)
    assert found["low"] < found["value"] < found["high"]
    better = base | (random.random(400) < 0.5)
    assert paired_difference(better, base)["low"] > 0 and paired_difference(base, better)["high"] < 0
    nothing = paired_difference(base, base)
    assert nothing["value"] == 0 and nothing["low"] < 0 < nothing["high"] and nothing["p"] == 1


def test_paired_differences_hold_the_truth() -> None:
    random = np.random.default_rng(3)
    ours, theirs = random.random(50_000) < 0.8, np.zeros(50_000, bool)
    theirs[:] = np.where(random.random(50_000) < 0.85, ours, random.random(50_000) < 0.6)
    truth = ours.mean() - theirs.mean()
    held = 0
    for _ in range(300):
        drawn = random.integers(0, len(ours), 60)
        found = paired_difference(ours[drawn], theirs[drawn])
        held += found["low"] <= truth <= found["high"]
    assert held >= 0.93 * 300


def test_decisions_with_several_labels_need_all_of_them() -> None:
    labels, probabilities = np.array([[1, 0], [1, 1]]), np.array([[0.9, 0.1], [0.9, 0.1]])
    assert correct(labels, probabilities).tolist() == [True, False]
