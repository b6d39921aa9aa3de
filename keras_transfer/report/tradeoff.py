"""Accuracy against a cost, point by point, with the front that no point is beyond."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from keras_transfer.report.plots import svg, tag, text, ticks

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 460, 300, 48, 22, 16, 40


class Point(NamedTuple):
    """What costs something, and how often it is right, with the ends of an interval."""

    name: str
    cost: float
    accuracy: float
    low: float
    high: float
    on_front: bool


def tradeoff(
    rows: Sequence[Point], name: str, unit: float, unit_name: str, *, what: str = "files", limit: float | None = None
) -> Markup:
    """A picture of things by what they cost and how often they are right.

    Args:
        rows: what is drawn, numbered from 1.
        name: what the cost is called.
        unit: how much of it the axis counts as one.
        unit_name: the name of that, such as `"MB"`.
        what: what the points are.
        limit: the most that it may cost, drawn as a dashed line.
    """
    costs = [row.cost / unit for row in rows]
    across = ticks(0.0, max([*costs, *([limit / unit] if limit is not None else [])]))
    up = ticks(min(row.low for row in rows), max(row.high for row in rows))

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / across[-1]

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (value - up[0]) / (up[-1] - up[0])

    parts: list[Markup] = []
    for tick in up:
        parts += [
            tag("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y(tick), y2=y(tick), class_="grid"),
            text(_LEFT - 6, y(tick) + 4, f"{tick:.0%}", class_="axis end"),
        ]
    parts += [text(x(tick), _HEIGHT - _BOTTOM + 16, f"{tick:g}", class_="axis middle") for tick in across]
    parts.append(text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, f"{name}, {unit_name}", class_="axis middle"))
    if limit is not None:
        place = x(limit / unit)
        parts.append(tag("line", x1=place, x2=place, y1=_TOP, y2=_HEIGHT - _BOTTOM, class_="diagonal"))
        parts.append(text(place - 5, _TOP + 10, "limit", class_="axis end"))
    front = sorted((cost, row.accuracy) for cost, row in zip(costs, rows, strict=True) if row.on_front)
    points = " ".join(f"{x(value):.1f},{y(accuracy):.1f}" for value, accuracy in front)
    parts.append(tag("polyline", points=points, class_="line val"))
    for i, (cost, row) in enumerate(zip(costs, rows, strict=True)):
        said = f"{i + 1}: {row.name}, {row.accuracy:.1%} for {cost:.3g} {unit_name}"
        said += ", on the front" if row.on_front else ""
        place, height, kind = x(cost), y(row.accuracy), "val" if row.on_front else "train"
        size = 5.0 if row.on_front else 3.5
        parts += [
            tag("line", x1=place, x2=place, y1=y(row.low), y2=y(row.high), class_="grid"),
            tag("circle", tag("title", said), cx=place, cy=height, r=size, class_=f"point {kind}"),
            text(place + 8, height - 6, i + 1, class_="axis"),
        ]
    label = f"Accuracy against {name} of {len(rows)} {what}; {len(front)} lie on the Pareto front"
    return svg(_WIDTH, _HEIGHT, label, *parts)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which of (accuracy, cost) are beaten by no other: none is at least as accurate and as cheap, and better in one.

    >>> pareto_front([(0.9, 10), (0.8, 5), (0.8, 6), (0.7, 7), (0.95, 30)])
    [0, 1, 4]
    """

    def beats(other: tuple[float, float], one: tuple[float, float]) -> bool:
        return other[0] >= one[0] and other[1] <= one[1] and other != one

    return [i for i, one in enumerate(points) if not any(beats(other, one) for other in points)]
