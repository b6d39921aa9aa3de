"""Files and their labels, in folders or tables."""

import os
from collections.abc import Collection
from dataclasses import replace
from itertools import islice
from pathlib import Path

from keras_transfer.data.folders import list_folder
from keras_transfer.data.listing import Kind, Layout, Listing, group_of
from keras_transfer.data.table_files import TABLES
from keras_transfer.data.tables import list_table
from keras_transfer.errors import InputError

_FILES, _BYTES = 1000, 1 << 16  # of a source, by which its modality is recognised
_FOLDER_ONLY, _TABLE_ONLY = ("classes_at_depth",), ("root", "path_column", "label_column", "text_column")
_STRETCHES_ONLY = ("window", "hop", "background", "rate")


def list_path(path: Path, layout: Layout, kind: Kind) -> Listing:
    """Lists the files of a folder or a table.

    Args:
        path: of a folder of class folders, a `.csv` or a `.parquet`.
        layout: how it is arranged, where that is said.
        kind: what the files are.

    Returns:
        A listing.

    Raises:
        InputError: there is no such path, it is of no known kind, or `layout` does not fit it.
    """
    if not kind.stretches:
        layout.refuse(_STRETCHES_ONLY, f"recordings, not {kind.items}")
    if not path.exists():
        raise InputError(f"{path} does not exist. Give a folder with a folder for each class, a .csv or a .parquet.")
    if not path.is_dir():
        if path.suffix.lower() in (".xlsx", ".xls", ".ods", ".numbers"):
            raise InputError(f"{path} is a spreadsheet. Save it as CSV ('CSV UTF-8' in Excel).")
        if path.suffix.lower() not in TABLES:
            raise InputError(f"{path} is no folder, .csv or .parquet. Give one of these.")
        layout.refuse(_FOLDER_ONLY, "a folder")
        table = list_table(path, layout, kind)
        table.check_groups(layout.group_by)
        return table
    layout.refuse(_TABLE_ONLY, "a table, .csv or .parquet")
    if layout.classes_at_depth is not None and layout.classes_at_depth < 1:
        raise InputError(f"`classes_at_depth` must be 1 or more. Received: {layout.classes_at_depth}")
    listing = list_folder(path, layout.classes_at_depth, kind)
    if layout.group_by is not None:
        listing.entries = [replace(e, group=_group(e.path, path, layout.group_by)) for e in listing.entries]
        listing.check_groups(layout.group_by)
    return listing


def list_files(source: object, labels: object, layout: Layout | None, kind: Kind) -> Listing | None:
    """Lists a source that is a folder or a table; None of any other, which no `layout` fits.

    Raises:
        InputError: it has labels of its own beside `labels`; or see `list_path`.
    """
    layout = layout or Layout()
    if not isinstance(source, str | os.PathLike):
        refuse_layout(layout)
        return None
    if labels is not None:
        raise InputError(f"`labels` goes with {kind.items} in memory; a folder or a table has its own.")
    return list_path(Path(source).expanduser(), layout, kind)


def items_and_labels(source: object, labels: object, items: str, takes: str) -> tuple[object, object]:
    """Items in memory and their labels, which are given apart or as a pair.

    Args:
        source: items, or `(items, labels)`.
        labels: of the items, where they are given apart.
        items: what they are, such as "arrays".
        takes: every kind of source that there is.

    Raises:
        InputError: there are no labels, or two kinds of them.
    """
    if labels is not None:
        if hasattr(source, "element_spec"):
            raise InputError(f"`labels` goes with {items}; a tf.data.Dataset has its own.")
        return source, labels
    if not isinstance(source, tuple | list) or len(source) != 2:
        raise InputError(f"Give {takes}. Received: {type(source).__name__} without `labels`.")
    return source[0], source[1]


def names_files(source: str | Path, extensions: Collection[str]) -> bool:
    """Whether a folder holds a file with one of these extensions, or a CSV names one; only its beginning is read."""
    try:
        path = Path(source).expanduser()
        if path.is_dir():
            files = (name for _, _, names in os.walk(path) for name in names)
            return any(name.lower().endswith(tuple(extensions)) for name in islice(files, _FILES))
        if path.suffix.lower() not in TABLES:
            return False
        with path.open("rb") as file:
            beginning = file.read(_BYTES).replace(b"\0", b"").decode("utf-8", "replace").lower()  # UTF-16 has zeros
    except (OSError, RuntimeError, ValueError):  # no such path, or none that could be
        return False
    return any(extension in beginning for extension in extensions)


def refuse_layout(layout: Layout) -> None:
    """Raises `InputError` where a layout is said of what is neither a folder nor a table."""
    if layout.group_by is not None:
        raise InputError("`group_by` needs files: a folder, a .csv or a .parquet.")
    layout.refuse((*_FOLDER_ONLY, *_TABLE_ONLY, *_STRETCHES_ONLY), "a folder or a table")


def _group(file: Path, root: Path, group_by: str) -> str:
    relative = file.relative_to(root)
    return relative.parent.as_posix() if group_by == "folder" else group_of(relative.as_posix(), group_by)
