"""Files that hold many series, each read once into memory: `.ts`, `.arff`, NumPy archives and tables."""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.stretches import parse_stretch
from keras_transfer.errors import InputError
from keras_transfer.files import MISSING, read_file
from keras_transfer.modalities.series.items import (
    Series,
    Values,
    numbered,
    pack,
    to_number,
    unpack,
)

MAX_VALUES = 1 << 30
"""Numbers of all series of a file: 4 GiB as float32. A file with more is refused."""
_ROW = re.compile(r"(.+)#row=([0-9]{1,10})(?:-([0-9]{1,10}))?", re.DOTALL)
_OPEN = 4  # files that are kept in memory


@dataclass
class Spool:
    """The series of a file, one behind the other.

    Attributes:
        values: float32 `[time of all, channels]`.
        ends: int64 `[series + 1]`: series i is `values[ends[i]:ends[i + 1]]`.
        channels: their names.
        rate: samples a second, None where it is unknown.
        labels: of each series, empty strings where it has none.
        problems: what is wrong with a series, by its number from 1.
    """

    values: Values
    ends: NDArray[np.int64]
    channels: tuple[str, ...]
    rate: float | None = None
    labels: list[str] = field(default_factory=list)
    problems: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ends) - 1

    def row(self, number: int, last: int | None = None) -> Series:
        """The series of a number from 1; or the rows from `number` to `last` of a file that is one recording."""
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
    """What a series is called that is a row of a file, or the rows `number` to `last`, counted from 1 (as RFC 7111).

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


def load_series(source: str, channels: Sequence[str] = (), rate: float | None = None) -> bytes:
    """The bytes of an item: those of a file that is one series, else its samples as `items.pack` writes them.

    Args:
        source: the path of a file; `FILE#row=N`; `FILE#row=FIRST-LAST`; or `FILE#t=START,END`, in seconds where the
            rate is known, else in samples.
        channels: which of a file with many series are wanted; none for all.
        rate: samples a second, where the file does not say it.

    Raises:
        InputError: there is no such file or row, or it cannot be read.
    """
    if (row := parse_row_name(source)) is not None:
        file, number, last = row
        return pack(_chosen(open_spool(file).row(number, last), channels))
    if (stretch := parse_stretch(source)) is not None:
        file, start, end = stretch
        series = open_whole(file)
        per_second = series.rate or rate or 1.0
        first, behind = round(start * per_second), round(min(end * per_second, len(series.values)))
        if first >= behind:
            raise InputError(f"it ends before {start:g} is reached")
        return pack(_chosen(series._replace(values=series.values[first:behind]), channels))
    return read_file(source)


def open_whole(file: str) -> Series:
    """The series of a file that is one, kept in memory for its other stretches.

    Raises:
        InputError: it cannot be read.
    """
    spool = _kept(file, _read_whole)
    return spool.row(1)


def open_spool(file: str) -> Spool:
    """The series of a file that holds many, read when they are first wanted and again when the file has changed.

    Raises:
        InputError: it cannot be read, or is damaged as a whole.
    """
    return _kept(file, read_spool)


_spools: OrderedDict[tuple[object, ...], Spool] = OrderedDict()
_lock = threading.Lock()


def _kept(file: str, read: Callable[[Path], Spool]) -> Spool:
    path = Path(file)
    try:
        about = path.stat()
    except OSError as error:
        raise InputError(MISSING if isinstance(error, FileNotFoundError) else f"cannot be read: {error}") from error
    key = file, read.__name__, about.st_mtime_ns, about.st_size
    with _lock:
        if key not in _spools:
            _spools[key] = read(path)
            while len(_spools) > _OPEN:
                _spools.popitem(last=False)
        _spools.move_to_end(key)
        return _spools[key]


def _read_whole(path: Path) -> Spool:
    series = unpack(read_file(path))
    return Spool(series.values, np.array([0, len(series.values)]), series.channels, series.rate)


def read_spool(path: Path) -> Spool:
    """Reads a file of many series.

    Raises:
        InputError: it is damaged, or of no kind that is read here.
    """
    suffix = path.suffix.lower()
    if suffix == ".ts":
        return read_ts(path)
    raise InputError(f"{path} is no file of many series (.ts). Received: {suffix}")


def _chosen(series: Series, channels: Sequence[str]) -> Series:
    """A series with some of its channels, in their order."""
    if not channels or tuple(channels) == series.channels or not set(channels) <= set(series.channels):
        return series
    return series._replace(
        values=series.values[:, [series.channels.index(name) for name in channels]], channels=tuple(channels)
    )


class _Builder:
    """Series that come one by one."""

    def __init__(self, channels: tuple[str, ...] = ()) -> None:
        self.buffer, self.ends, self.channels = bytearray(), [0], channels
        self.labels: list[str] = []
        self.problems: dict[int, str] = {}

    def add(self, values: Values | None, label: str, problem: str = "") -> None:
        if values is not None and not self.channels:
            self.channels = numbered(values.shape[1])
        if values is not None and values.shape[1] != len(self.channels):
            problem = f"{values.shape[1]} channels, where others have {len(self.channels)}"
        if values is not None and not problem:
            self.buffer += np.ascontiguousarray(values, "<f4").tobytes()
        self.labels.append(label)
        width = max(1, len(self.channels))
        self.ends.append(len(self.buffer) // (4 * width))
        if problem:
            self.problems[len(self.labels)] = problem
        if len(self.buffer) > 4 * MAX_VALUES:
            raise InputError(f"over {MAX_VALUES:,} numbers. Give a smaller file.")

    def spool(self, rate: float | None = None) -> Spool:
        values = np.frombuffer(self.buffer, "<f4").reshape(-1, max(1, len(self.channels)))
        return Spool(values, np.array(self.ends, np.int64), self.channels, rate, self.labels, self.problems)


# .ts, as the UCR and UEA archives have it: https://www.aeon-toolkit.org/en/stable/api_reference/file_specifications/ts.html

_PAIR = re.compile(r"\(([^,()]*(?:\([^()]*\))?[^,()]*),([^,()]*)\)")


def read_ts(path: Path) -> Spool:
    """The series of a `.ts` file: of each line the channels, separated by `:`, and the label behind them.

    Raises:
        InputError: it is no `.ts` file, has no class labels, or holds none of its series.
    """
    built, labelled, stamped, in_data = _Builder(), False, False, False
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in map(str.strip, file):
                if not line or line.startswith("#"):
                    continue
                if in_data:
                    built.add(*_ts_series(line, labelled, stamped))
                    continue
                word, _, rest = line.partition(" ")
                if word.lower() == "@data":
                    in_data = True
                elif word.lower() == "@classlabel":
                    labelled = rest.lower().startswith("true")
                elif word.lower() == "@targetlabel" and rest.lower().startswith("true"):
                    raise InputError(f"{path} has measured values as targets (@targetLabel), and no classes")
                elif word.lower() == "@timestamps":
                    stamped = rest.lower().startswith("true")
                elif not line.startswith("@"):
                    raise InputError(f"{path} is no .ts file: {line[:60]!r} stands before @data")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if not in_data or not built.labels:
        raise InputError(f"{path} is no .ts file, or holds no series: there is nothing below @data")
    return built.spool()


def _ts_series(line: str, labelled: bool, stamped: bool) -> tuple[Values | None, str, str]:
    """The samples `[time, channels]` of a line, its label, and what is wrong with it."""
    if stamped:
        body, _, label = line.rpartition("):") if labelled else (line, "", "")
        parts = [[value for _, value in _PAIR.findall(part)] for part in re.split(r"\)\s*:\s*\(", body + ")")]
    else:
        body, _, label = line.rpartition(":") if labelled else (line, "", "")
        parts = [part.split(",") for part in body.split(":")] if body else []
    label = label.strip()
    if not parts or not all(parts):
        return None, label, "a line without samples or without a label"
    lengths = {len(part) for part in parts}
    if len(lengths) > 1:
        return None, label, f"channels of different lengths, {min(lengths)} to {max(lengths)} samples"
    try:
        return np.array([_row(part) for part in parts], np.float32).T, label, ""
    except ValueError as error:
        return None, label, f"not all of its samples are numbers ({str(error)[:60]})"


def _row(cells: Sequence[str]) -> NDArray[np.float64]:
    try:
        return np.array(cells, np.float64)
    except ValueError:
        return np.array([to_number(cell) for cell in cells])
