"""Made signals: classes that are random compositions of what sensors show, and as many series of each as are wanted."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]
FAMILIES = ("trend", "season", "chirp", "burst", "bump", "step", "noise", "spikes")
_KINDS = 6  # numbers that describe one part of a class


class Classes(NamedTuple):
    """What classes are made of.

    Attributes:
        amplitudes: of each family in each class, `[classes, families]`; 0 where a class has none of it.
        parts: places, rates and shapes in 0..1, `[classes, families, 6]`.
        free: whether the phase of a class's seasons is any, `[classes]`.
    """

    amplitudes: _Floats
    parts: _Floats
    free: NDArray[np.bool_]


def make_classes(count: int, seed: int = 0) -> Classes:
    """So many classes, each of one to four families."""
    random = np.random.default_rng(seed)
    amplitudes = random.uniform(0.4, 1.5, (count, len(FAMILIES))) * random.choice([-1, 1], (count, len(FAMILIES)))
    for row in amplitudes:
        row[random.permutation(len(FAMILIES))[random.integers(1, 5) :]] = 0
    return Classes(amplitudes, random.uniform(size=(count, len(FAMILIES), _KINDS)), random.random(count) < 0.5)


def draw(
    classes: Classes, labels: NDArray[np.integer], length: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """A series of each label, of mean 0 and deviation 1, float32 `[n, length]`: no two are the same."""
    n = len(labels)
    amplitudes = classes.amplitudes[labels] * random.lognormal(0, 0.2, (n, len(FAMILIES)))
    parts = classes.parts[labels] + random.normal(0, 0.03, (n, len(FAMILIES), _KINDS))
    t = _warped(n, length, random)
    made = [globals()[f"_{family}"](t, parts[:, place], random) for place, family in enumerate(FAMILIES)]
    phase = np.where(classes.free[labels], random.uniform(0, 1, n), 0)[:, None]
    made[1] = _season(t + phase, parts[:, 1], random)
    series = np.einsum("nf,fnt->nt", amplitudes, np.stack(made))
    series += (
        random.normal(size=series.shape) * random.uniform(0, 0.3, (n, 1)) * (series.std(axis=1, keepdims=True) + 0.1)
    )
    series -= series.mean(axis=1, keepdims=True)
    return (series / (series.std(axis=1, keepdims=True) + 1e-6)).astype(np.float32)


def _warped(n: int, length: int, random: np.random.Generator) -> _Floats:
    """Time from 0 to 1 at an uneven pace, of a stretch that is nearly the whole."""
    knots = np.cumsum(random.lognormal(0, 0.25, (n, 5)), axis=1)
    knots = np.concatenate([np.zeros((n, 1)), knots], axis=1) / knots[:, -1:]
    places = np.linspace(0, 5, length)
    left = np.minimum(places.astype(int), 4)
    t = knots[:, left] * (1 - (places - left)) + knots[:, left + 1] * (places - left)
    return random.uniform(-0.05, 0.05, (n, 1)) + t * random.uniform(0.9, 1.1, (n, 1))


def _trend(t: _Floats, part: _Floats, random: np.random.Generator) -> _Floats:
    return 2 * (t - part[:, :1]) + 4 * (part[:, 1:2] - 0.5) * np.square(t - part[:, 2:3])


def _season(t: _Floats, part: _Floats, random: np.random.Generator) -> _Floats:
    angle = 2 * np.pi * (t * 2 ** (1 + 4 * part[:, :1]) + part[:, 1:2])
    return np.sin(angle) + part[:, 2:3] * np.sin(2 * angle + 6 * part[:, 3:4]) + part[:, 4:5] * np.sign(np.sin(angle))


def _chirp(t: _Floats, part: _Floats, random: np.random.Generator) -> _Floats:
    return np.sin(2 * np.pi * (2 + 10 * part[:, :1]) * (t + (2 * part[:, 1:2] - 1) * np.square(t)) + 6 * part[:, 2:3])


def _burst(t: _Floats, part: _Floats, random: np.random.Generator) -> _Floats:
    beside = (t - part[:, :1]) / (0.05 + 0.2 * part[:, 1:2])
    return 2 * np.exp(-np.square(beside)) * np.sin(2 * np.pi * (4 + 28 * part[:, 2:3]) * (t - part[:, :1]))


def _bump(t: _Floats, part: _Floats, random: np.random.Generator) -> _Floats:
    first = np.exp(-np.square((t - part[:, :1]) / (0.03 + 0.15 * part[:, 1:2])))
    return 2 * first + 2 * (part[:, 2:3] - 0.5) * np.exp(-np.square((t - part[:, 3:4]) / (0.03 + 0.15 * part[:, 4:5])))


def _step(t: _Floats, part: _Floats, random: np.random.Generator) -> _Floats:
    rise = np.tanh((t - part[:, :1]) / (0.002 + 0.05 * part[:, 1:2]))
    return rise - part[:, 2:3] * np.tanh((t - part[:, 3:4]) / (0.002 + 0.05 * part[:, 4:5]))


def _noise(t: _Floats, part: _Floats, random: np.random.Generator) -> _Floats:
    """White noise through a resonance of second order, in the frequency domain."""
    white = np.fft.rfft(random.normal(size=t.shape), axis=1)
    place = np.linspace(0, 1, white.shape[1])
    color = 1 / (0.05 + np.abs(place - np.clip(part[:, :1], 0, 1)) ** (0.5 + 1.5 * np.clip(part[:, 1:2], 0, 1)))
    made = np.fft.irfft(white * color, t.shape[1], axis=1)
    return made / (made.std(axis=1, keepdims=True) + 1e-9)


def _spikes(t: _Floats, part: _Floats, random: np.random.Generator) -> _Floats:
    beat = (t * (3 + 12 * part[:, :1]) + part[:, 1:2]) % 1 - 0.5
    width = 0.03 + 0.1 * np.abs(part[:, 2:3])
    return 2 * np.exp(-np.square(beat / width)) - part[:, 3:4] * np.exp(-np.square((beat - 0.2) / (2 * width)))
