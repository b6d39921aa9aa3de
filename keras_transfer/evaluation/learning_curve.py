"""Accuracy against the number of training items: what more of them bring, and where transfer and scratch meet."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from keras_transfer.evaluation.intervals import mean_difference
from keras_transfer.schemas import N_ITEMS, CurvePoint, Difference

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
WORTH = 0.005
"""A gain of less than half a point by twice the items is called none."""


def curve_rows(sizes: Sequence[int], right: Sequence[Sequence[Flags]]) -> list[CurvePoint]:
    """The points of one curve.

    Args:
        sizes: numbers of training items, ascending.
        right: bool `[draws][sizes][held-out items of the draw]`, whether each was answered right.

    Returns:
        For each size the number of items (`schemas.N_ITEMS`), `mean` over the draws, `spread` (their standard
        deviation; None of one draw), `least` and `most`, and `draws`.

    >>> curve_rows([4], [[[True, False]], [[True, True]]])[0]["mean"]
    0.75
    """
    rows: list[CurvePoint] = []
    for number, size in enumerate(sizes):
        draws = [float(np.mean(draw[number])) for draw in right]
        rows.append(
            {
                N_ITEMS: int(size),
                "mean": float(np.mean(draws)),
                "spread": float(np.std(draws, ddof=1)) if len(draws) > 1 else None,
                "least": min(draws),
                "most": max(draws),
                "draws": draws,
            }
        )
    return rows


def forecast(rows: Sequence[CurvePoint], n_items: int) -> float | None:
    """The accuracy to expect of more items, if the error goes on falling as it did: by a power of their number.

    The law (Hestness et al. 2017, https://arxiv.org/abs/1712.00409) is fitted to the points of a curve by least
    squares, with a floor of the error that no number of items goes below.

    Args:
        rows: from `curve_rows`, of four sizes or more.
        n_items: for how many.

    Returns:
        The accuracy in 0..1; None where there are too few points.

    >>> rows = [{N_ITEMS: n, "mean": 1 - (0.1 + n**-0.5)} for n in (16, 32, 64, 128, 256)]
    >>> round(forecast(rows, 512), 2)
    0.86
    """
    from scipy.optimize import curve_fit

    if len(rows) < 4:
        return None
    numbers = np.array([row[N_ITEMS] for row in rows], np.float64)
    errors = np.array([1 - row["mean"] for row in rows])

    def law(x: Floats, floor: float, scale: float, power: float) -> Floats:
        return np.asarray(floor + scale * (x / numbers[0]) ** -power)

    start = (errors[-1] / 2, max(errors[0] - errors[-1] / 2, 1e-3), 0.5)
    try:
        fitted, _ = curve_fit(law, numbers, errors, p0=start, bounds=((0, 0, 0), (1, 1, 2)))
    except RuntimeError:  # no fit within the iterations allowed
        return None
    return float(1 - law(np.array(float(n_items)), *fitted))


def meeting(transfer: Sequence[CurvePoint], scratch: Sequence[CurvePoint]) -> float | None:
    """The number of items from which on training from scratch is as good, between two sizes on a logarithmic scale.

    Args:
        transfer: from `curve_rows`.
        scratch: the same, of the same sizes.

    Returns:
        The number after which the mean from scratch stays at or above that of transfer; None where it does not get
        there within the data; the first size where it is ahead from the start.

    >>> points = [(10, 0.5, 0.3), (40, 0.6, 0.7)]
    >>> meeting(*[[{N_ITEMS: point[0], "mean": point[way]} for point in points] for way in (1, 2)])
    25.198420997897465
    """
    sizes = [row[N_ITEMS] for row in transfer]
    gaps = [ours["mean"] - theirs["mean"] for ours, theirs in zip(transfer, scratch, strict=True)]
    if gaps[-1] > 0:
        return None
    ahead = [number for number, gap in enumerate(gaps) if gap > 0]
    if not ahead:
        return float(sizes[0])
    last = ahead[-1]
    share = gaps[last] / (gaps[last] - gaps[last + 1])
    below, above = sizes[last], sizes[last + 1]
    crossing: float = below * (above / below) ** share
    return min(float(above), crossing)  # rounding may not lead out of the interval


def last_gain(right: Sequence[Sequence[Flags]], held_out: Sequence[NDArray[np.integer]]) -> Difference:
    """What the last step of a curve, from half of the items to all, brought on the same held-out items.

    Args:
        right: as for `curve_rows`.
        held_out: for each draw the indices of its held-out items.

    Returns:
        `value`, `low` and `high`, of the difference of the accuracies.
    """
    count = 1 + max(int(np.max(part)) for part in held_out)
    gained, seen = np.zeros(count), np.zeros(count)
    for draw, part in zip(right, held_out, strict=True):
        np.add.at(gained, part, np.subtract(draw[-1], draw[-2], dtype=np.float64))
        np.add.at(seen, part, 1)
    return mean_difference(gained[seen > 0] / seen[seen > 0])


def advice(
    sizes: Sequence[int],
    ways: Mapping[str, Sequence[CurvePoint]],
    *,
    meeting: float | None,
    gain: Difference,
    forecast: float | None,
    unfreezing: Difference | None,
) -> list[str]:
    """What the curves say, in sentences: whether they meet, and whether more data or more unfreezing would help.

    Args:
        sizes: numbers of training items, ascending, two or more.
        ways: `"head"` (a head on frozen features), and `"scratch"` if it was tried, each from `curve_rows`.
        meeting: from `meeting`.
        gain: from `last_gain`, of the head.
        forecast: from `forecast`, of the head with twice as many items.
        unfreezing: by how much the fine-tuned run is better on validation; None where nothing was unfrozen.

    Returns:
        One to three sentences.
    """
    sentences = []
    if "scratch" in ways:
        gap = ways["head"][-1]["mean"] - ways["scratch"][-1]["mean"]
        sentences.append(_on_scratch(sizes, gap, meeting))
    rising = gain["low"] > 0 and gain["value"] >= WORTH
    ends = f"(95% interval {100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"
    gained = f"from {sizes[-2]} to {sizes[-1]} items it gained {100 * gain['value']:.1f} points {ends}"
    if rising:
        more_data = f"More data would help: the curve of the frozen backbone still rises, {gained}"
        if forecast is not None:
            more_data += f"; twice as many would bring it to about {forecast:.0%} if it goes on so"
        sentences.append(f"{more_data}.")
    elif gain["value"] < WORTH:
        sentences.append(f"More data alone would hardly help a frozen backbone: its curve is flat, {gained}.")
    else:
        sentences.append(f"So few items do not show whether more data would help: {gained}.")
    if unfreezing is not None:
        sentences.append(_on_unfreezing(unfreezing, rising))
    elif not rising:
        sentences.append("Unfreezing was not tried: fine-tuning is the next step (`--strategy fine-tuning`).")
    return sentences


def _on_scratch(sizes: Sequence[int], gap: float, meeting: float | None) -> str:
    """Where transfer and training from scratch meet; `gap` is what lies between them at the end."""
    if meeting is None:
        return (
            f"Up to {sizes[-1]} items training from scratch does not reach transfer: {100 * gap:.1f} points lie "
            "between them there."
        )
    if meeting <= sizes[0]:
        return f"Training from scratch is as good as transfer from the first {sizes[0]} items on."
    return f"Transfer and training from scratch meet at about {meeting:.0f} items; with fewer, transfer is ahead."


def _on_unfreezing(difference: Difference, rising: bool) -> str:
    points = f"{100 * difference['value']:+.1f} points"
    if difference["low"] > 0:
        ends = f"(95% interval {100 * difference['low']:+.1f} to {100 * difference['high']:+.1f})"
        rest = "." if rising else "; unfreezing more may help further."
        return (
            "Unfreezing helped: on the validation items this run is better than a head on frozen features by "
            f"{100 * difference['value']:.1f} points {ends}{rest}"
        )
    rest = "." if rising else "; another backbone, larger inputs or cleaner labels may."
    return (
        "On the validation items this run is not better beyond chance than a head on frozen features "
        f"({points}): more unfreezing is not what it lacks{rest}"
    )
