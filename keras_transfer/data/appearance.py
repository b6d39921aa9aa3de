"""What a photograph is like, whatever it shows: brightness, contrast, colour and sharpness, from its pixels alone."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
GRAY = 2.0
"""A picture whose channels differ by less than this on average (of 255) counts as gray."""


class Property(NamedTuple):
    """A row of the table: its figure for `float32 [H, W, 3]` pixels, and the words for less and for more of it."""

    measure: Callable[[Array], float]
    less: str
    more: str


def _luma(pixels: Array) -> Array:
    return pixels @ np.array([0.299, 0.587, 0.114], np.float32)


def _colourfulness(pixels: Array) -> float:
    red_green = pixels[..., 0] - pixels[..., 1]
    yellow_blue = (pixels[..., 0] + pixels[..., 1]) / 2 - pixels[..., 2]
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float((spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean())) / 255)


def _sharpness(pixels: Array) -> float:
    luma = _luma(pixels)
    edges = luma[1:-1, 1:-1] * 4 - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:]
    # Over the picture's own variance, so that a dull picture does not pass for a blurred one; +1 for a blank one.
    return float(10 * np.log10((edges.var() + 1) / (luma.var() + 1))) if edges.size else 0.0


PROPERTIES: dict[str, Property] = {
    "brightness": Property(lambda pixels: float(_luma(pixels).mean() / 255), "darker", "brighter"),
    "contrast": Property(lambda pixels: float(_luma(pixels).std() / 255), "lower in contrast", "higher in contrast"),
    "colour": Property(_colourfulness, "less colourful", "more colourful"),
    "warmth": Property(lambda p: float((p[..., 0].mean() - p[..., 2].mean()) / 255), "bluer", "redder"),
    "sharpness": Property(_sharpness, "less sharp", "sharper or noisier"),
}
"""Brightness and contrast are the mean and deviation of luma, colour is Hasler & Süsstrunk's (2003,
https://doi.org/10.1117/12.477378), warmth red less blue, all as shares of 255; sharpness is the variance of the
Laplacian (Pech-Pacheco et al. 2000, https://doi.org/10.1109/ICPR.2000.903548) over that of the picture, in decibels."""


def appearance(pixels: Array) -> dict[str, float]:
    """The figures of one picture.

    Args:
        pixels: `uint8 [H, W, 3]` or `[H, W, 1]`; compare pictures of one size, since sharpness depends on it.

    Returns:
        A figure for each of `PROPERTIES`, and `gray`, 1.0 for a picture without colour.

    >>> found = appearance(np.full((8, 8, 3), 51, np.uint8))
    >>> round(found["brightness"], 6), found["contrast"] < 1e-6, found["gray"]
    (0.2, True, 1.0)
    """
    values = np.broadcast_to(np.asarray(pixels, np.float32), (*pixels.shape[:2], 3))
    found = {name: row.measure(values) for name, row in PROPERTIES.items()}
    red, green, blue = (values[..., i] for i in range(3))  # NumPy is ten times as fast on whole planes as on triples
    span = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return found | {"gray": float(span.mean() < GRAY)}
