"""Class folders: which folders are the classes, and what is in them."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from keras_transfer.data.listing import SPLIT_NAMES, Entry, Kind, Listing, natural
from keras_transfer.data.table_files import TABLES
from keras_transfer.errors import InputError

_IGNORED = {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information",
    "lost+found",
}  # fmt: skip
_SIDECARS = (".aae", ".xmp")  # edits of a file, written beside it
_DEEPEST = 8  # levels that are searched where a layout is not what was expected


class _ClassFolder(NamedTuple):
    """A class folder with all files below it; `inner` are the folders directly in it, `direct` counts its own files."""

    path: Path
    split: str
    files: list[str]
    inner: list[str]
    direct: int


def list_folder(root: Path, depth: int | None, kind: Kind) -> Listing:
    """Lists the files of a folder of class folders, or of train/ val/ test/ of such.

    Args:
        root: the folder.
        depth: how many levels below `root`, or below train/ val/ test/, the class folders are; by default 1.
        kind: what the files are.

    Returns:
        A listing; its `one_class_hint` says what the classes could be instead.

    Raises:
        InputError: there are no folders that deep, or splits stand beside other folders.
    """
    tops = _tops(root)
    classes, stray = [], 0
    for top, split in tops.items():
        folders, beside = _at_depth(top, depth or 1)
        classes += [_class_folder(folder, split) for folder in folders]
        stray += beside
    if not classes:
        raise InputError(_nothing(root, tops, depth, kind))
    names = sorted({folder.path.name for folder in classes}, key=lambda name: (natural(name), name))
    trained = {folder.path.name for folder in classes if folder.split == "train"}
    if unknown := [name for name in names if trained and name not in trained]:
        raise InputError(f"Class '{unknown[0]}' of {root} has no folder in train/. Add it, or remove the class.")
    warnings = [f"{stray} files beside the class folders of {root} belong to no class and are not used."] * bool(stray)
    if depth is None:
        warnings += _doubts(root, classes)
    entries = [Entry(file, (folder.path.name,), folder.split) for folder in classes for file in folder.files]
    hint = _seen(root, depth or 1) if len(names) == 1 else ""
    return Listing(str(root), entries, kind, class_names=names, warnings=warnings, one_class_hint=hint)


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder, also through links, but never round in a circle."""
    return map(Path, _files_below(folder))


def _files_below(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[str]:
    real = folder.resolve()
    if real in above:
        return
    for child, is_folder in _children(folder):
        if is_folder:
            yield from _files_below(Path(child), (*above, real))
        else:
            yield child


def _children(folder: Path) -> list[tuple[str, bool]]:
    """What a folder holds, in natural order, and whether it is a folder; without what systems and phones add."""
    try:
        # The kind of most children comes with their names: asking for it of each would take longer than all the rest.
        with os.scandir(folder) as entries:
            children = {e.name: (e.path, _is_folder(e)) for e in entries if not _is_ignored(e.name)}
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror or error}.") from error
    films = [name for name in children if name.lower().endswith(".mov")]
    if films:  # of Apple's Live Photos: a film beside another file of the same name
        others = {stem for stem, suffix in map(os.path.splitext, children) if suffix.lower() != ".mov"}
        children = {name: child for name, child in children.items() if name not in films or name[:-4] not in others}
    return [children[name] for name in sorted(children, key=lambda name: (natural(name), name))]


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name.lower() in _IGNORED or name.lower().endswith(_SIDECARS)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads round in a circle
        return False


def _folders(folder: Path) -> list[Path]:
    return [Path(child) for child, is_folder in _children(folder) if is_folder]


def _tops(root: Path) -> dict[Path, str]:
    """The folders below which class folders are, each with its split: train/ val/ test/, or the root alone."""
    folders = _folders(root)
    sides = {folder: SPLIT_NAMES[folder.name.lower()] for folder in folders if folder.name.lower() in SPLIT_NAMES}
    # A class may be called "train"; folders called train *and* test are splits.
    if sides and len(sides) == len(folders) and any(_folders(folder) for folder in folders):
        if len(set(sides.values())) < len(sides):
            raise InputError(f"{root} has two folders for one split: {', '.join(f.name for f in sides)}. Keep one.")
        order = ("train", "val", "test")
        return dict(sorted(sides.items(), key=lambda side: order.index(side[1])))
    if len(set(sides.values())) > 1:
        others = [folder.name for folder in folders if folder not in sides]
        raise InputError(
            f"{root} holds the splits {', '.join(f.name for f in sides)} and also {', '.join(others[:5])}. "
            "Move what is no split elsewhere."
        )
    return {root: ""}


def _at_depth(top: Path, depth: int) -> tuple[list[Path], int]:
    """The folders so many levels below `top`, and how many files stand above them."""
    folders, files = [top], 0
    for _ in range(depth):
        children = [child for folder in folders for child in _children(folder)]
        folders = [Path(child) for child, is_folder in children if is_folder]
        files += len(children) - len(folders)
    return folders, files


def _class_folder(folder: Path, split: str) -> _ClassFolder:
    children, real = _children(folder), folder.resolve()
    inner = [Path(child).name for child, is_folder in children if is_folder]
    files: list[str] = []
    for child, is_folder in children:
        files += _files_below(Path(child), (real,)) if is_folder else [child]
    return _ClassFolder(folder, split, files, inner, len(children) - len(inner))


# What else the folders could be


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _nothing(root: Path, tops: dict[Path, str], depth: int | None, kind: Kind) -> str:
    """Why a folder has no class folders, and what to do."""
    if depth is not None and depth > 1 and (deepest := max(_depth(top) for top in tops)):
        return (
            f"{root} has no folders {depth} levels down. Its folders go {deepest} down: --classes-at-depth {deepest}."
        )
    files = [Path(child) for child, is_folder in _children(root) if not is_folder]
    items = sum(file.suffix.lower() in kind.extensions for file in files)
    tables = [file for file in files if file.suffix.lower() in TABLES and file.suffix.lower() not in kind.extensions]
    if items and tables:
        return f"{root} holds no folders but {items} {kind.items}. If {tables[0].name} lists them, give {tables[0]}."
    if items:
        return (
            f"{root} holds no folders but {items} {kind.items}. Put each class into a folder of its own, or list them "
            "in a CSV with the columns path and label; if this is one of several classes, give the folder above."
        )
    return f"{root} holds no folders. Give a folder with a folder for each class, or a CSV."


def _depth(folder: Path, most: int = _DEEPEST) -> int:
    folders = _folders(folder) if most else []
    return 1 + max(_depth(child, most - 1) for child in folders) if folders else 0


def _seen(root: Path, depth: int) -> str:
    """What lies below the only class folder, and the option that makes these folders the classes."""
    folders = [folder for top in _tops(root) for folder in _at_depth(top, depth)[0]]
    for level in range(depth + 1, _DEEPEST):
        above, folders = folders, [child for folder in folders for child in _folders(folder)]
        names = sorted({folder.name for folder in folders}, key=natural)
        if not names:
            return ""
        if any(name.lower() in SPLIT_NAMES for name in names) and len(above) == 1:
            return f"Its folder {above[0].relative_to(root)} holds {_few(names)}: give {above[0]}."
        if len(names) > 1:
            move = f"give {above[0]} or " if len(above) == 1 else ""
            where = ", ".join(str(folder.relative_to(root)) for folder in above[:3])
            return f"{where} holds {_few(names)}: if these are the classes, {move}add --classes-at-depth {level}."
    return ""


def _doubts(root: Path, classes: Sequence[_ClassFolder]) -> list[str]:
    """A warning where the folders within the class folders look more like the classes, or like splits."""
    if len(classes) < 2 or any(folder.direct or not folder.inner for folder in classes):
        return []
    counts = Counter(name for folder in classes for name in set(folder.inner))
    names = sorted(counts, key=natural)
    if all(name.lower() in SPLIT_NAMES for name in names):
        return [
            f"{_few(names)} stand inside the class folders of {root} and are not used as splits: put them above, as in "
            f"{names[0]}/{classes[0].path.name}."
        ]
    shared = [name for name in names if counts[name] > 1]
    if len(names) > 1 and 2 * len(shared) >= len(names):
        return [
            f"The class folders of {root} ({_few([folder.path.name for folder in classes])}) hold folders of the same "
            f"names ({_few(shared)}): if these are the classes, add --classes-at-depth 2."
        ]
    return []
