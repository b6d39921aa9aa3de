"""Sources of labelled texts, each of which becomes a list of names that `load_text` reads."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from keras_transfer.data.folders import files_below
from keras_transfer.data.listing import Layout, Listing
from keras_transfer.data.made import is_made
from keras_transfer.data.sources import items_and_labels, list_files
from keras_transfer.data.spooled import (
    TemporaryFolder,
    dataset_items,
    spooled_listing,
    stacked_labels,
    tfds_holds,
    tfds_items,
)
from keras_transfer.data.table_files import TABLES, key, open_table, sample_table
from keras_transfer.data.tables import PATHS, cell_column, is_prose, parse_row_name, row_name, wanted_columns
from keras_transfer.errors import InputError
from keras_transfer.inputs import Array
from keras_transfer.modalities.text.items import KIND
from keras_transfer.modalities.text.made import NAME, NOTE, load_made

__all__ = ["KIND", "list_source", "recognizes"]
_FILES = 1000  # of a folder, by which texts are recognised
_FILE_NAME = re.compile(r"[^\n]*\.[A-Za-z][A-Za-z0-9]{1,4}")


def list_source(source: object, labels: object = None, layout: Layout | None = None) -> Listing:
    """Lists the texts of a source.

    Args:
        source: a folder of class folders of text files; a table with a column of texts, or of paths of text files:
            `.csv`, `.tsv`, `.jsonl` or `.parquet`; texts with `labels=`, or the pair `(texts, labels)`; a
            `tf.data.Dataset` of (text, label); `"tfds:NAME"`; `"made-reviews"`.
        labels: for texts only: class indices or names `[n]`, or one-hot or multi-hot rows `[n, classes]`.
        layout: how a folder or a table is arranged, where the user says so.

    Returns:
        A listing, whose files are paths or `TABLE#ROW`.

    Raises:
        InputError: the source is missing or of no known kind, or `layout` does not fit it.
    """
    made = isinstance(source, str) and (source.startswith("tfds:") or is_made(source, NAME))
    listing = list_files(None if made else source, labels, layout, KIND)
    return listing if listing is not None else replace(_spooled(source, labels), kind=KIND)


def recognizes(source: object) -> bool:
    """Whether a source holds texts: see `list_source`. Of a folder or a table only the beginning is read."""
    try:
        if isinstance(source, str | os.PathLike):
            if is_made(source, NAME):
                return True
            if str(source).startswith("tfds:"):
                return tfds_holds(str(source), "Text")
            path = Path(source).expanduser()
            return _is_of_texts(path) if path.is_dir() else path.suffix.lower() in TABLES and _has_texts(path)
    except (InputError, OSError, RuntimeError, ValueError):  # no such path, or none that could be
        return False
    if hasattr(source, "element_spec"):
        spec = source.element_spec
        item = spec.get("text") if isinstance(spec, dict) else spec[0] if isinstance(spec, tuple) else spec
        return getattr(getattr(item, "dtype", None), "name", "") == "string"
    if isinstance(source, tuple | list) and len(source) == 2 and not isinstance(source[0], str):
        return _are_texts(source[0])
    return _are_texts(source)


def is_file_name(name: str) -> bool:
    """Whether a text is rather the name of a file.

    >>> is_file_name("notes.txt"), is_file_name("arrived broken.")
    (True, False)
    """
    return _FILE_NAME.fullmatch(name) is not None and not any(sign.isspace() for sign in name.strip())


def rows_of(path: Path) -> list[str]:
    """The names of a table's texts, for `load_text`.

    Raises:
        InputError: it is no table, or has no column of texts, or no rows.
    """
    with open_table(path, wanted_columns(Layout(), KIND)) as table:
        if cell_column(path, table.columns, None, KIND) is None:
            raise InputError(f"{path} has no column of texts: call it text, sentence or review.")
        names = [row_name(path, row.number) for row in table.rows]
    if not names:
        raise InputError(f"{path} has no rows. It needs a heading and a row for each text.")
    return names


def _is_of_texts(folder: Path) -> bool:
    names = [path.name for path in islice(files_below(folder), _FILES)]
    return 2 * sum(name.lower().endswith(".txt") for name in names) > len(names)


def _has_texts(path: Path) -> bool:
    columns, cells = sample_table(path, wanted_columns(Layout(), KIND), whole=False)
    filled = [[cell.strip() for cell in own if cell.strip()] for own in cells]
    for name, own in zip(columns, filled, strict=True):
        files = sum(_is_file(cell) for cell in own)
        if 2 * files > len(own) and (key(name) in PATHS or all(key(other) not in KIND.cells for other in columns)):
            return 2 * sum(cell.lower().endswith(".txt") or parse_row_name(cell) is not None for cell in own) > files
    if not any(filled):  # a heading alone
        keys = {key(name) for name in columns}
        return not keys.isdisjoint(KIND.cells) and keys.isdisjoint(PATHS)
    return any(own and (key(name) in KIND.cells or is_prose(own)) for name, own in zip(columns, filled, strict=True))


def _is_file(cell: str) -> bool:
    return "://" not in cell and (bool(_FILE_NAME.fullmatch(cell)) or parse_row_name(cell) is not None)


def _are_texts(values: object) -> bool:
    if isinstance(values, str | bytes) or not hasattr(values, "__len__") or not hasattr(values, "__iter__"):
        return False
    first = list(islice(values, 20))
    return bool(first) and all(isinstance(value, str) for value in first) and not all(map(_exists, first))


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # far too long, or with a zero byte
        return False


# What is no file yet


def _spooled(source: object, labels: object) -> Listing:
    if isinstance(source, str) and is_made(source, NAME):
        texts, names = load_made(source)
        listing = _written(source, texts, np.asarray(names))
        listing.warnings.append(NOTE)
        return listing
    if isinstance(source, str):
        items = tfds_items(source, "Text")
        rows = list(items.items)
        own = np.array([label for _, label, _ in rows], np.int64)
        splits = [split for _, _, split in rows]
        listing = _written(source, [text for text, _, _ in rows], own, splits, items.class_names)
        listing.warnings += items.warnings
        return listing
    if hasattr(source, "element_spec") and labels is None:
        pairs = list(dataset_items(source, "text", lambda text, label: text.ndim == 1))
        found = [np.asarray(text).item() for text, _ in pairs]
        return _written("the tf.data.Dataset", found, stacked_labels([label for _, label in pairs]))
    takes = "a folder, a .csv, a .parquet, a .jsonl, 'tfds:NAME', (texts, labels) or a tf.data.Dataset"
    source, labels = items_and_labels(source, labels, "a list of texts", takes)
    try:
        values, marks = list(source), list(labels)  # type: ignore[call-overload]  # checked by what follows
    except TypeError as error:
        raise InputError(f"Texts and labels must be lists. Received: {type(source).__name__}") from error
    if len(values) != len(marks):
        raise InputError(f"There must be a label for each text. Received: {len(values)} texts and {len(marks)} labels")
    return _written("the texts", values, np.asarray(marks))


def _written(
    name: str,
    texts: Sequence[object],
    labels: Array,
    splits: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> Listing:
    """Texts as a table in a temporary folder, `texts.jsonl`."""
    folder = TemporaryFolder()
    path = folder.path / "texts.jsonl"
    try:
        with path.open("w", encoding="utf-8", errors="replace") as file:
            file.writelines(_lines(texts))
    except OSError as error:
        raise InputError(
            f"Cannot write to the temporary folder: {error.strerror or error}. Set TMPDIR to a roomier place."
        ) from error
    files = [row_name(path, number) for number in range(1, len(texts) + 1)]
    return spooled_listing(name, files, labels, folder, splits, class_names)


def _lines(texts: Iterable[object]) -> Iterable[str]:
    for number, text in enumerate(texts):
        if isinstance(text, bytes):
            text = text.decode(errors="replace")
        if not isinstance(text, str):
            raise InputError(f"Texts must be strings. Received: {type(text).__name__} as text {number}")
        yield json.dumps({"text": text}, ensure_ascii=False) + "\n"
