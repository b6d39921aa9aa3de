"""Logs of predictions on devices: one JSON object per line, written where the model runs and read as untrusted.

    {"time":"2026-11-28T15:24:24.120Z","model":"9f86d081884c7d65","top":[["cat",0.9132],["dog",0.0711]],"score":-0.314}

`docs/operations.md` has the fields. Numbers are written from whole numbers, so that twins of `line_of` in other
languages write the same bytes.
"""

import fcntl
import hashlib
import io
import json
import math
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.extras import require
from keras_transfer.files import write_bytes

MAX_LINE = 16_384
"""Bytes of a line; a longer one is skipped."""
MAX_BYTES = 16 << 20
"""Of a log, after which it becomes `FILE.1`; so a log and the one before take twice as much."""
MAX_KEPT = 512 << 20
"""Of the items that are kept for a log, after which it becomes `FILE.1` as well."""
MAX_ENTRIES = 200_000
"""That are kept of what is read: the last ones."""
SKETCH = 64
"""Numbers of a sketch."""
OLDER = ".1"
"""Behind the name of the log before."""
PARQUET = ".parquet"
_MOST_BYTES = 512 << 20  # of a row group of a Parquet file, which is read at once
_FIELDS = ("time", "model", "score", "ms", "fingerprint", "sketch", "scale", "item", "label")  # columns of a table
_MEASURES = "measure_"  # before the name of a measure: a column of a table
_HASH = 16  # hex digits
_LARGEST = 1e9
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_MODEL = re.compile(rf"[0-9a-f]{{{_HASH}}}")
_REPEAT = re.compile(r"[0-9a-f]{8}")
_ITEM = re.compile(rf"[0-9a-f]{{{_HASH}}}(\.[A-Za-z0-9]{{1,8}})?")
_MEASURE = re.compile(r"[a-z_]{1,32}")


@dataclass(frozen=True)
class Entry:
    """One prediction.

    Attributes:
        model: the first 16 hex digits of the SHA-256 of the model's file.
        top: the most probable classes with their probabilities, best first.
        time: when, in milliseconds since 1970, UTC; None where the device has no clock.
        score: how unlike the training items it is, where the file says so.
        ms: how long the model took, in milliseconds.
        measures: of the input itself, such as its brightness.
        fingerprint: eight hex digits of the input, equal for equal inputs.
        sketch: `sketch_of` the features: 64 whole numbers from -127 to 127.
        scale: by which power of two they are to be multiplied.
        item: the file name of the item that was kept, in `items_of` the log.
        label: the true class, where somebody told.
    """

    model: str
    top: tuple[tuple[str, float], ...]
    time: int | None = None
    score: float | None = None
    ms: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    fingerprint: str | None = None
    sketch: tuple[int, ...] | None = None
    scale: int = 0
    item: str | None = None
    label: str | None = None


class Log(NamedTuple):
    """What was read: entries from the oldest to the newest, and how many lines make no sense (a torn one, say)."""

    entries: list[Entry]
    skipped: int


def line_of(entry: Entry) -> str:
    """The line of an entry, without its end. Fields that are None are left out.

    >>> line_of(Entry("0123456789abcdef", (("cat", 0.91324), ("dog", 0.08676)), 1790000000120, score=-0.5))
    '{"time":"2026-09-21T14:13:20.120Z","model":"0123456789abcdef","top":[["cat",0.9132],["dog",0.0868]],"score":-0.500}'
    """
    top = ",".join(f"[{_text(name)},{_number(value, 4)}]" for name, value in entry.top)
    fields = {
        "time": None if entry.time is None else _text(_iso(entry.time)),
        "model": _text(entry.model),
        "top": f"[{top}]",
        "score": _number(entry.score, 3),
        "ms": _number(entry.ms, 1),
        "measures": "{" + ",".join(f"{_text(k)}:{_number(v, 4)}" for k, v in entry.measures.items()) + "}",
        "fingerprint": None if entry.fingerprint is None else _text(entry.fingerprint),
        "sketch": None if entry.sketch is None else str(list(entry.sketch)).replace(" ", ""),
        "scale": None if entry.sketch is None else str(entry.scale),
        "item": None if entry.item is None else _text(entry.item),
        "label": None if entry.label is None else _text(entry.label),
    }
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items() if value not in (None, "{}")) + "}"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _number(value: float | None, digits: int) -> str | None:
    if value is None or not math.isfinite(value):
        return None
    unit = 10**digits
    whole = math.floor(min(max(value, -_LARGEST), _LARGEST) * unit + 0.5)
    return f"{'-' if whole < 0 else ''}{abs(whole) // unit}.{abs(whole) % unit:0{digits}d}"


def _iso(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def parse_line(line: bytes) -> Entry:
    """The entry of a line from anywhere. Fields that it does not know are left out.

    Raises:
        ValueError: it is no entry.

    >>> parse_line(b'{"model": "0123456789abcdef", "top": [["cat", 0.5]]}').top
    (('cat', 0.5),)
    """
    if len(line) > MAX_LINE:
        raise ValueError("too long")
    try:
        found = json.loads(line.decode(), parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(found, dict):
        raise ValueError("no object")
    top = found.get("top")
    if not isinstance(top, list) or not top or not all(isinstance(pair, list) and len(pair) == 2 for pair in top):
        raise ValueError("no `top`")
    pairs = tuple((_word(name), _real(value, 0, 1)) for name, value in top)
    model, sketch, measures = _word(found.get("model"), _MODEL), found.get("sketch"), found.get("measures", {})
    if not isinstance(measures, dict):
        raise ValueError("`measures`")
    if sketch is not None:
        if not isinstance(sketch, list) or len(sketch) != SKETCH:
            raise ValueError("`sketch`")
        sketch = tuple(_whole(value, -127, 127) for value in sketch)

    def maybe(name: str, form: re.Pattern[str] | None = None) -> str | None:
        return None if found.get(name) is None else _word(found[name], form)

    time = maybe("time", _TIME)
    return Entry(
        model,
        pairs,
        None if time is None else round(datetime.fromisoformat(time).timestamp() * 1000),
        None if found.get("score") is None else _real(found["score"]),
        None if found.get("ms") is None else _real(found["ms"], 0),
        {_word(name, _MEASURE): _real(value) for name, value in measures.items()},
        maybe("fingerprint", _REPEAT),
        sketch,
        0 if sketch is None else _whole(found.get("scale"), -100, 100),
        maybe("item", _ITEM),
        maybe("label"),
    )


def _refuse(constant: object) -> float:
    raise ValueError(f"{constant} is no number")


def _word(value: object, form: re.Pattern[str] | None = None) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 200 or (form is not None and not form.fullmatch(value)):
        raise ValueError(f"no such text: {str(value)[:40]!r}")
    return value


def _real(value: object, low: float = -_LARGEST, high: float = _LARGEST) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"no such number: {str(value)[:40]}")
    return float(value)


def _whole(value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"no such whole number: {str(value)[:40]}")
    return value


def read_logs(paths: Iterable[str | Path], most: int = MAX_ENTRIES) -> Log:
    """Reads logs, each after the older one beside it; lines that make no sense are skipped and counted.

    Args:
        paths: files; of folders every `.jsonl` and `.parquet` in them.
        most: how many entries to keep, the last ones. They are sorted by time where every one has a time.

    Raises:
        InputError: a file is missing or cannot be read.
    """
    kept: deque[Entry] = deque(maxlen=most)
    skipped = 0
    for path in _files(paths):
        for entry in _read(path):
            if entry is None:
                skipped += 1
            else:
                kept.append(entry)
    entries = list(kept)
    if all(entry.time is not None for entry in entries):
        entries.sort(key=lambda entry: entry.time or 0)
    return Log(entries, skipped)


def _files(paths: Iterable[str | Path]) -> Iterator[Path]:
    for path in map(Path, paths):
        inside = sorted((*path.glob("*.jsonl"), *path.glob(f"*{PARQUET}"))) if path.is_dir() else [path]
        for file in inside:
            older = file.with_name(file.name + OLDER)
            if older.is_file():
                yield older
            yield file


def _read(path: Path) -> Iterator[Entry | None]:
    """The entries of one file, None for a line that makes no sense."""
    try:
        if not S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise InputError(f"{path} is no regular file: give a log.")
        if path.suffix == PARQUET:
            yield from _read_parquet(path)
            return
        with path.open("rb") as file:
            for line in _lines(file):
                try:
                    yield parse_line(line)
                except ValueError:
                    yield None
    except OSError as error:
        raise InputError(f"Cannot read the log {path}: {error.strerror or error}.") from error


def write_parquet(entries: Iterable[Entry], path: str | Path) -> None:
    """Writes entries as a Parquet table, which pandas and others read and `read_logs` as well.

    A row for each; columns are the fields of the lines, but for `labels` and `probabilities` in place of `top`, and a
    column `measure_NAME` for each measure.

    Raises:
        InputError: pyarrow is not installed.
    """
    require("pyarrow", "parquet", "Writing Parquet")
    import pyarrow
    import pyarrow.parquet

    rows = []
    for entry in entries:
        row = json.loads(line_of(entry))
        names, shares = zip(*row.pop("top"), strict=True)
        measures = {f"{_MEASURES}{name}": value for name, value in row.pop("measures", {}).items()}
        rows.append({**row, "labels": list(names), "probabilities": list(shares), **measures})
    columns = dict.fromkeys(name for row in rows for name in row)
    table = pyarrow.table({name: [row.get(name) for row in rows] for name in columns})
    content = io.BytesIO()
    pyarrow.parquet.write_table(table, content, compression="zstd")
    write_bytes(path, content.getvalue())


def _read_parquet(path: Path) -> Iterator[Entry | None]:
    """The entries of a table that `write_parquet` wrote, or that claims it; None for a row that makes no sense."""
    require("pyarrow", "parquet", "Reading Parquet")
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            about = file.metadata
            largest = max((about.row_group(i).total_byte_size for i in range(about.num_row_groups)), default=0)
            if largest > _MOST_BYTES:
                raise InputError(f"{path} has a row group of {largest} bytes, over the limit of {_MOST_BYTES}.")
            for batch in file.iter_batches(1000):
                for row in batch.to_pylist():
                    yield _of_row(row)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path} is no sound Parquet file ({str(error)[:100]}).") from error


def _of_row(row: Mapping[str, object]) -> Entry | None:
    """The entry of a row, judged as a line is."""
    labels, shares = row.get("labels"), row.get("probabilities")
    if not isinstance(labels, list) or not isinstance(shares, list) or len(labels) != len(shares):
        return None
    measures = {
        name.removeprefix(_MEASURES): value
        for name, value in row.items()
        if name.startswith(_MEASURES) and value is not None
    }
    fields = {name: row[name] for name in _FIELDS if row.get(name) is not None}
    line = {**fields, "top": [*map(list, zip(labels, shares, strict=True))], "measures": measures}
    try:
        return parse_line(json.dumps(line, allow_nan=False, default=_refuse).encode())
    except ValueError:
        return None


def _items(path: Path) -> set[str]:
    """The items that a file names."""
    return {entry.item for entry in _read(path) if entry is not None and entry.item is not None}


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines that are not empty; of one that is too long its beginning, which is too long as well."""
    while line := file.readline(MAX_LINE + 1):
        end = line
        while not end.endswith(b"\n") and (end := file.readline(MAX_LINE)):
            pass
        if line.strip():
            yield line


class LogWriter:
    """Appends entries to a log that only this process writes.

    A line is one write, so that a crash leaves at most one torn line, at the end; what is written next begins a new
    one. A full log becomes `FILE.1`, whose predecessor goes, with the items that were kept for it.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log.jsonl"
    >>> with LogWriter(path) as log:
    ...     log.write(Entry("0123456789abcdef", (("cat", 1.0),)))
    >>> len(read_logs([path]).entries)
    1
    """

    def __init__(
        self, path: str | Path, *, max_bytes: int = MAX_BYTES, max_kept: int = MAX_KEPT, sync: bool = False
    ) -> None:
        """Opens the log, which is made if missing, for its owner alone.

        Args:
            path: of the log.
            max_bytes: after which it is put aside.
            max_kept: bytes of items that are kept for it, after which it is put aside, too.
            sync: wait after each line until it is on the disk.

        Raises:
            InputError: it cannot be written, or another process is writing it.
        """
        self.path, self._most, self._most_kept, self._sync = Path(path), max_bytes, max_kept, sync
        self._open()

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._size = os.fstat(self._file).st_size
            kept = (items_of(self.path) / name for name in _items(self.path)) if items_of(self.path).is_dir() else ()
            self._kept = sum(item.stat().st_size for item in kept if item.is_file())
            if self._size and os.pread(self._file, 1, self._size - 1) != b"\n":
                self._append(b"\n")
        except BlockingIOError:
            raise InputError(f"Another process is writing {self.path}: name another log.") from None
        except OSError as error:
            raise self._problem(error) from error

    def write(self, entry: Entry) -> None:
        """Appends an entry.

        Raises:
            InputError: the disk is full, say.
        """
        line = f"{line_of(entry)}\n".encode()
        try:
            if self._size and (self._size + len(line) > self._most or self._kept > self._most_kept):
                self._rotate(entry.item)
            self._append(line)
            if self._sync:
                os.fsync(self._file)
        except OSError as error:
            raise self._problem(error) from error

    def keep(self, content: bytes, suffix: str) -> str:
        """Keeps an item in `items_of` the log; returns its name there.

        Raises:
            InputError: it cannot be written.
        """
        name = hashlib.sha256(content).hexdigest()[:_HASH] + suffix
        place = items_of(self.path)
        try:
            place.mkdir(mode=0o700, exist_ok=True)
            write_bytes(place / name, content)  # whole, or not there
            self._kept += len(content)
        except OSError as error:
            raise self._problem(error) from error
        return name

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)

    def __enter__(self) -> "LogWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, line: bytes) -> None:
        self._size += os.write(self._file, line)

    def _rotate(self, wanted: str | None) -> None:
        older = self.path.with_name(self.path.name + OLDER)
        gone = _items(older) - _items(self.path) - {wanted} if older.is_file() else set()
        os.replace(self.path, older)  # noqa: PTH105  (the same, and this class is about the system's calls)
        self.close()
        self._open()
        for name in gone:
            (items_of(self.path) / name).unlink(missing_ok=True)

    def _problem(self, error: OSError) -> InputError:
        return InputError(f"Cannot write the log {self.path}: {error.strerror or error}. Name another place.")


def items_of(log: str | Path) -> Path:
    """The folder of the items that were kept for a log.

    >>> str(items_of("field/log.jsonl"))
    'field/log.items'
    """
    return Path(log).with_suffix(".items")


def model_hash(path: str | Path) -> str:
    """What logs call the model of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_HASH]


def sketches_of(features: NDArray[np.floating]) -> list[tuple[tuple[int, ...], int]]:
    """64 whole numbers and a power of two for each item, between which distances are about those of the features.

    Random projection (Johnson & Lindenstrauss 1984) by signs (Achlioptas 2003,
    https://doi.org/10.1016/S0022-0000(03)00025-4), which follow from SHAKE-256 and are the same everywhere.

    Args:
        features: `[n, features]`.

    >>> (numbers, scale), = sketches_of(np.ones((1, 4)))
    >>> len(numbers), max(map(abs, numbers)) > 63, np.abs(unsketched([numbers], [scale])).max() <= 0.5
    (64, True, np.True_)
    """
    count = features.shape[1]
    bits = np.frombuffer(hashlib.shake_256(b"keras-transfer sketch 1").digest(count * SKETCH // 8), np.uint8)
    signs = np.unpackbits(bits).reshape(count, SKETCH) * 2.0 - 1
    found = []
    for row in np.nan_to_num(features.astype(np.float64)) @ signs / math.sqrt(SKETCH):
        scale = math.frexp(float(np.abs(row).max()) / 127)[1]
        scale = min(max(scale, -100), 100)
        found.append((tuple(int(number) for number in np.clip(np.rint(row / 2.0**scale), -127, 127)), scale))
    return found


def unsketched(sketches: Sequence[Sequence[int]], scales: Sequence[int]) -> NDArray[np.float64]:
    """The numbers of sketches, float64 `[n, 64]`."""
    return np.asarray(sketches, np.float64).reshape(len(scales), SKETCH) * np.exp2(scales)[:, None]
