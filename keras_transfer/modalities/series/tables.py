"""Tables of series: a row for each moment of one long recording, or a row for each series."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.grouping import is_group
from keras_transfer.data.listing import SPLIT_NAMES, Layout
from keras_transfer.data.table_files import Row, key, open_table
from keras_transfer.data.tables import LABELS
from keras_transfer.errors import InputError
from keras_transfer.modalities.series.items import (
    COUNTERS,
    GAP,
    Values,
    counts,
    guessed_unit,
    is_number,
    numbered,
    rises,
    time_unit,
    to_number,
)
from keras_transfer.modalities.series.spool import MAX_VALUES, Spool

MOST_COLUMNS = 100_000
SERIES_LABELS = (*LABELS, "activity", "gesture", "event", "rhythm", "state", "condition", "annotation")
"""Names of a column of labels, beside which a table of series may have others."""
_CHUNK = 8192  # rows
_MOST_WORDS = 65_536  # values of a column of words
_FEW = 50  # values of a column of labels without a heading
_SAMPLES = 24  # columns with running numbers, from which on a row is a series
_SENSORS = re.compile(r"ch|chan|channel|emg|eeg|ecg|acc|gyr|mag|sensor|imu|adc|lead|electrode", re.IGNORECASE)
_NUMBERED = re.compile(r"(.*?)[ _.-]?([0-9]+)")
_UNSORTED = 0.01  # share of the rows that may lie before the one above them, as where recordings begin anew


@dataclass
class Columns:
    """A table in memory.

    Attributes:
        values: float32 `[rows, numbers]`, NaN where a number is missing.
        numbers: the names of its columns.
        words: name -> codes int32 `[rows]`, and the words that they stand for.
        times: seconds, float64 `[rows]`, where there is a column of time.
        heading: whether the names are the table's own.
        warnings: sentences on the file.
    """

    values: Values
    numbers: list[str]
    words: dict[str, tuple[NDArray[np.int32], list[str]]]
    times: NDArray[np.float64] | None
    heading: bool
    warnings: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """All of its columns but that of time."""
        return [*self.numbers, *self.words]

    def codes(self, name: str) -> tuple[NDArray[np.int32], list[str]]:
        """The values of a column as words: which one each row has, int32 `[rows]`, and the words."""
        if name in self.words:
            return self.words[name]
        values = self.values[:, self.numbers.index(name)]
        known, codes = np.unique(values, return_inverse=True)
        return codes.astype(np.int32), ["" if np.isnan(value) else f"{value:.9g}" for value in known.tolist()]

    @property
    def rate(self) -> float | None:
        """Samples a second, by the time stamps."""
        if self.times is None:
            return None
        steps = np.diff(self.times)
        forward = steps[steps > 0]
        return float(f"{1 / np.median(forward):.6g}") if len(forward) else None


def read_columns(path: Path) -> Columns:
    """Reads a table of numbers, and of a few words beside them, in pieces.

    Raises:
        InputError: it cannot be read, or holds no numbers.
    """
    with open_table(path, most_columns=MOST_COLUMNS) as table:
        heading, rows = not all(map(is_number, table.columns)), table.rows
        names = [name or f"unnamed: {i}" for i, name in enumerate(table.columns)]
        if not heading:
            names = [f"column {i + 1}" for i in range(len(names))]
            rows = chain([Row(0, table.columns, 1)], rows)
        if len(set(names)) != len(names):
            twice = next(name for i, name in enumerate(names) if name in names[:i])
            raise InputError(f"{path} names a column twice: {twice}.")
        reading = _Reading(names, heading)
        while chunk := list(islice(rows, _CHUNK)):
            reading.add(chunk)
            if len(reading.buffer) > 4 * MAX_VALUES:
                raise InputError(f"{path} holds over {MAX_VALUES:,} numbers. Give a smaller file.")
        return reading.columns(path, list(table.warnings))


class _Reading:
    """A table that is read in pieces; the first one says which columns are numbers, words or times."""

    def __init__(self, names: list[str], heading: bool) -> None:
        self.names, self.heading = names, heading
        self.buffer, self.bad, self.lost = bytearray(), 0, 0
        self.numbers: list[int] = []
        self.codes: dict[int, bytearray] = {}
        self.known: dict[int, dict[str, int]] = {}
        self.time: int | None = None
        self.unit = 0.0
        self.times = bytearray()
        self.began: np.datetime64 | None = None

    def add(self, chunk: Sequence[Row]) -> None:
        blank = [""] * len(self.names)
        self.bad += sum(bool(row.problem) for row in chunk)
        cells = list(zip(*(blank if row.problem else row.cells for row in chunk), strict=True))
        if not self.numbers and not self.codes:
            self._look(cells)
        matrix = np.empty((len(chunk), len(self.numbers)), "<f4")
        for place, column in enumerate(self.numbers):
            matrix[:, place], lost = _floats(cells[column])
            self.lost += lost
        self.buffer += matrix.tobytes()
        for column, known in list(self.known.items()):
            codes = [known.setdefault(cell.strip(), len(known)) for cell in cells[column]]
            self.codes[column] += np.array(codes, np.int32).tobytes()
            if len(known) > _MOST_WORDS:  # a text, an id of each row
                del self.known[column], self.codes[column]
        if self.time is not None:
            self.times += self._seconds(cells[self.time]).tobytes()

    def _look(self, cells: Sequence[Sequence[str]]) -> None:
        for i, (name, own) in enumerate(zip(self.names, cells, strict=True)):
            unit = time_unit(name) if self.heading and self.time is None else None
            unit = None if key(name) == "t" and not rises(own) else unit
            filled = [cell for cell in own if cell.strip()]
            numbers = sum(map(is_number, filled))
            if unit is not None:
                self.time, self.unit = i, unit
            elif filled and 2 * numbers > len(filled):
                if not (key(name) in COUNTERS and counts(_floats(own)[0])):
                    self.numbers.append(i)
            else:
                self.known[i], self.codes[i] = {}, bytearray()

    def _seconds(self, cells: Sequence[str]) -> NDArray[np.float64]:
        numbers, lost = _floats(cells)
        if 2 * lost <= len(cells):
            return numbers
        dates = np.array([cell.strip().rstrip("Z").replace(" ", "T", 1) or "NaT" for cell in cells], "datetime64[ns]")
        self.unit, self.began = 1.0, dates[0] if self.began is None else self.began
        return np.asarray((dates - self.began) / np.timedelta64(1, "s"), np.float64)

    def columns(self, path: Path, warnings: list[str]) -> Columns:
        if not self.numbers:
            raise InputError(f"{path} has no column of numbers. Its columns: {', '.join(self.names)[:200]}")
        values = np.frombuffer(self.buffer, "<f4").reshape(-1, len(self.numbers))
        times = None
        if self.time is not None:
            times = np.frombuffer(self.times, np.float64)
            times = times * (self.unit or guessed_unit(float(np.nanmax(times))))
        if self.bad:
            warnings.append(f"{self.bad} rows of {path.name} have another number of cells than the heading.")
        if self.lost:
            warnings.append(f"{self.lost} cells of {path.name} hold no numbers where others do: they count as missing.")
        words = {
            self.names[i]: (np.frombuffer(codes, np.int32), list(self.known[i])) for i, codes in self.codes.items()
        }
        return Columns(values, [self.names[i] for i in self.numbers], words, times, self.heading, warnings)


def _floats(cells: Sequence[str]) -> tuple[NDArray[np.float64], int]:
    """The numbers of cells, NaN where there is none, and how many cells hold something else."""
    try:
        return np.array(cells, np.float64), 0
    except ValueError:
        pass
    numbers, lost = np.full(len(cells), np.nan), 0
    for i, cell in enumerate(cells):
        try:
            numbers[i] = to_number(cell)
        except ValueError:
            lost += 1
    return numbers, lost


# Which column holds what


@dataclass(frozen=True)
class Roles:
    """Which columns hold what, by name.

    Attributes:
        channels: the channels, in order; of a table with a row for each series the columns of each channel.
        label: the column of labels; None where there is none.
        group: the column of groups.
        split: the column of splits.
        others: what else is kept of each item.
        warning: what was guessed.
    """

    channels: dict[str, list[str]]
    label: str | None
    group: str | None = None
    split: str | None = None
    others: tuple[str, ...] = ()
    warning: str = ""

    @property
    def wide(self) -> bool:
        """Whether a row is a series."""
        return any(len(columns) > 1 for columns in self.channels.values())


def find_roles(path: Path, columns: Columns, layout: Layout) -> Roles:
    """Which columns of a table hold what.

    A row is a series where 24 columns or more have running numbers, or no names at all, and no `window` is asked for.

    Raises:
        InputError: a column that is asked for is missing, or none is left for channels.
    """
    group = _named(path, columns, layout.group_by, "--group-by")
    split = next((name for name in columns.words if key(name) == "split"), None)
    if not columns.heading:
        return _without_heading(path, columns, layout)
    label = _named(path, columns, layout.label_column, "--label-column")
    if label is None:
        label = next((n for want in SERIES_LABELS for n in columns.names if key(n) == want), None)
    warning = ""
    if label is None:
        free = [name for name in columns.words if name not in (group, split) and not is_group(name)]
        few = [name for name in free if 2 <= len(columns.words[name][1]) <= _FEW]
        if len(few) == 1:
            (label,) = few
            warning = f"`{label}` of {path.name} is read as the label; --label-column names another column."
    used = {label, group, split}
    others = tuple(n for n in columns.names if n not in used and (n in columns.words or is_group(n)))
    free = [name for name in columns.numbers if name not in used and name not in others]
    if not free:
        raise InputError(f"{path} has no column of numbers beside label and group. Its columns: {_shown(columns)}")
    blocks = {} if layout.window is not None or columns.times is not None else sample_columns(free)
    channels = blocks or {name: [name] for name in free}
    return Roles(channels, label, group, split, others, warning)


def _named(path: Path, columns: Columns, wanted: str | None, flag: str) -> str | None:
    if wanted is None:
        return None
    found = [name for name in columns.names if name == wanted] or [
        name for name in columns.names if key(name) == key(wanted)
    ]
    if not found:
        raise InputError(f"{path} has no column '{wanted}' ({flag}). Its columns: {_shown(columns)}")
    return found[0]


def _shown(columns: Columns) -> str:
    names = columns.names
    return ", ".join(name[:40] for name in names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def sample_columns(names: Sequence[str]) -> dict[str, list[str]]:
    """The columns that are the samples of a row's series, by channel; empty where a row is no series.

    >>> sample_columns([f"x_{i}" for i in range(30)] + [f"y_{i}" for i in range(30)]).keys()
    dict_keys(['x', 'y'])
    >>> sample_columns([f"ch{i}" for i in range(64)])
    {}
    """
    blocks: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            blocks.setdefault(match[1], []).append((int(match[2]), name))
    long = {stem: own for stem, own in blocks.items() if len(own) >= _SAMPLES and not _SENSORS.match(stem)}
    running = all(
        [number for number, _ in own] == list(range(own[0][0], own[0][0] + len(own))) for own in long.values()
    )
    if not running or len({len(own) for own in long.values()}) != 1:
        return {}
    return {stem or numbered(1)[0]: [name for _, name in own] for stem, own in long.items()}


def _without_heading(path: Path, columns: Columns, layout: Layout) -> Roles:
    """A table without a heading: a series in each row, its label first or last."""
    for name in ("label_column", "group_by", "window", "hop"):
        if getattr(layout, name) is not None:
            flag = name.replace("_", "-")
            raise InputError(f"{path} has no heading, which --{flag} needs: put one above its first line.")
    names = sorted(columns.names, key=lambda name: int(name.rpartition(" ")[2]))
    label = next((name for name in (names[0], names[-1]) if _is_label(columns, name)), None)
    samples = [name for name in names if name != label and name in columns.numbers]
    if len(samples) < _SAMPLES - 1:
        raise InputError(f"{path} has no heading, and no {_SAMPLES} columns of samples: put a heading above it.")
    where = {None: "no", names[0]: "the first"}.get(label, "the last")
    warning = f"{path.name} has no heading: each row is read as a series, {where} column as its label."
    return Roles({numbered(1)[0]: samples}, label, warning=warning)


def _is_label(columns: Columns, name: str) -> bool:
    codes, words = columns.codes(name)
    whole = name in columns.words or all(re.fullmatch("-?[0-9]+", word) for word in words)
    return whole and 2 <= len(words) <= min(_FEW, len(codes) / 2)


# A row for each series


def wide_spool(columns: Columns, roles: Roles) -> Spool:
    """The samples of a table with a row for each series; missing ones at the end of a row are none."""
    blocks = [[columns.numbers.index(name) for name in own] for own in roles.channels.values()]
    values = columns.values[:, [place for own in blocks for place in own]]
    values = values.reshape(len(values), len(blocks), -1).transpose(0, 2, 1)
    there = np.asarray(~np.isnan(values).all(axis=2))
    lengths = np.where(there.any(axis=1), there.shape[1] - there[:, ::-1].argmax(axis=1), 1)
    kept = np.arange(there.shape[1]) < lengths[:, None]
    return Spool(
        np.ascontiguousarray(values[kept]),
        np.concatenate([[0], lengths.cumsum()]).astype(np.int64),
        tuple(roles.channels),
        warnings=columns.warnings,
    )


def words_of(columns: Columns, name: str | None) -> list[str]:
    """The cells of a column as words; none of None."""
    if name is None:
        return []
    codes, words = columns.codes(name)
    return [words[code] for code in codes.tolist()]


# A row for each moment


@dataclass(frozen=True)
class Stretch:
    """Rows in which nothing changes that an item must not span: label, group and split stay, and time goes on.

    Attributes:
        first: the first row, from 0.
        end: the row behind the last one.
        label: their label, empty where there is none.
        group: their group.
        split: their split.
        columns: what else the first row says.
    """

    first: int
    end: int
    label: str
    group: str
    split: str
    columns: dict[str, str]


def stretches(path: Path, columns: Columns, roles: Roles) -> Iterator[Stretch]:
    """The stretches of a table with a row for each moment.

    Raises:
        InputError: it is not in the order of time.
    """
    coded = {name: columns.codes(name) for name in (roles.label, roles.group, roles.split) if name is not None}
    count = len(columns.values)
    border = np.zeros(count + 1, bool)
    border[[0, count]] = True
    for codes, _ in coded.values():
        border[1:-1] |= np.diff(codes) != 0
    if columns.times is not None:
        steps = np.diff(columns.times)
        back = (steps < 0) & ~border[1:-1]
        if back.sum() > _UNSORTED * count:
            row = int(np.flatnonzero(back)[0]) + 2
            raise InputError(
                f"{path}: the time stamps go back {int(back.sum())} times, first in row {row}: sort it by time, and "
                "by group where it has any."
            )
        border[1:-1] |= (steps < 0) | _gaps(steps) | np.isnan(steps)
    ends = np.flatnonzero(border).tolist()
    others = {name: columns.codes(name) for name in roles.others}

    def at(name: str | None, row: int) -> str:
        if name is None:
            return ""
        codes, words = coded[name]
        return str(words[codes[row]])

    for first, end in pairwise(ends):
        kept = {name: words[codes[first]] for name, (codes, words) in others.items()}
        split = SPLIT_NAMES.get(at(roles.split, first).lower(), "")
        yield Stretch(first, end, at(roles.label, first), at(roles.group, first), split, kept)


def _gaps(steps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which steps of time lack more samples than are interpolated."""
    forward = steps[steps > 0]
    return steps > (GAP + 1.5) * (np.median(forward) if len(forward) else 1.0)


def time_warnings(path: Path, columns: Columns) -> list[str]:
    """What is remarkable in the time stamps of a table with a row for each moment."""
    if columns.times is None:
        return []
    steps = np.diff(columns.times)
    found = {
        "rows have the time stamp of the row before": int((steps == 0).sum()),
        "times the time stamps go back, where a recording may begin anew": int((steps < 0).sum()),
        f"gaps of over {GAP} samples": int(_gaps(steps).sum()),
    }
    return [f"{count} {words} ({path.name}): no window spans them." for words, count in found.items() if count]
