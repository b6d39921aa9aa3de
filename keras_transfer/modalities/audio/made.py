"""Made sounds: tones, chirps, knocks and hisses, to hear a first run without data or a network."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.made import made_count

Signal: TypeAlias = NDArray[np.float64]

NAME = "made-sounds"
"""What they are called wherever a data set goes; `made-sounds:400` are so many."""
NOTE = "These sounds are made by a program: they show how it works, not how good it is."
RATE = 16000
_SECONDS = 1.2
_COUNT, _FEWEST, _MOST = 320, 40, 20_000
_SPREAD = 18.0  # decibels from the quietest background to the loudest, which hides some of the sounds


def made_sounds(count: int = _COUNT, seed: int = 0) -> tuple[list[NDArray[np.float32]], list[str]]:
    """Sounds, float32 `[19200]` in -1..1 at 16 kHz, and their classes, a fifth each.

    Args:
        count: how many.
        seed: another seed, other sounds.

    >>> clips, labels = made_sounds(10)
    >>> clips[0].shape, sorted(set(labels))
    ((19200,), ['falling chirp', 'hiss', 'knocks', 'rising chirp', 'tone'])
    """
    random = np.random.default_rng(seed)
    labels = [list(_KINDS)[i % len(_KINDS)] for i in range(count)]
    return [_heard(_KINDS[label], random) for label in labels], labels


def load_made(source: str) -> tuple[list[NDArray[np.float32]], list[str]]:
    """The sounds of a source's name.

    Raises:
        InputError: what stands behind the colon is no number from 40 to 20,000.
    """
    return made_sounds(made_count(source, _COUNT, _FEWEST, _MOST))


def _heard(make: Callable[[Signal, np.random.Generator], Signal], random: np.random.Generator) -> NDArray[np.float32]:
    """A sound somewhere in the clip, over a background of noise."""
    time = np.arange(round(_SECONDS * RATE)) / RATE
    start, length = random.uniform(0, 0.5), random.uniform(0.4, 0.7)
    rise = np.clip(np.minimum(time - start, start + length - time) / 0.02, 0, 1)
    sound = make(np.maximum(time - start, 0), random) * rise
    noise = np.cumsum(random.normal(0, 1, len(time)))
    noise = np.diff(noise - np.convolve(noise, np.ones(64) / 64, "same"), prepend=0)
    level = 10 ** (-random.uniform(0, _SPREAD) / 20)
    mixed = sound / max(np.sqrt((sound**2).mean()), 1e-9) + 1.5 * level * noise / noise.std()
    return np.asarray(random.uniform(0.2, 0.9) * mixed / np.abs(mixed).max(), np.float32)


def _tone(time: Signal, random: np.random.Generator) -> Signal:
    pitch = random.uniform(150, 1500)
    partials = [np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 5)]
    return np.asarray(np.sum(partials, axis=0))


def _chirp(direction: int) -> Callable[[Signal, np.random.Generator], Signal]:
    def make(time: Signal, random: np.random.Generator) -> Signal:
        low, octaves = random.uniform(300, 800), random.uniform(0.7, 2)
        start, slope = (low, octaves) if direction > 0 else (low * 2**octaves, -octaves)
        turns = start * (2 ** (slope * time / 0.7) - 1) / (slope * np.log(2) / 0.7)
        return np.asarray(np.sin(2 * np.pi * turns))

    return make


def _hiss(time: Signal, random: np.random.Generator) -> Signal:
    noise = random.normal(0, 1, len(time))
    return np.asarray(np.diff(noise, prepend=0) if random.random() < 0.5 else noise)


def _knocks(time: Signal, random: np.random.Generator) -> Signal:
    pitch, pace = random.uniform(100, 600), random.uniform(0.08, 0.18)
    since = time % pace
    return np.asarray(np.sin(2 * np.pi * pitch * since) * np.exp(-since / 0.015))


_KINDS: dict[str, Callable[[Signal, np.random.Generator], Signal]] = {
    "tone": _tone,
    "rising chirp": _chirp(1),
    "falling chirp": _chirp(-1),
    "hiss": _hiss,
    "knocks": _knocks,
}
