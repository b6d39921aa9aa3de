"""One series, or a stretch of one: its bytes, and the samples of its channels that they hold."""

import json
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.encodings import detect_encoding
from keras_transfer.data.listing import Kind
from keras_transfer.data.table_files import key
from keras_transfer.errors import InputError

Values = NDArray[np.float32]

KIND = Kind(
    "series",
    "time series",
    frozenset({".csv", ".tsv", ".ts", ".arff", ".npz", ".npy"}),
    ("length", "channels", "rate"),
    "recording.csv",
    "series",
    stretches=True,
)
PLAIN = (".csv", ".tsv", ".txt", ".dat", ".npy")
"""Files of one series each, in class folders."""
GAP = 10
"""Missing samples in a row that are interpolated; a series with more has a problem."""
LONGEST = 1_000_000
"""Samples of an item."""

_RISING = 0.6  # share of the steps of time that lead forward, if the rows are not shuffled
_MARK = b'{"series": 1, '
_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "?", "-"})
_TIME = re.compile(
    r"(time(?:stamp)?s?|elapsed(?:time)?|t|date(?:time)?)?(?:in)?"
    r"(\(?(?:m|milli|u|micro|n|nano)?s(?:ec(?:ond)?s?)?\)?)?"
)
COUNTERS = frozenset({"", "index", "sample", "samples", "row", "id", "#", "unnamed:0"})
_UNITS = {"m": 1e-3, "u": 1e-6, "n": 1e-9, "s": 1.0}


class Series(NamedTuple):
    """One series.

    Attributes:
        values: float32 `[time, channels]`, NaN where a sample is missing.
        channels: their names.
        rate: samples a second, None where it is unknown.
        note: a key of `reader.NOTES`, for what its time stamps are like.
    """

    values: Values
    channels: tuple[str, ...]
    rate: float | None = None
    note: str = ""


def pack(series: Series) -> bytes:
    """A series as bytes: a line of JSON, and the samples as little-endian float32; equal series give equal bytes.

    >>> unpack(pack(Series(np.ones((3, 1), np.float32), ("x",), 50.0))).rate
    50.0
    """
    about = json.dumps({"channels": series.channels, "rate": series.rate, "note": series.note}, ensure_ascii=False)
    return _MARK + about[1:].encode() + b"\n" + np.ascontiguousarray(series.values, "<f4").tobytes()


def unpack(content: bytes) -> Series:
    """The series of an item's bytes: as `pack` wrote them, or a CSV of one series, or a NumPy array `[time, channels]`.

    Raises:
        InputError: they are damaged, or something else.

    >>> unpack(b"t,x,y\\n0,1,2\\n0.5,3,4\\n")[1:3]
    (('x', 'y'), 2.0)
    """
    if not content:
        raise InputError("an empty file")
    if content.startswith(_MARK):
        head, _, body = content.partition(b"\n")
        try:
            about = json.loads(head)
            values = np.frombuffer(body, "<f4").reshape(-1, len(about["channels"]))
            return Series(values, tuple(about["channels"]), about["rate"], about["note"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"damaged ({str(error)[:80]})") from error
    if content.startswith(b"\x93NUMPY"):
        return plain_series(read_array(content))
    return read_csv(content)


def plain_series(values: NDArray[np.generic]) -> Series:
    """An array `[time]` or `[time, channels]` as a series whose channels have numbers.

    Raises:
        InputError: it is something else.
    """
    if values.dtype.kind not in "iufb" or values.ndim not in (1, 2) or not values.size:
        raise InputError(f"a series is numbers [time, channels]. Received: {values.dtype} of shape {values.shape}")
    own = values.reshape(len(values), -1).astype(np.float32)
    return Series(own, numbered(own.shape[1]))


def numbered(count: int) -> tuple[str, ...]:
    """Names of channels that have none.

    >>> numbered(2)
    ('channel 1', 'channel 2')
    """
    return tuple(f"channel {i + 1}" for i in range(count))


def read_array(content: bytes) -> NDArray[np.generic]:
    """The array of a `.npy` file, which is never unpickled.

    Raises:
        InputError: it is damaged.
    """
    import io

    try:
        return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"no sound NumPy file ({str(error)[:80]})") from error


# CSV


def read_csv(content: bytes) -> Series:
    """The series of a CSV: a row for each moment, a column for each channel, maybe one of time and a heading.

    Columns that hold no numbers are left out, such as a label that is the same in each row. Rows are put in the order
    of their time stamps; where these are uneven, samples are interpolated at an even rate.

    Args:
        content: separated by commas, semicolons, tabs, `|` or blanks; with a decimal point, or a decimal comma.

    Raises:
        InputError: it is damaged, or holds no numbers.
    """
    heading, rows = _cells(content)
    columns = list(zip(*rows, strict=True))
    names = heading or [""] * len(columns)
    numbers: dict[str, NDArray[np.float64]] = {}
    times = None
    for place, (name, cells) in enumerate(zip(names, columns, strict=True)):
        unit = time_unit(name) if heading and times is None else None
        if unit is not None and (key(name) != "t" or rises(cells)):
            times = read_times(cells, unit)
            continue
        values = read_numbers(cells, name or f"column {place + 1}", 1 + bool(heading))
        if values is None or (key(name) in COUNTERS and heading and counts(values)):
            continue
        numbers[name or f"channel {place + 1}"] = values
    if not numbers:
        raise InputError("no column of numbers")
    matrix = np.stack(list(numbers.values()), axis=1)
    if times is None:
        return Series(matrix.astype(np.float32), tuple(numbers))
    even, rate, note = on_grid(times, matrix)
    return Series(even.astype(np.float32), tuple(numbers), rate, note)


def _cells(content: bytes) -> tuple[list[str], list[list[str]]]:
    """The heading, empty where there is none, and the rows of a CSV."""
    encoding, _ = detect_encoding([content])
    try:
        text = content.decode(encoding, "replace" if encoding == "cp1252" else "cp1252")
    except UnicodeDecodeError as error:
        raise InputError(f"no text in {error.encoding.upper()} ({error.reason})") from error
    if "\0" in text:
        raise InputError("zero bytes, as no CSV has")
    numbered_lines = ((n, line) for n, line in enumerate(text.splitlines(), 1))
    lines = [(n, line.strip(" \r\n")) for n, line in numbered_lines if line.strip() and line.lstrip()[0] not in "#%@"]
    if not lines:
        raise InputError("no rows")
    mark = separator(lines[len(lines) // 2][1])
    rows = [split_line(line, mark) for _, line in lines]
    if mark is not None and all(row[-1] == "" for row in rows):
        rows = [row[:-1] for row in rows]
    wrong = next((i for i, row in enumerate(rows) if len(row) != len(rows[0])), None)
    if wrong is not None:
        raise InputError(
            f"line {lines[wrong][0]}: {len(rows[wrong])} cells, where line {lines[0][0]} has {len(rows[0])}"
        )
    heading = rows.pop(0) if not all(map(is_number, rows[0])) else []
    if not rows:
        raise InputError("no rows below the heading")
    if heading and len(set(filter(None, heading))) != len([*filter(None, heading)]):
        raise InputError(f"two columns of one name: {', '.join(heading)[:80]}")
    return heading, rows


def separator(line: str) -> str | None:
    """What separates the cells of a line: a tab, a semicolon, `|` or a comma; None for blanks."""
    return next((mark for mark in "\t;|," if mark in line), None)


def split_line(line: str, mark: str | None) -> list[str]:
    """The cells of a line.

    >>> split_line("1;2,5 ; 3", separator("1;2,5 ; 3"))
    ['1', '2,5', '3']
    """
    return [cell.strip().strip('"') for cell in line.strip(" \r\n").split(mark)]


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, or says that one is missing.

    >>> is_number("1,5"), is_number("?"), is_number("walking")
    (True, True, False)
    """
    try:
        to_number(cell)
    except ValueError:
        return False
    return True


def to_number(cell: str) -> float:
    """The number in a cell, NaN where it is missing; raises `ValueError` where it is neither."""
    plain = cell.strip()
    return math.nan if plain.lower() in _MISSING else float(plain.replace(",", ".", 1))


def read_numbers(cells: Sequence[str], name: str, first: int = 1) -> NDArray[np.float64] | None:
    """The numbers of a column; None where most of what it holds is something else, such as labels here and there.

    Args:
        cells: as they stand there.
        name: of the column, for sentences.
        first: the line of the first cell.

    Raises:
        InputError: a few cells hold something else.
    """
    try:
        return np.array(cells, np.float64)
    except ValueError:
        wrong = [i for i, cell in enumerate(cells) if not is_number(cell)]
    if 2 * len(wrong) > sum(cell.strip().lower() not in _MISSING for cell in cells):
        return None
    if wrong:
        raise InputError(f"row {wrong[0] + 1}: {cells[wrong[0]][:20]!r} in {name} is no number")
    return np.array([to_number(cell) for cell in cells])


def counts(values: NDArray[np.float64]) -> bool:
    """Whether numbers only count the rows."""
    return bool(len(values) > 1 and (np.diff(values) == 1).all())


# Time


def time_unit(name: str) -> float | None:
    """Seconds of the unit of a column of time, 0 where its name does not say it; None of any other column.

    >>> time_unit("Timestamp"), time_unit("time (ms)"), time_unit("x")
    (0.0, 0.001, None)
    """
    match = _TIME.fullmatch(key(name))
    if match is None or not key(name) or key(name) in ("s", "ms", "us", "ns"):
        return None
    said = (match[2] or "").strip("()")
    return 0.0 if not said else _UNITS[said[0]]


def rises(cells: Sequence[str]) -> bool:
    """Whether numbers mostly rise, as time does: a column `T` may as well hold temperatures.

    >>> rises(["0", "0.02", "0.04"]), rises(["20.1", "20.0", "20.2"])
    (True, False)
    """
    numbers = [to_number(cell) for cell in cells if is_number(cell)]
    steps = np.diff(numbers) if len(numbers) == len(cells) else np.zeros(0)
    return len(steps) == 0 or float((steps > 0).mean()) > _RISING


def read_times(cells: Sequence[str], unit: float) -> NDArray[np.float64]:
    """Time stamps in seconds; where the unit is 0, it is guessed by how large they are.

    Raises:
        InputError: they are neither numbers nor dates.
    """
    try:
        times = np.array([to_number(cell) for cell in cells])
    except ValueError:
        try:
            dates = np.array([cell.strip().rstrip("Z").replace(" ", "T", 1) for cell in cells], "datetime64[ns]")
        except ValueError as error:
            raise InputError(f"time stamps are neither numbers nor dates: {cells[0][:30]!r}") from error
        return np.asarray((dates - dates[0]).astype(np.int64) * 1e-9, np.float64)
    if not np.isfinite(times).all():
        raise InputError("a row has no time stamp")
    return np.asarray((times - times[0]) * (unit or guessed_unit(float(times.max()))), np.float64)


def guessed_unit(largest: float) -> float:
    """Seconds of the unit of time stamps: one, or less where they seem to count from 1970.

    >>> guessed_unit(59.2), guessed_unit(1.7e12)
    (1.0, 0.001)
    """
    return next((size for least, size in ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3)) if largest > least), 1.0)


def on_grid(times: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, str]:
    """Samples in the order of time, at an even rate: values, samples a second, and a key of `reader.NOTES`.

    Args:
        times: in seconds, `[time]`.
        values: `[time, channels]`.

    Raises:
        InputError: all are of one moment, or a few of times far from one another.

    >>> values, rate, note = on_grid(np.array([0.0, 2, 1, 4]), np.array([[0.0], [20], [10], [40]]))
    >>> values[:, 0].tolist(), rate, note
    ([0.0, 10.0, 20.0, 30.0, 40.0], 1.0, 'unsorted')
    """
    note = ""
    if (np.diff(times) < 0).any():
        order = np.argsort(times, kind="stable")
        times, values, note = times[order], values[order], "unsorted"
    first = np.concatenate([[True], np.diff(times) > 0])
    if not first.all():
        times, values, note = times[first], values[first], note or "repeated"
    if len(times) < 2:
        raise InputError("all rows have one time stamp")
    steps = np.diff(times)
    step = float(np.median(steps))
    rate = float(f"{1 / step:.6g}")
    if np.abs(steps - step).max() <= 0.5 * step:
        return values, rate, note
    count = round((times[-1] - times[0]) / step) + 1
    if count > min(100 * len(times), LONGEST):
        raise InputError(f"time stamps with gaps: {len(times)} rows would be {count:,} samples at {rate:g} Hz")
    grid = times[0] + step * np.arange(count)
    even = np.stack([np.interp(grid, times, column) for column in values.T], axis=1)
    after = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    even[(steps[after - 1] > (GAP + 1.5) * step) & (np.abs(times[after] - grid) > step / 2)] = np.nan
    return even, rate, note or "uneven"


def at_rate(values: Values, rate: float, wanted: float) -> Values:
    """Samples at another rate, interpolated; averaged first where the new one is lower.

    >>> at_rate(np.arange(8, dtype=np.float32)[:, None], 2, 1)[:, 0].tolist()
    [0.5, 2.5, 4.5, 6.5]
    """
    if abs(rate - wanted) <= 0.01 * wanted or not len(values):
        return values
    count = max(1, round(len(values) * wanted / rate))
    edges = np.linspace(0, len(values), count + 1)
    if wanted < rate:  # the mean over each new sample's stretch of time
        sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
        at = np.stack([np.interp(edges, np.arange(len(sums)), column) for column in sums.T], axis=1)
        return np.asarray(np.diff(at, axis=0) / np.diff(edges)[:, None], np.float32)
    places = (edges[:-1] + edges[1:]) / 2 - 0.5
    return np.stack([np.interp(places, np.arange(len(values)), column) for column in values.T], 1).astype(np.float32)


def fill_gaps(values: Values, most: int = GAP) -> Values:
    """Samples of which the missing ones are interpolated, at the ends repeated.

    Raises:
        InputError: more than `most` in a row are missing, or all of a channel, or a sample is infinite.

    >>> fill_gaps(np.array([[1], [np.nan], [3]], np.float32))[:, 0].tolist()
    [1.0, 2.0, 3.0]
    """
    if np.isfinite(values).all():
        return values
    if np.isinf(values).any():
        raise InputError("infinite samples")
    filled, places = values.copy(), np.arange(len(values))
    for channel in filled.T:
        there = np.flatnonzero(~np.isnan(channel))
        if not len(there):
            raise InputError("a channel without any sample")
        longest = int(np.diff(np.concatenate([[-1], there, [len(values)]])).max()) - 1
        if longest > most:
            raise InputError(f"{longest} samples in a row are missing; up to {most} are interpolated")
        channel[:] = np.interp(places, there, channel[there])
    return filled
