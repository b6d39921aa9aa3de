"""How long recordings become items: windows that never span a border, and never lie on two sides of a split."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from keras_transfer.data.listing import NO_COLUMNS, Entry
from keras_transfer.data.stretches import cut_windows
from keras_transfer.errors import InputError

USUAL = 128
"""Samples of a window that nobody asked for, where recordings are long."""
WHOLE = 2048
"""Samples of recordings that are items as they are, where nobody asks for windows."""
_COVERED = 99  # percent of the recordings that are not longer
_FEWEST, _PARTS = 3, 10  # recordings of a class under which each is split into so many parts


@dataclass(frozen=True)
class Recording:
    """What windows are cut from: all of it has one label.

    Attributes:
        start: where it begins, in seconds or samples.
        end: where it ends.
        labels: its labels; none where they are unknown.
        name: what a window from `start` to `end` is called.
        group: what must stay on one side of a split.
        split: `"train"`, `"val"`, `"test"`, or empty.
        columns: what else is known of it.
        grouped: whether the group was asked for, and does not stand for this recording alone.
    """

    start: float
    end: float
    labels: tuple[str, ...]
    name: Callable[[float, float], str]
    group: str
    split: str = ""
    columns: Mapping[str, str] = field(default_factory=lambda: NO_COLUMNS)
    grouped: bool = False


def choose_window(lengths: Sequence[float]) -> int | None:
    """Samples of a window for recordings of these lengths; None where they are items as they are.

    >>> choose_window([100, 150]), choose_window([100_000])
    (None, 128)
    """
    return None if not len(lengths) or np.percentile(lengths, _COVERED) <= WHOLE else USUAL


def cut_recordings(
    recordings: Iterable[Recording], window: float, hop: float | None = None
) -> tuple[list[Entry], list[str]]:
    """The windows of recordings, and sentences on what was done.

    A class of which there are one or two recordings alone has them divided into parts, else no split could be made;
    windows are cut within the parts, so that windows of two parts have no sample in common.

    Args:
        recordings: their `start`, `end`, and
        window: the length of a window, and
        hop: from one window to the next, are in one unit, seconds or samples.

    Raises:
        InputError: there would be more than a million windows.
    """
    whole, warnings = list(recordings), []
    groups: dict[tuple[str, ...], set[str]] = {}
    for each in whole:
        groups.setdefault(each.labels, set()).add(each.group)
    few = {
        labels
        for labels, own in groups.items()
        if len(own) < _FEWEST and not any(r.split or r.grouped for r in whole if r.labels == labels)
    }
    entries, short = [], 0
    divided: set[tuple[str, ...]] = set()
    for each in whole:
        parts = _parts(each, window) if each.labels in few else [each]
        divided |= {each.labels} if len(parts) > 1 else set()
        for part in parts:
            for start, end in cut_windows(part.start, part.end, window, hop):
                if end - start < window / 2:
                    short += 1
                    continue
                name = part.name(start, end)
                entries.append(Entry(name, part.labels, part.split, part.group, part.columns))
    for labels in sorted(divided):
        count = len(groups[labels])
        warnings.append(
            f"'{' '.join(labels)[:40]}' comes from {count} recording{'s' * (count > 1)} alone: the splits hold other "
            "parts of the same, which flatters the score. Record it again on another day, or of another person."
        )
    if short:
        warnings.append(f"{short} stretches that are shorter than half a window are left out.")
    return entries, warnings


def _parts(recording: Recording, window: float) -> list[Recording]:
    """A recording in up to ten parts, each of whole windows but the last."""
    count = int((recording.end - recording.start) / window + 1e-6)
    parts = min(_PARTS, count)
    if parts < 2:
        return [recording]
    edges = [recording.start + (number * count // parts) * window for number in range(parts)] + [recording.end]
    return [
        replace(recording, start=start, end=end, group=f"{recording.group}, part {number}")
        for number, (start, end) in enumerate(itertools.pairwise(edges), 1)
    ]


def check_window(window: float | None, hop: float | None, rate: float | None) -> None:
    """Raises `InputError` where a window would hold less than two samples, or a hop less than one.

    Args:
        window: in seconds where there is a rate, else in samples; None where none is asked for.
        hop: likewise.
        rate: samples a second.
    """
    unit = f"seconds at {rate:g} Hz" if rate else "samples, for no rate is known (--rate)"
    for name, value, least in (("window", window, 2), ("hop", hop, 1)):
        if value is not None and round(value * (rate or 1)) < least:
            raise InputError(f"`{name}` (--{name}) is in {unit}, and must hold {least} or more. Received: {value:g}")
