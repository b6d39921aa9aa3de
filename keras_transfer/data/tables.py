"""Tables of files and labels, CSV or Parquet, as spreadsheets, pandas and people write them."""

import codecs
import csv
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, count, islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from keras_transfer.data.listing import NO_COLUMNS, SPLIT_NAMES, Entry, Kind, Layout, Listing
from keras_transfer.errors import InputError
from keras_transfer.extras import require

if TYPE_CHECKING:
    from _csv import Reader

    import pyarrow
    import pyarrow.parquet

TABLES = (".csv", ".tsv", ".txt", ".parquet")
"""Files of these endings are read as tables; Excel saves "Unicode text" as .txt."""

PATHS = ("path", "file", "filename", "filepath", "image", "imagepath", "imagefile", "imagefilename")
LABELS = ("label", "class", "category", "target", "labels", "classname")
"""Names of columns, whatever their case, without spaces, `_` and `-`. `labels` holds any number of labels."""

MAX_LINE, MAX_LABEL, MAX_COLUMNS, MAX_ROWS, MAX_PARQUET = 1_000_000, 1000, 1000, 10_000_000, 4 << 30
"""Characters of a line and a label, columns, rows; bytes of a Parquet file unpacked. A table with more is refused."""

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_DELIMITERS = ",;\t|"
_HEAD = 100  # lines in which the heading must end
_SAID = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # Excel's own first line


class Table(NamedTuple):
    """A heading and rows of as many cells each; `lists` are the columns whose cells are lists, joined by `|`."""

    columns: list[str]
    rows: Iterator[tuple[int, Sequence[str]]]
    lists: frozenset[str] = frozenset()


class _Roles(NamedTuple):
    """Which column holds what, by index."""

    path: int
    label: int
    split: int | None
    group: int | None
    others: dict[str, int]
    multi_label: bool


def list_table(path: Path, layout: Layout, kind: Kind) -> Listing:
    """Lists the files of a table.

    Args:
        path: a CSV in UTF-8 or UTF-16, separated by commas, semicolons, tabs or `|`; or a Parquet file.
        layout: names of columns, and where paths begin.
        kind: what the files are.

    Returns:
        A listing in the order of the rows. A row without a label has a problem; one that repeats another is left out.

    Raises:
        InputError: the file cannot be read, columns are missing or could be either of two, or a row does not fit.
    """
    read = _read_parquet if path.suffix.lower() == ".parquet" else _read_csv
    return read(path, layout, lambda table: _listing(path, table, layout, kind))


def _listing(path: Path, table: Table, layout: Layout, kind: Kind) -> Listing:
    roles = _roles(path, table, layout, kind)
    root = os.fspath(Path(layout.root).expanduser() if layout.root is not None else path.parent)
    seen = _Seen(Counter(), {}, {})
    entries = [
        _entry(path, number, cells, roles, root)
        for number, cells in table.rows
        if _is_new(seen, cells[roles.path], cells[roles.label], cells[roles.split] if roles.split is not None else "")
    ]
    if not entries:
        raise InputError(f"{path} has no rows. It needs a heading and a row for each {kind.item}.")
    hint = f"Paths of {path.name} begin in {root}; `root` (--root) names another folder."
    listing = Listing(str(path), entries, kind, roles.multi_label, warnings=_warnings(seen, kind), missing_hint=hint)
    if not roles.multi_label:
        _look_at_labels(listing, table.columns[roles.label])
    return listing


# Columns


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _roles(path: Path, table: Table, layout: Layout, kind: Kind) -> _Roles:
    columns = table.columns
    named = [name for name in columns if name]
    if len(set(named)) != len(named):
        raise InputError(f"{path} names a column twice: {_shown(named)}.")
    ours = {"path", "group", "split", "sha256"} <= set(columns)  # written by Dataset.write_csv
    wanted = (layout.path_column or ("path" if ours else None), layout.label_column or (columns[1] if ours else None))
    file = _column(path, columns, wanted[0], PATHS, "--path-column", "the path")
    label = _column(path, columns, wanted[1], LABELS, "--label-column", "the label")
    if file is None or label is None:
        raise InputError(_lacking(path, columns, file is None, label is None, kind))
    split = _column(path, columns, "split" if "split" in columns else None, ("split",), "", "the split")
    group_by = layout.group_by or ("group" if ours else None)
    group = _column(path, columns, group_by, (), "--group-by", "the group")
    used = {file, label, split, *(columns.index(name) for name in kind.columns if ours)}
    others = {name: i for i, name in enumerate(columns) if name and i not in used}
    multi_label = _key(columns[label]) == "labels" or columns[label] in table.lists
    return _Roles(file, label, split, group, others, multi_label)


def _column(
    path: Path, columns: Sequence[str], wanted: str | None, aliases: Iterable[str], flag: str, what: str
) -> int | None:
    """The index of the column that is asked for, or else has one of some names; `None` if none has."""
    if wanted is not None:
        if wanted in columns:
            return columns.index(wanted)
        aliases = (_key(wanted),)
    matching = [i for i, name in enumerate(columns) if _key(name) in aliases]
    if len(matching) > 1:
        both = " and ".join(f"`{columns[i]}`" for i in matching)
        way = f"say which with {flag}" if flag else "rename one"
        raise InputError(f"{path} has the columns {both}, and each could be {what}: {way}.")
    if wanted is not None and not matching:
        doing = {"--group-by": " to group by"}.get(flag, "")
        raise InputError(f"{path} has no column '{wanted}'{doing}. Its columns: {_shown(columns)}")
    return matching[0] if matching else None


def _lacking(path: Path, columns: Sequence[str], no_path: bool, no_label: bool, kind: Kind) -> str:
    if any(Path(name).suffix.lower() in kind.extensions for name in columns):
        return f"{path} has no heading: its first line is a {kind.item}. Put a line such as 'path,label' above it."
    lacks = " and ".join(
        f"a column of {what} ({', '.join(names)})"
        for what, names, lacking in (("paths", PATHS[:5], no_path), ("labels", LABELS[:5], no_label))
        if lacking
    )
    flags = " and ".join(["--path-column"] * no_path + ["--label-column"] * no_label)
    return f"{path} needs {lacks}: name it with {flags}. Its columns: {_shown(columns)}"


def _shown(columns: Sequence[str]) -> str:
    names = ", ".join(name[:40] or "(unnamed)" for name in columns[:20])
    return names + (f" and {len(columns) - 20} more" if len(columns) > 20 else "")


# Rows


class _Seen(NamedTuple):
    """Rows so far: how often each (path, label, split) stood there, and the first label and another one of a path."""

    rows: Counter[tuple[str, str, str]]
    labels: dict[str, str]
    others: dict[str, str]


def _is_new(seen: _Seen, path: str, label: str, split: str) -> bool:
    seen.rows[path, label, split] += 1
    if seen.labels.setdefault(path, label) != label:
        seen.others.setdefault(path, label)
    return seen.rows[path, label, split] == 1


def _warnings(seen: _Seen, kind: Kind) -> list[str]:
    warnings = []
    if repeated := seen.rows.total() - len(seen.rows):
        warnings.append(f"{repeated} rows give a {kind.item} the label that an earlier row gives it: it is used once.")
    if seen.others:
        path, label = next(iter(seen.others.items()))
        warnings.append(
            f"{len(seen.others)} {kind.items} stand in several rows with different labels (first: {path}, "
            f"'{seen.labels[path]}' and '{label}'). Where {kind.items} have several labels, put them into one row of a "
            "column `labels`, separated by '|'."
        )
    return warnings


def _entry(path: Path, number: int, cells: Sequence[str], roles: _Roles, root: str) -> Entry:
    label, said = cells[roles.label], cells[roles.split].lower() if roles.split is not None else ""
    if not cells[roles.path]:
        raise InputError(f"{path}, row {number}: there is no path.")
    if len(label) > MAX_LABEL:
        raise InputError(f"{path}, row {number}: a label of over {MAX_LABEL} characters ({label[:40]}...).")
    if said and said not in SPLIT_NAMES:
        raise InputError(f"{path}, row {number}: `split` must be train, val or test. Received: {said[:40]}")
    if roles.multi_label:
        labels = tuple(dict.fromkeys(part.strip() for part in label.split("|") if part.strip()))
    else:
        labels = (label,) if label else ()
    return Entry(
        _place(root, cells[roles.path]),
        labels,
        SPLIT_NAMES.get(said, ""),
        cells[roles.group] if roles.group is not None else "",
        {name: cells[i] for name, i in roles.others.items()} if roles.others else NO_COLUMNS,
        "" if labels or roles.multi_label else "no label in the table",
    )


def _place(root: str, cell: str) -> str:
    """Where a cell's file lies. A backslash separates folders, unless a file has it in its name."""
    place = os.path.join(root, cell)  # noqa: PTH118 (`Path` takes longer than all the rest of reading a row)
    if "\\" in cell and os.sep != "\\" and not os.path.lexists(place):
        place = os.path.join(root, cell.replace("\\", "/"))  # noqa: PTH118
    return os.fspath(Path(place)) if "./" in cell or "//" in place else place


def _look_at_labels(listing: Listing, column: str) -> None:
    """Labels such as 1.0, which pandas makes of 1 where a cell is empty, become 1; measured values are refused."""
    names = {name for entry in listing.entries for name in entry.labels}
    if all(re.fullmatch(r"[0-9]+(\.0+)?", name) for name in names):
        if any("." in name for name in names):
            listing.rename({name: name.partition(".")[0] for name in names})
    elif len(names) > 20 and all(re.fullmatch(r"[-+]?[0-9]*\.?[0-9]+(e[-+]?[0-9]+)?", n, re.IGNORECASE) for n in names):
        raise InputError(
            f"`{column}` of {listing.name} holds {len(names)} numbers such as {min(names)}: measured values, no "
            "classes. Name the column of classes with --label-column."
        )
    if piped := [name for name in names if "|" in name]:
        listing.warnings.append(
            f"{len(piped)} labels of {listing.name} hold a '|' and are read as names (first: {min(piped)}). To give an "
            "item several labels, call the column `labels`."
        )


# CSV


def _read_csv(path: Path, layout: Layout, use: Callable[[Table], Listing]) -> Listing:
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            encoding = next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")
            with io.TextIOWrapper(file, encoding, newline="") as text:
                return use(_csv_table(path, _lines(path, text), layout))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not {error.encoding.upper()} ({error.reason}). Save it as 'CSV UTF-8'.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


def _lines(path: Path, file: io.TextIOWrapper) -> Iterator[str]:
    for number in count(1):
        line = file.readline(MAX_LINE)
        if not line:
            return
        if len(line) == MAX_LINE:
            raise InputError(f"{path}, line {number}: over {MAX_LINE} characters in one line. Is it a table?")
        if "\0" in line:
            raise InputError(f"{path}, line {number}: a zero byte, so it is no text in UTF-8. Save it as 'CSV UTF-8'.")
        yield line


def _csv_table(path: Path, lines: Iterator[str], layout: Layout) -> Table:
    head = list(islice(lines, _HEAD))
    marks = _DELIMITERS
    if head and (said := _SAID.fullmatch(head[0])):
        marks, head[0] = said.group(1), "\n"
    mark = max(marks, key=lambda mark: _likeness(head, mark, layout))
    reader = csv.reader(chain(head, lines), delimiter=mark, strict=True)

    def rows() -> Iterator[tuple[int, list[str]]]:
        for number, cells in enumerate(_cells(path, reader), start=2):
            if number > MAX_ROWS:
                raise InputError(f"{path} has over {MAX_ROWS} rows. Give a smaller table.")
            if not any(cells[len(columns) :]):  # separators without cells between them, at the end of a line
                del cells[len(columns) :]
            if not any(columns[len(cells) :]):  # the same in the heading
                cells += [""] * (len(columns) - len(cells))
            if len(cells) != len(columns):
                quotes = ": put cells that hold a separator in quotes" if len(cells) > len(columns) else ""
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells under {len(columns)} headings{quotes}."
                )
            yield number, cells

    columns = next(_cells(path, reader), [])
    if len(columns) > MAX_COLUMNS:
        raise InputError(f"{path} has {len(columns)} columns, over the limit of {MAX_COLUMNS}. Is it a table?")
    if not columns:
        raise InputError(f"{path} has no rows. It needs a heading and a row for each item.")
    return Table(columns, rows())


def _cells(path: Path, reader: "Reader") -> Iterator[list[str]]:
    """The rows that are not blank, without spaces around cells."""
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield stripped
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not a sound CSV ({error}).") from error


def _likeness(head: Sequence[str], mark: str, layout: Layout) -> tuple[int, int]:
    """How well a delimiter suits a heading: how many of the needed columns it gives, then how many at all."""
    try:
        rows = csv.reader(head, delimiter=mark, strict=True)
        columns = next((row for row in rows if any(cell.strip() for cell in row)), [])
    except csv.Error:
        return 0, 0
    keys = {_key(name) for name in columns}
    known = [
        {_key(wanted)} if wanted is not None else set(aliases)
        for wanted, aliases in ((layout.path_column, PATHS), (layout.label_column, LABELS))
    ]
    return sum(bool(keys & names) for names in known), len(columns)


# Parquet


def _read_parquet(path: Path, layout: Layout, use: Callable[[Table], Listing]) -> Listing:
    require("pyarrow", "parquet", "Reading Parquet")
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            return use(_parquet_table(path, file, layout))
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a sound Parquet file: {str(error).splitlines()[0]}") from error


def _parquet_table(path: Path, file: "pyarrow.parquet.ParquetFile", layout: Layout) -> Table:
    import pyarrow.types as types

    about, schema = file.metadata, file.schema_arrow
    if about.num_rows > MAX_ROWS or len(schema) > MAX_COLUMNS:
        raise InputError(
            f"{path} has {about.num_rows} rows and {len(schema)} columns, over the limits of {MAX_ROWS} and "
            f"{MAX_COLUMNS}. Give a table of paths and labels alone."
        )
    contents = [field.name for field in schema if _nested(types, field.type)]
    if inside := [name for name in contents if name == layout.path_column or _key(name) in PATHS]:
        raise InputError(
            f"`{inside[0]}` of {path} holds the items themselves. Write them to files, and give their paths."
        )
    columns = [name for name in schema.names if name not in contents]
    if sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups)) > MAX_PARQUET:
        raise InputError(f"{path} unpacks to over {MAX_PARQUET >> 30} GiB. Give a table of paths and labels alone.")

    def rows() -> Iterator[tuple[int, list[str]]]:
        number = 2
        for batch in file.iter_batches(65536, columns=columns):
            values = [batch.column(name).to_pylist() for name in columns]
            for row in zip(*values, strict=True):
                yield number, [_text(value) for value in row]
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
    if isinstance(value, list | tuple):
        return "|".join(_text(part) for part in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None or value != value else str(value).strip()
