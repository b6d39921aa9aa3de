"""Files of many series as archives have them: `.ts`, `.arff`, and NumPy's `.npz`."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.listing import SPLIT_NAMES
from keras_transfer.data.table_files import key
from keras_transfer.errors import InputError
from keras_transfer.inputs import DAMAGED_ARCHIVE, Array
from keras_transfer.modalities.series.items import Values, numbered, to_number
from keras_transfer.modalities.series.spool import MAX_VALUES, Spool, SpoolBuilder

_ITEMS, _LABELS, _GROUPS = ("x", "data", "series", "values"), ("y", "labels", "label", "target"), ("groups", "subjects")
_PAIR = re.compile(r"\(([^,()]*),([^,()]*)\)")
_BETWEEN = re.compile(r"(?<=\))\s*:\s*(?=\()")
_ATTRIBUTE = re.compile(r"@attribute\s+('(?:[^'\\]|\\.)*'|\"[^\"]*\"|\S+)\s+(.+)", re.IGNORECASE)


# .ts, of the UCR and UEA archives (https://www.timeseriesclassification.com)


def read_ts(path: Path) -> Spool:
    """The series of a `.ts` file: on each line the channels, separated by `:`, and the label behind them.

    Raises:
        InputError: it is no `.ts` file, has no class labels, or holds no series.
    """
    built, labelled, stamped, in_data = SpoolBuilder(), False, False, False
    for line in _lines(path):
        word, _, rest = line.lower().partition(" ")
        if in_data:
            built.add(*_ts_series(line, stamped))
        elif word == "@data" and not labelled:
            raise InputError(f"{path} has no labels: there is no line '@classLabel true' above @data.")
        elif word == "@data":
            in_data = True
        elif word == "@classlabel":
            labelled = rest.strip().startswith("true")
        elif word == "@targetlabel" and rest.strip().startswith("true"):
            raise InputError(f"{path} has measured values as targets (@targetLabel), and no classes.")
        elif word == "@timestamps":
            stamped = rest.strip().startswith("true")
        elif not line.startswith("@"):
            raise InputError(f"{path} is no .ts file: {line[:60]!r} stands before @data.")
    return _filled(path, built)


def _ts_series(line: str, stamped: bool) -> tuple[Values | None, str, str]:
    """The samples `[time, channels]` of a line, its label, and what is wrong with it."""
    body, mark, label = line.rpartition(":")
    if not body or not mark or "(" in label:
        return None, "", "a line without samples or without a label"
    if stamped:  # (time,value),(time,value):(time,value)
        channels = [[value for _, value in _PAIR.findall(part)] for part in _BETWEEN.split(body)]
    else:
        channels = [part.split(",") for part in body.split(":")]
    values, problem = _stacked(channels)
    return values, label.strip(), problem


# .arff, of Weka


def read_arff(path: Path) -> Spool:
    """The series of an `.arff` file: on each line the samples and the label; of several channels as one cell in quotes.

    Raises:
        InputError: it is no `.arff` file, or holds no series.
    """
    built, in_data, last = SpoolBuilder(), False, ""
    for line in _lines(path, "%"):
        if in_data:
            built.add(*_arff_series(line))
        elif line.lower().startswith("@data"):
            in_data = True
        elif match := _ATTRIBUTE.match(line):
            last = match[2].strip()
        elif not line.startswith("@"):
            raise InputError(f"{path} is no .arff file: {line[:60]!r} stands before @data.")
    if in_data and last.lower() in ("numeric", "real", "integer"):
        raise InputError(f"The last attribute of {path} is {last}: it must be the class, such as {{walk,run}}.")
    return _filled(path, built)


def _arff_series(line: str) -> tuple[Values | None, str, str]:
    quote = line[0] if line[0] in "'\"" else ""
    if quote:
        body, mark, label = line[1:].rpartition(quote + ",")
        channels = [part.split(",") for part in re.split(r"\\n|\n", body)]
    else:
        body, mark, label = line.rpartition(",")
        channels = [body.split(",")]
    if not body or not mark:
        return None, "", "a line without samples or without a label"
    values, problem = _stacked(channels)
    return values, label.strip().strip("'\""), problem


# What both share


def _lines(path: Path, comment: str = "#") -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in map(str.strip, file):
                if line and not line.startswith(comment):
                    yield line
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


def _stacked(channels: Sequence[Sequence[str]]) -> tuple[Values | None, str]:
    """Channels of cells as float32 `[time, channels]`, or what is wrong with them."""
    lengths = {len(channel) for channel in channels}
    if len(lengths) > 1 or 0 in lengths:
        return None, f"channels of different lengths: {', '.join(map(str, sorted(lengths)))} samples"
    try:
        values = np.array([_numbers(channel) for channel in channels], np.float32).T
    except ValueError as error:
        return None, f"not all of its samples are numbers ({str(error)[:60]})"
    there = np.flatnonzero(~np.isnan(values).all(axis=1))
    return values[: there[-1] + 1 if len(there) else 1], ""  # short series are filled up with NaN in some files


def _numbers(cells: Sequence[str]) -> NDArray[np.float64]:
    try:
        return np.array(cells, np.float64)
    except ValueError:
        return np.array([to_number(cell) for cell in cells])


def _filled(path: Path, built: SpoolBuilder) -> Spool:
    if not built.labels:
        raise InputError(f"{path} is no {path.suffix} file, or holds no series: there is nothing below @data.")
    return built.spool()


# .npz


def read_npz(path: Path) -> Spool:
    """The series of a NumPy archive: arrays `X` and `y`, or `X_train`, `y_train`, `X_test`, `y_test`; maybe
    `groups`, the names of the `channels`, and the `rate` in Hz.

    Raises:
        InputError: it is damaged, has no such arrays, or they do not fit one another.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = sum(member.file_size for member in archive.infolist())
        if sizes > 8 * MAX_VALUES:
            raise InputError(f"{path} unpacks to {sizes >> 30} GiB. Give a smaller file.")
        with np.load(path, allow_pickle=False) as loaded:
            arrays = {key(name): np.asarray(loaded[name]) for name in loaded.files}
    except DAMAGED_ARCHIVE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no sound .npz file ({str(error)[:100]}).") from error
    sides = {name: side for name, side in {"": "", **SPLIT_NAMES}.items() if _array(arrays, _ITEMS, name) is not None}
    if not sides:
        names = ", ".join(arrays) or "none"
        raise InputError(f"{path} needs an array X [series, time, channels] and y [series]. Its arrays: {names[:200]}")
    parts = []
    for name, side in sides.items():
        values, labels, groups = (_array(arrays, own, name) for own in (_ITEMS, _LABELS, _GROUPS))
        assert values is not None
        parts.append(spool_of_arrays(values, labels, groups, side, str(path)))
    return _named(path, arrays, _joined(path, parts))


def _named(path: Path, arrays: dict[str, Array], spool: Spool) -> Spool:
    """With the names of channels and the rate, where the archive says them."""
    if (names := arrays.get("channels")) is not None:
        if names.shape != (len(spool.channels),):
            raise InputError(f"{path} names {names.size} channels, its series have {len(spool.channels)}.")
        spool.channels = tuple(_words(names))
    if (rate := arrays.get("rate")) is not None:
        if rate.size != 1 or rate.dtype.kind not in "iuf" or not 0 < float(rate.item()) < 1e9:
            raise InputError(f"{path}: `rate` must be samples a second. Received: {rate!r:.80}")
        spool.rate = float(rate.item())
    return spool


def _array(arrays: dict[str, Array], names: Sequence[str], side: str) -> Array | None:
    return next((arrays[name + side] for name in names if name + side in arrays), None)


def spool_of_arrays(values: Array, labels: Array | None, groups: Array | None, split: str, source: str) -> Spool:
    """Series of one length.

    Args:
        values: `[series, time]` or `[series, time, channels]`; channels may stand before time where there are fewer.
        labels: `[series]`.
        groups: `[series]`.
        split: of all of them.
        source: for sentences.

    Raises:
        InputError: they are something else, or do not fit one another.
    """
    if values.dtype.kind not in "iufb" or values.ndim not in (2, 3) or not values.size:
        raise InputError(
            f"{source}: series must be numbers [series, time, channels]. Received: {values.dtype} {values.shape}."
        )
    for name, own in (("labels", labels), ("groups", groups)):
        if own is not None and own.shape != (len(values),):
            raise InputError(f"{source}: there must be one of the {name} for each series. Received: {own.shape}.")
    warnings = []
    if values.ndim == 2:
        values = values[:, :, None]
    elif values.shape[1] < values.shape[2]:
        warnings.append(f"{source} is read as [series, channels, time], since its second axis is the shorter one.")
        values = values.transpose(0, 2, 1)
    count, time, channels = values.shape
    return Spool(
        np.ascontiguousarray(values, np.float32).reshape(-1, channels),
        np.arange(count + 1, dtype=np.int64) * time,
        numbered(channels),
        labels=[] if labels is None else _words(labels),
        groups=[] if groups is None else _words(groups),
        splits=[split] * count if split else [],
        warnings=warnings,
    )


def _words(values: Array) -> list[str]:
    if values.dtype.kind == "f":
        return [f"{value:g}" for value in values.tolist()]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist()]


def _joined(path: Path, parts: Sequence[Spool]) -> Spool:
    if len({part.channels for part in parts}) > 1:
        raise InputError(f"{path}: its splits differ in their channels.")
    ends = np.concatenate([[0], *(np.diff(part.ends) for part in parts)]).cumsum()
    first = parts[0]
    values = first.values if len(parts) == 1 else np.concatenate([part.values for part in parts])
    labels, groups, splits = (
        [word for part in parts for word in (getattr(part, name) or [""] * len(part))]
        for name in ("labels", "groups", "splits")
    )
    warnings = list(dict.fromkeys(sentence for part in parts for sentence in part.warnings))
    return Spool(values, ends, first.channels, None, labels, groups, splits, {}, warnings)
