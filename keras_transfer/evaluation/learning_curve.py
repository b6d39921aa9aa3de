"""Accuracy against the number of images: what more photographs bring, and where transfer and scratch meet."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_transfer.evaluation.intervals import mean_difference

Array = np.ndarray[Any, Any]
WORTH = 0.005
"""A gain of less than half a point by twice the images is called none."""


def curve_rows(sizes: Sequence[int], right: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """The points of one curve.

    Args:
        sizes: numbers of images, ascending.
        right: bool `[draws][sizes][held-out images of the draw]`, whether each was answered right.

    Returns:
        For each size `images`, `mean` over the draws, `spread` (their standard deviation; None of one draw), `least`
        and `most`, and `draws`.

    >>> curve_rows([4], [[[True, False]], [[True, True]]])[0]["mean"]
    0.75
    """
    rows = []
    for number, size in enumerate(sizes):
        draws = [float(np.mean(draw[number])) for draw in right]
        spread = float(np.std(draws, ddof=1)) if len(draws) > 1 else None
        row = {"images": int(size), "mean": float(np.mean(draws)), "spread": spread}
        rows.append(row | {"least": min(draws), "most": max(draws), "draws": draws})
    return rows


def forecast(rows: Sequence[Mapping[str, Any]], images: int) -> float | None:
    """The accuracy to expect of more images, if the error goes on falling as it did: by a power of their number.

    The law (Hestness et al. 2017, https://arxiv.org/abs/1712.00409) is fitted to the points of a curve by least
    squares, with a floor of the error that no number of images goes below.

    Args:
        rows: from `curve_rows`, of four sizes or more.
        images: for how many.

    Returns:
        The accuracy in 0..1; None where there are too few points.

    >>> rows = [{"images": n, "mean": 1 - (0.1 + n**-0.5)} for n in (16, 32, 64, 128, 256)]
    >>> round(forecast(rows, 512), 2)
    0.86
    """
    from scipy.optimize import curve_fit

    if len(rows) < 4:
        return None
    numbers = np.array([row["images"] for row in rows], np.float64)
    errors = np.array([1 - row["mean"] for row in rows])

    def law(x: Array, floor: float, scale: float, power: float) -> Array:
        return floor + scale * (x / numbers[0]) ** -power

    start = (errors[-1] / 2, max(errors[0] - errors[-1] / 2, 1e-3), 0.5)
    try:
        found, _ = curve_fit(law, numbers, errors, p0=start, bounds=((0, 0, 0), (1, 1, 2)))
    except RuntimeError:  # no fit within the iterations allowed
        return None
    return float(1 - law(np.array(float(images)), *found))


def meeting(transfer: Sequence[Mapping[str, Any]], scratch: Sequence[Mapping[str, Any]]) -> float | None:
    """The number of images from which on training from scratch is as good, between two sizes on a logarithmic scale.

    Args:
        transfer: from `curve_rows`.
        scratch: the same, of the same sizes.

    Returns:
        The number after which the mean from scratch stays at or above that of transfer; None where it does not get
        there within the data; the first size where it is ahead from the start.

    >>> points = [(10, 0.5, 0.3), (40, 0.6, 0.7)]
    >>> meeting(*[[{"images": point[0], "mean": point[way]} for point in points] for way in (1, 2)])
    25.198420997897465
    """
    sizes = [row["images"] for row in transfer]
    gaps = [ours["mean"] - theirs["mean"] for ours, theirs in zip(transfer, scratch, strict=True)]
    if gaps[-1] > 0:
        return None
    ahead = [number for number, gap in enumerate(gaps) if gap > 0]
    if not ahead:
        return float(sizes[0])
    last = ahead[-1]
    share = gaps[last] / (gaps[last] - gaps[last + 1])
    below, above = sizes[last], sizes[last + 1]
    return min(float(above), below * (above / below) ** share)  # rounding may not lead out of the interval


def last_gain(right: Sequence[Sequence[Any]], held_out: Sequence[Array]) -> dict[str, float]:
    """What the last step of a curve, from half of the images to all, brought on the same held-out images.

    Args:
        right: as for `curve_rows`.
        held_out: for each draw the indices of its held-out images.

    Returns:
        `value`, `low` and `high`, of the difference of the accuracies.
    """
    count = 1 + max(int(np.max(part)) for part in held_out)
    gained, seen = np.zeros(count), np.zeros(count)
    for draw, part in zip(right, held_out, strict=True):
        np.add.at(gained, part, np.subtract(draw[-1], draw[-2], dtype=np.float64))
        np.add.at(seen, part, 1)
    return mean_difference(gained[seen > 0] / seen[seen > 0])


def advice(found: Mapping[str, Any]) -> list[str]:
    """What the curves say, in sentences: whether they meet, and whether more images or more unfreezing would help.

    Args:
        found: `ways`, `sizes`, `meeting`, `gain` (from `last_gain`), `forecast` and `unfreezing` of a learning curve.

    Returns:
        One to three sentences.
    """
    sizes, ways, gain = found["sizes"], found["ways"], found["gain"]
    told = []
    if "scratch" in ways:
        gap = ways["head"][-1]["mean"] - ways["scratch"][-1]["mean"]
        if found["meeting"] is None:
            told.append(
                f"Up to {sizes[-1]} images training from scratch does not reach transfer: {100 * gap:.1f} points lie "
                "between them there."
            )
        elif found["meeting"] <= sizes[0]:
            told.append(f"Training from scratch is as good as transfer from the first {sizes[0]} images on.")
        else:
            told.append(
                f"Transfer and training from scratch meet at about {found['meeting']:.0f} images; with fewer, transfer "
                "is ahead."
            )
    rising = gain["low"] > 0 and gain["value"] >= WORTH
    ends = f"(95% interval {100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"
    said = f"from {sizes[-2]} to {sizes[-1]} images it gained {100 * gain['value']:.1f} points {ends}"
    unfrozen = found["unfreezing"]
    lifts = unfrozen is not None and unfrozen["low"] > 0
    if rising:
        more = f"More photographs would help: the curve of the frozen backbone still rises, {said}"
        if found["forecast"] is not None:
            more += f"; twice as many would bring it to about {found['forecast']:.0%} if it goes on so"
        told.append(f"{more}.")
    elif gain["value"] < WORTH:
        told.append(f"More photographs alone would hardly help a frozen backbone: its curve is flat, {said}.")
    else:
        told.append(f"Whether more photographs would help cannot be told from so few: {said}.")
    if unfrozen is None:
        if not rising:
            told.append("Unfreezing was not tried: fine-tuning is the next step (`--strategy fine-tuning`).")
    elif lifts:
        told.append(
            f"Unfreezing helped: on the validation images this run is better than a head on frozen features by "
            f"{100 * unfrozen['value']:.1f} points (95% interval {100 * unfrozen['low']:+.1f} to "
            f"{100 * unfrozen['high']:+.1f})" + ("; more of it may help further." if not rising else ".")
        )
    else:
        told.append(
            "On the validation images this run is not better beyond chance than a head on frozen features "
            f"({100 * unfrozen['value']:+.1f} points): more unfreezing is not what it lacks"
            + ("." if rising else "; another backbone, larger pictures or cleaner labels may.")
        )
    return told
