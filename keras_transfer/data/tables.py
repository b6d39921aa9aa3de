"""Tables of items and labels: which column holds what."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from keras_transfer.data.listing import NO_COLUMNS, SPLIT_NAMES, Entry, Kind, Layout, Listing, group_of
from keras_transfer.data.stretches import parse_stretch, stretch_name, whole_file
from keras_transfer.data.table_files import TABLES, Row, Table, key, open_table, sample_table
from keras_transfer.errors import InputError

PATHS = ("path", "file", "filename", "filepath")
LABELS = ("label", "class", "category", "target", "labels", "classname")
"""Names of columns, whatever their case, without spaces, `_` and `-`. `labels` holds any number of labels."""

STARTS = ("start", "starttime", "startseconds", "onset", "begin", "begintime")
ENDS = ("end", "endtime", "endseconds", "offset", "stop", "stoptime")
DURATIONS = ("duration", "durationseconds", "length", "lengthseconds")
FOLD = "fold"

_LIKELY = (*LABELS, "sentiment", "emotion", "intent", "polarity", "topic", "rating", "stars")
"""Parts of the names of columns that are likelier to hold labels than others of few values."""

MAX_LABEL = 1000
"""Characters of a label."""

_ROW = re.compile(r"(.+)#([0-9]{1,18})(?::([^/#]+))?", re.DOTALL)
_LONGEST = 100  # characters of a cell beside texts; what is longer may be a text as well, and is not kept
_HEADING = 6  # words of a column's name
_MANY = 50  # values of a column of labels that has no usual name


class _Roles(NamedTuple):
    """Which column holds what, by index.

    Attributes:
        item: paths, or the items themselves.
        column: the name of a column of items that has no usual name, and of one that the user named.
        cells: whether the column's cells are the items.
        stretch: of start and end in seconds, where items are stretches of files.
        lasts: whether the second of these is a duration.
        group_by: a regular expression that finds the group in a path, where no column holds it.
    """

    item: int
    label: int
    split: int | None
    group: int | None
    others: dict[str, int]
    multi_label: bool
    column: str = ""
    cells: bool = False
    stretch: tuple[int, int] | None = None
    lasts: bool = False
    group_by: str = ""


def list_table(path: Path, layout: Layout, kind: Kind) -> Listing:
    """Lists the items of a table.

    Args:
        path: see `open_table`.
        layout: names of columns, and where paths begin.
        kind: what the items are.

    Returns:
        A listing in the order of the rows. A row without a label has a problem. A path that repeats another is left
        out. Where cells are the items, so is everything that is no row.

    Raises:
        InputError: the file cannot be read, columns are missing or could be either of two, or a row does not fit.
    """
    wanted = wanted_columns(layout, kind)
    with open_table(path, wanted) as table:
        warnings = list(table.warnings)
        roles = _roles(path, table, layout, kind, warnings)
        root = os.fspath(Path(layout.root).expanduser() if layout.root is not None else path.parent)
        if roles.cells:
            entries = [_cell_entry(path, row, roles) for row in table.rows]
        else:
            seen = _Seen(Counter(), {}, {})
            entries = [entry for row in table.rows if (entry := _entry(path, row, roles, root, seen)) is not None]
            warnings += _warnings(seen, kind)
    if not entries:
        raise InputError(f"{path} has no rows. It needs a heading and a row for each {kind.item}.")
    hint = f"Paths of {path.name} begin in {root}; `root` (--root) names another folder."
    listing = Listing(str(path), entries, kind, roles.multi_label, warnings=warnings, missing_hint=hint)
    if not roles.multi_label:
        _look_at_labels(listing, table.columns[roles.label])
    return listing


def _paths(kind: Kind) -> tuple[str, ...]:
    """Usual names of a column of paths."""
    return (*PATHS, *kind.columns_of_paths)


def wanted_columns(layout: Layout, kind: Kind) -> list[Collection[str]]:
    """The names that the columns of items and of labels may have, for `open_table`."""
    item, label = layout.text_column or layout.path_column, layout.label_column
    return [[key(item)] if item else (*kind.cells, *_paths(kind)), [key(label)] if label else LABELS]


def row_name(path: Path, number: int, column: str = "") -> str:
    """What an item is called that is a cell: `TABLE#ROW`, or `TABLE#ROW:COLUMN` where the column must be named.

    >>> row_name(Path("reviews.csv"), 3)
    'reviews.csv#3'
    """
    for sign in "%/#" * bool(column):
        column = column.replace(sign, f"%{ord(sign):02X}")
    return f"{path}#{number}:{column}" if column else f"{path}#{number}"


def parse_row_name(name: str) -> tuple[str, int, str] | None:
    """Table, row and column (maybe `""`) of what `row_name` made; None of anything else.

    >>> parse_row_name(row_name(Path("a/b.csv"), 3, "1/2"))
    ('a/b.csv', 3, '1/2')
    """
    if "#" not in name or (match := _ROW.fullmatch(name)) is None:
        return None
    table, number, column = match.groups("")
    if not table.lower().endswith(TABLES):
        return None
    for sign in "#/%" * bool(column):
        column = column.replace(f"%{ord(sign):02X}", sign)
    return table, int(number), column


# Columns


def _roles(path: Path, table: Table, layout: Layout, kind: Kind, warnings: list[str]) -> _Roles:
    columns = table.columns
    named = [name for name in columns if name]
    if len(set(named)) != len(named):
        raise InputError(f"{path} names a column twice: {_shown(named)}.")
    ours = {"path", "group", "split", "sha256"} <= set(columns)  # written by Dataset.write_csv
    item = cell_column(path, columns, layout.text_column, kind) if not (ours or layout.path_column) else None
    cells, column = item is not None, layout.text_column or ""
    if item is None:
        wanted = layout.path_column or ("path" if ours else None)
        item = _column(path, columns, wanted, _paths(kind), "--path-column")
    label = _column(path, columns, layout.label_column or (columns[1] if ours else None), LABELS, "--label-column")
    split = _column(path, columns, "split" if "split" in columns else None, ("split",), "")
    group_by = layout.group_by or ("group" if ours else None)
    pattern = group_by if group_by and "(" in group_by and group_by not in columns else ""
    if group_by is None and kind.stretches and split is None and FOLD in map(key, columns):
        group_by = columns[list(map(key, columns)).index(FOLD)]
        warnings.append(f"`{group_by}` of {path.name} keeps items together; --group-by names another column.")
    group = _column(path, columns, None if pattern else group_by, (), "--group-by")
    if kind.cells and (item is None or label is None):
        guessed = item is None
        item, label = _guessed(path, (item, label), (split, group), layout, kind)
        if item is not None and label is not None:
            cells, column = cells or guessed, columns[item] if guessed else column
            warnings.append(
                f"{path.name} has no column of a usual name: `{columns[item]}` is read as the {kind.item}, "
                f"`{columns[label]}` as the label. --text-column and --label-column name others."
            )
    if item is None or label is None:
        raise InputError(_lacking(path, columns, item is None, label is None, kind))
    if item == label:
        name = columns[item]
        raise InputError(
            f"{path}: the column `{name}` cannot be the {kind.item} and its label as well: name both columns."
        )
    stretch, lasts = _stretch_columns(path, columns) if kind.stretches and not ours else (None, False)
    used = {item, label, split, *(stretch or ()), *(columns.index(name) for name in kind.columns if ours)}
    others = {name: i for i, name in enumerate(columns) if name and i not in used}
    if cells and others:
        seen = sample_table(path, wanted_columns(layout, kind), whole=False)[1]
        others = {name: i for name, i in others.items() if not is_prose(seen[i])}
    multi_label = key(columns[label]) == "labels" or columns[label] in table.lists
    return _Roles(item, label, split, group, others, multi_label, column, cells, stretch, lasts, pattern)


def _stretch_columns(path: Path, columns: Sequence[str]) -> tuple[tuple[int, int] | None, bool]:
    """The columns of start and end, or of start and duration; none where there is neither; one alone is refused."""
    start, end, lasts = (_column(path, columns, None, names, "") for names in (STARTS, ENDS, DURATIONS))
    if lasts is not None and start is None and end is not None and key(columns[end]) == "offset":
        start, end = end, None  # beside a duration an offset is where something begins, as in NeMo's manifests
    if start is not None and (end is not None or lasts is not None):
        return (start, end if end is not None else lasts or 0), end is None
    if start is None and end is None:  # a duration alone says how long the whole file is
        return None, False
    there = columns[start if start is not None else end or 0]
    raise InputError(
        f"{path} has a column `{there}` alone: stretches need a start and an end, or a duration, in seconds."
    )


def cell_column(path: Path, columns: Sequence[str], name: str | None, kind: Kind) -> int | None:
    """The index of the column whose cells are the items: the one that is named, or has a usual name, if any.

    Raises:
        InputError: there is no such column, two have usual names, or items of this kind are no cells.
    """
    if name is not None and not kind.cells:
        raise InputError(f"`text_column` (--text-column) is for texts, not for {kind.items}. Received: {name!r}")
    return _column(path, columns, name or None, kind.cells, "--text-column")


_ROLES = {
    "--text-column": "the text",
    "--path-column": "the path",
    "--label-column": "the label",
    "--group-by": "the group",
    "": "the split",
}


def _column(path: Path, columns: Sequence[str], wanted: str | None, aliases: Iterable[str], flag: str) -> int | None:
    """The index of the column that is asked for, or else has one of some names; `None` if none has."""
    if wanted is not None:
        if wanted in columns:
            return columns.index(wanted)
        aliases = (key(wanted),)
    matching = _one(path, columns, [i for i, name in enumerate(columns) if key(name) in aliases], flag)
    if wanted is not None and matching is None:
        doing = {"--group-by": " to group by"}.get(flag, "")
        raise InputError(f"{path} has no column '{wanted}'{doing}. Its columns: {_shown(columns)}")
    return matching


def _one(path: Path, columns: Sequence[str], matching: Sequence[int], flag: str) -> int | None:
    """The only one of some columns, `None` of none; raises `InputError` where there are several."""
    if len(matching) > 1:
        names = " and ".join(f"`{columns[i]}`" for i in matching[:5])
        way = f"say which with {flag}" if flag else "rename one"
        raise InputError(f"{path} has the columns {names}, and each could be {_ROLES[flag]}: {way}.")
    return matching[0] if matching else None


def _guessed(
    path: Path,
    known: tuple[int | None, int | None],
    others: tuple[int | None, int | None],
    layout: Layout,
    kind: Kind,
) -> tuple[int | None, int | None]:
    """Columns of items and labels by what is in them: the one of prose, and the one of few values."""
    item, label = known
    columns, cells = sample_table(path, wanted_columns(layout, kind), whole=True)
    free = [i for i, name in enumerate(columns) if name and i not in (item, label, *others)]
    prose = [i for i in free if is_prose(cells[i])]
    few = [i for i in free if i not in prose and _has_few_values(cells[i])]
    if any(len(columns[i].split()) > _HEADING for i in prose) or any(columns[i] in cells[i] for i in few):
        raise InputError(
            f"{path} has no heading: its first line is a {kind.item}. Put a line such as 'text,label' above it."
        )
    if item is None:
        item = _one(path, columns, _likelier(columns, prose, kind.cells), "--text-column")
    if label is None:
        label = _one(path, columns, _likelier(columns, few, _LIKELY), "--label-column")
    return item, label


def _likelier(columns: Sequence[str], matching: Sequence[int], names: Sequence[str]) -> Sequence[int]:
    """Of several columns the only one with one of the names in its own, such as `review_text`; else all."""
    named = [i for i in matching if any(name in key(columns[i]) for name in names)]
    return named if len(named) == 1 else matching


def is_prose(cells: Sequence[str]) -> bool:
    """Whether most cells are of several words, or of as many signs in writing without spaces, and differ.

    >>> is_prose(["It works.", "Broke after two days, sadly!"]), is_prose(["a.jpg", "b.jpg"])
    (True, False)
    """
    filled = [cell for cell in cells if cell.strip()]
    text = "".join(filled)
    words = sum(len(cell.split()) for cell in filled) + sum(sign >= "\u2e80" for sign in text) / 2
    letters = sum(map(str.isalpha, text))
    differ = 2 * len(set(filled)) > len(filled) and 2 * len(filled) >= len(cells)
    return differ and words >= 2.5 * len(filled) and 2 * letters > len(text)


def _has_few_values(cells: Sequence[str]) -> bool:
    filled = [cell.strip() for cell in cells if cell.strip()]
    return 2 <= len(set(filled)) <= min(_MANY, len(filled) / 2) and 2 * len(filled) >= len(cells)


def _lacking(path: Path, columns: Sequence[str], no_item: bool, no_label: bool, kind: Kind) -> str:
    if any(Path(name).suffix.lower() in kind.extensions for name in columns):
        return f"{path} has no heading: its first line is a {kind.item}. Put a line such as 'path,label' above it."
    items = (kind.items, kind.cells, "--text-column") if kind.cells else ("paths", _paths(kind), "--path-column")
    lacking = [role for role, lacks in ((items, no_item), (("labels", LABELS, "--label-column"), no_label)) if lacks]
    needed = " and ".join(f"a column of {what} ({', '.join(names[:5])})" for what, names, _ in lacking)
    flags = " and ".join(flag for _, _, flag in lacking)
    return f"{path} needs {needed}: name it with {flags}. Its columns: {_shown(columns)}"


def _shown(columns: Sequence[str]) -> str:
    names = ", ".join(name[:40] or "(unnamed)" for name in columns[:20])
    return names + (f" and {len(columns) - 20} more" if len(columns) > 20 else "")


# Rows

_UNLABELLED = "no label in the table"


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


def _entry(path: Path, row: Row, roles: _Roles, root: str, seen: _Seen) -> Entry | None:
    """The file that a row names; None where an earlier row says the same."""
    if row.problem:
        raise InputError(f"{path}, line {row.line}: {row.problem}.")
    file, label = row.cells[roles.item].strip(), row.cells[roles.label].strip()
    if not file:
        raise InputError(f"{path}, line {row.line}: there is no path.")
    file, problem = _stretch(file, row, roles)
    if not _is_new(seen, file, label, row.cells[roles.split].strip() if roles.split is not None else ""):
        return None
    if len(label) > MAX_LABEL:
        raise InputError(f"{path}, line {row.line}: a label of over {MAX_LABEL} characters ({label[:40]}...).")
    split = _split(path, row, roles)
    group = group_of(whole_file(file), roles.group_by) if roles.group_by else _group(row, roles)
    columns = {name: row.cells[i].strip() for name, i in roles.others.items()} if roles.others else NO_COLUMNS
    labels = _labels(label, roles.multi_label)
    problem = problem or ("" if labels or roles.multi_label else _UNLABELLED)
    return Entry(_place(root, file), labels, split, group, columns, problem)


def _stretch(file: str, row: Row, roles: _Roles) -> tuple[str, str]:
    """The name of the stretch that a row names, if any, and what is wrong with it."""
    if roles.stretch is None:
        return file, ""
    start, end = (row.cells[i].strip() for i in roles.stretch)
    if not start and not end:
        return file, ""
    try:
        first = _seconds(start or "0")
        name = stretch_name(file, first, _seconds(end) + first * roles.lasts)
    except ValueError:
        return file, f"no stretch of time: {start[:20]!r} to {end[:20]!r}"
    return (name, "") if parse_stretch(name) else (file, f"no stretch of time: {start[:20]!r} to {end[:20]!r}")


def _seconds(cell: str) -> float:
    """A number of seconds, which spreadsheets of some languages write with a decimal comma."""
    return float(cell.replace(",", "."))


def _cell_entry(path: Path, row: Row, roles: _Roles) -> Entry:
    """The item that a row holds."""
    name = row_name(path, row.number, roles.column)
    if row.problem:
        return Entry(name, (), problem=f"line {row.line}: {row.problem}")
    label = row.cells[roles.label].strip()
    if len(label) > MAX_LABEL:
        return Entry(name, (), problem=f"line {row.line}: a label of over {MAX_LABEL} characters")
    others = ((name, row.cells[i].strip()) for name, i in roles.others.items())
    columns = {name: cell for name, cell in others if len(cell) <= _LONGEST} if roles.others else NO_COLUMNS
    labels = _labels(label, roles.multi_label)
    problem = "" if labels or roles.multi_label else _UNLABELLED
    return Entry(name, labels, _split(path, row, roles), _group(row, roles), columns, problem)


def _split(path: Path, row: Row, roles: _Roles) -> str:
    said = row.cells[roles.split].strip().lower() if roles.split is not None else ""
    if said and said not in SPLIT_NAMES:
        raise InputError(f"{path}, line {row.line}: `split` must be train, val or test. Received: {said[:40]}")
    return SPLIT_NAMES.get(said, "")


def _group(row: Row, roles: _Roles) -> str:
    return row.cells[roles.group].strip() if roles.group is not None else ""


@lru_cache(4096)  # rows share them: there may be a million
def _labels(cell: str, multi_label: bool) -> tuple[str, ...]:
    parts = map(str.strip, cell.split("|")) if multi_label else (cell,)
    return tuple(dict.fromkeys(part for part in parts if part))


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
