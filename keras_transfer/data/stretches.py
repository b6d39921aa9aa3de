"""Stretches of time in long files: what they are called, and the windows of a length that a stretch is cut into."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from keras_transfer.errors import InputError

_NAME = re.compile(r"(.+)#t=(?:npt:)?([0-9]{1,9}(?:\.[0-9]{1,9})?)?(?:,([0-9]{1,9}(?:\.[0-9]{1,9})?))?", re.DOTALL)
MOST_WINDOWS = 1_000_000
"""Windows of one file; more are refused, as a forged length would have them."""


class Mark(NamedTuple):
    """A stretch of a recording that has labels; `group` is what it shares with others, such as who speaks."""

    start: float
    end: float
    labels: tuple[str, ...]
    group: str = ""


@dataclass(frozen=True)
class MarkedRecording:
    """A recording, and what happens in it when.

    Attributes:
        file: what it is called.
        seconds: how long it is.
        marks: its labelled stretches, in seconds. Between them nothing happens.
    """

    file: str
    seconds: float
    marks: tuple[Mark, ...]


def marked(found: Mapping[str, Sequence[Mark]], seconds: Iterable[float]) -> list[MarkedRecording]:
    """Recordings with their marks, which end with them.

    Args:
        found: the marks of each file.
        seconds: how long each is, in the same order.

    >>> marked({"a.wav": [Mark(3, math.inf, ("dog",)), Mark(9, 12, ("cat",))]}, [5.0])[0].marks
    (Mark(start=3, end=5.0, labels=('dog',), group=''),)
    """
    return [
        MarkedRecording(
            file, length, tuple(sorted(m._replace(end=min(m.end, length)) for m in marks if m.start < length))
        )
        for (file, marks), length in zip(found.items(), seconds, strict=True)
    ]


def stretch_name(file: str, start: float, end: float) -> str:
    """What a stretch of a file is called, in seconds, as a Media Fragment (https://www.w3.org/TR/media-frags/).

    >>> stretch_name("long.wav", 2, 3.5)
    'long.wav#t=2,3.5'
    """
    return f"{file}#t={_figure(start)},{_figure(end)}"


def parse_stretch(name: str) -> tuple[str, float, float] | None:
    """File, start and end (infinite where it is open) of what `stretch_name` made; None of anything else.

    >>> parse_stretch("a/long.wav#t=2,3.5"), parse_stretch("long.wav#t=8"), parse_stretch("long.wav")
    (('a/long.wav', 2.0, 3.5), ('long.wav', 8.0, inf), None)
    """
    match = _NAME.fullmatch(name) if "#t=" in name else None
    if match is None or match[2] is match[3] is None:
        return None
    start, end = float(match[2] or 0), float(match[3]) if match[3] else math.inf
    return (match[1], start, end) if start < end else None


def whole_file(name: str) -> str:
    """The file that an item is, or is a stretch of.

    >>> whole_file("long.wav#t=2,3.5"), whole_file("short.wav")
    ('long.wav', 'short.wav')
    """
    stretch = parse_stretch(name)
    return stretch[0] if stretch is not None else name


def cut_windows(start: float, end: float, window: float, hop: float | None = None) -> list[tuple[float, float]]:
    """The windows of a stretch of time, in seconds.

    Args:
        start: of the stretch.
        end: of it.
        window: how long each is.
        hop: from the beginning of one to that of the next; `window` by default, so that they do not overlap.

    Returns:
        Start and end of each. What is left behind the last whole window is a shorter one of its own where it is at
        least half as long; a stretch of less than a window and a half is one.

    Raises:
        InputError: there would be more than a million.

    >>> cut_windows(0, 12, 5), cut_windows(0, 13, 5), cut_windows(2, 2.4, 5)
    ([(0.0, 5.0), (5.0, 10.0)], [(0.0, 5.0), (5.0, 10.0), (10.0, 13.0)], [(2.0, 2.4)])
    """
    hop = hop or window
    room = end - start - window
    count = max(0, math.floor(room / hop + 1e-6)) + 1
    if count > MOST_WINDOWS:
        raise InputError(f"it would be {count:,} windows of {window:g} s: choose a longer window or hop")
    starts = [start + i * hop for i in range(count)]
    if end - (starts[-1] + window) >= window / 2:
        starts.append(starts[-1] + min(hop, window))
    return [(float(first), float(min(first + window, end))) for first in starts]


def _figure(seconds: float) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
