"""The page of a search: what reached what at which cost, what each choice moved, and what was ruled out."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from markupsafe import Markup

from keras_transfer.budget import parse_budget
from keras_transfer.report.page import templates
from keras_transfer.report.plots import svg, tag, text
from keras_transfer.report.tradeoff import Point, pareto_front, tradeoff
from keras_transfer.schemas import Search, SearchEffect, SearchTrial

Choices: TypeAlias = Mapping[str, str | int | float]
_SHOWN = 20  # networks and trials in tables; `search.json` has all


def search_html(found: Search) -> str:
    """The page, which fetches nothing and runs no script.

    Args:
        found: what stands in `search.json`.
    """
    whole = [trial for trial in found["trials"] if trial["rung"] == "whole" and trial["accuracy"] is not None]
    networks = {row["name"]: row for row in found["networks"]}
    budget = parse_budget(found["fit"]["budget"]) if found["fit"] is not None else None
    pictures: list[tuple[str, Markup]] = []
    if whole:
        work = [_point(trial, networks[trial["network"]]["multiply_adds"], found) for trial in whole]
        pictures.append(
            ("multiply-adds of one item", tradeoff(work, "multiply-adds", 1e6, "million", what="trainings"))
        )
        size = [_point(trial, networks[trial["network"]]["parameters"], found) for trial in whole]
        front = pareto_front([(point.accuracy, point.cost) for point in size])
        size = [point._replace(on_front=number in front) for number, point in enumerate(size)]
        limit = budget.flash if budget is not None else None
        words = "parameters; an int8 file has a byte for each, and code comes on top"
        pictures.append((words, tradeoff(size, "parameters", 1e6, "million", what="trainings", limit=limit)))
    ranked = sorted(found["trials"], key=lambda trial: (trial["rung"] != "whole", -(trial["accuracy"] or -1)))
    return templates().get_template("search.html.jinja").render(
        found=found,
        name=Path(found["data"]).name,
        pictures=pictures,
        numbers={trial["place"]: number for number, trial in enumerate(whole, start=1)},
        trials=ranked[:_SHOWN],
        networks=found["networks"][:_SHOWN],
        bars=_bars(found["effects"]),
        choices=lambda choices: choice_words(choices, found["usual_choices"]),
    )  # fmt: skip


def choice_words(choices: Choices, usual: Choices) -> str:
    """What of some choices is not usual, for people.

    >>> choice_words({"strategy": "full", "epochs_factor": 2}, {"strategy": "auto", "epochs_factor": 1})
    'strategy full, epochs x2'
    """
    own = [(name, value) for name, value in choices.items() if usual.get(name) != value]
    return ", ".join(field_words(name, value) for name, value in own) or "as usual"


def field_words(name: str, value: str | int | float) -> str:
    """One choice for people.

    >>> field_words("label_smoothing", 0.1), field_words("rate_factor", 0.5)
    ('label smoothing 0.1', 'rate x0.5')
    """
    factor = name.endswith("_factor")
    return f"{name.removesuffix('_factor').replace('_', ' ')} {'x' if factor else ''}{value}"


def _point(trial: SearchTrial, cost: float, found: Search) -> Point:
    accuracy, error = trial["accuracy"] or 0.0, trial["error"] or 0.0
    name = f"{trial['network']}, {choice_words(trial['choices'], found['usual_choices'])}"
    low, high = max(0.0, accuracy - error), min(1.0, accuracy + error)
    return Point(name, cost, accuracy, low, high, trial["place"] in found["front"])


def _bars(effects: list[SearchEffect]) -> Markup:
    """How far each choice moves the expected accuracy, to the left or right of the mean."""
    thick, width, left, middle = 18, 460, 190, 320
    most = max([abs(row["difference"]) for row in effects] + [0.005])
    parts = [tag("line", x1=middle, x2=middle, y1=0, y2=len(effects) * thick, class_="grid")]
    for place, row in enumerate(effects):
        top, long = place * thick + 2, (width - middle - 44) * abs(row["difference"]) / most
        name = field_words(row["field"], row["value"])
        start = middle if row["difference"] >= 0 else middle - long
        kind = "hit" if row["difference"] >= 0 else "miss"
        end = middle + long + 5 if row["difference"] >= 0 else middle - long - 5
        parts += [
            text(left, top + 11, name, class_="axis end"),
            tag("rect", x=start, y=top + 2, width=max(1.0, long), height=thick - 7, rx=2, class_=kind),
            text(end, top + 11, f"{100 * row['difference']:+.1f}", class_="axis" + ("" if kind == "hit" else " end")),
        ]
    words = "; ".join(f"{row['field']} {row['value']} {100 * row['difference']:+.1f}" for row in effects)
    return svg(width, len(effects) * thick + 4, f"Points by choice: {words}", *parts)
