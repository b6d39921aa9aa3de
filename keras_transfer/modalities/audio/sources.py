"""Sources of labelled recordings: class folders, tables, and long recordings beside Audacity's label tracks."""

import math
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_transfer.data.encodings import detect_encoding
from keras_transfer.data.folders import files_below
from keras_transfer.data.grouping import group_warning
from keras_transfer.data.listing import Entry, Layout, Listing, group_of
from keras_transfer.data.made import is_made
from keras_transfer.data.parallel import ordered
from keras_transfer.data.sources import list_files
from keras_transfer.data.spooled import TemporaryFolder, spooled_listing
from keras_transfer.data.stretches import (
    Mark,
    MarkedRecording,
    cut_windows,
    marked,
    parse_stretch,
    stretch_name,
    whole_file,
)
from keras_transfer.data.tables import MAX_LABEL
from keras_transfer.errors import InputError
from keras_transfer.files import read_file
from keras_transfer.modalities.audio.items import KIND, LONGEST, measure_sound
from keras_transfer.modalities.audio.made import NAME, NOTE, RATE, load_made
from keras_transfer.progress import track

BACKGROUND = "background"
SHORTEST, USUAL = 1.3, 10.0
"""Seconds of a window that nobody asked for: networks of sounds want about one at the least, and some room in it."""
_COVERED = 99  # percent of the recordings that a window holds whole, where they are not long
_FEWEST, _PARTS = 3, 10  # recordings of a class under which each is split into so many parts
_TRACK_BYTES = 4 << 20
_LATE = 0.5  # seconds by which a stretch may end after its file, as rounded times do
_LEFT_OUT = {"silent": "only silence, in a recording that has sound"}
_QUIET = frozenset({BACKGROUND, "silence", "silent", "none", "nothing"})  # classes that silence belongs to
_RANKS = {"test": 0, "val": 1, "train": 2, "": 2}
_OVERLAP = 0.05  # seconds by which labels that people draw one behind the other may overlap


class Windows(NamedTuple):
    """A listing whose long recordings are cut into windows, and how long these are, in seconds."""

    listing: Listing
    window: float


def list_source(
    source: object, labels: object = None, layout: Layout | None = None, *, to_split: bool = True
) -> Windows:
    """Lists the recordings of a source, long ones as windows.

    Args:
        source: a folder of class folders; a table with a column of paths, and maybe `start` and `end` in seconds,
            `split`, `fold`; a folder of recordings beside Audacity's label tracks (`NAME.wav` and `NAME.txt`); or
            `"made-sounds"`.
        labels: never, a source has its own.
        layout: how the source is arranged, where the user says so; `window` and `hop` in seconds.
        to_split: whether splits are to be made of it: then groups are looked for.

    Returns:
        The listing; an entry that is a window is called `FILE#t=START,END`, and the windows of a file are a group.

    Raises:
        InputError: the source is missing or of no known kind, or `layout` does not fit it.
    """
    layout = layout or Layout()
    folder = Path(source).expanduser() if isinstance(source, str | os.PathLike) else None
    if is_made(source, NAME):
        listing = _made(str(source))
    elif folder is not None and folder.is_dir() and (tracks := _tracks_below(folder)):
        layout.refuse(("classes_at_depth", "root", "path_column", "label_column", "text_column"), "class folders")
        listing = _of_tracks(folder, tracks, layout.group_by)
    else:
        found = list_files(source, labels, layout, KIND)
        if found is None:
            raise InputError(f"Give a folder or a table of recordings. Received: a {type(source).__name__}.")
        listing = found
    if to_split and layout.group_by is None and (warning := group_warning(listing)):
        listing.warnings.append(warning)
    own = _spans(listing.entries, "Measuring recordings")
    listing.warnings += _ends_behind(listing.entries, own)
    window = layout.window or choose_window([end - start for start, end in filter(None, own)])
    pairs = zip(listing.entries, own, strict=True)
    listing.entries = [each for entry, span in pairs for each in _cut(entry, span, window, layout.hop)]
    if layout.background is not None:
        _add_background(listing, Path(layout.background).expanduser(), window)
    listing.left_out, listing.spared = _LEFT_OUT, _QUIET
    if to_split:
        _drop_shared(listing)
        _split_in_time(listing)
    return Windows(listing, window)


def marked_recordings(source: str, layout: Layout) -> list[MarkedRecording]:
    """The recordings of a source with what happens in them when; one with an empty label track has nothing.

    Args:
        source: as for `list_source`.
        layout: as for `list_source`.

    Raises:
        InputError: see `list_source`, or a recording cannot be read.
    """
    folder, found = Path(source).expanduser(), dict[str, list[Mark]]()
    if folder.is_dir() and (tracks := _tracks_below(folder)):
        for path, marks in tracks:
            group = group_of(path.name, layout.group_by) if layout.group_by else ""
            found[str(path)] = [Mark(m.start, m.end, (m.label,), group) for m in _long(marks)]
    else:
        listing = list_files(source, None, layout, KIND)
        assert listing is not None
        for entry in listing.entries:
            _, start, end = parse_stretch(entry.file) or (entry.file, 0.0, math.inf)
            mark = Mark(start, end, entry.labels, entry.group if layout.group_by else "")
            found.setdefault(whole_file(entry.file), []).append(mark)
    return marked(found, track(ordered(_seconds, found), "Measuring recordings", total=len(found)))


def _seconds(file: str) -> float:
    try:
        return measure_sound(file).seconds
    except InputError as error:
        raise InputError(f"{file}: {error}.") from None


def _made(source: str) -> Listing:
    """The made sounds as files of a temporary folder."""
    import soundfile

    folder = TemporaryFolder()
    clips, labels = load_made(source)
    files = [str(folder.path / f"{number:05}.wav") for number in range(len(clips))]
    for file, clip in zip(files, clips, strict=True):
        soundfile.write(file, clip, RATE, "PCM_16")
    listing = replace(spooled_listing(source, files, np.array(labels), folder), kind=KIND)
    listing.warnings.append(NOTE)
    return listing


def choose_window(seconds: Sequence[float]) -> float:
    """The window that suits recordings of these lengths, in seconds: the 99th percentile, from 1.3 to 10.

    >>> choose_window([5.0009] * 20), choose_window([0.3, 0.5]), choose_window([3600]), choose_window([])
    (5.0, 1.3, 10.0, 1.3)
    """
    longest = float(np.percentile(seconds, _COVERED)) if len(seconds) else SHORTEST
    return round(min(max(longest, SHORTEST), USUAL), 1)


def windows_of(name: str, window: float, hop: float | None = None) -> list[str]:
    """The names of the windows of a recording or of a stretch of one.

    Itself alone where it cannot be read or, without a `hop`, where it is no longer than one.
    """
    span = _part(name, _length(whole_file(name)))
    if span is None or hop is None:
        return [cut.file for cut in _cut(Entry(name, ()), span, window, hop)]
    return [stretch_name(whole_file(name), *each) for each in cut_windows(*span, window, hop)]


def _spans(entries: Sequence[Entry], words: str) -> list[tuple[float, float] | None]:
    """Where each entry begins and ends in its file, in seconds; None of one that is no recording."""
    files = dict.fromkeys(whole_file(entry.file) for entry in entries)
    measured = ordered(_length, files)
    lengths = dict(zip(files, track(measured, words, total=len(files)), strict=True))
    return [_part(entry.file, lengths[whole_file(entry.file)]) for entry in entries]


def _ends_behind(entries: Sequence[Entry], spans: Sequence[tuple[float, float] | None]) -> list[str]:
    """A warning, if any, of stretches that are said to end after their file does, as those in milliseconds do."""
    ends = [(parse_stretch(entry.file) or (entry.file, 0.0, 0.0))[2] for entry in entries]
    late = [i for i, span in enumerate(spans) if span and span[1] + _LATE < ends[i] < math.inf]
    if not late:
        return []
    first = entries[late[0]].file.rpartition("/")[2]
    return [
        f"{len(late)} of {len(entries)} stretches end after their file does, such as {first}: they are cut there. "
        "Times must be in seconds."
    ]


def _length(file: str) -> float | None:
    try:
        return measure_sound(file).seconds
    except InputError:  # its examination says why
        return None


def _part(name: str, seconds: float | None) -> tuple[float, float] | None:
    if seconds is None:
        return None
    _, start, end = parse_stretch(name) or (name, 0.0, seconds)
    return (start, min(end, seconds)) if start < seconds else None


def _cut(entry: Entry, span: tuple[float, float] | None, window: float, hop: float | None) -> list[Entry]:
    """The windows of an entry; itself where it is no longer than one, or no recording."""
    if span is None:
        return [entry]
    file, group = whole_file(entry.file), entry.group
    try:
        windows = cut_windows(*span, window, hop)
    except InputError as error:
        return [replace(entry, problem=str(error))]
    if len(windows) > 1:
        return [replace(entry, file=stretch_name(file, *each), group=group or file) for each in windows]
    if file != entry.file:
        return [replace(entry, group=group or file)]
    return [entry if span[1] <= LONGEST else replace(entry, file=stretch_name(file, *windows[0]))]


def _drop_shared(listing: Listing) -> None:
    """Leaves out windows that share sound with one of the same file on another side of the source's own split.

    Of two the one nearer to training goes, so that the test split is never altered.
    """
    if not listing.splits:
        return
    files: dict[str, list[tuple[int, float, float, int]]] = {}  # rank of the side, start, end, place
    for i, entry in enumerate(listing.entries):
        if stretch := parse_stretch(entry.file):
            file, start, end = stretch
            files.setdefault(file, []).append((_RANKS[entry.split], start, end, i))
    dropped: set[int] = set()
    for windows in files.values():
        held: list[tuple[float, float]] = []
        for rank in sorted({window[0] for window in windows}):
            own = [window for window in windows if window[0] == rank]
            starts, ends = [start for start, _ in held], list(accumulate((end for _, end in held), max))
            for _, start, end, i in own:
                before = bisect_left(starts, end - _OVERLAP)
                if before and ends[before - 1] > start + _OVERLAP:
                    dropped.add(i)
            held = sorted([*held, *((start, end) for _, start, end, _ in own)])
    if dropped:
        listing.warnings.append(
            f"{len(dropped)} windows share sound with one on another side of the data's own split; those on the "
            "training side are left out."
        )
        listing.entries = [entry for i, entry in enumerate(listing.entries) if i not in dropped]


def _split_in_time(listing: Listing) -> None:
    """Groups of a class that comes from one or two recordings: stretches of these, else no split could be made.

    Windows that overlap with the stretch before are left out.
    """
    groups: dict[tuple[str, ...], dict[str, list[int]]] = {}
    shared: set[int] = set()
    for i, entry in enumerate(listing.entries):
        groups.setdefault(entry.labels, {}).setdefault(entry.group or entry.file, []).append(i)
    for labels, own in groups.items():
        cut = {group: places for group, places in own.items() if group == whole_file(listing.entries[places[0]].file)}
        if len(own) >= _FEWEST or not any(len(places) > 1 for places in cut.values()) or listing.splits - {""}:
            continue
        for group, places in cut.items():
            spans = [(parse_stretch(listing.entries[i].file) or (group, 0.0, 0.0))[1:] for i in places]
            before, ends = 0, 0.0  # the last part, and the end of its last window
            for number, ((start, end), i) in enumerate(sorted(zip(spans, places, strict=True))):
                part = number * _PARTS // len(places)
                if part != before and start < ends - _OVERLAP:
                    shared.add(i)  # else it would be on two sides
                    continue
                before, ends = part, end
                listing.entries[i] = replace(listing.entries[i], group=f"{group}, part {part + 1}")
        listing.warnings.append(
            f"'{' '.join(labels)[:40] or BACKGROUND}' comes from {len(own)} recording{'s' * (len(own) > 1)} alone: the "
            "splits hold other stretches of the same, which flatters the score. Record it again on another day."
        )
    listing.entries = [entry for i, entry in enumerate(listing.entries) if i not in shared]


# A class of whatever else is heard


def _add_background(listing: Listing, folder: Path, window: float) -> None:
    """The recordings below a folder as one more class, of no more windows than the largest other class has."""
    if not folder.is_dir():
        raise InputError(f"`background` must be a folder of recordings. Received: {folder}")
    files = [path for path in files_below(folder) if path.suffix.lower() in KIND.extensions]
    if not files:
        raise InputError(f"{folder} holds no recordings ({', '.join(sorted(KIND.extensions))}). Give another folder.")
    labels = () if listing.multi_label else (BACKGROUND,)
    entries = [Entry(str(path), labels) for path in files]
    spans = _spans(entries, "Measuring the background")
    cut = [w for entry, span in zip(entries, spans, strict=True) for w in _cut(entry, span, window, None)]
    most = max(Counter(entry.labels for entry in listing.entries).values())
    places = np.unique(np.linspace(0, len(cut) - 1, min(len(cut), most)).astype(int))
    listing.entries += [cut[i] for i in places]
    if listing.class_names is not None and labels and BACKGROUND not in listing.class_names:
        listing.class_names.append(BACKGROUND)


# Label tracks, as Audacity exports them: start, end and label of a line, with tabs between


class TrackMark(NamedTuple):
    """A line of a label track."""

    start: float
    end: float
    label: str


def read_label_track(content: bytes) -> list[TrackMark]:
    """The marks of one of Audacity's label tracks.

    Lines that begin with a backslash, which hold frequencies, are left out, and so are marks without a label.

    Raises:
        InputError: it is something else.

    >>> read_label_track(b"0.5\\t2\\tdog\\n\\\\\\t100\\t900\\n3,25\\t4\\tcat\\n")
    [TrackMark(start=0.5, end=2.0, label='dog'), TrackMark(start=3.25, end=4.0, label='cat')]
    """
    encoding, _ = detect_encoding([content])
    marks = []
    for number, line in enumerate(content.decode(encoding, "replace").splitlines(), start=1):
        if not line.strip() or line.startswith("\\"):
            continue
        start, end, label = (*(part.strip() for part in line.split("\t", 2)), "", "")[:3]
        try:
            mark = TrackMark(float(start.replace(",", ".")), float(end.replace(",", ".")), label)
        except ValueError as error:
            raise InputError(f"line {number} is no 'start, end, label' with tabs between: {line[:40]!r}") from error
        if not 0 <= mark.start <= mark.end < 1e9 or len(label) > MAX_LABEL:
            raise InputError(f"line {number} is no stretch of time with a label: {line[:40]!r}")
        if label:
            marks.append(mark)
    return sorted(marks)


def _tracks(folder: Path) -> Iterator[tuple[Path, list[TrackMark]]]:
    """The recordings directly in a folder that have a label track beside them; none of a folder without recordings."""
    try:
        names = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    except OSError:  # which whoever lists the folder says
        return
    for path in names.values():
        beside = names.get(f"{path.stem}.txt")
        if path.suffix.lower() not in KIND.extensions or beside is None or beside.stat().st_size > _TRACK_BYTES:
            continue
        try:
            yield path, read_label_track(read_file(beside))
        except InputError as error:
            raise InputError(f"{beside}: {error}. Export it from Audacity again, or remove it.") from error


def _tracks_below(folder: Path) -> list[tuple[Path, list[TrackMark]]]:
    """Those directly in a folder; where there are none, those in its folders if each recording in them has one."""
    if tracks := list(_tracks(folder)):
        return tracks
    try:
        inner = [path for path in sorted(folder.iterdir()) if path.is_dir()]
        tracks = [track for path in inner for track in _tracks(path)]
        return tracks if tracks and len(tracks) == sum(len(_recordings(path)) for path in inner) else []
    except (InputError, OSError):  # notes of another kind
        return []


def _recordings(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix.lower() in KIND.extensions and path.is_file()]


def _of_tracks(folder: Path, tracks: Sequence[tuple[Path, list[TrackMark]]], group_by: str | None) -> Listing:
    """Each mark as a stretch; where marks overlap, the pieces between their ends, each with its labels."""
    several = any(_overlap(marks) for _, marks in tracks)
    groups = {path: group_of(path.name, group_by) if group_by else str(path) for path, _ in tracks}
    entries = [
        Entry(stretch_name(str(path), start, end), labels, group=groups[path])
        for path, marks in tracks
        for start, end, labels in (_pieces(marks) if several else ((m.start, m.end, (m.label,)) for m in _long(marks)))
    ]
    if not entries:
        raise InputError(f"The label tracks of {folder} hold no labels. Draw some in Audacity, and export them.")
    listing = Listing(str(folder), entries, KIND, multi_label=several)
    listing.check_groups(group_by)
    if lone := {path.name for path in _recordings(folder)} - {path.name for path, _ in tracks}:
        listing.warnings.append(
            f"{len(lone)} recordings of {folder} have no label track beside them and are not used (first: {min(lone)})."
        )
    return listing


def _long(marks: Iterable[TrackMark]) -> Iterator[TrackMark]:
    """The marks; those of a moment as a second around it."""
    for mark in marks:
        moment = mark.end - mark.start < 0.01
        yield TrackMark(max(0.0, mark.start - 0.5), mark.end + 0.5, mark.label) if moment else mark


def _overlap(marks: Sequence[TrackMark]) -> bool:
    end = 0.0
    for mark in marks:
        if mark.start < end - _OVERLAP:
            return True
        end = max(end, mark.end)
    return False


def _pieces(marks: Sequence[TrackMark]) -> Iterator[tuple[float, float, tuple[str, ...]]]:
    """What lies between the ends of marks, with all labels that hold there."""
    long = list(_long(marks))
    ends = sorted({point for mark in long for point in (mark.start, mark.end)})
    for start, end in pairwise(ends):
        labels = tuple(dict.fromkeys(m.label for m in long if m.start < end and m.end > start))
        if labels and end - start > _OVERLAP:
            yield start, end, labels
