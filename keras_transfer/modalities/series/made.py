"""Made gestures: an accelerometer that a hand moves, to see a first run without data or a network."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.made import made_count

Signal: TypeAlias = NDArray[np.float64]

NAME = "made-gestures"
"""What they are called wherever a data set goes; `made-gestures:400` are so many."""
NOTE = "These gestures are made by a program: they show how it works, not how good it is."
RATE, SAMPLES = 50.0, 100
CHANNELS = ("x", "y", "z")
_COUNT, _FEWEST, _MOST = 300, 40, 20_000
_GRAVITY = 9.81
_HANDS = 12  # people, each with a tilt, a strength and a pace of their own


def made_gestures(count: int = _COUNT, seed: int = 0) -> tuple[NDArray[np.float32], list[str], list[str]]:
    """Gestures, float32 `[count, 100, 3]` in m/s² at 50 Hz, their classes, a fifth each, and whose hand it was.

    Args:
        count: how many.
        seed: another seed, other gestures.

    >>> series, labels, hands = made_gestures(10)
    >>> series.shape, sorted(set(labels))
    ((10, 100, 3), ['circle', 'flick', 'rest', 'shake', 'up and down'])
    """
    random = np.random.default_rng(seed)
    hands = [
        (_turn(random.normal(0, 0.25, 3)), random.uniform(0.6, 1.4), random.uniform(0.75, 1.3)) for _ in range(_HANDS)
    ]
    labels = [list(_KINDS)[i % len(_KINDS)] for i in range(count)]
    owners = [int(random.integers(_HANDS)) for _ in labels]
    series = [_moved(_KINDS[label], *hands[owner], random) for label, owner in zip(labels, owners, strict=True)]
    return np.array(series, np.float32), labels, [f"hand {owner + 1}" for owner in owners]


def load_made(source: str) -> tuple[NDArray[np.float32], list[str], list[str]]:
    """The gestures of a source's name.

    Raises:
        InputError: what stands behind the colon is no number from 40 to 20,000.
    """
    return made_gestures(made_count(source, _COUNT, _FEWEST, _MOST))


def _moved(
    make: Callable[[Signal, np.random.Generator], Signal],
    turn: Signal,
    strength: float,
    pace: float,
    random: np.random.Generator,
) -> Signal:
    """What the sensor feels: the movement somewhere in the window, gravity, a tilt, noise and a slow wander."""
    time = np.arange(SAMPLES) / RATE
    start, length = random.uniform(0.05, 0.6), random.uniform(0.9, 1.3) / pace
    inside = np.clip((time - start) / length, 0, 1)
    rise = np.clip(np.minimum(inside, 1 - inside) / 0.1, 0, 1)
    movement = strength * random.uniform(0.3, 1.3) * rise[:, None] * make(inside * length * pace, random)
    wander = np.cumsum(random.normal(0, 0.08, (SAMPLES, 3)), axis=0)
    felt = movement + wander + np.array([0, 0, _GRAVITY])
    return np.asarray(felt @ (turn @ _turn(random.normal(0, 0.12, 3))).T + random.normal(0, 0.4, (SAMPLES, 3)))


def _turn(angles: Signal) -> Signal:
    """A rotation by small angles about the three axes, `[3, 3]`."""
    (a, b, c), eye = angles, np.eye(3)
    for angle, (i, j) in zip((a, b, c), ((1, 2), (0, 2), (0, 1)), strict=True):
        step = np.eye(3)
        step[[i, j], [i, j]], step[i, j], step[j, i] = np.cos(angle), -np.sin(angle), np.sin(angle)
        eye = eye @ step
    return np.asarray(eye)


def _waves(*rows: tuple[float, float, float]) -> Callable[[Signal, np.random.Generator], Signal]:
    """Swings of an amplitude, a frequency and a phase for each axis."""

    def make(time: Signal, random: np.random.Generator) -> Signal:
        late = random.uniform(0, 0.5)
        waves = [size * np.sin(2 * np.pi * (hertz * time + phase) + late) for size, hertz, phase in rows]
        return np.stack(waves, axis=1)

    return make


def _flick(time: Signal, random: np.random.Generator) -> Signal:
    at = random.uniform(0.3, 0.7)
    push = np.exp(-(((time - at) / 0.05) ** 2)) - 0.8 * np.exp(-(((time - at - 0.14) / 0.07) ** 2))
    return np.stack([12 * push, 3 * push, 2 * push], axis=1)


_KINDS: dict[str, Callable[[Signal, np.random.Generator], Signal]] = {
    "circle": _waves((3.0, 1.4, 0.0), (3.0, 1.4, 0.25), (0.4, 1.4, 0.1)),
    "shake": _waves((5.0, 4.5, 0.0), (1.0, 4.5, 0.2), (0.8, 9.0, 0.0)),
    "up and down": _waves((0.5, 1.6, 0.3), (0.6, 1.6, 0.1), (4.0, 1.6, 0.0)),
    "flick": _flick,
    "rest": _waves((0.1, 0.5, 0.0), (0.1, 0.7, 0.0), (0.1, 0.3, 0.0)),
}
