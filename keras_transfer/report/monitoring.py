"""The page of a monitored model: what has changed, and when."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from keras_transfer.report.page import templates
from keras_transfer.report.plots import svg, tag, text, ticks
from keras_transfer.schemas import Monitor, MonitorLook

_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 18, 14, 26


class _Point(NamedTuple):
    """A figure of a look."""

    value: float
    low: float | None = None
    high: float | None = None
    alarm: bool = False
    words: str = ""


def monitor_html(found: Monitor) -> str:
    """The page, which fetches nothing and runs no script.

    Args:
        found: what stands in `monitor.json`.
    """
    looks, last = found["looks"], found["looks"][-1]
    rows = [
        (test, _over_time(looks, [_figure(look, test["name"]) for look in looks], test["reference"], test["title"]))
        for test in last["tests"]
    ]
    guesses = [_accuracy(look) for look in looks]
    share = _over_time(looks, guesses, found["own_accuracy"], "Estimated accuracy", percent=True, tall=230)
    template = templates().get_template("monitor.html.jinja")
    return template.render(
        found=found, name=Path(found["run"]).name, last=last, rows=rows, accuracy=share, bars=_class_bars(found)
    )


def _figure(look: MonitorLook, name: str) -> _Point | None:
    test = next((test for test in look["tests"] if test["name"] == name), None)
    if test is None or test["window"] is None:
        return None
    return _Point(test["window"], alarm=test["alarm"], words=test["words"])


def _accuracy(look: MonitorLook) -> _Point | None:
    guess = look["estimate"]
    if guess is None:
        return None
    words = {True: "estimated", None: "estimated, not checked", False: "cannot be known"}[guess["trust"]]
    return _Point(guess["value"], guess["low"], guess["high"], guess["trust"] is False, words)


def _over_time(
    looks: Sequence[MonitorLook],
    figures: Sequence[_Point | None],
    reference: float | None,
    title: str,
    percent: bool = False,
    tall: int = 110,
) -> Markup:
    """A figure of each look, from left to right; a dashed line is the reference, a square an alarm."""
    points = [(number, looks[number], point) for number, point in enumerate(figures) if point is not None]
    if not points:
        return Markup("")
    values = [value for _, _, point in points for value in (point.value, point.low, point.high) if value is not None]
    values += [] if reference is None else [reference]
    scale = ticks(min(values), max(max(values), min(values) + 1e-2), 6 if tall > 150 else 4)
    low, high = scale[0], min(scale[-1], 1.0) if percent else scale[-1]
    width, bottom = 460, tall - _BOTTOM

    def x(number: float) -> float:
        return _LEFT + (width - _LEFT - _RIGHT) * (0.5 if len(looks) == 1 else number / (len(looks) - 1))

    def y(value: float) -> float:
        return bottom - (bottom - _TOP) * (value - low) / max(high - low, 1e-9)

    parts = []
    for tick in (tick for tick in scale if low <= tick <= high + 1e-9):
        label = f"{tick:.0%}" if percent else f"{tick:g}"
        parts += [
            tag("line", x1=_LEFT, x2=width - _RIGHT, y1=y(tick), y2=y(tick), class_="grid"),
            text(_LEFT - 6, y(tick) + 4, label, class_="axis end"),
        ]
    if reference is not None:
        parts.append(tag("line", x1=_LEFT, x2=width - _RIGHT, y1=y(reference), y2=y(reference), class_="diagonal"))
    parts += [
        tag("line", x1=x(number), x2=x(number), y1=y(point.low), y2=y(point.high), class_="whisker")
        for number, _, point in points
        if point.low is not None and point.high is not None
    ]
    line = " ".join(f"{x(number):.1f},{y(point.value):.1f}" for number, _, point in points)
    parts.append(tag("polyline", points=line, class_="line train"))
    for number, look, point in points:
        said = f"{look['until'] or ''} item {look['end']}: {point.value:.3g}, {point.words}"
        middle, level = x(number), y(point.value)
        if point.alarm:
            parts.append(
                tag("rect", tag("title", said), x=middle - 5, y=level - 5, width=10, height=10, class_="alarm")
            )
        else:
            parts.append(tag("circle", tag("title", said), cx=middle, cy=level, r=3.4, class_="point train"))
    for number, anchor in ((0, ""), (len(looks) - 1, " end")) if len(looks) > 1 else ((0, " middle"),):
        when = looks[number]["until"] or f"item {looks[number]['end']}"
        parts.append(text(x(number), tall - 6, when, class_=f"axis{anchor}"))
    alarms = sum(point.alarm for _, _, point in points)
    label = (
        f"{title} over {len(looks)} looks, from {points[0][2].value:.3g} to {points[-1][2].value:.3g}, {alarms} alarms"
    )
    return svg(width, tall, label, *parts)


def _class_bars(found: Monitor) -> Markup:
    """How often each class is predicted: in the run's test split, and now."""
    rows, thick, width, left, right = found["classes"], 11, 460, 130, 46
    most = max(max(row["reference"], row["window"]) for row in rows) or 1.0
    parts = []
    for place, row in enumerate(rows):
        top = place * (2 * thick + 10) + 4
        name = row["name"] if len(row["name"]) <= 18 else row["name"][:17] + "…"
        parts.append(text(left - 8, top + thick + 4, name, class_="axis end"))
        for number, (share, kind) in enumerate(((row["reference"], "hit"), (row["window"], "miss"))):
            long, y = max(1.0, (width - left - right) * share / most), top + number * thick
            parts += [
                tag("rect", x=left, y=y, width=long, height=thick - 1, rx=2, class_=kind),
                text(left + long + 5, y + thick - 1.5, f"{share:.0%}", class_="axis"),
            ]
    words = "; ".join(f"{row['name']} {row['reference']:.0%}, now {row['window']:.0%}" for row in rows)
    return svg(width, len(rows) * (2 * thick + 10) + 6, f"Predicted classes: {words}", *parts)
