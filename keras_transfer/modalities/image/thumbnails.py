"""Small pictures inside a page, as `data:` addresses."""

import base64
import io

import numpy as np
from PIL import Image

from keras_transfer.inputs import Array

SIDE = 144  # the longest side in pixels: sharp on a phone at the 96 it is shown at
_QUALITY = 78


def thumbnail(pixels: Array, side: int = SIDE) -> str:
    """A picture as a JPEG in a `data:` address.

    Args:
        pixels: `uint8 [H, W, 3]` or `[H, W, 1]`; smaller ones than `side` keep their size.
        side: longest side of the thumbnail in pixels.

    Returns:
        The address, some 4 to 10 kB.

    >>> thumbnail(np.zeros((300, 200, 3), np.uint8))[:23]
    'data:image/jpeg;base64,'
    """
    return address(_small(pixels, side))


def heat_thumbnail(pixels: Array, heat: Array, side: int = SIDE) -> str:
    """The same with a map laid over it: what it leaves out is darkened, its strongest places glow.

    Args:
        pixels: `uint8 [H, W, 3]` or `[H, W, 1]`.
        heat: float `[h, w]` in 0..1.
        side: longest side of the thumbnail in pixels.

    Returns:
        As `thumbnail`.

    >>> heat_thumbnail(np.zeros((30, 20, 3), np.uint8), np.ones((4, 4), np.float32))[:23]
    'data:image/jpeg;base64,'
    """
    picture = _small(pixels, side)
    drawn = Image.fromarray(np.asarray(heat, np.float32), mode=None).resize(picture.size, Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(drawn), 0, 1)[..., None]
    base = np.asarray(picture, np.float32)
    gray = base.mean(axis=-1, keepdims=True)
    glow = heat_colours(strength)
    mixed = (1 - 0.55 * strength) * (0.35 * base + 0.35 * gray + 0.3 * base * strength) + 0.55 * strength * glow
    return address(Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8)))


def heat_colours(strength: Array) -> Array:
    """Dark violet over orange to pale yellow, rising in lightness: readable without seeing hues."""
    stops = np.array([[40, 11, 84], [159, 42, 99], [229, 92, 48], [251, 180, 26], [252, 255, 164]], np.float32)
    places = np.linspace(0, 1, len(stops))
    return np.concatenate([np.interp(strength, places, stops[:, channel]) for channel in range(3)], axis=-1)


def _small(pixels: Array, side: int) -> Image.Image:
    picture = Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def address(picture: Image.Image, kind: str = "JPEG") -> str:
    """A picture as a `data:` address: a JPEG, or a PNG where every pixel counts."""
    content = io.BytesIO()
    picture.save(content, kind, quality=_QUALITY, optimize=True)
    return f"data:image/{kind.lower()};base64," + base64.b64encode(content.getvalue()).decode("ascii")


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
