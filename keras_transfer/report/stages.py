"""A figure of each stage of a network, as bars from the input up."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from keras_transfer.report.plots import svg, tag, text


def stage_bars(rows: Sequence[Mapping[str, object]], series: Mapping[str, str], label: str) -> Markup:
    """Bars from 0 to 1, one row for each stage.

    Args:
        rows: for each stage its name, `stage`, and a figure in 0..1 for each key of `series`.
        series: the figures' keys, with the class each bar has in `report.css` (`"hit"` or `"miss"`).
        label: what the picture shows, for those who do not see it.
    """
    if not rows:
        return Markup("")
    names = [str(row["stage"]) for row in rows]
    values = [[float(str(row[key])) for key in series] for row in rows]
    thick, width, left, right = 15, 460, 62, 46
    tall = thick * len(series) + 14
    height = tall * len(rows) + 22
    parts: list[Markup] = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + (width - left - right) * tick
        parts += [
            tag("line", x1=x, x2=x, y1=0, y2=height - 20, class_="grid"),
            text(x, height - 5, f"{tick:g}", class_="axis middle"),
        ]
    for place, (name, figures) in enumerate(zip(names, values, strict=True)):
        top = place * tall + 7
        parts.append(text(left - 8, top + thick * len(series) / 2 + 4, name, class_="axis end"))
        for number, ((key, kind), value) in enumerate(zip(series.items(), figures, strict=True)):
            long = max(1.0, (width - left - right) * min(max(value, 0.0), 1.0))
            y = top + number * thick
            title = tag("title", f"{name}: {key} {value:.3f}")
            parts += [
                tag("rect", title, x=left, y=y + 1, width=long, height=thick - 2, rx=2, class_=kind),
                text(left + long + 5, y + thick - 3.5, f"{value:.2f}", class_="axis"),
            ]
    words = [
        f"{name} " + ", ".join(f"{key} {value:.2f}" for key, value in zip(series, figures, strict=True))
        for name, figures in zip(names, values, strict=True)
    ]
    return svg(width, height, f"{label}: {'; '.join(words)}", *parts)
