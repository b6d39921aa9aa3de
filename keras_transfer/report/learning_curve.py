"""Accuracy against the number of items, one line for each way of training."""

import math
from collections.abc import Mapping

from markupsafe import Markup

from keras_transfer.report.plots import svg, tag, text, ticks
from keras_transfer.schemas import LearningCurve

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 460, 290, 44, 22, 14, 40
_KINDS = {"head": "train", "run": "own", "scratch": "val"}  # classes in `report.css`


def learning_curve(found: LearningCurve) -> Markup:
    """Means over the draws as lines, one standard deviation as bars, and where transfer and scratch meet.

    Args:
        found: what stands in `learning_curve.json`.
    """
    sizes, ways = found["sizes"], found["ways"]
    ends = [row["mean"] + sign * (row["spread"] or 0) for rows in ways.values() for row in rows for sign in (-1, 1)]
    scale = [tick for tick in ticks(max(0.0, min(ends)), min(1.0, max(ends))) if -1e-9 <= tick <= 1 + 1e-9]
    # Each size is about half of the next: their places on a logarithmic axis.
    across = {size: _LEFT + 14 + (_WIDTH - _LEFT - _RIGHT - 28) * i / (len(sizes) - 1) for i, size in enumerate(sizes)}

    def y(value: float) -> float:
        part = (value - scale[0]) / (scale[-1] - scale[0])
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(max(part, 0.0), 1.0)

    parts: list[Markup] = []
    for tick in scale:
        parts += [
            tag("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y(tick), y2=y(tick), class_="grid"),
            text(_LEFT - 6, y(tick) + 4, f"{tick:.0%}", class_="axis end"),
        ]
    parts += [text(x, _HEIGHT - _BOTTOM + 17, f"{size:,}", class_="axis middle") for size, x in across.items()]
    parts.append(
        text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 5, "images to train and validate on", class_="axis middle")
    )
    meeting = found["meeting"]
    if meeting is not None and meeting > sizes[0]:
        place = _between(meeting, across)
        parts.append(tag("line", tag("title", f"they meet at about {meeting:.0f} images"),
                         x1=place, x2=place, y1=_TOP, y2=_HEIGHT - _BOTTOM, class_="phase"))  # fmt: skip
    said = []
    for way, rows in ways.items():
        kind = _KINDS[way]
        points = " ".join(f"{across[row['images']]:.1f},{y(row['mean']):.1f}" for row in rows)
        parts.append(tag("polyline", points=points, class_=f"line {kind}"))
        for row in rows:
            x, spread = across[row["images"]], row["spread"] or 0.0
            draws = f"{row['mean']:.1%}, from {row['least']:.1%} to {row['most']:.1%}"
            words = f"{found['names'][way]}, {row['images']} images: {draws}"
            parts += [
                tag("line", x1=x, x2=x, y1=y(row["mean"] - spread), y2=y(row["mean"] + spread), class_=f"bar {kind}"),
                tag("circle", tag("title", words), cx=x, cy=y(row["mean"]), r=3.2, class_=f"point {kind}"),
            ]
        said.append(f"{found['names'][way]} from {rows[0]['mean']:.0%} to {rows[-1]['mean']:.0%}")
    label = f"Accuracy against the number of images, {sizes[0]} to {sizes[-1]}: {'; '.join(said)}"
    return svg(_WIDTH, _HEIGHT, label, *parts)


def _between(value: float, across: Mapping[int, float]) -> float:
    """The place of a number between those of the sizes around it."""
    sizes = list(across)
    upper = next((i for i, size in enumerate(sizes) if size >= value), len(sizes) - 1)
    low, high = sizes[max(0, upper - 1)], sizes[upper]
    share = math.log(value / low) / math.log(high / low) if high > low else 0.0
    return across[low] + share * (across[high] - across[low])
