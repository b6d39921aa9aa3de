"""Where photographs and their labels come from; whatever it is, it ends as a list of files with class names."""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_transfer.data.embedded import is_embedded, load_embedded
from keras_transfer.data.folders import list_folder
from keras_transfer.data.listing import Layout, Listing
from keras_transfer.data.tables import TABLES, list_table
from keras_transfer.errors import InputError

_FOLDER_ONLY, _TABLE_ONLY = ("classes_at_depth",), ("root", "path_column", "label_column")


def list_source(source: Any, labels: Any = None, layout: Layout | None = None) -> Listing:
    """Lists the files of any source that `load_images` takes.

    Args:
        source: see `load_images`.
        labels: for arrays only.
        layout: how a folder or a table is arranged, where that is said.

    Returns:
        A listing.

    Raises:
        InputError: the source is missing or of no known kind, or `layout` does not fit it.
    """
    layout = layout or Layout()
    if isinstance(source, str | os.PathLike) and not _is_made(source):
        if labels is not None:
            raise InputError("`labels` goes with arrays; a folder or a CSV has its own.")
        return _list_path(Path(source).expanduser(), layout)
    if layout.group_by is not None:
        raise InputError("`group_by` needs files: a folder, a .csv or a .parquet.")
    _refuse(layout, (*_FOLDER_ONLY, *_TABLE_ONLY), "a folder or a table")
    return _spool(source, labels)


def _is_made(source: object) -> bool:
    return isinstance(source, str) and (source.startswith("tfds:") or is_embedded(source))


def _list_path(path: Path, layout: Layout) -> Listing:
    if not path.exists():
        raise InputError(f"{path} does not exist. Give a folder with a folder for each class, a .csv or a .parquet.")
    if not path.is_dir():
        if path.suffix.lower() in (".xlsx", ".xls", ".ods", ".numbers"):
            raise InputError(f"{path} is a spreadsheet. Save it as CSV ('CSV UTF-8' in Excel).")
        if path.suffix.lower() not in TABLES:
            raise InputError(f"{path} is no folder, .csv or .parquet. Give one of these.")
        _refuse(layout, _FOLDER_ONLY, "a folder")
        return list_table(path, layout)
    _refuse(layout, _TABLE_ONLY, "a table, .csv or .parquet")
    if layout.classes_at_depth is not None and layout.classes_at_depth < 1:
        raise InputError(f"`classes_at_depth` must be 1 or more. Received: {layout.classes_at_depth}")
    listing = list_folder(path, layout.classes_at_depth)
    if layout.group_by is not None:
        listing.entries = [replace(e, group=_group(e.path, path, layout.group_by)) for e in listing.entries]
    return listing


def _refuse(layout: Layout, names: tuple[str, ...], needs: str) -> None:
    for name in names:
        if (value := getattr(layout, name)) is not None:
            raise InputError(f"`{name}` (--{name.replace('_', '-')}) needs {needs}. Received: {name}={value!r}")


def _spool(source: Any, labels: Any) -> Listing:
    """What is no file yet: TensorFlow Datasets, data sets that are made, arrays, `tf.data`."""
    from keras_transfer.data.spool import from_arrays, from_dataset, from_tfds

    if isinstance(source, str):
        if source.startswith("tfds:"):
            return from_tfds(source)
        *arrays, note = load_embedded(source)
        listing = from_arrays(*arrays)
        listing.warnings.append(note)
        return listing
    if hasattr(source, "element_spec"):
        if labels is not None:
            raise InputError("`labels` goes with arrays; a tf.data.Dataset has its own.")
        return from_dataset(source)
    if labels is None:
        if not isinstance(source, tuple | list) or len(source) != 2:
            raise InputError(
                "Give a folder, a .csv, a .parquet, 'tfds:NAME', arrays (images, labels) or a tf.data.Dataset. "
                f"Received: {type(source).__name__} without `labels`."
            )
        source, labels = source
    return from_arrays(source, labels)


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
