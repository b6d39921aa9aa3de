"""Excerpts that overlap: found by landmarks of their spectrograms, and confirmed by their samples.

Landmarks are pairs of peaks of a spectrogram, each a hash of both frequencies and of the time between them: the same
sound gives the same ones wherever an excerpt begins, louder or softer, and mostly as MP3, too. Wang, "An
Industrial-Strength Audio Search Algorithm", ISMIR 2003.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_transfer.modalities.audio.items import Samples, resample

RATE = 8000
"""Samples a second at which sounds are compared."""
ALIKE = 0.8
"""Correlation of the samples where two excerpts overlap, from which on they are of one recording."""
_FRAME, _HOP = 512, 128
_AROUND = (15, 21)  # frames and bands among which a peak is the highest
_PEAKS = 24  # a second
_FAN = 5  # pairs of each peak with those behind it
_LONGEST = 63  # frames between the two
_COMMON = 24  # a landmark of more sounds than this says nothing
_SHARED = 3  # landmarks at one distance in time, from which on two sounds are compared
_CANDIDATES = 20  # that each sound is compared with
_SHORTEST = RATE // 4  # samples of an overlap
_AT_ONCE = 1 << 22  # pairs of equal landmarks


class Landmarks(NamedTuple):
    """Hashes `uint32 [n]`, and the frame `int32 [n]` of each."""

    hashes: NDArray[np.uint32]
    frames: NDArray[np.int32]


def landmarks(samples: Samples) -> Landmarks:
    """The landmarks of a sound.

    Args:
        samples: `float32 [n]` at `RATE`.

    >>> sound = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    >>> len(landmarks(sound).hashes) > 60, len(landmarks(sound[:100]).hashes)
    (True, 0)
    """
    from scipy.ndimage import maximum_filter

    if len(samples) < 2 * _FRAME:
        return Landmarks(np.zeros(0, np.uint32), np.zeros(0, np.int32))
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::_HOP]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(_FRAME).astype(np.float32)))[:, :256].astype(np.float32)
    highest = (maximum_filter(spectrum, _AROUND) == spectrum) & (spectrum > 1e-3)
    times, bands = np.nonzero(highest)
    most = max(_FAN + 1, int(_PEAKS * len(samples) / RATE))
    if len(times) > most:
        strongest = np.sort(np.argpartition(-spectrum[times, bands], most)[:most])
        times, bands = times[strongest], bands[strongest]
    hashes, where = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for ahead in range(1, _FAN + 1):
        between = times[ahead:] - times[:-ahead]
        fits = (between > 0) & (between <= _LONGEST)
        hashes.append((bands[:-ahead] << 14 | bands[ahead:] << 6 | between)[fits])
        where.append(times[:-ahead][fits])
    return Landmarks(np.concatenate(hashes).astype(np.uint32), np.concatenate(where).astype(np.int32))


def overlapping(marks: Sequence[Landmarks], files: Sequence[str], read: Callable[[int], Samples]) -> list[list[int]]:
    """Groups sounds that overlap.

    Args:
        marks: of each sound.
        files: that each is from: sounds of one file are not compared.
        read: the samples of a sound at `RATE`, by its place.

    Returns:
        A partition of the places, in ascending order.
    """
    from scipy.cluster.hierarchy import DisjointSet

    sounds = DisjointSet(range(len(marks)))
    compared = np.zeros(len(marks), np.int64)
    for first, second, frames in _candidates(marks, files):
        if sounds.connected(first, second) or max(compared[first], compared[second]) >= _CANDIDATES:
            continue
        compared[[first, second]] += 1
        if correlation(read(first), read(second), frames * _HOP) >= ALIKE:
            sounds.merge(first, second)
    return sorted(map(sorted, sounds.subsets()))


def correlation(first: Samples, second: Samples, lag: int) -> float:
    """How like two sounds are where they overlap, at most 1: the correlation at the best lag near the one given.

    They are compared at twice their rate: half a sample between them would take a third of it away.

    Args:
        first: `float32 [n]`.
        second: `float32 [m]`, the same sound from `lag` samples of the first one on, if it is.
        lag: in samples, good to a few frames.
    """
    from scipy.signal import correlate

    one, two = _overlap(first, second, lag)
    if len(one) < _SHORTEST:
        return 0.0
    products = correlate(one, two, "full", "fft")
    middle, reach = len(two) - 1, 6 * _HOP
    start = max(0, middle - reach)
    lag += start + int(products[start : middle + reach + 1].argmax()) - middle
    one, two = (resample(side, 1, 2) for side in _overlap(first, second, lag))
    if len(one) < 2 * _SHORTEST:
        return 0.0
    pairs = ((one[1:], two[:-1]), (one, two), (one[:-1], two[1:]))
    energies = ((float(np.dot(a, b)), float(np.sqrt(np.dot(a, a) * np.dot(b, b)))) for a, b in pairs)
    return max(product / energy if energy > 0 else 0.0 for product, energy in energies)


def _overlap(first: Samples, second: Samples, lag: int) -> tuple[Samples, Samples]:
    start, stop = max(0, lag), min(len(first), lag + len(second))
    return first[start:stop], second[start - lag : max(start, stop) - lag]


def at_rate(samples: Samples, rate: int) -> Samples:
    """A sound as it is compared: at `RATE`."""
    return resample(samples, rate, RATE, "LQ")


def _candidates(marks: Sequence[Landmarks], files: Sequence[str]) -> list[tuple[int, int, int]]:
    """Pairs of sounds with enough landmarks at one distance in time: both, and that distance in frames; best first."""
    numbers = {file: number for number, file in enumerate(dict.fromkeys(files))}
    file_of = np.array([numbers[file] for file in files], np.int32)
    owner = np.repeat(np.arange(len(marks), dtype=np.int32), [len(each.hashes) for each in marks])
    if not len(owner):
        return []
    hashes = np.concatenate([each.hashes for each in marks])
    order = np.argsort(hashes, kind="stable")
    hashes, owner = hashes[order], owner[order]
    starts = np.flatnonzero(np.r_[True, hashes[1:] != hashes[:-1]])
    size = np.diff(np.r_[starts, len(hashes)])
    lowest, highest = (each.reduceat(file_of[owner], starts) for each in (np.minimum, np.maximum))
    telling = (lowest < highest) & (size <= _COMMON)  # of several files: of one long file alone there are millions
    kept = np.repeat(telling, size)
    frames = np.concatenate([each.frames for each in marks])[order][kept].astype(np.int64)
    owner, size = owner[kept].astype(np.int64), size[telling]
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(size) - size, size)
    found: list[NDArray[np.int64]] = []
    waiting: list[NDArray[np.int64]] = []
    for step in range(1, min(_COMMON, int(size.max(initial=1)))):
        later = np.flatnonzero(rank >= step)
        one, two = owner[later - step], owner[later]
        apart = file_of[one] != file_of[two]
        later, one, two = later[apart], one[apart], two[apart]
        distance = (frames[later - step] - frames[later]) // 2 + (1 << 15)
        waiting.append((one * len(marks) + two) << 17 | distance)
        if sum(map(len, waiting)) > _AT_ONCE:
            found.append(_often(waiting, 2))
            waiting = []
    found.append(_often(waiting, 1))
    keys, counts = np.unique(np.concatenate(found), return_counts=True)
    # A distance may fall on either side of a step.
    counts += np.r_[np.where(np.diff(keys) == 1, counts[1:], 0), 0]
    chosen = np.flatnonzero(counts >= _SHARED)
    chosen = chosen[np.argsort(-counts[chosen], kind="stable")]
    pairs, distances = keys[chosen] >> 17, 2 * ((keys[chosen] & ((1 << 17) - 1)) - (1 << 15))
    return list(zip((pairs // len(marks)).tolist(), (pairs % len(marks)).tolist(), distances.tolist(), strict=True))


def _often(parts: Sequence[NDArray[np.int64]], least: int) -> NDArray[np.int64]:
    """The keys that come so often, each as often as it comes."""
    keys, counts = np.unique(np.concatenate([np.zeros(0, np.int64), *parts]), return_counts=True)
    often = counts >= least
    return np.repeat(keys[often], counts[often])
