"""Recordings made worse, as microphones, rooms and telephones do it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keras_transfer.inputs import Array
from keras_transfer.modalities.audio.augmentation import loudness
from keras_transfer.modalities.audio.items import Samples, as_mp3, decode, resample
from keras_transfer.modalities.rows import find_strength

_TELEPHONE = (300.0, 3400.0)  # Hz that a telephone lets through
_MU = 255.0  # of G.711's companding


class Corruption(NamedTuple):
    """A row of the table: what a reader calls it, its strengths, and how a clip of a sample rate takes it."""

    words: str
    strengths: tuple[float, ...]
    apply: Callable[[Samples, int, float, np.random.Generator], Array]


def _noise(clip: Samples, rate: int, decibels: float, random: np.random.Generator) -> Array:
    level = float(loudness(clip)[0]) * 10 ** (-decibels / 20)
    return clip + level * random.standard_normal(len(clip), np.float32)


def _reverberation(clip: Samples, rate: int, seconds: float, random: np.random.Generator) -> Array:
    """An echo behind the sound, decaying noise that is 60 dB softer after so many seconds."""
    from scipy.signal import fftconvolve

    time = np.arange(int(seconds * rate)) / rate
    tail = random.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    tail *= 1 / np.linalg.norm(tail)
    tail[0] += 1
    heard = fftconvolve(clip, tail)[: len(clip)]
    return np.asarray(heard * (float(loudness(clip)[0]) / max(float(loudness(heard)[0]), 1e-9)))


def _gain(clip: Samples, rate: int, decibels: float, random: np.random.Generator) -> Array:
    return clip * np.float32(10 ** (decibels / 20))


def _telephone(clip: Samples, rate: int, kilohertz: float, random: np.random.Generator) -> Array:
    """8,000 samples a second, 300 to 3,400 Hz, eight bits by the mu law (ITU-T G.711)."""
    low = resample(clip, rate, round(1000 * kilohertz))
    spectrum = np.fft.rfft(low)
    hertz = np.fft.rfftfreq(len(low), 1 / (1000 * kilohertz))
    spectrum[(hertz < _TELEPHONE[0]) | (hertz > _TELEPHONE[1])] = 0
    narrow = np.clip(np.fft.irfft(spectrum, len(low)), -1, 1)
    steps = np.rint(np.sign(narrow) * np.log1p(_MU * np.abs(narrow)) / np.log1p(_MU) * 127) / 127
    coded = np.sign(steps) * np.expm1(np.abs(steps) * np.log1p(_MU)) / _MU
    return _of_length(resample(coded.astype(np.float32), round(1000 * kilohertz), rate), len(clip))


def _mp3(clip: Samples, rate: int, kilobits: float, random: np.random.Generator) -> Array:
    samples, coded_rate = decode(as_mp3(clip, rate, kilobits))
    return _of_length(resample(samples, coded_rate, rate), len(clip))


CORRUPTIONS: dict[str, Corruption] = {
    "noise": Corruption("white noise behind the sound", (20, 10, 0), _noise),
    "reverberation": Corruption("the echo of a room", (0.3, 0.7, 1.5), _reverberation),
    "gain": Corruption("a softer recording", (-10, -20, -30), _gain),
    "telephone": Corruption("a telephone", (8,), _telephone),
    "mp3": Corruption("MP3 at 64 kbit/s", (64,), _mp3),
}
"""Strengths are the ratio of sound to noise in dB, seconds until an echo is 60 dB softer, dB, kHz and kbit/s."""


def corrupt(clips: Array, sample_rate: int, name: str, strength: int, seed: int = 0) -> Array:
    """Makes recordings worse.

    Args:
        clips: `float32 [n, samples]` in -1..1.
        sample_rate: of the clips.
        name: one of `CORRUPTIONS`.
        strength: from 1 up to the number of its strengths.
        seed: of noise and echo; a clip's depends on its place among `clips` too.

    Returns:
        The same, worse.

    Raises:
        InputError: there is no such corruption or strength.

    >>> float(corrupt(np.full((1, 800), 0.5, np.float32), 16000, "gain", 2)[0, 0]) < 0.051
    True
    """
    row, value = find_strength(name, strength, CORRUPTIONS, "recordings")
    worse = [
        row.apply(clip, sample_rate, value, np.random.default_rng([seed, place])) for place, clip in enumerate(clips)
    ]
    return np.asarray(np.clip(np.stack(worse), -1, 1), np.float32)


def _of_length(samples: Samples, length: int) -> Samples:
    return np.pad(samples[:length], (0, max(0, length - len(samples))))
