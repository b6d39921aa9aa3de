"""Sources of labelled series: files of many, class folders, long tables, arrays."""

import math
import os
import re
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median_low
from typing import NamedTuple

import numpy as np

from keras_transfer.data.folders import files_below
from keras_transfer.data.grouping import group_warning
from keras_transfer.data.listing import NO_COLUMNS, SPLIT_NAMES, Entry, Layout, Listing
from keras_transfer.data.made import is_made
from keras_transfer.data.parallel import ordered
from keras_transfer.data.sources import list_files, refuse_layout
from keras_transfer.data.spooled import TemporaryFolder
from keras_transfer.data.stretches import (
    Mark,
    MarkedRecording,
    cut_windows,
    marked,
    parse_stretch,
    stretch_name,
    whole_file,
)
from keras_transfer.data.table_files import TABLES, key, sample_table
from keras_transfer.data.tables import PATHS, is_prose
from keras_transfer.errors import InputError
from keras_transfer.inputs import Array
from keras_transfer.modalities.series.items import KIND, is_number, time_unit
from keras_transfer.modalities.series.loading import READERS, open_columns, open_file, open_spool
from keras_transfer.modalities.series.made import CHANNELS, NAME, NOTE, RATE, load_made
from keras_transfer.modalities.series.spool import Spool, parse_row_name, row_name
from keras_transfer.modalities.series.tables import (
    SERIES_LABELS,
    Columns,
    Roles,
    find_roles,
    sample_columns,
    stretches,
    time_warnings,
    words_of,
)
from keras_transfer.modalities.series.windows import Recording, check_window, choose_window, cut_recordings
from keras_transfer.progress import track

_SIDE = re.compile(rf"(.+)[_-]({'|'.join(SPLIT_NAMES)})", re.IGNORECASE)
_ONE_EACH = (".csv", ".tsv", ".npy", ".dat")
_FILES = 1000  # of a folder, by which series are recognised
_SMALL = 20_000  # bytes of a file that is too short to be cut into windows that nobody asked for
_ANY_LAYOUT = ("root", "path_column", "text_column", "classes_at_depth", "background")


class Source(NamedTuple):
    """A listing, and what its series have in common as far as the source says it.

    Attributes:
        listing: its entries; rows of a file are called `FILE#row=N`, windows `FILE#row=FIRST-LAST` or
            `FILE#t=START,END`.
        channels: their names; none where the series themselves say it.
        rate: samples a second.
        window: the length of windows, in seconds where there is a rate, else in samples; None where there are none.
    """

    listing: Listing
    channels: tuple[str, ...] = ()
    rate: float | None = None
    window: float | None = None


def list_source(source: object, labels: object = None, layout: Layout | None = None) -> Source:
    """Lists the series of a source.

    Args:
        source: a `.ts`, `.arff` or `.npz` file, or a pair `NAME_TRAIN.ts` and `NAME_TEST.ts` (one of the two, or their
            folder); a table with a row for each series, or for each moment; a folder of class folders of CSV or NumPy
            files; a table with a column of paths; arrays with `labels=`, or the pair `(arrays, labels)`;
            `"made-gestures"`.
        labels: of arrays.
        layout: how the source is arranged, where the user says so; `window` and `hop` in seconds where a rate is known
            (`rate`, or a column of time), else in samples.

    Raises:
        InputError: the source is missing or of no known kind, or `layout` does not fit it.
    """
    layout = layout or Layout()
    layout.refuse(("background", "text_column"), "another source than series")
    if not isinstance(source, str | os.PathLike):
        return _of_arrays(source, labels, layout)
    if is_made(source, NAME):
        return _made(str(source), layout)
    if labels is not None:
        raise InputError("`labels` goes with series in memory; a folder or a file has its own.")
    path = Path(source).expanduser()
    if files := files_of_many(path):
        return _of_files(path, files, layout)
    if path.is_file() and path.suffix.lower() in TABLES and not _names_files(path, layout):
        columns = open_columns(str(path))
        roles = find_roles(path, columns, layout)
        if roles.wide:
            return _of_files(path, {path: ""}, layout)
        return _of_recording(path, columns, roles, layout)
    listing = list_files(source, None, layout, KIND)
    assert listing is not None
    many = next((entry.path for entry in listing.entries if entry.path.suffix.lower() in READERS), None)
    if many is not None:
        raise InputError(f"{path} holds files of many series, such as {many}, in folders: give one of these files.")
    return _with_windows(listing, layout)


# Files of many series


def files_of_many(path: Path) -> dict[Path, str]:
    """The files of many series that a source names, each with its split; none where it is something else.

    Raises:
        InputError: a folder holds several data sets.
    """
    if path.is_dir():
        inside = sorted(path.iterdir())
        files = [file for file in inside if file.suffix.lower() in READERS and file.is_file()]
        if not files and not any(child.is_dir() for child in inside):  # NAME_TRAIN.tsv and NAME_TEST.tsv
            files = [file for file in inside if file.suffix.lower() in TABLES and _SIDE.fullmatch(file.stem)]
        suffixes = [file.suffix.lower() for file in files]
        files = [file for file in files if file.suffix.lower() == suffixes[0]]  # the same data as .arff and .ts
    elif path.suffix.lower() in (*READERS, *TABLES) and path.is_file():
        match = _SIDE.fullmatch(path.stem)
        files = [path] if match is None else _beside(path, match[1])
        if len(files) == 1 and path.suffix.lower() not in READERS:
            return {}
    else:
        return {}
    names = {match[1] if (match := _SIDE.fullmatch(file.stem)) else file.stem for file in files}
    if len(names) > 1:
        raise InputError(f"{path} holds several data sets ({', '.join(sorted(names)[:5])}): give one of their files.")
    return {file: _side(file) for file in files}


def _beside(path: Path, name: str) -> list[Path]:
    """The files of a data set: its training, validation and test side, whichever are there."""
    files = (file for file in sorted(path.parent.iterdir()) if file.suffix == path.suffix)
    return [file for file in files if (match := _SIDE.fullmatch(file.stem)) and match[1] == name]


def _side(file: Path) -> str:
    match = _SIDE.fullmatch(file.stem)
    return SPLIT_NAMES[match[2].lower()] if match else ""


def _of_files(path: Path, files: dict[Path, str], layout: Layout) -> Source:
    """The series of files that hold many; splits that a file says of its own come first."""
    layout.refuse((*_ANY_LAYOUT, "window", "hop"), "another source than a file of many series")
    spools = {file: _labelled(file, layout) for file in files}
    entries, warnings = [], list[str]()
    for file, side in files.items():
        spool, others = spools[file]
        for number in range(1, len(spool) + 1):
            label, group, split = (own[number - 1] if own else "" for own in (spool.labels, spool.groups, spool.splits))
            entries.append(
                Entry(
                    row_name(str(file), number),
                    (label,) if label else (),
                    split or side,
                    group,
                    {name: words[number - 1] for name, words in others.items()} if others else NO_COLUMNS,
                    "" if label else "no label",
                )
            )
        warnings += spool.warnings
    listing = Listing(str(path), entries, KIND, warnings=warnings)
    if layout.group_by is None and (warning := group_warning(listing)):
        warnings.append(warning)
    first, _ = next(iter(spools.values()))
    return Source(listing, first.channels, layout.rate or first.rate)


def _labelled(file: Path, layout: Layout) -> tuple[Spool, dict[str, list[str]]]:
    """A file of many series, and what else a table says of each: its columns are those that the layout names."""
    spool = open_spool(str(file))
    if file.suffix.lower() not in TABLES:
        layout.refuse(("label_column", "group_by"), "a table with a row for each series")
        return spool, {}
    columns = open_columns(str(file))
    roles = find_roles(file, columns, layout)
    labels, groups, splits = (words_of(columns, name) for name in (roles.label, roles.group, roles.split))
    splits = [SPLIT_NAMES.get(word.lower(), "") for word in splits]
    warnings = [*spool.warnings, *filter(None, [roles.warning])]
    others = {name: words_of(columns, name) for name in roles.others}
    return replace(spool, labels=labels, groups=groups, splits=splits, warnings=warnings), others


# Long tables


def _of_recording(path: Path, columns: Columns, roles: Roles, layout: Layout) -> Source:
    """The windows of a table with a row for each moment."""
    layout.refuse(_ANY_LAYOUT, "another source than a table of samples")
    if roles.label is None:
        names = ", ".join(columns.names[:20])
        raise InputError(
            f"{path} needs a column of labels ({', '.join(SERIES_LABELS[:4])}, ...): name it with --label-column. Its "
            f"columns: {names}"
        )
    rate = layout.rate or columns.rate
    check_window(layout.window, layout.hop, rate)
    warnings = [*columns.warnings, *filter(None, [roles.warning]), *time_warnings(path, columns)]
    found = list(stretches(path, columns, roles))
    unlabelled = sum(each.end - each.first for each in found if not each.label)
    if unlabelled:
        warnings.append(f"{unlabelled} rows of {path.name} have no label and are not used.")
    found = [each for each in found if each.label]
    window = round(layout.window * (rate or 1)) if layout.window else choose_window([e.end - e.first for e in found])
    hop = round(layout.hop * (rate or 1)) if layout.hop else None
    longest = max((each.end - each.first for each in found), default=1)
    file = str(path)

    def name(start: float, end: float) -> str:
        return row_name(file, round(start) + 1, round(end))

    entries = [Entry(file, (e.label,), e.split, e.group, e.columns) for e in found]
    if warning := group_warning(Listing(file, entries, KIND)):
        warnings.append(warning)
    recordings = (
        Recording(
            e.first, e.end, (e.label,), name, e.group or f"rows {e.first + 1} to {e.end}", e.split, e.columns,
            roles.group is not None,
        )
        for e in found
    )  # fmt: skip
    cut, notes = cut_recordings(recordings, window or longest, hop)
    if not cut:
        raise InputError(
            f"{path}: no window of {window or longest} samples lies within rows of one label. Set a shorter --window, "
            "or sort the rows."
        )
    listing = Listing(file, cut, KIND, warnings=[*warnings, *notes])
    return Source(listing, tuple(roles.channels), rate, (window or longest) / (rate or 1))


# Files of one series each


def _with_windows(listing: Listing, layout: Layout) -> Source:
    """Files of one series each; long ones, or all where a window is asked for, as windows."""
    warnings = listing.warnings
    if layout.group_by is None and (warning := group_warning(listing)):
        warnings.append(warning)
    files = list(dict.fromkeys(whole_file(entry.file) for entry in listing.entries if not parse_row_name(entry.file)))
    if layout.window is None and all(_size(file) <= _SMALL for file in files):
        return Source(listing, (), layout.rate)
    measured = dict(zip(files, track(ordered(_measure, files), "Measuring series", total=len(files)), strict=True))
    known = [each for each in measured.values() if each is not None]
    rates = [own for _, own in known if own]
    rate = layout.rate or (median_low(rates) if rates and len(rates) == len(known) else None)
    check_window(layout.window, layout.hop, rate)
    usual = choose_window([samples for samples, _ in known])
    window = layout.window or (usual / (rate or 1) if usual else None)
    if window is None:
        return Source(listing, (), layout.rate)
    recordings, others = [], []
    for entry in listing.entries:
        about = measured.get(whole_file(entry.file))
        if about is None or entry.problem:
            others.append(entry)
            continue
        samples, own = about
        seconds = samples / (own or layout.rate or 1)
        _, start, end = parse_stretch(entry.file) or ("", 0.0, seconds)
        recordings.append(_recording(entry, start, min(end, seconds), layout.group_by is not None))
    listing.entries, notes = cut_recordings(recordings, window, layout.hop)
    listing.entries += others
    listing.warnings = [*warnings, *notes]
    return Source(listing, (), rate, window)


def _recording(entry: Entry, start: float, end: float, grouped: bool) -> Recording:
    file = whole_file(entry.file)
    return Recording(
        start, end, entry.labels, lambda a, b: stretch_name(file, a, b), entry.group or file, entry.split,
        entry.columns, grouped and bool(entry.group),
    )  # fmt: skip


def _measure(file: str) -> tuple[int, float | None] | None:
    """Samples and rate of a file; None where it cannot be read, of which its examination says why."""
    try:
        series = open_file(file)
    except InputError:
        return None
    return len(series.values), series.rate


def _size(file: str) -> int:
    try:
        return Path(file).stat().st_size
    except OSError:
        return 0


def windows_of(name: str, window: float, rate: float | None, hop: float | None = None) -> list[str]:
    """The names of the windows of a file; itself alone where it cannot be read or, without a `hop`, is not longer.

    Args:
        name: of the file.
        window: in seconds where a rate is known, else in samples.
        rate: samples a second, where the file does not say it.
        hop: in the same unit.
    """
    about = None if parse_row_name(name) else _measure(whole_file(name))
    if about is None:
        return [name]
    samples, own = about
    seconds = samples / (own or rate or 1)
    file, start, end = parse_stretch(name) or (name, 0.0, seconds)
    cut = cut_windows(start, min(end, seconds), window, hop)
    return [stretch_name(file, *each) for each in cut] if len(cut) > 1 or hop is not None else [name]


def marked_recordings(source: str, layout: Layout) -> list[MarkedRecording]:
    """The recordings of a source with what happens in them when.

    Args:
        source: a table with a row for each moment, or files of one series each.
        layout: as for `list_source`.

    Raises:
        InputError: see `list_source`, or a rate is not known.
    """
    path = Path(source).expanduser()
    if path.is_file() and path.suffix.lower() in TABLES and not _names_files(path, layout):
        columns = open_columns(str(path))
        roles, rate = find_roles(path, columns, layout), _known(layout.rate or columns.rate, path)
        marks = [
            Mark(each.first / rate, each.end / rate, (each.label,), each.group)
            for each in stretches(path, columns, roles)
            if each.label
        ]
        return [MarkedRecording(str(path), len(columns.values) / rate, tuple(marks))]
    listing = list_files(source, None, layout, KIND)
    assert listing is not None
    found: dict[str, list[Mark]] = {}
    for entry in listing.entries:
        _, start, end = parse_stretch(entry.file) or (entry.file, 0.0, math.inf)
        mark = Mark(start, end, entry.labels, entry.group if layout.group_by else "")
        found.setdefault(whole_file(entry.file), []).append(mark)
    opened = ((file, open_file(file)) for file in found)
    return marked(found, (len(own.values) / _known(own.rate or layout.rate, file) for file, own in opened))


def _known(rate: float | None, file: str | Path) -> float:
    if rate is None:
        raise InputError(f"{file} does not say how many samples a second it has: say it with --rate.")
    return rate


# Arrays


def _of_arrays(source: object, labels: object, layout: Layout) -> Source:
    """Series in memory, which go to a temporary folder: an array of all, or a list of arrays."""
    refuse_layout(replace(layout, rate=None))
    if labels is None and isinstance(source, tuple | list) and len(source) == 2:
        source, labels = source
    if labels is None or not isinstance(source, np.ndarray | list | tuple):
        raise InputError(
            f"Give a folder, a file, or (series, labels). Received: {type(source).__name__} without `labels`."
        )
    marks = np.asarray(labels)
    if len(marks) != len(source) or marks.ndim != 1:
        raise InputError(f"There must be a label for each series. Received: {len(source)} series and {marks.shape}")
    folder = TemporaryFolder()
    file = folder.path / "series.npz"
    if isinstance(source, np.ndarray) and source.dtype != object:
        np.savez(file, X=source, y=marks.astype(str))
        found = _of_files(file, {file: ""}, layout)
        listing = replace(found.listing, name="the series", owner=folder)
        return found._replace(listing=listing)
    entries = []
    for number, (values, label) in enumerate(zip(source, marks.tolist(), strict=True)):
        np.save(folder.path / f"{number:06}.npy", np.asarray(values))
        entries.append(Entry(str(folder.path / f"{number:06}.npy"), (str(label),)))
    return Source(Listing("the series", entries, KIND, owner=folder), (), layout.rate)


def _made(source: str, layout: Layout) -> Source:
    """The made gestures as a file of a temporary folder."""
    folder = TemporaryFolder()
    series, labels, hands = load_made(source)
    file = folder.path / "gestures.npz"
    np.savez(file, X=series, y=labels, groups=hands, channels=CHANNELS, rate=RATE)
    found = _of_files(file, {file: ""}, layout)
    warnings = [*found.listing.warnings, NOTE]
    return found._replace(listing=replace(found.listing, name=source, owner=folder, warnings=warnings))


# Recognising


def recognizes(source: object) -> bool:
    """Whether a source holds series; of a folder or a table only the beginning is read."""
    if not isinstance(source, str | os.PathLike):
        return _are_series(source)
    if is_made(source, NAME):
        return True
    try:
        path = Path(source).expanduser()
        if path.is_dir():
            names = [file.name.lower() for file in islice(files_below(path), _FILES)]
            own = sum(name.endswith((*_ONE_EACH, *READERS)) for name in names)
            return 2 * own > len(names)
        if not path.is_file():
            return False
        return path.suffix.lower() in READERS or (path.suffix.lower() in TABLES and _is_of_series(path))
    except (InputError, OSError, RuntimeError, ValueError):  # no such path, or none that could be
        return False


def _are_series(source: object) -> bool:
    """Whether something in memory is floats `[n, time]`, `[n, time, channels]` or a list of such arrays."""
    if isinstance(source, tuple | list) and len(source) == 2 and hasattr(source[0], "__len__"):
        source = source[0]
    if isinstance(source, np.ndarray):
        return source.dtype.kind == "f" and source.ndim in (2, 3)
    first: list[Array] = list(islice(source, 20)) if isinstance(source, list) else []
    return bool(first) and all(isinstance(e, np.ndarray) and e.dtype.kind == "f" and e.ndim in (1, 2) for e in first)


def _names_files(path: Path, layout: Layout) -> bool:
    """Whether a table has a column of paths."""
    if layout.path_column is not None:
        return True
    columns, cells = sample_table(path, [PATHS], whole=False)
    named = (own for name, own in zip(columns, cells, strict=True) if key(name) in PATHS)
    return any(own and not all(map(is_number, own)) for own in named)


def _is_of_series(path: Path) -> bool:
    """Whether a table names series, or is one: mostly numbers, a label, and no column of texts."""
    try:
        columns, cells = sample_table(path, [PATHS], whole=False)
    except InputError as error:
        return "over the limit of" in str(error) and "columns" in str(error)  # no other items have so many
    paths = next((own for name, own in zip(columns, cells, strict=True) if key(name) in PATHS), None)
    if paths is not None and not all(map(is_number, paths)):
        endings = (*_ONE_EACH, *READERS)
        named = [cell for cell in paths if parse_row_name(cell) or whole_file(cell).lower().endswith(endings)]
        return 2 * len(named) > len(paths)
    if any(is_prose(own) for own in cells):
        return False
    filled = [[cell for cell in own if cell.strip()] for own in cells]
    numbers = [bool(own) and 2 * sum(map(is_number, own)) > len(own) for own in filled]
    labelled = any(key(name) in SERIES_LABELS or time_unit(name) is not None for name in columns)
    labelled = labelled or bool(sample_columns(columns))
    return sum(numbers) >= 1 and 2 * sum(numbers) >= len(columns) - 3 and (labelled or all(map(is_number, columns)))
