"""Series that are kept in memory one behind the other, and what one of many is called."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.modalities.series.items import Series, Values, numbered

MAX_VALUES = 1 << 30
"""Numbers of all series of a file: 4 GiB as float32. A file with more is refused."""
_ROW = re.compile(r"(.+)#row=([0-9]{1,10})(?:-([0-9]{1,10}))?", re.DOTALL)


@dataclass
class Spool:
    """The series of a file, one behind the other.

    Attributes:
        values: float32 `[time of all, channels]`.
        ends: int64 `[series + 1]`: series i is `values[ends[i]:ends[i + 1]]`.
        channels: their names.
        rate: samples a second, None where it is unknown.
        labels: of each series, an empty string where it has none; empty where none has any.
        groups: likewise, what must stay together.
        splits: likewise, `"train"`, `"val"` or `"test"`.
        problems: what is wrong with a series, by its number from 1.
        warnings: sentences on the file.
    """

    values: Values
    ends: NDArray[np.int64]
    channels: tuple[str, ...]
    rate: float | None = None
    labels: Sequence[str] = ()
    groups: Sequence[str] = ()
    splits: Sequence[str] = ()
    problems: dict[int, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ends) - 1

    def series(self, number: int, last: int | None = None) -> Series:
        """The series of a number from 1; or the rows from `number` to `last` of a file that is one recording.

        Raises:
            InputError: there is no such series, or it is damaged.
        """
        if last is not None:
            if not 0 < number <= last <= len(self.values):
                raise InputError(f"there are no rows {number} to {last}, only {len(self.values)}")
            return Series(self.values[number - 1 : last], self.channels, self.rate)
        if not 0 < number < len(self.ends):
            raise InputError(f"there is no series {number}, only {len(self)}")
        if number in self.problems:
            raise InputError(self.problems[number])
        return Series(self.values[self.ends[number - 1] : self.ends[number]], self.channels, self.rate)


def row_name(file: str, number: int, last: int | None = None) -> str:
    """What a series is called that is a row of a file, or its rows `number` to `last`, counted from 1 (as RFC 7111).

    >>> row_name("a.ts", 3), row_name("long.csv", 129, 256)
    ('a.ts#row=3', 'long.csv#row=129-256')
    """
    return f"{file}#row={number}" + (f"-{last}" if last is not None else "")


def parse_row_name(name: str) -> tuple[str, int, int | None] | None:
    """File, first and last row of what `row_name` made; None of anything else.

    >>> parse_row_name("long.csv#row=129-256"), parse_row_name("long.csv")
    (('long.csv', 129, 256), None)
    """
    match = _ROW.fullmatch(name) if "#row=" in name else None
    return None if match is None else (match[1], int(match[2]), int(match[3]) if match[3] else None)


class SpoolBuilder:
    """Series that come one by one."""

    def __init__(self) -> None:
        self.channels: tuple[str, ...] = ()
        self.labels: list[str] = []
        self._problems: dict[int, str] = {}
        self._buffer, self._ends = bytearray(), [0]

    def add(self, values: Values | None, label: str, problem: str = "") -> None:
        """One more series `[time, channels]`, or what is wrong with it.

        Raises:
            InputError: it is one too many.
        """
        if values is not None and not self.channels:
            self.channels = numbered(values.shape[1])
        if values is not None and values.shape[1] != len(self.channels):
            problem = f"{values.shape[1]} channels, where the first series has {len(self.channels)}"
        if values is not None and not problem:
            self._buffer += np.ascontiguousarray(values, "<f4").tobytes()
        self.labels.append(label)
        self._ends.append(len(self._buffer) // (4 * max(1, len(self.channels))))
        if problem:
            self._problems[len(self.labels)] = problem
        if len(self._buffer) > 4 * MAX_VALUES:
            raise InputError(f"over {MAX_VALUES:,} numbers. Give a smaller file.")

    def spool(self) -> Spool:
        """All of them."""
        values = np.frombuffer(self._buffer, "<f4").reshape(-1, max(1, len(self.channels)))
        ends = np.array(self._ends, np.int64)
        return Spool(values, ends, self.channels, labels=self.labels, problems=self._problems)
