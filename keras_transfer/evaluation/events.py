"""How good a classifier is at finding events in long recordings: misses, and false accepts an hour.

A detection counts if at least half of it lies within an event of its class, or no further from one than a tolerance;
an event is found if such a detection touches it: the intersection criteria of Bilen et al., "A Framework for the Robust
Evaluation of Sound Event Detection" (ICASSP 2020), with a tolerance for the length of a model's window.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NOTHING = frozenset({"background", "silence", "silent", "none", "nothing", "unknown", "other", "null"})
"""Classes of what is no event, where nobody says which are."""
_INSIDE = 0.5  # share of a detection that must lie within events of its class


class Event(NamedTuple):
    """Something that happens in a recording, or is said to."""

    label: str
    start: float
    end: float


class Matched(NamedTuple):
    """Which events were found, bool `[events]`, and which detections were right, bool `[detections]`."""

    found: NDArray[np.bool_]
    right: NDArray[np.bool_]


def detect(
    borders: Sequence[float],
    rows: NDArray[np.float32],
    class_names: Sequence[str],
    threshold: float,
    *,
    nothing: Collection[str] = NOTHING,
    several: bool = False,
    limit: float = math.inf,
) -> list[Event]:
    """The events that a classifier finds: neighbouring moments at which it is sure enough of one class.

    Args:
        borders: ends of the moments, seconds `[n + 1]`.
        rows: probabilities, float `[n, classes]`; behind them, where there is a limit, the score of unknown items.
        class_names: in the order of the columns.
        threshold: the least probability, 0..1.
        nothing: classes that are no events.
        several: whether several classes may hold at once.
        limit: the score above which a moment is none of the classes.

    >>> rows = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.9, 0.1]], np.float32)
    >>> detect([0, 1, 2, 3, 4], rows, ["background", "bark"], 0.6)
    [Event(label='bark', start=1, end=3)]
    """
    known = rows[:, : len(class_names)]
    sure = known >= threshold
    if not several:
        sure &= np.arange(len(class_names)) == known.argmax(axis=1)[:, None]
    if rows.shape[1] > len(class_names):
        sure &= (rows[:, len(class_names)] <= limit)[:, None]
    found = []
    for column, label in enumerate(class_names):
        if label in nothing:
            continue
        edges = np.flatnonzero(np.diff(sure[:, column], prepend=False, append=False)).tolist()
        found += [
            Event(label, borders[first], borders[end]) for first, end in zip(edges[::2], edges[1::2], strict=True)
        ]
    return sorted(found, key=lambda event: event.start)


def match(events: Sequence[Event], detections: Sequence[Event], tolerance: float) -> Matched:
    """Which events were found, and which detections were right.

    Args:
        events: what happened, of one recording.
        detections: what a classifier found in it.
        tolerance: seconds by which a detection may begin before an event, or end after it.

    >>> events = [Event("bark", 2, 3), Event("bark", 50, 51)]
    >>> match(events, [Event("bark", 1.5, 3.5), Event("bark", 20, 21), Event("meow", 50, 51)], tolerance=0.5)
    Matched(found=array([ True, False]), right=array([ True, False, False]))
    """
    found, right = np.zeros(len(events), bool), np.zeros(len(detections), bool)
    for label in {event.label for event in events}:
        own = [i for i, event in enumerate(events) if event.label == label]
        spans = [(events[i].start - tolerance, events[i].end + tolerance) for i in own]
        for place, detection in enumerate(detections):
            if detection.label != label:
                continue
            touched = [n for n, (start, end) in enumerate(spans) if start < detection.end and detection.start < end]
            inside = _covered(detection, [spans[n] for n in touched])
            if inside >= _INSIDE * (detection.end - detection.start):
                right[place] = True
                found[[own[n] for n in touched]] = True
    return Matched(found, right)


def _covered(event: Event, spans: Iterable[tuple[float, float]]) -> float:
    """Seconds of an event that lie within one of the spans."""
    total, done = 0.0, event.start
    for start, end in sorted(spans):
        start, end = max(start, done), min(end, event.end)
        if end > start:
            total, done = total + end - start, end
    return total


def rate_interval(count: int, hours: float) -> tuple[float, float]:
    """The exact 95% interval of a rate (Garwood, Biometrika 28, 1936).

    Args:
        count: how often it happened.
        hours: in which time, above 0.

    >>> [round(end, 2) for end in rate_interval(0, 2)]
    [0.0, 1.84]
    """
    from scipy.special import gammaincinv

    low = float(gammaincinv(count, 0.025)) if count else 0.0
    return low / hours, float(gammaincinv(count + 1, 0.975)) / hours
