"""Figures against scikit-learn's, and what happens where they are not defined."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from keras_transfer.errors import InputError
from keras_transfer.evaluation import expected_calibration_error, metrics

NEAR = {"rel": 1e-9, "abs": 1e-9}


def draw(seed: int, images: int, classes: int, multi_label: bool) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels that always hold every class (and, for several labels, its absence), and probabilities with ties."""
    random = np.random.default_rng(seed)
    values = np.round(random.random((images + 2 * classes, classes)), 2) + 0.001
    if multi_label:
        labels = random.integers(0, 2, values.shape)
        labels[:classes], labels[classes : 2 * classes] = np.eye(classes), 1 - np.eye(classes)
        return labels.astype(np.float32), values / values.max(), [f"c{i}" for i in range(classes)]
    labels = np.concatenate([np.arange(classes), np.arange(classes), random.integers(0, classes, images)])
    return labels, values / values.sum(axis=1, keepdims=True), [f"c{i}" for i in range(classes)]


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(2, 8))
@example(44, 44, 2)
def test_single_label_figures_are_scikit_learns(seed: int, images: int, classes: int) -> None:
    labels, probabilities, names = draw(seed, images, classes, multi_label=False)
    predicted = probabilities.argmax(axis=1)
    scores = metrics(labels, probabilities, names)
    assert scores["images"] == len(labels)
    assert scores["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted), **NEAR)
    assert scores["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, predicted), **NEAR)
    assert scores["macro_f1"] == pytest.approx(sk.f1_score(labels, predicted, average="macro"), **NEAR)
    assert scores["log_loss"] == pytest.approx(sk.log_loss(labels, probabilities), **NEAR)
    # Column by column: of two, only one may have a tie, by rounding.
    auc = np.mean([sk.roc_auc_score(labels == column, probabilities[:, column]) for column in range(classes)])
    assert scores["auc_roc"] == pytest.approx(auc, **NEAR)
    assert scores["confusion_matrix"] == sk.confusion_matrix(labels, predicted).tolist()
    for k in (3, 5):
        if classes > k:
            mine = sk.top_k_accuracy_score(labels, _untied(probabilities), k=k)
            assert scores[f"top_{k}"] == pytest.approx(mine, **NEAR)
    report = sk.classification_report(labels, predicted, target_names=names, output_dict=True, zero_division=0)
    for name in names:
        for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score"), ("support",) * 2):
            assert (scores["per_class"][name][ours] or 0) == pytest.approx(report[name][theirs], **NEAR)
        others = (labels != names.index(name), predicted != names.index(name))
        assert (scores["per_class"][name]["specificity"] or 0) == pytest.approx(
            sk.recall_score(*others, zero_division=0), **NEAR
        )


def _untied(probabilities: np.ndarray) -> np.ndarray:
    """The same ranking, with ties in favour of the first column, as argmax has it (scikit-learn takes the last)."""
    return probabilities - 1e-9 * np.arange(probabilities.shape[1])


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(2, 6))
def test_multi_label_figures_are_scikit_learns(seed: int, images: int, classes: int) -> None:
    labels, probabilities, names = draw(seed, images, classes, multi_label=True)
    predicted = probabilities >= 0.5
    scores = metrics(labels, probabilities, names)
    assert scores["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted), **NEAR)
    assert scores["label_accuracy"] == pytest.approx(1 - sk.hamming_loss(labels, predicted), **NEAR)
    for average in ("macro", "micro"):
        theirs = sk.f1_score(labels, predicted, average=average, zero_division=0)
        assert scores[f"{average}_f1"] == pytest.approx(theirs, **NEAR)
    assert scores["auc_roc"] == pytest.approx(sk.roc_auc_score(labels, probabilities), **NEAR)
    assert scores["mean_average_precision"] == pytest.approx(sk.average_precision_score(labels, probabilities), **NEAR)
    each = [sk.log_loss(labels[:, i], probabilities[:, i]) for i in range(classes) if probabilities[:, i].max() < 1]
    if len(each) == classes:
        assert scores["log_loss"] == pytest.approx(np.mean(each), **NEAR)


@settings(max_examples=60)
@given(st.data(), st.integers(1, 20), st.integers(2, 6), st.booleans())
def test_any_split_gives_plain_json_without_a_warning(
    data: st.DataObject, images: int, classes: int, multi_label: bool
) -> None:
    """Classes may be absent, alone, or never predicted; probabilities may be exactly 0 and 1."""
    values = st.sampled_from([0.0, 0.25, 0.5, 1.0])
    probabilities = data.draw(
        st.lists(st.lists(values, min_size=classes, max_size=classes), min_size=images, max_size=images)
    )
    label = st.integers(0, 1) if multi_label else st.integers(0, classes - 1)
    row = st.lists(label, min_size=classes, max_size=classes) if multi_label else label
    labels = np.array(data.draw(st.lists(row, min_size=images, max_size=images)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = metrics(labels, probabilities, [str(i) for i in range(classes)])
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_what_is_not_defined_is_none() -> None:
    scores = metrics([0, 0], [[0.9, 0.1, 0.0], [0.8, 0.1, 0.1]], ["a", "b", "c"])
    assert scores["per_class"]["b"] == {
        "precision": None,
        "recall": None,
        "specificity": 1.0,
        "f1": None,
        "support": 0,
        "auc_roc": None,
    }
    assert scores["auc_roc"] is None
    assert scores["balanced_accuracy"] == scores["macro_f1"] == 1.0
    assert "top_3" not in scores


def test_calibration_error_of_a_known_case() -> None:
    # Two bins: at 0.95 all of 2 right (gap 0.05), at 0.55 none of 2 (gap 0.55).
    assert expected_calibration_error([1, 1, 0, 0], [0.95, 0.95, 0.55, 0.55]) == pytest.approx(0.3)
    assert expected_calibration_error([1, 0], [1.0, 0.0]) == 0


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=50))
def test_calibration_error_is_the_weighted_gap_of_its_bins(pairs: list[tuple[bool, float]]) -> None:
    correct, confidence = np.array([c for c, _ in pairs], float), np.array([p for _, p in pairs])
    edges, expected = np.linspace(0, 1, 16), 0.0
    for i in range(15):
        inside = (confidence <= edges[i + 1]) & ((confidence > edges[i]) | (i == 0))
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(correct, confidence) == pytest.approx(expected, **NEAR)


@pytest.mark.parametrize(
    ("labels", "probabilities", "said"),
    [
        ([], np.zeros((0, 2)), "no items"),
        ([0], [[0.5, 0.3, 0.2]], "for 2 classes"),
        ([0, 1], [[1.0, 0.0]], "for 2 classes"),
        ([2], [[1.0, 0.0]], r"0\.\.1"),
        ([-1], [[1.0, 0.0]], "from -1"),
        ([0], [[np.nan, 0.0]], "NaN"),
        ([0], [[4.0, -3.0]], "softmax"),
    ],
)
def test_what_cannot_be_scored_is_refused(labels: object, probabilities: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        metrics(labels, probabilities, ["a", "b"])
