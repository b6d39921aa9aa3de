"""Where the bytes of an item come from: a file of its own, or one that is kept in memory for all of its items."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numpy as np

from keras_transfer.data.listing import Layout
from keras_transfer.data.stretches import parse_stretch
from keras_transfer.data.table_files import TABLES
from keras_transfer.errors import InputError
from keras_transfer.files import MISSING, read_file
from keras_transfer.modalities.series.archives import read_arff, read_npz, read_ts
from keras_transfer.modalities.series.items import Series, pack, unpack
from keras_transfer.modalities.series.spool import Spool, parse_row_name
from keras_transfer.modalities.series.tables import Columns, find_roles, read_columns, wide_spool

READERS: dict[str, Callable[[Path], Spool]] = {".ts": read_ts, ".arff": read_arff, ".npz": read_npz}
"""Endings of files that hold many series, whatever their content, and what reads them."""
_OPEN = 4  # files that are kept in memory
_T = TypeVar("_T")
_kept: OrderedDict[tuple[str, str, int, int], object] = OrderedDict()
_lock = threading.RLock()


def load_series(source: str, rate: float | None = None) -> bytes:
    """The bytes of an item: those of a file that is one series, else its samples as `items.pack` writes them.

    Args:
        source: the path of a file; `FILE#row=N`; `FILE#row=FIRST-LAST`; or `FILE#t=START,END`, in seconds where the
            rate is known, else in samples.
        rate: samples a second, where the file does not say it.

    Raises:
        InputError: there is no such file or row, or it cannot be read.
    """
    if (row := parse_row_name(source)) is not None:
        file, number, last = row
        spool = open_spool(file) if last is None else open_recording(file)
        return pack(spool.series(number, last))
    if (stretch := parse_stretch(source)) is not None:
        file, start, end = stretch
        series = open_file(file)
        per_second = series.rate or rate or 1.0
        first, behind = round(start * per_second), round(min(end * per_second, len(series.values)))
        if first >= behind:
            raise InputError(f"it ends before {start:g} is reached")
        return pack(series._replace(values=series.values[first:behind]))
    return read_file(source)


def open_file(file: str) -> Series:
    """The series of a file that is one; it stays in memory for its other stretches."""
    return _once(file, _read_file)


def open_columns(file: str) -> Columns:
    """A table; it stays in memory."""
    return _once(file, read_columns)


def is_wide(file: str) -> bool:
    """Whether each row of a table is a series.

    Raises:
        InputError: it is no table of series.
    """
    return find_roles(Path(file), open_columns(file), Layout()).wide


def open_recording(file: str) -> Spool:
    """A table with a row for each moment, as one series of all columns of numbers."""
    return _once(file, _read_recording)


def open_spool(file: str) -> Spool:
    """The series of a file that holds many, or of a table with a row for each; they stay in memory.

    Raises:
        InputError: it cannot be read, or is damaged as a whole.
    """
    return _once(file, _read_spool)


def _once(file: str, read: Callable[[Path], _T]) -> _T:
    """What a file holds, read when it is first wanted and again when the file has changed."""
    path = Path(file)
    try:
        about = path.stat()
    except OSError as error:
        raise InputError(MISSING if isinstance(error, FileNotFoundError) else f"cannot be read: {error}") from error
    key = file, read.__name__, about.st_mtime_ns, about.st_size
    with _lock:
        if key not in _kept:
            _kept[key] = read(path)
            while len(_kept) > _OPEN:
                _kept.popitem(last=False)
        _kept.move_to_end(key)
        return cast(_T, _kept[key])


def _read_file(path: Path) -> Series:
    return unpack(read_file(path))


def _read_recording(path: Path) -> Spool:
    columns = open_columns(str(path))
    return Spool(columns.values, np.array([0, len(columns.values)]), tuple(columns.numbers), columns.rate)


def _read_spool(path: Path) -> Spool:
    suffix = path.suffix.lower()
    if suffix in READERS:
        return READERS[suffix](path)
    if suffix not in TABLES:
        raise InputError(f"{path} is no file of many series ({', '.join(READERS)} or a table).")
    columns = open_columns(str(path))
    roles = find_roles(path, columns, Layout())
    if not roles.wide:
        raise InputError(f"{path} is no table with a row for each series")
    return wide_spool(columns, roles)
