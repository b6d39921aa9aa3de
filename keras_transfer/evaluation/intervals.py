"""How sure a figure is: 95% intervals of scores, and of the difference of two models on the same items."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_transfer.data.labels import label_losses
from keras_transfer.decisions import decide, membership
from keras_transfer.evaluation.scores import Flags, Floats, metrics, weighted_auc, weighted_average_precision
from keras_transfer.schemas import N_ITEMS, ClassIntervals, ClassMetrics, Difference, Interval

RESAMPLES = 1000
_Z = 1.959963984540054  # the normal distribution's 97.5% point
_WORK = 2e8  # resamples x items x classes: some seconds
Groups = NDArray[np.int64]
_BLOCK = 300_000  # resamples x items at a time: some tens of megabytes


class ScoreIntervals(TypedDict):
    """What `score_intervals` returns: figure -> interval, and class -> the same."""

    metrics: dict[str, Interval]
    per_class: dict[str, ClassIntervals]


def share_interval(successes: float, trials: float) -> tuple[float, float]:
    """The exact 95% interval of a share (Clopper & Pearson, Biometrika 26, 1934).

    Wilson's is narrower, and holds the truth in only nine of ten cases where nearly everything succeeds, as with a
    good classifier on few items.

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


def grouped_interval(hits: Flags, trials: Flags, groups: Groups) -> tuple[float, float]:
    """The 95% interval of a share where items of a group resemble each other.

    Korn and Graubard (Survey Methodology 24, 1998): the exact interval of so many items as, independent of each other,
    would tell as much as these groups do.

    Args:
        hits: bool `[n]`, whether it happened, and the item was a trial.
        trials: bool `[n]`, whether it was tried; at least once.
        groups: int `[n]` from 0, equal where items belong together; groups of one item give `share_interval`.

    Returns:
        Low and high, in 0..1.

    >>> hits, tried = np.array([True] * 50 + [False] * 10), np.ones(60, bool)
    >>> [[round(end, 2) for end in grouped_interval(hits, tried, np.arange(60) // size)] for size in (1, 10)]
    [[0.71, 0.92], [0.18, 1.0]]
    """
    from scipy.special import stdtrit

    count, share = float(trials.sum()), float(hits.sum() / trials.sum())
    some = len(np.unique(groups[trials]))
    if some == count:
        return share_interval(float(hits.sum()), count)
    left = np.bincount(groups, hits - share * trials)  # of each group: how many more hits than the share says
    variance = some / max(1, some - 1) * float(left @ left) / count**2
    alike = share * (1 - share) / variance if variance > 0 else float(some)
    fewer = (stdtrit(count - 1, 0.975) / stdtrit(max(1, some - 1), 0.975)) ** 2
    effective = min(count, max(1.0, alike * fewer))
    return share_interval(share * effective, effective)


def paired_difference(ours: ArrayLike, theirs: ArrayLike, groups: Groups | None = None) -> Difference:
    """By how much one model is more often right than another on the same items, and whether that may be chance.

    The interval is Bonett and Price's (Br. J. Math. Stat. Psychol. 65, 2012), which stays honest where few items
    tell the models apart; the p-value is the exact one of McNemar's test (Psychometrika 12, 1947).

    Args:
        ours: bool `[n]`, whether one model is right on each item.
        theirs: bool `[n]`, whether the other is.
        groups: int `[n]` from 0, equal where items belong together: then the interval and the p-value are those of a
            mean over groups that differ, by Student's t.

    Returns:
        `value`, `low` and `high`, of the difference of the accuracies in -1..1, and `p` in 0..1.

    >>> difference = paired_difference([True] * 60 + [False] * 40, [True] * 40 + [False] * 60)
    >>> difference["value"], difference["low"] > 0, difference["p"] < 0.001
    (0.2, True, True)
    """
    from scipy.stats import binomtest

    ours, theirs = np.asarray(ours, bool), np.asarray(theirs, bool)
    if groups is not None and len(np.unique(groups)) < len(groups):
        return _difference_of_groups(ours.astype(np.float64) - theirs, groups)
    better, worse = int((ours & ~theirs).sum()), int((~ours & theirs).sum())
    p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
    return {**mean_difference(ours.astype(np.float64) - theirs), "p": p}


def _difference_of_groups(differences: Floats, groups: Groups) -> Difference:
    """`mean_difference` with its one item more of either end, and the variance of the mean over groups."""
    from scipy.special import stdtr, stdtrit

    extended, own = np.append(differences, (1.0, -1.0)), np.append(groups, groups.max() + np.array([1, 2]))
    middle, some = float(extended.mean()), len(np.unique(own))
    left = np.bincount(own, extended - middle)
    error = math.sqrt(some / (some - 1) * float(left @ left)) / len(extended)
    freedom = max(1, some - 3)
    half = float(stdtrit(freedom, 0.975)) * error
    p = 2 * float(stdtr(freedom, -abs(middle) / error))
    low, high = max(-1.0, middle - half), min(1.0, middle + half)
    return {"value": float(differences.mean()), "low": low, "high": high, "p": p}


def mean_difference(differences: ArrayLike) -> Difference:
    """The mean of differences in -1..1, with Bonett and Price's 95% interval: as if there were one more of either end.

    Args:
        differences: float `[n]`: of each item, how much more often one model is right on it than another.

    Returns:
        `value`, `low` and `high`.

    >>> difference = mean_difference([1.0] * 20 + [0.0] * 60 + [-1.0] * 20)
    >>> difference["value"], round(difference["high"], 2)
    (0.0, 0.12)
    """
    values = np.asarray(differences, np.float64)
    extended = np.append(values, (1.0, -1.0))
    middle, half = float(extended.mean()), _Z * float(extended.std()) / math.sqrt(len(extended))
    return {"value": float(values.mean()), "low": max(-1.0, middle - half), "high": min(1.0, middle + half)}


def score_intervals(
    labels: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    *,
    groups: ArrayLike | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> ScoreIntervals:
    """The figures of `metrics` with 95% intervals.

    Items of one group (a speaker, a recording cut into windows) resemble each other: they are resampled together, and
    shares have the interval of as many independent items as would tell as much (Korn & Graubard 1998).

    Shares of items (accuracy, top-k, a class's precision and recall) have the exact interval. A class's F1 is a
    monotone function of the share tp / (tp + fp + fn), and has that share's. Means over classes, AUC and the log loss
    have a bootstrap over items (Efron 1979) whose spread is taken on the log-odds (the log, for the loss), where it
    is symmetric: near 1 the plain percentiles are too narrow on few items. Without any mistake there is no spread,
    and the interval is that of a share of so many items.

    Args:
        labels: as for `metrics`.
        probabilities: as for `metrics`.
        class_names: as for `metrics`.
        groups: int `[n]`, equal where items belong together; each item alone unless given.
        resamples: bootstrap samples; fewer where items and classes are many.
        seed: of the resampling.

    Returns:
        `metrics`: name -> `value`, `low`, `high`, of every figure but `ece`, whose ends are None; and `per_class`:
        class -> figure -> the same, and `support`.

    >>> intervals = score_intervals([0, 0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], ["cat", "dog"])
    >>> intervals["metrics"]["accuracy"]["value"], round(intervals["metrics"]["accuracy"]["low"], 2)
    (0.75, 0.19)
    """
    names = list(class_names)
    truth, values = np.asarray(labels), np.asarray(probabilities, np.float64)
    scores = metrics(truth, values, names)
    several = truth.ndim == 2
    count, classes = values.shape
    alone = np.arange(count) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    answers = _Answers(membership(truth, classes), decide(values, several), values, several, alone)
    every = np.ones(count, bool)
    drawn = _bootstrap(answers, max(100, min(resamples, int(_WORK / values.size))), seed)
    intervals: dict[str, Interval] = {}
    for name, value in scores.items():
        if name == N_ITEMS or not isinstance(value, float | None):
            continue
        low = high = None
        if value is not None and (name == "accuracy" or name.startswith("top_")):
            right = answers.right(int(name[4:]) if name != "accuracy" else 1)
            low, high = grouped_interval(right, every, alone)
        elif value is not None and name in drawn:
            low, high = _spread(value, drawn[name], answers, bounded=name != "log_loss")
        intervals[name] = {"value": value, "low": low, "high": high}
    per_class = {
        name: _class_intervals(answers, i, scores["per_class"][name], drawn["auc_roc_each"][:, i])
        for i, name in enumerate(names)
    }
    return {"metrics": intervals, "per_class": per_class}


class _Answers(NamedTuple):
    """What is wanted and what is predicted of each item and class, bool `[n, classes]`, from which probabilities."""

    wanted: Flags
    predicted: Flags
    values: Floats
    several: bool
    groups: Groups

    def right(self, most: int) -> Flags:
        """Whether each item's labels are right, or its class among the `most` likeliest, bool `[n]`."""
        if self.several or most == 1:
            return np.asarray((self.wanted == self.predicted).all(axis=1))
        order = np.argsort(-self.values, axis=1, kind="stable")[:, :most]
        return np.asarray(np.take_along_axis(self.wanted, order, axis=1).any(axis=1))


def _class_intervals(answers: _Answers, column: int, figures: ClassMetrics, auc: Floats) -> ClassIntervals:
    wanted, given = answers.wanted[:, column], answers.predicted[:, column]
    hits, union = wanted & given, wanted | given
    ends: dict[str, tuple[float | None, float | None]] = {
        "precision": grouped_interval(hits, given, answers.groups) if given.any() else (None, None),
        "recall": grouped_interval(hits, wanted, answers.groups) if wanted.any() else (None, None),
        "specificity": (None, None),
        "f1": (None, None),
        "auc_roc": (None, None),
    }
    if not wanted.all():
        ends["specificity"] = grouped_interval(~union, ~wanted, answers.groups)
    if union.any():
        low, high = grouped_interval(hits, union, answers.groups)
        ends["f1"] = (2 * low / (1 + low), 2 * high / (1 + high))
    if figures["auc_roc"] is not None and not np.isnan(auc).all():
        ends["auc_roc"] = _spread(figures["auc_roc"], auc, answers, bounded=True)

    def interval(name: Literal["precision", "recall", "specificity", "f1", "auc_roc"]) -> Interval:
        low, high = ends[name]
        return {"value": figures[name], "low": low, "high": high}

    return {
        "support": figures["support"],
        "precision": interval("precision"),
        "recall": interval("recall"),
        "specificity": interval("specificity"),
        "f1": interval("f1"),
        "auc_roc": interval("auc_roc"),
    }


def _spread(value: float, drawn: Floats, answers: _Answers, *, bounded: bool) -> tuple[float, float]:
    """The interval of a figure from its resamples: by Student's t on the log-odds, or on the log where unbounded."""
    from scipy.special import expit, logit, stdtrit  # scipy.stats is slow to import

    count = int(answers.groups.max()) + 1
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


def _bootstrap(answers: _Answers, resamples: int, seed: int) -> dict[str, Floats]:
    """Means over classes, AUC and log loss of each resample; resamples are counts of each group, not copies."""
    count = int(answers.groups.max()) + 1
    random = np.random.default_rng(seed)
    blocks = []
    most = max(1, min(100, _BLOCK // len(answers.wanted)))
    for start in range(0, resamples, most):
        rows = min(most, resamples - start)
        drawn = random.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)
        blocks.append(_weighted(answers, weights[:, answers.groups]))
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _weighted(answers: _Answers, weights: Floats) -> dict[str, Floats]:
    """The figures of resamples in which the items have these weights, `[rows, n]`."""
    from scipy.sparse import csr_matrix

    wanted, given, values, several, _ = answers
    count, classes = weights.sum(axis=1), wanted.shape[1]

    def summed(flags: Flags) -> Floats:
        """For each class, the weights of the items whose flag is set: `[rows, classes]`."""
        return np.asarray(csr_matrix(flags.T.astype(np.float64)) @ weights.T).T

    hits, support, predicted = summed(wanted & given), summed(wanted), summed(given)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, precision = hits / support, hits / predicted
        f1 = 2 * hits / (support + predicted)
    auc = np.stack([weighted_auc(weights, wanted[:, i], values[:, i]) for i in range(classes)], axis=1)
    figures = {
        "balanced_accuracy": _nanmean(recall),
        "macro_recall": _nanmean(recall),
        "macro_precision": _nanmean(precision),
        "macro_f1": _nanmean(f1),
        "auc_roc": _nanmean(auc),
        "auc_roc_each": auc,
    }
    if several:
        right = (wanted == given).mean(axis=1)
        figures["label_accuracy"] = weights @ right / count
        precisions = [weighted_average_precision(weights, wanted[:, i], values[:, i]) for i in range(classes)]
        figures["mean_average_precision"] = _nanmean(np.stack(precisions, axis=1))
        figures["micro_f1"] = 2 * hits.sum(axis=1) / np.maximum(1, (support + predicted).sum(axis=1))
    losses = label_losses(wanted if several else wanted.argmax(axis=1), values)
    figures["log_loss"] = weights @ (losses.mean(axis=1) if several else losses) / count
    return figures


def _nanmean(values: Floats) -> Floats:
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1)
    return mean
