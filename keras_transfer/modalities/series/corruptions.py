"""Series made worse, as sensors, radio links and hands do it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keras_transfer.inputs import Array
from keras_transfer.modalities.rows import find_strength
from keras_transfer.modalities.series.items import Values, at_rate


class Corruption(NamedTuple):
    """A row of the table: what a reader calls it, its strengths, and how a series takes it."""

    words: str
    strengths: tuple[float, ...]
    apply: Callable[[Values, float, np.random.Generator], Array]


def _noise(series: Values, share: float, random: np.random.Generator) -> Array:
    return np.asarray(series + share * series.std(axis=0) * random.standard_normal(series.shape))


def _dropped(series: Values, share: float, random: np.random.Generator) -> Array:
    """Samples that did not arrive, in bursts: the one before stands there again."""
    lost, length = np.zeros(len(series), bool), max(1, len(series) // 20)
    while lost.mean() < share:
        start = random.integers(0, len(series))
        lost[start : start + random.integers(1, length + 1)] = True
    lost[0] = False
    last = np.maximum.accumulate(np.where(lost, 0, np.arange(len(series))))
    return series[last]


def _rotation(series: Values, degrees: float, random: np.random.Generator) -> Array:
    """A sensor that sits askew: each three channels turned about a random axis; a single one is turned over."""
    turned, count = series.astype(np.float64), series.shape[1]
    for first in range(0, count - count % 3, 3):
        axis = random.standard_normal(3)
        x, y, z = axis / np.linalg.norm(axis)
        cross, angle = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]), np.radians(degrees)
        turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
        turned[:, first : first + 3] = turned[:, first : first + 3] @ turn.T
    if count < 3:
        middle = turned.mean(axis=0)
        turned = middle + np.cos(np.radians(degrees)) * (turned - middle)
    return turned


def _drift(series: Values, share: float, random: np.random.Generator) -> Array:
    """A gain and a zero that wander: at the end they are off by this share."""
    ramp = np.linspace(0, 1, len(series))[:, None]
    sign = random.choice((-1, 1), (2, series.shape[1]))
    middle = series.mean(axis=0)
    swing = (1 + share * sign[0] * ramp) * (series - middle)
    return np.asarray(middle + swing + share * sign[1] * ramp * series.std(axis=0))


def _rate(series: Values, share: float, random: np.random.Generator) -> Array:
    """Another sample rate than the one that is claimed: the series runs faster, and its end stands still."""
    fast = at_rate(series, 1.0, 1 / share)
    return np.concatenate([fast, np.repeat(fast[-1:], max(0, len(series) - len(fast)), axis=0)])[: len(series)]


CORRUPTIONS: dict[str, Corruption] = {
    "noise": Corruption("noise in each channel", (0.1, 0.3, 1.0), _noise),
    "dropped samples": Corruption("samples that did not arrive", (0.05, 0.2, 0.5), _dropped),
    "rotation": Corruption("the sensor turned", (15, 45, 90), _rotation),
    "drift": Corruption("gain and zero drifting", (0.1, 0.3, 1.0), _drift),
    "rate": Corruption("another sample rate", (1.1, 1.25, 2.0), _rate),
}
"""Strengths are shares of each channel's standard deviation, shares of the samples, degrees, shares, and factors."""


def corrupt(series: Array, name: str, strength: int, seed: int = 0) -> Array:
    """Makes series worse.

    Args:
        series: `float32 [n, time, channels]`.
        name: one of `CORRUPTIONS`.
        strength: from 1 up to the number of its strengths.
        seed: of what is random; a series' own depends on its place among them, too.

    Returns:
        The same, worse.

    Raises:
        InputError: there is no such corruption or strength.

    >>> corrupt(np.ones((1, 8, 2), np.float32), "noise", 3)[0, 0].tolist()
    [1.0, 1.0]
    """
    row, value = find_strength(name, strength, CORRUPTIONS, "series")
    worse = [row.apply(each, value, np.random.default_rng([seed, place])) for place, each in enumerate(series)]
    return np.asarray(np.stack(worse), np.float32)
