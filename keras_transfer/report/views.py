"""Items as a map, by their features, with thumbnails of some."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from keras_transfer.report.plots import svg, tag


def embedding_map(
    places: NDArray[np.float64], right: Sequence[bool], titles: Sequence[str], pictures: Mapping[int, str], label: str
) -> Markup:
    """A map of items: a dot each, and thumbnails of some.

    Args:
        places: float `[n, 2]` in 0..1.
        right: whether the answer to each was right.
        titles: what each is, shown on pointing at it.
        pictures: thumbnails as `data:` addresses, by index.
        label: what the map shows, for those who do not see it.
    """
    width, height, margin, size = 960, 640, 30, 46

    def at(index: int) -> tuple[float, float]:
        x, y = places[index]
        return margin + (width - 2 * margin) * float(x), height - margin - (height - 2 * margin) * float(y)

    parts: list[Markup] = []
    for index in range(len(places)):
        x, y = at(index)
        kind = "place right" if right[index] else "place wrong"
        parts.append(tag("circle", tag("title", titles[index]), cx=x, cy=y, r=3.2, class_=kind))
    for index, picture in pictures.items():
        x, y = at(index)
        corner = {"x": x - size / 2, "y": y - size / 2}
        frame = tag("rect", **corner, width=size, height=size, class_="frame" if right[index] else "frame wrong", rx=3)
        shown = tag("image", tag("title", titles[index]), **corner, width=size, height=size, href=picture)
        parts += [shown, frame]
    return svg(width, height, label, *parts, style="min-width:640px")
