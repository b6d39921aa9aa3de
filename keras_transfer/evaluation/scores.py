"""How good a set of predictions is: the field's usual figures, ready for JSON."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_transfer.data.labels import log_loss
from keras_transfer.decisions import correct, correct_labels, decide, expected_calibration_error, membership
from keras_transfer.errors import InputError
from keras_transfer.schemas import N_ITEMS, ClassMetrics, Metrics

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def metrics(labels: ArrayLike, probabilities: ArrayLike, class_names: Sequence[str]) -> Metrics:
    """Scores predicted probabilities against the true labels.

    What is not defined for these labels (the recall of a class without items, an AUC where only one class is
    present) is `None`; means over classes are taken over those where the figure is defined.

    Args:
        labels: int `[n]`, each an index into `class_names`; or 0/1 `[n, classes]` for a multi-label classifier.
        probabilities: float `[n, classes]`, in 0..1.
        class_names: the classes in the order of the columns.

    Returns:
        A dict that `json.dumps` takes as it is, with these keys.
        One label per item: the number of items (`schemas.N_ITEMS`), `accuracy`, `balanced_accuracy`, `macro_precision`,
        `macro_f1`, `top_3` and `top_5` (where there are more classes than that), `auc_roc` (macro, one class against
        the rest), `log_loss`, `ece` (expected calibration error, 15 bins), `per_class` (name -> `precision`, `recall`,
        which is sensitivity, `specificity`, `f1`, `support`, `auc_roc`) and `confusion_matrix` (rows: true classes,
        columns: predicted ones).
        Several labels per item: the number of items, `accuracy` (all labels of an item right: subset accuracy),
        `label_accuracy`, `macro_precision`, `macro_recall`, `macro_f1`, `micro_f1`, `auc_roc`,
        `mean_average_precision`, `log_loss` and `per_class`.

    Raises:
        InputError: there are no items, shapes or labels do not fit `class_names`, or the values are no probabilities.

    >>> scores = metrics([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], ["cat", "dog"])
    >>> round(scores["accuracy"], 3), scores["confusion_matrix"], scores["per_class"]["dog"]["recall"]
    (0.667, [[1, 0], [1, 1]], 0.5)
    """
    names = list(class_names)
    truth, values = np.asarray(labels), np.asarray(probabilities, np.float64)
    _check(truth, values, names)
    if truth.ndim == 2:
        return _multi_label(membership(truth, len(names)), values, names)
    return _single_label(truth.astype(np.int64), values, names)


def _check(labels: NDArray[np.generic], probabilities: Floats, names: list[str]) -> None:
    if len(labels) == 0:
        raise InputError("There are no items to evaluate. Give a split or a folder that holds some.")
    if probabilities.shape != (len(labels), len(names)) or labels.shape not in (labels.shape[:1], probabilities.shape):
        raise InputError(
            "`probabilities` must be [items, classes] and `labels` [items] or [items, classes]. Received: "
            f"{list(probabilities.shape)} and {list(labels.shape)} for {len(names)} classes."
        )
    if labels.ndim == 1 and (labels.min() < 0 or labels.max() >= len(names)):
        raise InputError(
            f"`labels` must lie in 0..{len(names) - 1}, one for each of {len(names)} classes. "
            f"Received labels from {labels.min()} to {labels.max()}."
        )
    if not np.isfinite(probabilities).all():
        raise InputError("The model's outputs hold NaN or infinite values. Train it again at a lower learning rate.")
    if probabilities.min() < -1e-3 or probabilities.max() > 1 + 1e-3:
        raise InputError(
            f"The model's outputs lie in {probabilities.min():.3g}..{probabilities.max():.3g} and are no "
            "probabilities. Give the model a softmax or sigmoid as its last layer."
        )


# Own code where scikit-learn has the same: importing it would cost every run time and memory. Tests hold it to theirs.
def _single_label(labels: NDArray[np.int64], probabilities: Floats, names: list[str]) -> Metrics:
    predicted, right = probabilities.argmax(axis=1), correct(labels, probabilities)
    wanted = membership(labels, len(names))
    figures = _figures(wanted, decide(probabilities))
    auc = _per_column(_auc, wanted, probabilities)
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    # Equal probabilities rank in the order of the columns, as argmax has it.
    order = np.argsort(-probabilities, axis=1, kind="stable")
    rank = (order == labels[:, None]).argmax(axis=1)
    scores: Metrics = {
        N_ITEMS: len(labels),
        "accuracy": float(right.mean()),
        "balanced_accuracy": _mean(figures["recall"]),
        "macro_precision": _mean(figures["precision"]),
        "macro_f1": _mean(figures["f1"]),
        "auc_roc": _mean(auc),
        "log_loss": log_loss(labels, probabilities),
        "ece": expected_calibration_error(right, probabilities.max(axis=1)),
        "per_class": _per_class(names, figures, auc),
        "confusion_matrix": confusion.tolist(),
    }
    if len(names) > 3:
        scores["top_3"] = float((rank < 3).mean())
    if len(names) > 5:
        scores["top_5"] = float((rank < 5).mean())
    return scores


def _multi_label(labels: Flags, probabilities: Floats, names: list[str]) -> Metrics:
    predicted = decide(probabilities, multi_label=True)
    figures = _figures(labels, predicted)
    right = correct_labels(labels, probabilities)
    hits = int((predicted & labels).sum())
    auc = _per_column(_auc, labels, probabilities)
    precision = _per_column(_average_precision, labels, probabilities, needs_both=False)
    return {
        N_ITEMS: len(labels),
        "accuracy": float(right.all(axis=1).mean()),
        "label_accuracy": float(right.mean()),
        "macro_precision": _mean(figures["precision"]),
        "macro_recall": _mean(figures["recall"]),
        "macro_f1": _mean(figures["f1"]),
        "micro_f1": _number(2 * hits / max(1, int(predicted.sum() + labels.sum()))),
        "auc_roc": _mean(auc),
        "mean_average_precision": _mean(precision),
        "log_loss": log_loss(labels, probabilities),
        "per_class": _per_class(names, figures, auc),
    }


def _figures(wanted: Flags, predicted: Flags) -> dict[str, Floats]:
    """The figures of every column of two bool arrays `[n, classes]`; NaN is not defined."""
    hits, support, named = (wanted & predicted).sum(axis=0), wanted.sum(axis=0), predicted.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return {
            "precision": hits / named,
            "recall": hits / support,
            "specificity": (~wanted & ~predicted).sum(axis=0) / (~wanted).sum(axis=0),
            "f1": 2 * hits / (support + named),
            "support": support,
        }


def weighted_auc(weights: Floats, wanted: Flags, values: Floats) -> Floats:
    """The area under the ROC curve of one class under each row of item weights: the Mann-Whitney statistic.

    Args:
        weights: `[rows, n]`, of the items.
        wanted: bool `[n]`, whether an item is of the class.
        values: `[n]`, its score.

    Returns:
        `[rows]`, in 0..1; NaN where a row weighs no item of the class, or no other.
    """
    positive, total = weights[:, wanted], weights.sum(axis=1)
    ups = positive.sum(axis=1)
    downs = total - ups
    others = np.sort(values[~wanted])
    order = np.argsort(values[~wanted], kind="stable")
    below = np.zeros((len(weights), len(others) + 1))
    np.cumsum(weights[:, ~wanted][:, order], axis=1, out=below[:, 1:])
    mine = values[wanted]
    # A tie counts half.
    beaten = below[:, np.searchsorted(others, mine, "left")] + below[:, np.searchsorted(others, mine, "right")]
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Floats = (positive * beaten).sum(axis=1) / 2 / (ups * downs)
    return area


def _auc(wanted: Flags, values: Floats) -> float:
    return float(weighted_auc(np.ones((1, len(wanted))), wanted, values)[0])


def weighted_average_precision(weights: Floats, wanted: Flags, values: Floats) -> Floats:
    """The average precision of one class under each row of item weights.

    The mean, over the items of the class in falling order of score, of the precision down to there; equal scores stand
    in one place.

    Args:
        weights: `[rows, n]`, of the items.
        wanted: bool `[n]`, whether an item is of the class.
        values: `[n]`, its score.

    Returns:
        `[rows]`, in 0..1; NaN where a row weighs no item of the class.
    """
    order = np.argsort(-values, kind="stable")
    last = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)  # of each run of equal scores
    hits = np.cumsum(weights[:, order] * wanted[order], axis=1)[:, last]
    total = np.cumsum(weights[:, order], axis=1)[:, last]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(total > 0, hits / total, 0.0)
        mean: Floats = (np.diff(hits, axis=1, prepend=0) * precision).sum(axis=1) / hits[:, -1]
    return mean


def _average_precision(wanted: Flags, values: Floats) -> float:
    return float(weighted_average_precision(np.ones((1, len(wanted))), wanted, values)[0])


def _per_column(
    score: Callable[[Flags, Floats], float], labels: Flags, values: Floats, needs_both: bool = True
) -> Floats:
    """The score of each column, NaN where it has no positive (or, for `needs_both`, no negative) label."""
    defined: Flags = np.any(labels, axis=0) & ~(needs_both & np.all(labels, axis=0))
    return np.array([score(labels[:, i], values[:, i]) if defined[i] else math.nan for i in range(labels.shape[1])])


def _per_class(names: list[str], figures: dict[str, Floats], auc: Floats) -> dict[str, ClassMetrics]:
    return {
        name: {
            "precision": _number(figures["precision"][i]),
            "recall": _number(figures["recall"][i]),
            "specificity": _number(figures["specificity"][i]),
            "f1": _number(figures["f1"][i]),
            "support": int(figures["support"][i]),
            "auc_roc": _number(auc[i]),
        }
        for i, name in enumerate(names)
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _mean(values: Floats) -> float | None:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else None
