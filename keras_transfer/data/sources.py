"""Where photographs and their labels come from; whatever it is, it ends as a list of files with class names."""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_transfer.data.embedded import is_embedded, load_embedded
from keras_transfer.data.listing import NO_COLUMNS, SPLIT_NAMES, Entry, Listing
from keras_transfer.errors import InputError
from keras_transfer.extras import require

WRITTEN = ("sha256", "problem", "width", "height", "format", "group")
"""Columns that `ImageData.write_csv` adds of its own."""
_IGNORED = {"Thumbs.db", "desktop.ini", "__MACOSX"}


def natural(name: str) -> list[tuple[int, int, str]]:
    """A sorting key that puts `class10` after `class2`.

    >>> sorted(["b", "class10", "class2", "10", "9"], key=natural)
    ['9', '10', 'b', 'class2', 'class10']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(part), part) if part[0] in "0123456789" else (1, 0, part) for part in parts]


def list_source(source: Any, labels: Any = None, group_by: str | None = None) -> Listing:
    """Lists the files of any source that `load_images` takes."""
    if isinstance(source, str) and source.startswith("tfds:"):
        from keras_transfer.data.spool import from_tfds

        listing = from_tfds(source)
    elif isinstance(source, str) and is_embedded(source):
        from keras_transfer.data.spool import from_arrays

        *arrays, note = load_embedded(source)
        listing = from_arrays(*arrays)
        listing.warnings.append(note)
    elif isinstance(source, str | os.PathLike):
        if labels is not None:
            raise InputError("`labels` goes with arrays; a folder or a CSV has its own.")
        path = Path(source).expanduser()
        if not path.exists():
            raise InputError(f"{path} does not exist. Give a folder with a folder a class, a .csv or a .parquet.")
        if path.is_dir():
            listing = _folder(path)
        elif path.suffix.lower() in (".csv", ".tsv", ".parquet"):
            return _table(path, group_by)
        else:
            raise InputError(f"{path} is no folder, .csv or .parquet. Give one of these.")
    else:
        from keras_transfer.data.spool import from_arrays, from_dataset

        if hasattr(source, "element_spec"):
            if labels is not None:
                raise InputError("`labels` goes with arrays; a tf.data.Dataset has its own.")
            listing = from_dataset(source)
        else:
            if labels is None:
                if not isinstance(source, tuple | list) or len(source) != 2:
                    raise InputError(
                        "Give a folder, a .csv, a .parquet, 'tfds:NAME', arrays (images, labels) or a tf.data.Dataset. "
                        f"Received: {type(source).__name__} without `labels`."
                    )
                source, labels = source
            listing = from_arrays(source, labels)
    if group_by is not None:
        if listing.owner is not None:
            raise InputError("`group_by` needs files: a folder, a .csv or a .parquet.")
        listing.entries = [replace(e, group=_group(e.path, path, group_by)) for e in listing.entries]
    return listing


def _group(file: Path, root: Path, group_by: str) -> str:
    relative = file.relative_to(root)
    if group_by == "folder":
        return relative.parent.as_posix()
    try:
        match = re.search(group_by, relative.as_posix())
    except re.error as error:
        raise InputError(f"`group_by` is no regular expression ({error}). Received: group_by={group_by!r}") from error
    if match is None:
        return ""
    return (match.group(1) or "") if match.re.groups else match.group(0)


# Folders


def _children(folder: Path) -> list[Path]:
    try:
        found = [p for p in folder.iterdir() if not p.name.startswith(".") and p.name not in _IGNORED]
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror or error}.") from error
    return sorted(found, key=lambda p: (natural(p.name), p.name))


def files_below(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Every file below a folder, also through links, but never round in a circle."""
    real = folder.resolve()
    if real in above:
        return
    for child in _children(folder):
        if child.is_dir():
            yield from files_below(child, (*above, real))
        else:
            yield child


def _folder(root: Path) -> Listing:
    folders = [child for child in _children(root) if child.is_dir()]
    if not folders:
        raise InputError(f"{root} holds no folders. Give a folder with a folder a class.")
    sides = {f: SPLIT_NAMES[f.name.lower()] for f in folders if f.name.lower() in SPLIT_NAMES}
    warnings = []
    # A class may be called "train"; folders called train *and* test are splits.
    if len(sides) == len(folders) and any(c.is_dir() for f in folders for c in _children(f)):
        if len(set(sides.values())) < len(sides):
            raise InputError(f"{root} has two folders for one split: {', '.join(f.name for f in sides)}. Keep one.")
        classes = [(child, side) for f, side in sides.items() for child in _children(f) if child.is_dir()]
        order = {split: i for i, split in enumerate(("train", "val", "test"))}
        classes.sort(key=lambda pair: order[pair[1]])
    elif len(set(sides.values())) > 1:
        others = [f.name for f in folders if f not in sides]
        raise InputError(
            f"{root} holds the splits {', '.join(f.name for f in sides)} and also {', '.join(others[:5])}. "
            "Move what is no split elsewhere."
        )
    else:
        classes = [(child, "") for child in folders]
        if stray := sum(not child.is_dir() for child in _children(root)):
            warnings.append(f"{stray} files beside the class folders of {root} belong to no class and are not used.")
    names = sorted({folder.name for folder, _ in classes}, key=lambda name: (natural(name), name))
    if any(side == "train" for _, side in classes):
        trained = {folder.name for folder, side in classes if side == "train"}
        if unknown := [name for name in names if name not in trained]:
            raise InputError(f"Class '{unknown[0]}' of {root} has no folder in train/. Add it, or remove the class.")
    entries = [Entry(file, (folder.name,), side) for folder, side in classes for file in files_below(folder)]
    return Listing(str(root), entries, class_names=names, warnings=warnings)


# Tables


def _table(path: Path, group_by: str | None) -> Listing:
    rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _csv_rows(path)
    columns = list(rows[0]) if rows else []
    if not rows:
        raise InputError(f"{path} has no rows. It needs a heading and a row for each photograph.")
    label = next((name for name in ("labels", "label", "class") if name in columns), None)
    if "path" not in columns or label is None:
        raise InputError(
            f"{path} needs the columns `path` and `label` (or `class`, or `labels` separated by '|'). "
            f"Received: {', '.join(columns)}"
        )
    if group_by is not None and group_by not in columns:
        raise InputError(f"{path} has no column '{group_by}' to group by. Its columns: {', '.join(columns)}")
    ours = {"group", "split", "sha256"} <= set(columns)  # written by ImageData.write_csv
    if group_by is None and ours:
        group_by = "group"
    more = [name for name in columns if name not in {"path", "split", label, *(WRITTEN if ours else ())}]
    entries = []
    for number, row in enumerate(rows, start=2):
        if not row["path"]:
            raise InputError(f"{path}, row {number}: `path` is empty.")
        if label == "labels":
            labels = tuple(dict.fromkeys(part.strip() for part in row[label].split("|") if part.strip()))
        elif row[label]:
            labels = (row[label],)
        else:
            raise InputError(f"{path}, row {number}: `{label}` is empty. Every photograph needs one.")
        said = row.get("split", "").lower()
        if said and said not in SPLIT_NAMES:
            raise InputError(f"{path}, row {number}: `split` must be train, val or test. Received: {said}")
        group = row[group_by] if group_by else ""
        place = path.parent / row["path"]
        beside = {name: row[name] for name in more} if more else NO_COLUMNS
        entries.append(Entry(place, labels, SPLIT_NAMES.get(said, ""), group, beside))
    return Listing(str(path), entries, multi_label=label == "labels")


def _csv_rows(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}). Save it as 'CSV UTF-8'.") from error
    head = text.split("\n", 1)[0]
    delimiter = next((mark for mark in ",;\t" if mark in head), ",")
    rows = []
    try:
        reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
        heading = [name.strip() for name in next(reader, [])]
        if len(set(heading)) != len(heading):
            raise InputError(f"{path} names a column twice: {', '.join(heading)}.")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(heading):
                raise InputError(f"{path}, line {reader.line_num}: {len(cells)} cells under {len(heading)} headings.")
            rows.append(dict(zip(heading, (cell.strip() for cell in cells), strict=True)))
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not a sound CSV ({error}).") from error
    return rows


def _parquet_rows(path: Path) -> list[dict[str, str]]:
    require("pyarrow", "parquet", "Reading Parquet")
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a sound Parquet file: {str(error).splitlines()[0]}") from error
    columns: dict[str, Sequence[Any]] = {name: table.column(name).to_pylist() for name in table.column_names}
    count = table.num_rows

    def cell(value: Any) -> str:
        if isinstance(value, list | tuple):
            return "|".join(str(part) for part in value)
        return "" if value is None else str(value).strip()

    return [{name: cell(values[i]) for name, values in columns.items()} for i in range(count)]
