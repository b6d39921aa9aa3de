"""What a photograph is like, whatever it shows: brightness, contrast, colour and sharpness, from its pixels alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from keras_transfer.evaluation.shift import LEVEL, how_much, property_gap
from keras_transfer.inputs import Array
from keras_transfer.schemas import PropertyDifference

TITLES = {
    "brightness": "Brightness (0 to 1)",
    "contrast": "Contrast (0 to 1)",
    "colour": "Colour (0 to 1)",
    "warmth": "Warmth (red less blue, -1 to 1)",
    "sharpness": "Sharpness (decibels)",
    "gray": "Share without colour",
    "side": "Shorter side of the file (pixels)",
}
MATCHING: dict[tuple[str, int], dict[str, float]] = {
    ("gray", 1): {"grayscale": 0.5},
    ("colour", -1): {"grayscale": 0.5},
    ("sharpness", -1): {"blur": 0.5},
    ("contrast", -1): {"contrast": 0.9},
    ("contrast", 1): {"contrast": 0.9},
    ("brightness", -1): {"brightness": 0.5},
    ("brightness", 1): {"brightness": 0.5},
}
"""For a property and the sign of its difference, the augmentation that shows training photographs in that light."""
GRAY = 2.0
"""A picture whose channels differ by less than this on average (of 255) counts as gray."""


class Property(NamedTuple):
    """A row of the table: how `float32 [H, W, 3]` pixels are measured, and the words for lower and higher values."""

    measure: Callable[[Array], float]
    lower: str
    higher: str


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

    >>> figures = appearance(np.full((8, 8, 3), 51, np.uint8))
    >>> round(figures["brightness"], 6), figures["contrast"] < 1e-6, figures["gray"]
    (0.2, True, 1.0)
    """
    values = np.broadcast_to(np.asarray(pixels, np.float32), (*pixels.shape[:2], 3))
    figures = {name: row.measure(values) for name, row in PROPERTIES.items()}
    red, green, blue = (values[..., i] for i in range(3))  # NumPy is ten times as fast on whole planes as on triples
    span = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return figures | {"gray": float(span.mean() < GRAY)}


def differences(ours: Mapping[str, Sequence[float]], theirs: Mapping[str, Sequence[float]]) -> list[PropertyDifference]:
    """In which visible properties two sets of photographs differ.

    Args:
        ours: for each property its value in every photograph of the run: those of `appearance`, and optionally `side`,
            the shorter side of the file in pixels.
        theirs: the same of the new photographs.

    Returns:
        One row per property, the largest difference first. `p_value` is of the Mann-Whitney test. Of `gray`, `ours`
        and `theirs` are shares, `size` is their difference, and the test is Fisher's.

    >>> row = differences({"contrast": [0.2, 0.3, 0.25, 0.22] * 5}, {"contrast": [0.05, 0.06, 0.04, 0.05] * 5})[0]
    >>> row["words"], row["size"] < -3
    ('much lower in contrast', True)
    """
    from scipy.stats import fisher_exact

    rows: list[PropertyDifference] = []
    asked = [name for name in ours if name in theirs]
    for name in asked:
        first, second = (np.asarray(side[name], np.float64) for side in (ours, theirs))
        if name == "side":
            first, second = np.log2(first), np.log2(second)
        size, p_value = property_gap(first, second)
        if name == "gray":
            size = float(second.mean() - first.mean())
            counts = [[int(side.sum()), len(side) - int(side.sum())] for side in (first, second)]
            p_value = float(fisher_exact(counts).pvalue)
        middle = np.mean if name == "gray" else np.median
        typical = [float(middle(np.asarray(side[name], np.float64))) for side in (ours, theirs)]
        words = _words(name, size, typical) if p_value < LEVEL / len(asked) else ""
        rows.append(
            {
                "property": name,
                "title": TITLES[name],
                "ours": typical[0],
                "theirs": typical[1],
                "size": float(np.clip(size, -99, 99)),
                "p_value": p_value,
                "words": words,
                "augmentation": MATCHING.get((name, int(np.sign(size))), {}),
            }
        )
    if any(row["property"] == "gray" and row["words"] for row in rows):  # which implies the other two
        for row in rows:
            row["words"] = "" if row["property"] in ("colour", "warmth") else row["words"]
    return sorted(rows, key=lambda row: (row["words"] == "", -abs(row["size"])))


def _words(name: str, size: float, typical: Sequence[float]) -> str:
    if name == "gray":
        return f"{typical[1]:.0%} of them without colour, against {typical[0]:.0%}" if abs(size) > 0.1 else ""
    strength = how_much(size)
    if not strength:
        return ""
    if name == "side":
        kind = "smaller" if size < 0 else "larger"
        return f"{strength} {kind} files ({typical[1]:.0f} against {typical[0]:.0f} pixels)"
    return f"{strength} {PROPERTIES[name].lower if size < 0 else PROPERTIES[name].higher}"
