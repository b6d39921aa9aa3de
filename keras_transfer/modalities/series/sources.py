"""Sources of labelled series: `.ts` pairs as the archives have them, class folders of CSV files, tables of paths."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median_low

import numpy as np

from keras_transfer.data.folders import files_below
from keras_transfer.data.listing import SPLIT_NAMES, Entry, Layout, Listing
from keras_transfer.data.sources import list_files
from keras_transfer.data.table_files import TABLES, key, sample_table
from keras_transfer.data.tables import PATHS
from keras_transfer.errors import InputError
from keras_transfer.modalities.series.items import KIND, PLAIN, unpack
from keras_transfer.modalities.series.preparer import SeriesPreparer
from keras_transfer.modalities.series.spool import open_spool, parse_row_name, row_name

SPOOLED = (".ts",)
"""Files of many series."""
_SIDE = re.compile(r"(.+)[_-](train|test|val|valid|validation|training|testing)", re.IGNORECASE)
_FILES = 1000  # of a folder, by which series are recognised
_LOOKED = 200  # series, by which channels and rate are known


def list_source(source: object, labels: object = None, layout: Layout | None = None) -> Listing:
    """Lists the series of a source.

    Args:
        source: a `.ts` file, a pair `NAME_TRAIN.ts` and `NAME_TEST.ts` (one of the two, or their folder); a folder of
            class folders of CSV or NumPy files; a table with a column of paths.
        labels: never, a source has its own.
        layout: how the source is arranged, where the user says so.

    Returns:
        A listing; an entry that is a row of a file is called `FILE#row=N`.

    Raises:
        InputError: the source is missing or of no known kind, or `layout` does not fit it.
    """
    layout = layout or Layout()
    path = Path(source).expanduser() if isinstance(source, str | os.PathLike) else None
    if path is not None and (files := spooled_files(path)):
        layout.refuse(("root", "path_column", "label_column", "text_column", "classes_at_depth"), "another source")
        entries = [entry for file, split in files.items() for entry in _rows(file, split)]
        return Listing(str(path), entries, KIND)
    listing = list_files(source, labels, layout, KIND)
    if listing is None:
        raise InputError(f"Give a folder or a file of series. Received: a source of type {type(source).__name__}.")
    return listing


def recognizes(source: object) -> bool:
    """Whether a source holds series; of a folder or a table only the beginning is read."""
    if not isinstance(source, str | os.PathLike):
        return False
    try:
        path = Path(source).expanduser()
        if spooled_files(path):
            return True
        if path.is_dir():
            names = [file.name.lower() for file in islice(files_below(path), _FILES)]
            return 2 * sum(name.endswith((".csv", ".tsv", ".npy")) for name in names) > len(names)
        return path.suffix.lower() in TABLES and path.is_file() and _names_series(path)
    except (InputError, OSError, RuntimeError, ValueError):  # no such path, or none that could be
        return False


def spooled_files(path: Path) -> dict[Path, str]:
    """The files of many series that a source names, each with its split; none where it is something else.

    Raises:
        InputError: a folder holds several pairs.
    """
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in SPOOLED and file.is_file()]
        sides = {file: _side(file) for file in files}
        names = {match[1] for file in files if (match := _SIDE.fullmatch(file.stem))}
        if len(names) > 1:
            raise InputError(f"{path} holds several data sets ({', '.join(sorted(names)[:5])}): give one file of one.")
        return sides if len(files) == 1 or len(set(sides.values())) == len(files) else {}
    if path.suffix.lower() not in SPOOLED or not path.is_file():
        return {}
    match = _SIDE.fullmatch(path.stem)
    if match is None:
        return {path: ""}
    beside = [
        file
        for file in sorted(path.parent.iterdir())
        if file.suffix == path.suffix and (other := _SIDE.fullmatch(file.stem)) and other[1] == match[1]
    ]
    return {file: _side(file) for file in beside}


def _side(file: Path) -> str:
    match = _SIDE.fullmatch(file.stem)
    return SPLIT_NAMES[match[2].lower()] if match else ""


def _rows(file: Path, split: str) -> Iterator[Entry]:
    """The series of a file of many."""
    for number, label in enumerate(open_spool(str(file)).labels, 1):
        problem = "" if label else "no label"
        yield Entry(row_name(str(file), number), (label,) if label else (), split, problem=problem)


def _names_series(path: Path) -> bool:
    """Whether most paths in a table are of series."""
    columns, cells = sample_table(path, [PATHS], whole=False)
    paths = next((own for name, own in zip(columns, cells, strict=True) if key(name) in PATHS), [])
    named = [cell for cell in paths if parse_row_name(cell) or Path(cell.partition("#t=")[0]).suffix.lower() in _OWN]
    return 2 * len(named) > len(paths)


_OWN = (*PLAIN, *SPOOLED)


# What series have in common


def settle(listing: Listing, preparer: SeriesPreparer) -> SeriesPreparer:
    """The preparer with the channels of most series and their median rate, where it has none of its own."""
    if preparer.channels and preparer.rate:
        return preparer
    entries = listing.entries
    shown = np.unique(np.linspace(0, len(entries) - 1, min(len(entries), _LOOKED)).astype(int))
    names, rates = Counter[tuple[str, ...]](), list[float]()
    for place in shown.tolist():
        try:
            series = unpack(preparer.load(entries[place].file))
        except InputError:  # its examination says why
            continue
        names[series.channels] += 1
        rates += [float(f"{series.rate:.3g}")] if series.rate else []
    channels = preparer.channels or (names.most_common(1)[0][0] if names else ())
    return replace(preparer, channels=channels, rate=preparer.rate or (median_low(rates) if rates else None))
