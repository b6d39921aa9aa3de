"""Accuracy against a cost, file by file, with the front that no file is beyond."""

from collections.abc import Sequence

from markupsafe import Markup

from keras_transfer.report.plots import svg, tag, text, ticks
from keras_transfer.schemas import ComparedFile, Cost

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 460, 300, 48, 22, 16, 40


def tradeoff(rows: Sequence[ComparedFile], cost: Cost, name: str, unit: float, unit_name: str) -> Markup:
    """A picture of files by what they cost and how often they are right.

    Args:
        rows: files: `accuracy` (value, low, high), the cost, and `front`, the costs on whose front the file lies.
        cost: the key of the cost.
        name: what the cost is called.
        unit: how much of it the axis counts as one.
        unit_name: the name of that, such as `"MB"`.
    """
    costs = [row[cost] / unit for row in rows]
    across = ticks(0.0, max(costs))
    up = ticks(min(row["accuracy"]["low"] for row in rows), max(row["accuracy"]["high"] for row in rows))

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
    front = sorted((costs[i], row["accuracy"]["value"]) for i, row in enumerate(rows) if cost in row["front"])
    points = " ".join(f"{x(value):.1f},{y(accuracy):.1f}" for value, accuracy in front)
    parts.append(tag("polyline", points=points, class_="line val"))
    for i, row in enumerate(rows):
        accuracy, on_front = row["accuracy"], cost in row["front"]
        said = f"{i + 1}: {row['name']}, {accuracy['value']:.1%} for {costs[i]:.3g} {unit_name}"
        said += ", on the front" if on_front else ""
        place, height, kind = x(costs[i]), y(accuracy["value"]), "val" if on_front else "train"
        parts += [
            tag("line", x1=place, x2=place, y1=y(accuracy["low"]), y2=y(accuracy["high"]), class_="grid"),
            tag("circle", tag("title", said), cx=place, cy=height, r=5.0 if on_front else 3.5, class_=f"point {kind}"),
            text(place + 8, height - 6, i + 1, class_="axis"),
        ]
    label = f"Accuracy against {name} of {len(rows)} files; {len(front)} lie on the Pareto front"
    return svg(_WIDTH, _HEIGHT, label, *parts)
