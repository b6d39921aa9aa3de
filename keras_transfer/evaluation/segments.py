"""Which kinds of items a classifier fails on more often than chance would have it."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_transfer.evaluation.intervals import share_interval
from keras_transfer.evaluation.resampling import adjusted
from keras_transfer.schemas import N_ITEMS, Segment

Value = float | str | None
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
LEAST = 15
"""Fewer items than this make no segment."""
_QUARTERS = 4
_DISTINCT = 10  # numbers of more values than this are cut into quarters; of fewer, each value is a segment


def segments(
    columns: Mapping[str, Sequence[Value]], right: ArrayLike, strata: NDArray[np.integer] | None = None
) -> list[Segment]:
    """Accuracy by properties of the items, each segment against all other items of the same property.

    Numbers are cut into quarters of the items, fewer where that leaves too few; of words each one is a segment.
    Whether a segment is worse is asked by Fisher's exact test (1922, https://doi.org/10.2307/2340521), one-sided, with
    the p-values of all segments of all properties adjusted together by Holm.

    Args:
        columns: property -> a value per item: a number, a string, or None where it is not known.
        right: bool `[n]`, whether each item was answered right.
        strata: int `[n]`, the items' classes, to tell what the mix of classes accounts for; None for no classes.

    Returns:
        For each segment `column`, `name`, the number of items (`schemas.N_ITEMS`), `accuracy` with `low` and `high`,
        `rest` (the others' accuracy), `expected` (of its mix of classes, each at that class's accuracy; None without
        classes), `p`, `adjusted_p`, and `worse`: `adjusted_p` under 0.05.

    >>> right = [True] * 60 + [False] * 30 + [True] * 10
    >>> rows = segments({"camera": ["old" if 55 <= i < 95 else "new" for i in range(100)]}, right)
    >>> [(row["name"], row["worse"]) for row in rows]
    [('new', False), ('old', True)]
    """
    answered = np.asarray(right, bool)
    by_class = _class_accuracy(answered, strata)
    rows: list[Segment] = []
    for column, values in columns.items():
        known = np.array([value is not None and value != "" for value in values], bool)
        parts = _parts(values, known)
        for name, inside in parts.items() if len(parts) > 1 else ():
            rest = known & ~inside
            hits, n_items, others = int(answered[inside].sum()), int(inside.sum()), int(answered[rest].sum())
            low, high = share_interval(hits, n_items)
            p = _fewer(hits, n_items, others, int(rest.sum()))
            rows.append(
                {
                    "column": column,
                    "name": name,
                    N_ITEMS: n_items,
                    "accuracy": hits / n_items,
                    "low": low,
                    "high": high,
                    "rest": others / int(rest.sum()),
                    "expected": float(by_class[inside].mean()) if by_class is not None else None,
                    "p": p,
                    "adjusted_p": p,  # until all are known
                    "worse": False,
                }
            )
    for row, p in zip(rows, adjusted([row["p"] for row in rows]), strict=True):
        row["adjusted_p"], row["worse"] = p, p < 0.05
    return rows


def _fewer(hits: int, n_items: int, other_hits: int, others: int) -> float:
    """The chance of so few hits among `n_items`, all hits being placed at random: Fisher's exact test, one-sided.

    As `scipy.stats.fisher_exact(table, "less")`, whose module is slow to import.
    """
    from scipy.special import betaln

    def ways(n: int, k: NDArray[np.int64]) -> Floats:
        """The logarithm of n choose k."""
        return np.asarray(-np.log1p(n) - betaln(n - k + 1, k + 1))

    total = hits + other_hits
    k = np.arange(max(0, total - others), hits + 1)
    chances = np.exp(ways(n_items, k) + ways(others, total - k) - ways(n_items + others, np.array(total)))
    return min(1.0, float(chances.sum()))


def sentence(row: Segment, tested: int) -> str:
    """How a segment is worse than the rest, in words.

    Args:
        row: one of `segments`.
        tested: how many segments were tested.
    """
    said = (
        f"{row['column']}, {row['name']}: {row['accuracy']:.0%} of {row[N_ITEMS]} items are right, against "
        f"{row['rest']:.0%} of the others (p = {row['adjusted_p']:.2g} over {tested} segments)"
    )
    if row["expected"] is not None:
        said += f"; its mix of classes would give {row['expected']:.0%}"
    return f"{said}."


def _class_accuracy(answered: Flags, strata: NDArray[np.integer] | None) -> Floats | None:
    """For each item the accuracy of its class."""
    if strata is None:
        return None
    _, of_class = np.unique(np.asarray(strata), return_inverse=True)
    shares: Floats = (np.bincount(of_class, answered) / np.bincount(of_class))[of_class]
    return shares


def _parts(values: Sequence[Value], known: Flags) -> dict[str, Flags]:
    """Name of a segment -> bool `[n]`."""
    numbers = _numbers(values, known)
    if numbers is None or len(np.unique(numbers[known])) <= _DISTINCT:
        words = np.array([str(value) if here else "" for value, here in zip(values, known, strict=True)])
        names, counts = np.unique(words[known], return_counts=True)
        return {str(name): known & (words == name) for name, count in zip(names, counts, strict=True) if count >= LEAST}
    cuts = min(_QUARTERS, int(known.sum()) // LEAST)
    if cuts < 2:
        return {}
    edges = np.unique(np.quantile(numbers[known], np.arange(1, cuts) / cuts))
    place = np.searchsorted(edges, numbers, side="left")
    last = len(edges)
    parts = {}
    for number in range(last + 1):
        inside = known & (place == number)
        if inside.sum() >= LEAST:
            ends = (
                f"up to {edges[0]:.3g}" if number == 0
                else f"above {edges[-1]:.3g}" if number == last
                else f"{edges[number - 1]:.3g} to {edges[number]:.3g}"
            )  # fmt: skip
            parts[ends] = inside
    return parts


def _numbers(values: Sequence[Value], known: Flags) -> Floats | None:
    """The values as numbers, NaN where unknown; None where they are words."""
    try:
        numbers = np.array(
            [float(v) if here and v is not None else np.nan for v, here in zip(values, known, strict=True)]
        )
    except (TypeError, ValueError):
        return None
    return numbers if np.isfinite(numbers[known]).all() else None
