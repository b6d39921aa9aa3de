"""Rows of tables, CSV, JSON lines or Parquet, as spreadsheets, pandas and people write them."""

import csv
import io
import json
import re
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, count, islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from keras_transfer.data.encodings import detect_encoding
from keras_transfer.errors import InputError
from keras_transfer.extras import require

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

TABLES = (".csv", ".tsv", ".txt", ".parquet", ".jsonl")
"""Files of these endings are read as tables; Excel saves "Unicode text" as .txt."""

MAX_LINE, MAX_COLUMNS, MAX_ROWS, MAX_PARQUET = 1_000_000, 1000, 100_000_000, 4 << 30
"""Characters of a line or a cell, columns, rows; bytes of a Parquet file unpacked. A table with more is refused."""

_DELIMITERS = ",;\t|"
_HEAD = 100  # lines in which the heading must end
_CHUNK = 1 << 20
_SAID = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # Excel's own first line

csv.field_size_limit(max(MAX_LINE, csv.field_size_limit()))


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        number: from 1 below the heading; blank rows do not count.
        cells: as many as there are columns, as they stand there; fewer or none where there is a problem.
        line: of the file, where the row begins; in Parquet the number.
        problem: why it is no row of this table, `""` if it is.
    """

    number: int
    cells: Sequence[str]
    line: int
    problem: str = ""


class Table(NamedTuple):
    """A heading and rows.

    Attributes:
        columns: their names.
        rows: in the order of the file.
        lists: the columns whose cells are lists, joined by `|`.
        encoding: Python's name of the codec.
        warnings: sentences on the file.
    """

    columns: list[str]
    rows: Iterator[Row]
    lists: frozenset[str] = frozenset()
    encoding: str = "utf-8"
    warnings: tuple[str, ...] = ()


def key(name: str) -> str:
    """A column's name without what people write differently.

    >>> key("File_Name ")
    'filename'
    """
    return re.sub(r"[\s_-]+", "", name).casefold()


@contextmanager
def open_table(path: Path, wanted: Sequence[Collection[str]] = (), most_columns: int = MAX_COLUMNS) -> Iterator[Table]:
    """Opens a table, whose rows can be read once.

    Args:
        path: a CSV separated by commas, semicolons, tabs or `|`, JSON lines, or a Parquet file.
        wanted: for each column that is needed its possible names, as `key` makes them; the items' first.
        most_columns: a table with more is refused.

    Raises:
        InputError: the file cannot be read, or is no table.
    """
    if path.suffix.lower() == ".parquet":
        with _open_parquet(path, wanted, most_columns) as table:
            yield table
        return
    try:
        with path.open("rb") as file:
            encoding, foreign = detect_encoding(iter(lambda: file.read(_CHUNK), b""))
            file.seek(0)
            errors = "replace" if encoding == "cp1252" else "cp1252"
            with io.TextIOWrapper(file, encoding, errors=errors, newline="") as text:
                lines = _lines(path, text)
                is_json = path.suffix.lower() == ".jsonl"
                table = _json_table(path, lines, most_columns) if is_json else _csv(path, lines, wanted, most_columns)
                yield table._replace(encoding=encoding, warnings=_about(path, encoding, foreign))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not {error.encoding.upper()} ({error.reason}). Save it as 'CSV UTF-8'.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


def sample_table(path: Path, wanted: Sequence[Collection[str]], whole: bool) -> tuple[list[str], list[list[str]]]:
    """The columns of a table, and the cells of each in some rows: the first thousand, and of the `whole` one in 101."""
    with open_table(path, wanted) as table:
        rows = table.rows if whole else islice(table.rows, 1000)
        chosen = [row.cells for row in rows if not row.problem and (row.number <= 1000 or row.number % 101 == 0)]
    return table.columns, [list(cells) for cells in zip(*chosen, strict=True)] or [[] for _ in table.columns]


def _about(path: Path, encoding: str, foreign: int) -> tuple[str, ...]:
    look = "If letters look wrong, save it as 'CSV UTF-8'."
    if encoding == "cp1252":
        return (f"{path.name} is not in UTF-8 and is read as Windows-1252. {look}",)
    if foreign:
        return (f"{path.name} holds {foreign} bytes that are no UTF-8; they are read as Windows-1252. {look}",)
    return ()


def _lines(path: Path, file: io.TextIOWrapper) -> Iterator[str]:
    for number in count(1):
        line = file.readline(MAX_LINE)
        if not line:
            return
        if len(line) == MAX_LINE:
            raise InputError(f"{path}, line {number}: over {MAX_LINE} characters in one line. Is it a table?")
        yield line


def _limit(path: Path, columns: Sequence[str], most: int) -> None:
    if len(columns) > most:
        raise InputError(f"{path} has {len(columns)} columns, over the limit of {most}. Is it a table?")
    if not columns:
        raise InputError(f"{path} has no rows. It needs a heading and a row for each item.")


def _numbers(path: Path) -> Iterator[int]:
    yield from range(1, MAX_ROWS)
    raise InputError(f"{path} has over {MAX_ROWS} rows. Give a smaller table.")


# CSV


class _Tape:
    """Lines, of which those of the present row can be read again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._back = lines, deque[str]()
        self.row: list[str] = []
        self.line = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._lines)
        self.line += 1
        self.row.append(line)
        return line

    def again(self) -> None:
        """Has all lines of the row but the first read again."""
        self._back.extendleft(reversed(self.row[1:]))
        self.line -= len(self.row) - 1


def _csv(path: Path, lines: Iterator[str], wanted: Sequence[Collection[str]], most_columns: int) -> Table:
    head = list(islice(lines, _HEAD))
    marks = _DELIMITERS
    if head and (said := _SAID.fullmatch(head[0])):
        marks, head[0] = said.group(1), "\n"
    mark = max(marks, key=lambda mark: _likeness(head, mark, wanted))
    tape = _Tape(chain(head, lines))
    parsed = _parsed(tape, mark)
    line, heading, problem = next(parsed, (1, [], ""))
    if problem:
        raise InputError(f"{path}, line {line}: {problem}.")
    columns = [name.strip() for name in heading]
    _limit(path, columns, most_columns)

    def rows() -> Iterator[Row]:
        for number, (line, cells, problem) in zip(_numbers(path), parsed, strict=False):
            if not problem and len(cells) != len(columns):
                if not any(map(str.strip, cells[len(columns) :])):  # separators without cells at the end of a line
                    del cells[len(columns) :]
                if not any(columns[len(cells) :]):  # the same in the heading
                    cells += [""] * (len(columns) - len(cells))
                if len(cells) != len(columns):
                    quotes = ": put cells that hold a separator in quotes" if len(cells) > len(columns) else ""
                    problem = f"{len(cells)} cells under {len(columns)} headings{quotes}"
            yield Row(number, cells, line, problem)

    return Table(columns, rows())


def _parsed(tape: _Tape, mark: str) -> Iterator[tuple[int, list[str], str]]:
    """The rows that are not blank: line, cells, problem.

    A quote that is never closed swallows the rows after it, up to another quote. So the first line of such a row is
    the problem, and the others are rows of their own.
    """
    reader = csv.reader(tape, delimiter=mark, strict=True)
    while True:
        tape.row.clear()
        cells, problem = [], ""
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"not a sound CSV ({error})"
        line = tape.line - len(tape.row) + 1
        if problem:
            tape.again()
        elif any("\0" in line for line in tape.row):
            problem = "a zero byte, as no text has. Save it as 'CSV UTF-8'"
        if problem or any(map(str.strip, cells)):
            yield line, cells, problem


def _likeness(head: Sequence[str], mark: str, wanted: Sequence[Collection[str]]) -> tuple[int, int]:
    """How well a delimiter suits a heading: how many of the needed columns it gives, then how many at all."""
    try:
        rows = csv.reader(head, delimiter=mark, strict=True)
        columns = next((row for row in rows if any(cell.strip() for cell in row)), [])
    except csv.Error:
        return 0, 0
    keys = {key(name) for name in columns}
    return sum(bool(keys.intersection(names)) for names in wanted), len(columns)


# JSON lines


def _json_table(path: Path, lines: Iterator[str], most_columns: int) -> Table:
    numbered = ((line, text) for line, text in enumerate(lines, 1) if text.strip())
    parsed = (_json_object(line, text) for line, text in numbered)
    head = list(islice(parsed, _HEAD))
    values: dict[str, list[object]] = {}
    for _, cells, _ in head:
        for name, value in cells.items():
            values.setdefault(name, []).append(value)
    columns = [name for name, own in values.items() if not any(isinstance(value, dict) for value in own)]
    _limit(path, columns, most_columns)

    def rows() -> Iterator[Row]:
        for number, (line, cells, problem) in zip(_numbers(path), chain(head, parsed), strict=False):
            yield Row(number, [_text(cells.get(name)) for name in columns], line, problem)

    lists = frozenset(name for name in columns if any(isinstance(value, list) for value in values[name]))
    return Table(columns, rows(), lists)


def _json_object(line: int, text: str) -> tuple[int, dict[str, object], str]:
    try:
        value = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        return line, {}, f"no JSON ({str(error)[:100]})"
    return (line, value, "") if isinstance(value, dict) else (line, {}, "no JSON object")


# Parquet


@contextmanager
def _open_parquet(path: Path, wanted: Sequence[Collection[str]], most_columns: int) -> Iterator[Table]:
    require("pyarrow", "parquet", "Reading Parquet")
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield _parquet_table(path, file, wanted[0] if wanted else (), most_columns)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a sound Parquet file: {str(error).splitlines()[0]}") from error


def _parquet_table(path: Path, file: "pyarrow.parquet.ParquetFile", items: Collection[str], most_columns: int) -> Table:
    import pyarrow.types as types

    about, schema = file.metadata, file.schema_arrow
    if about.num_rows > MAX_ROWS or len(schema) > most_columns:
        raise InputError(
            f"{path} has {about.num_rows} rows and {len(schema)} columns, over the limits of {MAX_ROWS} and "
            f"{most_columns}. Give a table of items and labels alone."
        )
    contents = [field.name for field in schema if _nested(types, field.type)]
    if inside := [name for name in contents if key(name) in items]:
        raise InputError(
            f"`{inside[0]}` of {path} holds the items themselves. Write them to files, and give their paths."
        )
    columns = [name for name in schema.names if name not in contents]
    if sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups)) > MAX_PARQUET:
        raise InputError(f"{path} unpacks to over {MAX_PARQUET >> 30} GiB. Give a table of items and labels alone.")

    def rows() -> Iterator[Row]:
        number = 1
        for batch in file.iter_batches(8192, columns=columns):
            values = [batch.column(name).to_pylist() for name in columns]
            for cells in zip(*values, strict=True):
                yield Row(number, [_text(value) for value in cells], number)
                number += 1

    lists = frozenset(field.name for field in schema if types.is_list(field.type) or types.is_large_list(field.type))
    return Table(columns, rows(), lists)


def _nested(types: ModuleType, kind: "pyarrow.DataType") -> bool:
    """Whether a column's values are bytes, or more than one value that is no list of plain ones."""
    if types.is_list(kind) or types.is_large_list(kind):
        return types.is_nested(kind.value_type) or _nested(types, kind.value_type)
    return types.is_nested(kind) or any(
        is_kind(kind) for is_kind in (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    )


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return "|".join(_text(part) for part in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None or value != value else str(value)
