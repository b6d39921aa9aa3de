"""What a series is like, whatever it holds: how long, how large, how rough; and a plot of it."""

import base64
import io
from collections.abc import Iterable, Iterator

import numpy as np

from keras_transfer.data.split import Split
from keras_transfer.errors import InputError
from keras_transfer.evaluation.shift import Property
from keras_transfer.inputs import Array
from keras_transfer.modalities.series.items import Values
from keras_transfer.modalities.series.preparer import SeriesPreparer
from keras_transfer.progress import track

_MOST = 8  # channels of a plot
_COLOURS = (
    (0, 90, 181),
    (220, 50, 32),
    (0, 122, 92),
    (153, 79, 0),
    (93, 58, 155),
    (64, 64, 64),
    (26, 133, 255),
    (170, 0, 120),
)
_PAPER, _GLOW = (252, 252, 250), (255, 196, 84)
_FINE = 3  # pixels that are drawn for one that is kept


def _roughness(series: Values) -> float:
    """How far neighbours lie apart, as a share of each channel's deviation: about 1.4 of white noise."""
    spread = np.maximum(series.std(axis=0), 1e-12)
    return float((np.diff(series, axis=0).std(axis=0) / spread).mean()) if len(series) > 2 else 0.0


PROPERTIES: dict[str, Property[Values]] = {
    "length": Property(lambda series: float(len(series)), "Samples", "shorter", "longer"),
    "level": Property(lambda series: float(series.mean()), "Mean of all channels", "lower", "higher"),
    "size": Property(
        lambda series: float(series.std(axis=0).mean()), "Deviation within a series", "weaker", "stronger"
    ),
    "roughness": Property(_roughness, "Roughness", "smoother", "rougher"),
}
"""Means and deviations are in the sensor's units; roughness is the deviation of the steps by that of the samples."""


def each_series(split: Split) -> Iterator[Values]:
    """The samples of each series as it is, without what fills it up."""
    preparer = split.preparer
    assert isinstance(preparer, SeriesPreparer)
    for path in track(list(split.paths), f"Measuring {split.name}", total=len(split)):
        yield preparer.series(preparer.load(str(path))).values[: preparer.length]


def plots(split: Split, indices: Iterable[int], side: int) -> Iterator[tuple[int, str]]:
    """A plot of each item by its index; of those that have vanished there is none."""
    preparer = split.preparer
    assert isinstance(preparer, SeriesPreparer)
    for index in indices:
        try:
            series = preparer.series(preparer.load(str(split.paths[index])))
        except InputError:
            continue
        yield index, plot(series.values[: preparer.length], side)


def plot(series: Values, side: int, heat: Array | None = None) -> str:
    """A series as lines, a strip for each of its first 8 channels, as a PNG in a `data:` address.

    Args:
        series: `float32 [time, channels]`.
        side: of the picture, in pixels.
        heat: float `[time]` in 0..1: there the paper glows.

    >>> plot(np.sin(np.arange(50, dtype=np.float32))[:, None], 96)[:22]
    'data:image/png;base64,'
    """
    from PIL import Image, ImageDraw

    size, shown = _FINE * side, series[:, :_MOST]
    picture = Image.new("RGB", (size, size), _PAPER)
    draw = ImageDraw.Draw(picture)
    if heat is not None and len(heat):
        places = np.minimum(np.arange(size) * len(heat) // size, len(heat) - 1)
        for x, strength in enumerate(np.clip(heat, 0, 1)[places].tolist()):
            colour = tuple(round(p + strength * (g - p)) for p, g in zip(_PAPER, _GLOW, strict=True))
            draw.line([(x, 0), (x, size)], fill=colour)
    strip = size / shown.shape[1]
    across = np.linspace(0, size - 1, max(2, len(shown)))
    for place, channel in enumerate(shown.T):
        low, high = float(channel.min()), float(channel.max())
        height = (channel - low) / (high - low) if high > low else np.full(len(channel), 0.5)
        down = strip * (place + 0.92 - 0.84 * height)
        if len(down) == 1:
            down = np.repeat(down, 2)
        points = list(zip(across.tolist(), down.tolist(), strict=True))
        draw.line(points, fill=_COLOURS[place], width=max(1, size // 120), joint="curve")
    content = io.BytesIO()
    picture.resize((side, side), Image.Resampling.BOX).quantize(64).save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
