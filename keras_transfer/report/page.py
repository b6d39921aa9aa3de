"""From the figures of `report.json` to a page: templates fill in, everything from outside is escaped."""

import html
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import jinja2
from markupsafe import Markup

from keras_transfer.report import plots
from keras_transfer.report.learning_curve import learning_curve
from keras_transfer.report.stages import stage_bars
from keras_transfer.report.tradeoff import Point, tradeoff
from keras_transfer.schemas import ComparedFile, Cost, Inspection, Interval, ItemView, Report, RunComparison

_METRICS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "label_accuracy": "Accuracy of single labels",
    "macro_precision": "Macro precision",
    "macro_recall": "Macro recall",
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
    "top_3": "Top-3 accuracy",
    "top_5": "Top-5 accuracy",
    "auc_roc": "AUC-ROC",
    "mean_average_precision": "Mean average precision",
    "log_loss": "Log loss",
    "ece": "Calibration error (ECE)",
}
_SHARES = set(_METRICS) - {"auc_roc", "log_loss", "mean_average_precision"}  # shown in percent
GROUPS, IN_GROUP = 16, 4  # groups of like pictures that an inspection's page shows, and pictures of each
_MOST_CLASSES = 200  # rows of the table of classes; `report.json` has all


def report_html(report: Report, pictures: Mapping[int, ItemView]) -> str:
    """The report as one HTML page that fetches nothing and runs no script.

    Args:
        report: what stands in `RUN/report.json`.
        pictures: of each test item that is shown, by its index.

    Returns:
        The page.
    """
    history = report["history"]
    figures: tuple[Literal["accuracy", "loss"], ...] = ("accuracy", "loss")
    classes = sorted(report["per_class"].items(), key=lambda item: _order(item[1]["f1"]["value"]))
    return templates().get_template("report.html.jinja").render(
        report=report,
        pictures=pictures,
        metrics=_listed(report),
        classes=classes[:_MOST_CLASSES],
        hidden_classes=max(0, len(classes) - _MOST_CLASSES),
        recipe=_plain(report["recipe"]),
        plots=plots,
        curves=[plots.curves(history, figure, f"{figure.capitalize()} by epoch, in training and on validation")
                for figure in figures] if len(history) > 1 else [],  # of one epoch, or of a solved head, a sentence
    )  # fmt: skip


def report_markdown(report: Report) -> str:
    """The report as a model card (Mitchell et al. 2019, "Model Cards for Model Reporting").

    Args:
        report: what stands in `RUN/report.json`.

    Returns:
        Markdown with a header that model hubs read.
    """
    return templates().get_template("report.md.jinja").render(report=report, metrics=_listed(report))


def inspection_html(found: Inspection, pictures: Mapping[int, ItemView]) -> str:
    """The page of a data set's inspection, of the same kind as the report.

    Args:
        found: what stands in `inspection.json`.
        pictures: how files are shown, by their index.

    Returns:
        The page.
    """
    most = max((sum(counts.values()) for counts in found["classes"].values()), default=1) or 1
    limits = {"groups": GROUPS, "in_group": IN_GROUP, "broken": 100}
    template = templates().get_template("inspection.html.jinja")
    return template.render(found=found, pictures=pictures, plots=plots, most=most, limits=limits, bars=stage_bars)


def comparison_html(found: RunComparison, costs: Mapping[Cost, str]) -> str:
    """The page of several runs' files side by side.

    Args:
        found: what stands in `comparison.json`.
        costs: each cost's key and name.

    Returns:
        The page.
    """
    units: dict[Cost, tuple[float, str]] = {"latency_ms": (1.0, "ms")}
    pictures = [
        tradeoff([_compared(row, cost) for row in found["files"]], name, *units.get(cost, (1e6, "MB")))
        for cost, name in costs.items()
    ]
    template = templates().get_template("comparison.html.jinja")
    return template.render(found=found, pictures=list(zip(costs.values(), pictures, strict=True)), costs=costs)


def _compared(row: ComparedFile, cost: Cost) -> Point:
    accuracy = row["accuracy"]
    return Point(row["name"], row[cost], accuracy["value"], accuracy["low"], accuracy["high"], cost in row["front"])


def shift_html(found: Mapping[str, object], pictures: Mapping[str, Sequence[ItemView]]) -> str:
    """The page that compares new photographs with those of a run.

    Args:
        found: what stands in `shift.json`.
        pictures: how some of the `new` items are shown, and some of the run's `own`.

    Returns:
        The page.
    """
    template = templates().get_template("shift.html.jinja")
    return template.render(found=found, pictures=pictures, bars=stage_bars)


def see_html(found: Mapping[str, object], pictures: Mapping[str, object]) -> str:
    """The page of what a network sees.

    Args:
        found: what stands in `see.json`.
        pictures: `filters`, `followed` and `map`, as `keras_transfer.jobs.see` makes them.

    Returns:
        The page.
    """
    return templates().get_template("see.html.jinja").render(found=found, pictures=pictures)


def _cka_figure(rows: Sequence[Mapping[str, object]]) -> Markup:
    """What fine-tuning changed, in words and as bars; the report and the page of what a network sees show it."""
    return Markup(templates().get_template("cka.html.jinja").render(rows=rows, bars=stage_bars))


class _ListedMetric(Interval):
    """A metric as the tables show it."""

    name: str
    title: str
    share: bool  # shown in percent


def _listed(report: Report) -> list[_ListedMetric]:
    metrics = report["metrics"]
    titles = _METRICS | ({"accuracy": "Accuracy (all labels right)"} if report["multi_label"] else {})
    return [
        {"name": name, "title": title, "share": name in _SHARES, **metrics[name]}
        for name, title in titles.items()
        if name in metrics and metrics[name]["value"] is not None
    ]


def _order(value: float | None) -> float:
    return 2.0 if value is None else value


def _plain(recipe: Mapping[str, object]) -> list[tuple[str, str]]:
    """The fields of a recipe that have a value, with their sections; phases have a table of their own."""
    rows: list[tuple[str, object]] = []
    for name, value in recipe.items():
        section = value if isinstance(value, Mapping) else None
        rows += [(name, value)] if section is None else [(f"{name}.{field}", one) for field, one in section.items()]
    return [
        (name, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
        for name, value in rows
        if value not in (None, [], "") and name != "training.phases"
    ]


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a person reads it; a dash where it is not defined.

    >>> percent(0.768), percent(None)
    ('76.8%', '–')
    """
    return "\N{EN DASH}" if value is None else f"{value:.{digits}%}"


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many digits after the point; a dash where it is not defined."""
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}"


def points(value: float) -> str:
    """A difference of shares in signed points.

    >>> points(-0.031)
    '−3.1'
    """
    return f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}")


def size(count: float) -> str:
    """Bytes as a person reads them.

    >>> size(2_490_000)
    '2.49 MB'
    """
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _markdown(value: object) -> str:
    """Text from outside as Markdown shows it letter by letter, on one line."""
    text = html.escape(" ".join(str(value).split()), quote=False)
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", text)


@cache
def templates() -> jinja2.Environment:
    """The templates of all pages."""
    folder = Path(__file__).parent / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=lambda name: name is not None and ".html" in name,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"percent": percent, "number": number, "points": points, "size": size, "md": _markdown}
    environment.globals |= {"cka_figure": _cka_figure, "curve_figure": learning_curve}
    environment.globals["style"] = Markup((folder / "report.css").read_text("utf-8"))
    return environment
