"""Where the array cache lies: the user's folder, or a temporary one of this process where that cannot be written."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from keras_transfer.errors import InputError
from keras_transfer.files import temporary_folder
from keras_transfer.progress import say

DEFAULT_BYTES = 10 * 2**30
MEMORY_BYTES = 2**30
_moving = threading.Lock()


@dataclass(frozen=True)
class Root:
    """A folder of entries, and a function that says how many bytes it may hold.

    Where it is `strict` nothing may go beyond that; otherwise an entry that is larger than the bound stands alone.
    """

    folder: Path
    bound: Callable[[], int]
    strict: bool = False


def cache_folder() -> Path:
    """The user's cache: `KERAS_TRANSFER_CACHE`, or `keras_transfer` in the user's cache folder.

    Raises:
        InputError: there is no home folder, and no variable names another place.
    """
    try:
        return _user_folder()
    except RuntimeError as error:
        raise InputError("There is no home folder for the cache: set KERAS_TRANSFER_CACHE to a folder.") from error


def _user_folder() -> Path:
    named = os.environ.get("KERAS_TRANSFER_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(named) if named else (Path(base) if base else Path.home() / ".cache") / "keras_transfer"


def cache_bound() -> int:
    """The most bytes the user's cache may hold: `KERAS_TRANSFER_CACHE_GB` (1 GB = 2**30 bytes), or 10 GB.

    Raises:
        InputError: the variable is not a positive number.
    """
    text = os.environ.get("KERAS_TRANSFER_CACHE_GB")
    if text is None:
        return DEFAULT_BYTES
    try:
        bound = float(text)
    except ValueError:
        bound = -1
    if not 0 < bound < 1e9:
        raise InputError(f"KERAS_TRANSFER_CACHE_GB must be a number of gigabytes above 0. Received: {text!r}.")
    return int(bound * 2**30)


# Where to go on when the cache cannot be written, and the most bytes to take there: the system's folder for temporary
# files (TMPDIR names it), then a folder in memory.
_PLACES: tuple[tuple[Callable[[], str], int], ...] = (
    (tempfile.gettempdir, DEFAULT_BYTES),
    (lambda: "/dev/shm", MEMORY_BYTES),
)


@dataclass
class _Store:
    """The folders that hold entries for this process, and the places that have not been tried yet."""

    roots: list[Root]
    places: Iterator[tuple[Callable[[], str], int]] = field(default_factory=lambda: iter(_PLACES))


@cache
def _store(folder: Path | None) -> _Store:
    return _Store([] if folder is None else [Root(folder, cache_bound)])


def _present_store() -> _Store:
    try:
        return _store(_user_folder())
    except RuntimeError:  # no home folder
        return _store(None)


def roots() -> list[Root]:
    """The folders where entries may lie, that for new entries first; none where there is no home folder."""
    return _present_store().roots[::-1]


def next_root(refused: Root | None, reason: str) -> Root:
    """The folder to write to when another has refused: a temporary one, removed when this process ends.

    A note says so, once.

    Args:
        refused: the folder that could not be written; None where there was none to try.
        reason: why not.

    Raises:
        InputError: there is no other place.
    """
    with _moving:
        store = _present_store()
        if store.roots and store.roots[-1] != refused:  # another thread was first
            return store.roots[-1]
        for place, most in store.places:
            with suppress(OSError):
                root = _temporary_root(Path(place()), most)
                if len(store.roots) <= 1:
                    say(
                        f"Note: {_name(refused)} ({reason}). This command goes on without it, in a temporary folder. "
                        "To keep computations, set KERAS_TRANSFER_CACHE to a folder with room."
                    )
                store.roots.append(root)
                return root
    raise InputError(
        f"{_name(refused)} ({reason}), and there is no room for temporary files either: free some space, or set "
        "KERAS_TRANSFER_CACHE to a folder with room."
    )


def _name(root: Root | None) -> str:
    return "The cache has no home folder" if root is None else f"The cache in {root.folder} cannot be written"


def _temporary_root(parent: Path, most: int) -> Root:
    """A new folder in `parent` that takes at most half of the room there."""
    bound = min(most, shutil.disk_usage(parent).free // 2)
    return Root(temporary_folder(parent, "keras-transfer-cache-"), lambda: bound, strict=True)
