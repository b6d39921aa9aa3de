"""What figures of repeated trainings say: their mean, how sure it is, and whether one recipe beats another."""

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np


class ResampledMean(TypedDict):
    """The mean of a figure over folds, with its 95% interval."""

    value: float
    spread: float
    low: float
    high: float
    p: float


def resampled_mean(values: Sequence[float], train: int, held_out: int) -> ResampledMean:
    """The mean of a figure over the folds of a cross-validation, with its corrected 95% interval.

    Trainings share most of their items, so folds differ less than new samples of the data would. The corrected
    resampled t-test (Nadeau & Bengio, Machine Learning 52, 2003, https://doi.org/10.1023/A:1024068626366), extended to
    repeated folds by Bouckaert & Frank (2004, https://doi.org/10.1007/978-3-540-24775-3_3), takes the variance of the
    mean of J folds as (1 / J + held_out / train) times theirs.

    Args:
        values: one figure per fold, all folds of all repeats; for two recipes their differences on the same folds.
        train: items that each fold was trained on.
        held_out: items that each fold was scored on.

    Returns:
        `value` (the mean), `spread` (the standard deviation of the folds), `low`, `high`, and `p`, two-sided, of a
        true mean of zero.

    >>> mean = resampled_mean([0.02, 0.03, 0.01, 0.04, 0.02], 400, 100)
    >>> round(mean["value"], 3), mean["low"] > 0, 0.01 < mean["p"] < 0.05
    (0.024, True, True)
    """
    from scipy.stats import t

    folds = np.asarray(values, np.float64)
    mean, spread = float(folds.mean()), float(folds.std(ddof=1))
    error = math.sqrt(1 / len(folds) + held_out / train) * spread
    half = float(t.ppf(0.975, len(folds) - 1)) * error
    if error > 0:
        p = 2 * float(t.sf(abs(mean) / error, len(folds) - 1))
    else:
        p = 1.0 if mean == 0 else 0.0
    return {"value": mean, "spread": spread, "low": mean - half, "high": mean + half, "p": p}


def adjusted(p_values: Sequence[float]) -> list[float]:
    """P-values of several questions asked at once, by Holm (1979, https://www.jstor.org/stable/4615733).

    Where those under 0.05 are believed, the chance of one wrong belief or more is at most 0.05.

    >>> adjusted([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    scaled = np.minimum(1.0, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    in_place = np.empty(len(values))
    in_place[order] = scaled
    return in_place.round(12).tolist()
