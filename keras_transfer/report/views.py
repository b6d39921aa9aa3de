"""Pictures of what a network sees, as one image a row of small ones, and as a map of thumbnails."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from keras_transfer.report.plots import svg, tag
from keras_transfer.report.thumbnails import address, heat_colours

Array = np.ndarray[Any, Any]


def sheet(tiles: Array, side: int, columns: int, gap: int = 2) -> str:
    """Small pictures side by side in one, as a `data:` address.

    Args:
        tiles: `uint8 [n, h, w, 3]`, or float `[n, h, w]` in 0..1, which are coloured from dark to light.
        side: width of each in pixels; its height follows.
        columns: of the sheet.
        gap: transparent pixels between them.

    Returns:
        The address of a PNG.

    >>> sheet(np.zeros((3, 2, 2), np.float32), 8, 2)[:22]
    'data:image/png;base64,'
    """
    if tiles.ndim == 3:
        tiles = np.rint(heat_colours(np.clip(tiles, 0, 1)[..., None])).astype(np.uint8)
    tall = max(1, round(side * tiles.shape[1] / tiles.shape[2]))
    rows = -(-len(tiles) // columns)
    whole = Image.new("RGBA", (columns * (side + gap) - gap, rows * (tall + gap) - gap))
    for number, tile in enumerate(tiles):
        # Larger pixels stay squares: they are what there is. Smaller ones are averaged.
        how = Image.Resampling.NEAREST if side >= tile.shape[1] else Image.Resampling.BOX
        place = number % columns * (side + gap), number // columns * (tall + gap)
        whole.paste(Image.fromarray(tile).resize((side, tall), how), place)
    return address(whole.quantize(128, Image.Quantize.FASTOCTREE), "PNG")


def embedding_map(
    places: Array, right: Sequence[bool], titles: Sequence[str], pictures: Mapping[int, str], label: str
) -> Markup:
    """A map of pictures: a dot each, and thumbnails of some.

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
