"""Is one classifier less accurate than another on the same items? An exact test, with a tolerance."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
_OUTSIDE = 1e-3  # chance that the share of gains lies outside the interval that is searched; added to the p-value
_GRID = 64  # shares of gains that are searched
_EQUAL = 1e-9  # scores that differ by less are the same table's, whatever rounding makes of them


def score(lost: ArrayLike, gained: ArrayLike, n_items: int, margin: float) -> Floats:
    """The score statistic of "the drop in accuracy is `margin`" for paired proportions (Tango, Stat. Med. 17, 1998).

    Args:
        lost: int `[...]`, items that only the first classifier answers right.
        gained: int `[...]`, items that only the second one does.
        n_items: all items, 1 or more.
        margin: the drop under the hypothesis, in -1..1.

    Returns:
        float `[...]`, about standard normal under the hypothesis; above 0 where the drop seen is above `margin`.

    >>> [round(float(score(*table)), 2) for table in ((3, 0, 296, 0.01), (10, 2, 100, 0.0))]
    [0.02, 2.31]
    """
    b, c = np.asarray(lost, np.float64), np.asarray(gained, np.float64)
    if margin < 0:
        return -score(c, b, n_items, -margin)
    linear = b + c - (2 * n_items - b + c) * margin
    root = np.sqrt(linear**2 + 8 * n_items * c * margin * (1 - margin))
    share = np.maximum(0.0, root + linear) / (4 * n_items)  # of gains: the most probable one where the drop is `margin`
    spread = np.sqrt(n_items * (2 * share + margin * (1 - margin)))
    difference = b - c - n_items * margin
    scores: Floats = np.where(np.abs(difference) < _EQUAL, 0.0, difference / np.maximum(spread, _EQUAL))
    return scores


def drop_above(lost: int, gained: int, n_items: int, margin: float) -> float:
    """The p-value of "the true drop in accuracy is at most `margin`": small where it is larger beyond doubt.

    Both classifiers answer the same items; an item that both answer right, or both wrong, says nothing about the
    difference. The test is exact and unconditional: the probability of all tables whose `score` is at least the one
    seen, at the share of gains that makes it largest (Hsueh, Liu & Chen, Biometrics 57, 2001). That share is searched
    where the gains seen leave it 99.9% of the time (Berger & Boos, J. Am. Stat. Assoc. 89, 1994). With a `margin` of 0
    it is the unconditional exact McNemar test (Suissa & Shuster, Biometrics 47, 1991).

    Args:
        lost: items that only the first classifier answers right, 0 or more.
        gained: items that only the second one does; with `lost` at most `n_items`.
        n_items: all items, 1 or more.
        margin: a drop, 0..1.

    Returns:
        The p-value, 0..1.

    >>> [round(drop_above(lost, 0, 296, 0.01), 2) for lost in (3, 6, 9)]
    [0.57, 0.09, 0.01]
    """
    return _p_value(lost, gained, n_items, margin)


def drop_below(lost: int, gained: int, n_items: int, margin: float) -> float:
    """The p-value of "the true drop in accuracy is at least `margin`": small where so large a drop is ruled out.

    The test of `drop_above` from the other side: non-inferiority with a margin.

    >>> [round(drop_below(0, 0, n_items, 0.1), 2) for n_items in (10, 30, 100)]
    [0.35, 0.04, 0.0]
    """
    return _p_value(gained, lost, n_items, -margin)


def _p_value(above: int, below: int, n_items: int, margin: float) -> float:
    """The probability of a `score(above, below)` as high as seen or higher where P(above) - P(below) is `margin`."""
    seen = float(score(above, below, n_items, margin))
    shares = _shares(below, n_items, margin)[:, None]  # of `below`; `above` has `margin` more
    counts = _counts(shares, n_items)  # below, in all tables that are not impossible; of each, how many above suffice
    enough = _enough(counts, n_items, margin, seen)
    rest = np.clip((shares + margin) / np.maximum(1 - shares, 1e-12), 0.0, 1.0)
    chances = _binomial(counts, n_items, shares) * _binomial_tail(enough, n_items - counts, rest)
    return min(1.0, float(chances.sum(axis=1).max()) + _OUTSIDE)


def _shares(below: int, n_items: int, margin: float) -> Floats:
    """The shares of `below` to search: Clopper and Pearson's interval, where the hypothesis allows it."""
    from scipy.special import betaincinv

    least, most = max(0.0, -margin), (1 - margin) / 2
    low = betaincinv(below, n_items - below + 1, _OUTSIDE / 2) if below else 0.0
    high = betaincinv(below + 1, n_items - below, 1 - _OUTSIDE / 2) if below < n_items else 1.0
    return np.linspace(min(max(low, least), most), max(min(high, most), least), _GRID)


def _counts(shares: Floats, n_items: int) -> Counts:
    """The numbers of items that can be, but for a chance of about 1e-11, where each is one with one of `shares`."""
    low, high = float(shares.min()), float(shares.max())
    widest = min(max(low, 0.5), high)
    margin = 7 * math.sqrt(n_items * widest * (1 - widest)) + 20
    return np.arange(max(0, int(n_items * low - margin)), min(n_items, math.ceil(n_items * high + margin)) + 1)


def _enough(below: Counts, n_items: int, margin: float, seen: float) -> Counts:
    """For each number below the least number above with a score of at least `seen`, one too many where none has."""
    low, high = np.zeros_like(below), n_items - below + 1
    while np.any(low < high):  # the score grows with the number above
        middle = (low + high) // 2
        reached = score(middle, below, n_items, margin) >= seen - _EQUAL
        low, high = np.where(reached | (low == high), low, middle + 1), np.where(reached, middle, high)
    return low


def _binomial(counts: Counts, n_items: int, shares: Floats) -> Floats:
    from scipy.special import gammaln, xlog1py, xlogy

    ways = gammaln(n_items + 1) - gammaln(counts + 1) - gammaln(n_items - counts + 1)
    chances: Floats = np.exp(ways + xlogy(counts, shares) + xlog1py(n_items - counts, -shares))
    return chances


def _binomial_tail(least: Counts, n_items: Counts, shares: Floats) -> Floats:
    """The chance of `least` or more."""
    from scipy.special import betainc

    tail = betainc(np.maximum(least, 1), np.maximum(n_items - least + 1, 1), shares)
    return np.where(least <= 0, 1.0, np.where(least > n_items, 0.0, tail))
