"""Plots as SVG that lies in the page: its colours and letters are the page's own, set by classes in `report.css`."""

import math
from collections.abc import Sequence
from typing import Literal

from markupsafe import Markup, escape

from keras_transfer.schemas import Bin, Epoch, Interval

_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 18, 14, 38  # room around a plot's area for its letters
_MOST_NAMED = 40  # classes of a confusion matrix that are named and numbered


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element; everything that is not `Markup` already is escaped, and `_` in attributes' names is `-`.

    >>> tag("text", "<a>", x=1.25, class_="axis")
    Markup('<text x="1.25" class="axis">&lt;a&gt;</text>')
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{''.join(str(escape(child)) for child in children)}</{name}>")


def _short(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def svg(width: float, height: float, label: str, *children: object, **attributes: object) -> Markup:
    """A picture with a label for those who do not see it."""
    return tag("svg", *children, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label, **attributes)


def text(x: float, y: float, text: object, **attributes: object) -> Markup:
    """Letters at a place."""
    return tag("text", text, x=float(x), y=float(y), **attributes)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers that cover `low..high`, `most` at most.

    >>> ticks(0.13, 0.96)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    span = max(high - low, 1e-9)
    size = 10 ** math.floor(math.log10(span / most))
    step = next(size * factor for factor in (1, 2, 5, 10, 20) if span / (size * factor) <= most - 1)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def interval(row: Interval, low: float = 0.0, high: float = 1.0, mark: float | None = None) -> Markup:
    """A value as a dot on a line from `low` to `high`, with its interval as a bar; `mark` is a second place on it."""
    value, least, most = row["value"], row["low"], row["high"]
    if value is None:
        return Markup("")

    def at(value: float) -> float:
        return 8 + 184 * (min(max(value, low), high) - low) / (high - low)

    parts = [tag("line", x1=8, x2=192, y1=9, y2=9, class_="grid")]
    if mark is not None:
        parts.append(tag("line", x1=at(mark), x2=at(mark), y1=1, y2=17, class_="mark"))
    label = f"{value:.3f}"
    if least is not None and most is not None:
        parts.append(tag("line", x1=at(least), x2=at(most), y1=9, y2=9, class_="whisker"))
        label += f", 95% interval {least:.3f} to {most:.3f}"
    parts.append(tag("circle", cx=at(value), cy=9, r=4.5, class_="dot"))
    return svg(200, 18, label, *parts, class_="interval")


def curves(rows: Sequence[Epoch], figure: Literal["accuracy", "loss"], title: str) -> Markup:
    """A figure of all epochs of all phases on one axis, in training and on validation.

    Args:
        rows: one for each epoch.
        figure: `"accuracy"` or `"loss"`.
        title: what the picture shows, for those who do not see it.
    """
    if not rows:
        return Markup("")
    width, height = 460, 270
    held_out: Literal["val_accuracy", "val_loss"] = "val_accuracy" if figure == "accuracy" else "val_loss"
    series = {"train": [row[figure] for row in rows], "val": [row[held_out] for row in rows]}
    values = [value for line in series.values() for value in line if value is not None]
    top = sorted(values)[min(len(values) - 1, int(0.98 * len(values)))] if figure == "loss" else max(values)
    scale = ticks(0.0 if figure == "loss" else max(0.0, min(values) - 0.02), max(top, min(values) + 1e-3))
    low, high = scale[0], min(scale[-1], 1.0) if figure == "accuracy" else scale[-1]

    def x(number: float) -> float:
        return _LEFT + (width - _LEFT - _RIGHT) * (0.5 if len(rows) == 1 else number / (len(rows) - 1))

    def y(value: float) -> float:
        part = (min(max(value, low), high) - low) / max(high - low, 1e-9)
        return height - _BOTTOM - (height - _TOP - _BOTTOM) * part

    parts: list[Markup] = []
    for tick in scale:
        if tick <= high + 1e-9:
            label = f"{tick:.0%}" if figure == "accuracy" else f"{tick:g}"
            parts += [
                tag("line", x1=_LEFT, x2=width - _RIGHT, y1=y(tick), y2=y(tick), class_="grid"),
                text(_LEFT - 6, y(tick) + 4, label, class_="axis end"),
            ]
    parts += [
        text(x(tick - 1), height - _BOTTOM + 16, f"{tick:g}", class_="axis middle")
        for tick in ticks(1, len(rows), 8)
        if 1 <= tick <= len(rows) and tick == int(tick)
    ]
    parts.append(text((_LEFT + width - _RIGHT) / 2, height - 4, "epoch", class_="axis middle"))
    starts = [i for i, row in enumerate(rows) if i == 0 or row["phase"] != rows[i - 1]["phase"]]
    for number, start in enumerate(starts):
        if start:
            middle = x(start - 0.5)
            parts.append(tag("line", x1=middle, x2=middle, y1=_TOP, y2=height - _BOTTOM, class_="phase"))
        end = starts[number + 1] if number + 1 < len(starts) else len(rows)
        if len(starts) > 1 and x(end - 1) - x(start) > 40:
            parts.append(text(x((start + end - 1) / 2), _TOP - 3, rows[start]["phase"], class_="axis middle"))
    for name, line in series.items():
        points = " ".join(f"{x(i):.1f},{y(v):.1f}" for i, v in enumerate(line) if v is not None)
        parts.append(tag("polyline", points=points, class_=f"line {name}"))
        shown = [(i, v) for i, v in enumerate(line) if v is not None] if len(rows) <= 80 else []
        parts += [
            tag(
                "circle",
                tag("title", f"{rows[i]['phase']}, epoch {rows[i]['epoch']}: {name} {figure} {value:.3f}"),
                cx=x(i), cy=y(value), r=2.6, class_=f"point {name}",
            )
            for i, value in shown
        ]  # fmt: skip
    return svg(width, height, title, *parts)


def confusion(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> Markup:
    """A confusion matrix as a heat map: rows are true classes, columns predicted ones, shades are shares of a row."""
    count = len(names)
    named = count <= _MOST_NAMED
    longest = min(max(map(len, names)), 18)
    room = 16 + 6.4 * longest if named else 24
    cell = min(36.0, max(460 / count, 18 if named else 1.5))
    side = cell * count
    width, height = room + side + 8, room * 0.78 + side + 30
    top = room * 0.78
    parts: list[Markup] = []
    for i, row in enumerate(matrix):
        total = sum(row)
        for j, number in enumerate(row):
            if not number and not named:
                continue
            share = number / total if total else 0.0
            place = {"x": room + j * cell, "y": top + i * cell}
            parts.append(
                tag(
                    "rect",
                    tag("title", f"{names[i]} taken for {names[j]}: {number} of {total}"),
                    **place,
                    width=cell - (1.5 if named else 0),
                    height=cell - (1.5 if named else 0),
                    class_="hit" if i == j else "miss",
                    # A share that is small but not nothing must be seen.
                    fill_opacity=0.04 if not number else min(1.0, 0.14 + 0.86 * (share if i == j else share**0.6)),
                    rx=2 if named else None,
                )
            )
            if named and number:
                strong = (share if i == j else share**0.6) > 0.5
                parts.append(
                    text(place["x"] + (cell - 1.5) / 2, place["y"] + cell / 2 + 4, number,
                          class_="cell strong middle" if strong else "cell middle")
                )  # fmt: skip
    for i, name in enumerate(names if named else ()):
        short = name if len(name) <= longest else f"{name[: longest - 1]}…"
        middle = (i + 0.5) * cell
        parts.append(text(room - 6, top + middle + 4, short, class_="axis end"))
        turned = f"rotate(-45 {room + middle:.1f} {top - 6:.1f})"
        parts.append(text(room + middle, top - 6, short, class_="axis", transform=turned))
    parts.append(text(room + side / 2, height - 8, "predicted", class_="axis middle"))
    parts.append(
        text(10, top + side / 2, "true", class_="axis middle", transform=f"rotate(-90 10 {top + side / 2:.1f})")
    )
    worst = sum(sum(row) for row in matrix) - sum(matrix[i][i] for i in range(count))
    label = f"Confusion matrix of {count} classes: {worst} items lie off the diagonal"
    return svg(
        width + (0.7 * 6.4 * min(len(names[-1]), longest) if named else 0),
        height,
        label,
        *parts,
        style=f"min-width:{min(width, 440):.0f}px",
    )


def reliability(before: Sequence[Bin], after: Sequence[Bin]) -> Markup:
    """Accuracy against confidence in bins; the diagonal is where probabilities mean what they say."""
    width, height = 460, 330
    bottom = height - _BOTTOM - 46  # beneath it how many answers each bin has

    def x(value: float) -> float:
        return _LEFT + (width - _LEFT - _RIGHT) * value

    def y(value: float) -> float:
        return bottom - (bottom - _TOP) * value

    parts = []
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        parts += [
            tag("line", x1=x(0), x2=x(1), y1=y(tick), y2=y(tick), class_="grid"),
            text(_LEFT - 6, y(tick) + 4, f"{tick:.0%}", class_="axis end"),
            text(x(tick), height - _BOTTOM + 16, f"{tick:.0%}", class_="axis middle"),
        ]
    most = max((row["count"] for row in before), default=1)
    for row in before:
        left, wide = x(row["low"]) + 1, x(row["high"]) - x(row["low"]) - 2
        tall = 38 * row["count"] / most
        said = f"{row['count']} answers of {row['confidence']:.0%} confidence on average: {row['accuracy']:.0%} right"
        parts += [
            tag("rect", tag("title", said), x=left, y=y(row["accuracy"]), width=wide,
                height=max(0.0, bottom - y(row["accuracy"])), class_="bar", rx=2),
            tag("rect", x=left, y=height - _BOTTOM - tall, width=wide, height=tall, class_="count"),
        ]  # fmt: skip
    parts.append(tag("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="diagonal"))
    if after:
        points = " ".join(f"{x(row['confidence']):.1f},{y(row['accuracy']):.1f}" for row in after)
        parts.append(tag("polyline", points=points, class_="line val"))
        parts += [
            tag("circle", tag("title", f"after scaling: {row['count']} answers, {row['accuracy']:.0%} right"),
                cx=x(row["confidence"]), cy=y(row["accuracy"]), r=3, class_="point val")
            for row in after
        ]  # fmt: skip
    parts.append(text((x(0) + x(1)) / 2, height - 4, "confidence", class_="axis middle"))
    return svg(width, height, "Reliability diagram: accuracy against confidence", *parts)
