"""How sure a figure is: 95% intervals of scores, and of the difference of two models on the same images."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_transfer.decisions import decide, membership
from keras_transfer.evaluation.scores import metrics, weighted_auc, weighted_average_precision

Array = np.ndarray[Any, Any]
RESAMPLES = 1000
_Z = 1.959963984540054  # the normal distribution's 97.5% point
_WORK = 2e8  # resamples x images x classes: some seconds
_BLOCK = 300_000  # resamples x images at a time: some tens of megabytes


def share_interval(successes: float, trials: float) -> tuple[float, float]:
    """The exact 95% interval of a share (Clopper & Pearson, Biometrika 26, 1934).

    Wilson's is narrower, and holds the truth in only nine of ten cases where nearly everything succeeds, as with a
    good classifier on few images.

    Args:
        successes: how often it happened, 0..`trials`.
        trials: how often it was tried, above 0.

    Returns:
        Low and high, in 0..1.

    >>> [round(end, 3) for end in share_interval(10, 10)]
    [0.692, 1.0]
    """
    from scipy.special import betaincinv

    failures = trials - successes
    low = float(betaincinv(successes, failures + 1, 0.025)) if successes > 0 else 0.0
    high = float(betaincinv(successes + 1, failures, 0.975)) if failures > 0 else 1.0
    return low, high


def paired_difference(ours: Any, theirs: Any) -> dict[str, float]:
    """By how much one model is more often right than another on the same images, and whether that may be chance.

    The interval is Bonett and Price's (Br. J. Math. Stat. Psychol. 65, 2012), which stays honest where few images
    tell the models apart; the p-value is the exact one of McNemar's test (Psychometrika 12, 1947).

    Args:
        ours: bool `[n]`, whether one model is right on each image.
        theirs: bool `[n]`, whether the other is.

    Returns:
        `value`, `low` and `high`, of the difference of the accuracies in -1..1, and `p` in 0..1.

    >>> found = paired_difference([True] * 60 + [False] * 40, [True] * 40 + [False] * 60)
    >>> found["value"], found["low"] > 0, found["p"] < 0.001
    (0.2, True, True)
    """
    from scipy.stats import binomtest

    ours, theirs = np.asarray(ours, bool), np.asarray(theirs, bool)
    better, worse = int((ours & ~theirs).sum()), int((~ours & theirs).sum())
    found = mean_difference(ours.astype(np.float64) - theirs)
    return found | {"p": float(binomtest(better, better + worse).pvalue) if better + worse else 1.0}


def mean_difference(differences: Any) -> dict[str, float]:
    """The mean of differences in -1..1, with Bonett and Price's 95% interval: as if there were one more of either end.

    Args:
        differences: float `[n]`: of each image, how much more often one model is right on it than another.

    Returns:
        `value`, `low` and `high`.

    >>> found = mean_difference([1.0] * 20 + [0.0] * 60 + [-1.0] * 20)
    >>> found["value"], round(found["high"], 2)
    (0.0, 0.12)
    """
    values = np.asarray(differences, np.float64)
    more = np.append(values, (1.0, -1.0))
    middle, half = float(more.mean()), _Z * float(more.std()) / math.sqrt(len(more))
    return {"value": float(values.mean()), "low": max(-1.0, middle - half), "high": min(1.0, middle + half)}


def score_intervals(
    labels: Any, probabilities: Any, class_names: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """The figures of `metrics` with 95% intervals.

    Shares of images (accuracy, top-k, a class's precision and recall) have the exact interval. A class's F1 is a
    monotone function of the share tp / (tp + fp + fn), and has that share's. Means over classes, AUC and the log loss
    have a bootstrap over images (Efron 1979) whose spread is taken on the log-odds (the log, for the loss), where it
    is symmetric: near 1 the plain percentiles are too narrow on few images. Without any mistake there is no spread,
    and the interval is that of a share of so many images.

    Args:
        labels: as for `metrics`.
        probabilities: as for `metrics`.
        class_names: as for `metrics`.
        resamples: bootstrap samples; fewer where images and classes are many.
        seed: of the resampling.

    Returns:
        `metrics`: name -> `value`, `low`, `high`, of every figure but `ece`, whose ends are None; and `per_class`:
        class -> figure -> the same, and `support`.

    >>> found = score_intervals([0, 0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], ["cat", "dog"])
    >>> found["metrics"]["accuracy"]["value"], round(found["metrics"]["accuracy"]["low"], 2)
    (0.75, 0.19)
    """
    names = list(class_names)
    truth, values = np.asarray(labels), np.asarray(probabilities, np.float64)
    scores = metrics(truth, values, names)
    several = truth.ndim == 2
    count, classes = values.shape
    wanted, given = membership(truth, classes), decide(values, several)
    drawn = _bootstrap(wanted, given, values, scores, several, max(100, min(resamples, int(_WORK / values.size))), seed)
    found: dict[str, Any] = {}
    for name, value in scores.items():
        if isinstance(value, dict | list) or name == "images":
            continue
        low = high = None
        if value is not None and (name == "accuracy" or name.startswith("top_")):
            low, high = share_interval(round(value * count), count)
        elif value is not None and name in drawn:
            low, high = _spread(value, drawn[name], count, bounded=name != "log_loss")
        found[name] = {"value": value, "low": low, "high": high}
    per_class = {
        name: _class_intervals(wanted[:, i], given[:, i], scores["per_class"][name], drawn["auc_roc_each"][:, i])
        for i, name in enumerate(names)
    }
    return {"metrics": found, "per_class": per_class}


def _class_intervals(wanted: Array, given: Array, figures: dict[str, Any], auc: Array) -> dict[str, Any]:
    hits, support, predicted = int((wanted & given).sum()), int(wanted.sum()), int(given.sum())
    union = support + predicted - hits
    ends: dict[str, tuple[float | None, float | None]] = {
        "precision": share_interval(hits, predicted) if predicted else (None, None),
        "recall": share_interval(hits, support) if support else (None, None),
        "f1": (None, None),
        "auc_roc": (None, None),
    }
    if union:
        low, high = share_interval(hits, union)
        ends["f1"] = (2 * low / (1 + low), 2 * high / (1 + high))
    if figures["auc_roc"] is not None and not np.isnan(auc).all():
        ends["auc_roc"] = _spread(figures["auc_roc"], auc, len(wanted), bounded=True)
    row: dict[str, Any] = {"support": figures["support"]}
    for name, (low_end, high_end) in ends.items():
        row[name] = {"value": figures[name], "low": low_end, "high": high_end}
    return row


def _spread(value: float, drawn: Array, count: int, *, bounded: bool) -> tuple[float, float]:
    """The interval of a figure from its resamples: by Student's t on the log-odds, or on the log where unbounded."""
    from scipy.special import expit, logit, stdtrit  # scipy.stats is slow to import

    least = 0.5 / (count + 1)
    drawn = drawn[~np.isnan(drawn)]
    if bounded and drawn.min() == drawn.max() and value in (0.0, 1.0):
        return share_interval(round(value * count), count)
    scaled = logit(np.clip(drawn, least, 1 - least)) if bounded else np.log(np.maximum(drawn, 1e-9))
    middle = logit(np.clip(value, least, 1 - least)) if bounded else np.log(max(value, 1e-9))
    half = float(stdtrit(max(1, count - 1), 0.975) * scaled.std(ddof=1) * math.sqrt(count / max(1, count - 1)))
    back = expit if bounded else np.exp
    low, high = min(value, float(back(middle - half))), max(value, float(back(middle + half)))
    if bounded:  # a bound that resamples reach lies inside
        low, high = low if drawn.min() > least else 0.0, high if drawn.max() < 1 - least else 1.0
    return low, high


def _bootstrap(
    wanted: Array, given: Array, values: Array, scores: dict[str, Any], several: bool, resamples: int, seed: int
) -> dict[str, Array]:
    """Means over classes, AUC and log loss of each resample; resamples are counts of each image, not copies."""
    from scipy.sparse import csr_matrix

    count, classes = wanted.shape
    random = np.random.default_rng(seed)
    blocks = []
    most = max(1, min(100, _BLOCK // count))
    for start in range(0, resamples, most):
        rows = min(most, resamples - start)
        drawn = random.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)

        def summed(flags: Array, weights: Array = weights) -> Array:
            """Of each class, the weights of the images where its flag stands: `[rows, classes]`."""
            return np.asarray(csr_matrix(flags.T.astype(np.float64)) @ weights.T).T

        hits, support, predicted = summed(wanted & given), summed(wanted), summed(given)
        with np.errstate(invalid="ignore", divide="ignore"):
            recall, precision = hits / support, hits / predicted
            f1 = 2 * hits / (support + predicted)
        auc = np.stack([weighted_auc(weights, wanted[:, i], values[:, i]) for i in range(classes)], axis=1)
        block = {
            "balanced_accuracy": _nanmean(recall),
            "macro_recall": _nanmean(recall),
            "macro_precision": _nanmean(precision),
            "macro_f1": _nanmean(f1),
            "auc_roc": _nanmean(auc),
            "auc_roc_each": auc,
        }
        if several:
            right = (wanted == given).mean(axis=1)
            block["label_accuracy"] = weights @ right / count
            precisions = [weighted_average_precision(weights, wanted[:, i], values[:, i]) for i in range(classes)]
            block["mean_average_precision"] = _nanmean(np.stack(precisions, axis=1))
            block["micro_f1"] = 2 * hits.sum(axis=1) / np.maximum(1, (support + predicted).sum(axis=1))
        least = np.finfo(np.float32).eps
        of_truth = np.where(wanted, values, 1 - values) if several else values
        losses = -np.log(np.clip(of_truth, least, 1))
        block["log_loss"] = weights @ (losses.mean(axis=1) if several else losses[wanted]) / count
        blocks.append(block)
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _nanmean(values: Array) -> Array:
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Array = np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1)
    return mean
