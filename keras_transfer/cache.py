"""A bounded on-disk store of arrays keyed by what they were computed from.

An entry is a folder named by its key, holding one `.npy` file an array and `entry.json` with their checksums. It is
written under a temporary name and renamed whole, so that two processes making the same entry cannot meet half of it.
When the store outgrows its bound the least recently used entries go first; one that is held open is left alone.
"""

import fcntl
import hashlib
import json
import mmap
import os
import shutil
import tempfile
import time
import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from keras_transfer.errors import InputError
from keras_transfer.files import write_json

if TYPE_CHECKING:
    import numpy as np

DEFAULT_BYTES = 10 * 2**30
_CHUNK = 8 * 2**20
_PAGES = 16 * 2**20  # bytes of an entry that may be in memory
_AROUND = 64 * 2**10  # Linux maps so much around a page that is read, if it has it: a row here and there is not small


def cache_folder() -> Path:
    """Where entries lie: `KERAS_TRANSFER_CACHE`, or `keras_transfer` in the user's cache folder."""
    told = os.environ.get("KERAS_TRANSFER_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(told) if told else Path(base) / "keras_transfer"


def cache_bound() -> int:
    """The most bytes the store may hold: `KERAS_TRANSFER_CACHE_GB` (1 GB = 2**30 bytes), 10 GB unless told.

    Raises:
        InputError: the variable is not a positive number.
    """
    told = os.environ.get("KERAS_TRANSFER_CACHE_GB")
    if told is None:
        return DEFAULT_BYTES
    try:
        bound = float(told)
    except ValueError:
        bound = -1
    if not 0 < bound < 1e9:
        raise InputError(f"KERAS_TRANSFER_CACHE_GB must be a number of gigabytes above 0. Received: {told!r}.")
    return int(bound * 2**30)


def cache_key(**parts: Any) -> str:
    """A key of 32 hexadecimal digits that changes whenever any of `parts` (JSON values) does.

    >>> cache_key(size=224, seed=0) == cache_key(seed=0, size=224)
    True
    """
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def digest(parts: Iterable[str]) -> str:
    """The SHA-256 of `parts` in order, for keys over long lists.

    >>> digest(["a", "b"]) != digest(["ab"])
    True
    """
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.encode() + b"\0")
    return whole.hexdigest()


class ArrayWriter:
    """Appends rows to an entry's arrays by plain writes, so that memory holds one block however long they grow.

    Files are finished by `close`, which knows the number of rows.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, IO[bytes]] = {}
        self._forms: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
        self._rows: dict[str, int] = {}

    def append(self, name: str, rows: "np.ndarray") -> None:
        """Adds `rows` `[n, ...]` to the array `name`; shape and dtype are those of the first call."""
        import numpy as np

        rows = np.ascontiguousarray(rows)
        form = (rows.dtype, rows.shape[1:])
        if name not in self._files:
            self._forms[name], self._rows[name] = form, 0
            self._files[name] = (self._folder / f"{name}.npy").open("wb")
            self._files[name].write(_npy_header(*form, rows=0))
        if self._forms[name] != form:
            raise ValueError(f"Rows of `{name}` are {self._forms[name]} so far. Received: {form}.")
        self._files[name].write(rows.data)
        self._rows[name] += len(rows)

    def abandon(self) -> None:
        """Closes the files as they are."""
        for file in self._files.values():
            file.close()

    def close(self) -> dict[str, dict[str, int]]:
        """Completes the headers, syncs the files and returns their sizes and checksums."""
        described = {}
        for name, file in self._files.items():
            file.seek(0)
            file.write(_npy_header(*self._forms[name], rows=self._rows[name]))
            file.flush()
            os.fsync(file.fileno())
            file.close()
            path = self._folder / f"{name}.npy"
            described[name] = {"bytes": path.stat().st_size, "crc32": _crc32(path)}
        return described


def _npy_header(dtype: "np.dtype", shape: tuple[int, ...], rows: int) -> bytes:
    """The .npy header of `[rows, *shape]`, padded to one length whatever the number of rows."""
    fields = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': ({', '.join(map(str, (rows, *shape)))},), }}"
    padded = fields.ljust(256 - 10 - 1) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()


def _crc32(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            checksum = zlib.crc32(block, checksum)
    return checksum


@dataclass(frozen=True)
class Entry:
    """An entry as `keras-transfer cache` lists it; `used` is when it was last used, in seconds since 1970."""

    key: str
    about: Mapping[str, Any]
    bytes: int
    used: float


class Arrays:
    """An open entry: its arrays as read-only memory maps, and a lock that keeps it from being evicted."""

    def __init__(self, folder: Path, lock: IO[bytes], names: list[str], about: Mapping[str, Any]) -> None:
        self.folder, self.about, self._names = folder, about, names
        self._unlock = weakref.finalize(self, lock.close)
        self._maps: dict[str, np.memmap] = {}

    def __getitem__(self, name: str) -> "np.memmap":
        import numpy as np

        if name not in self._maps:
            self._maps[name] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return self._maps[name]

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def release_pages(self) -> None:
        """Gives the pages read so far back to the system's file cache, so that they do not count as this process's."""
        for array in self._maps.values():
            backing = getattr(array, "_mmap", None)
            if backing is not None and hasattr(mmap, "MADV_DONTNEED"):
                backing.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Lets go of the maps and the lock."""
        self._maps.clear()
        self._unlock()


def release_often(arrays: Arrays, row_bytes: int) -> Callable[[int], None]:
    """A function to be told of every read of rows: now and then it gives the pages back, which bounds memory."""
    read = 0

    def after(rows: int) -> None:
        nonlocal read
        read += rows * (row_bytes + _AROUND)
        if read > _PAGES:
            arrays.release_pages()
            read = 0

    return after


def open_entry(key: str) -> Arrays | None:
    """The entry of `key`, its checksums verified, or None; a damaged one is removed.

    Being opened counts as being used, for eviction.
    """
    folder = cache_folder() / key
    lock = None
    try:
        lock = (folder / "lock").open("rb")
        fcntl.flock(lock, fcntl.LOCK_SH)
        entry = json.loads((folder / "entry.json").read_text())
        sound = all(
            (folder / f"{name}.npy").stat().st_size == told["bytes"] and _crc32(folder / f"{name}.npy") == told["crc32"]
            for name, told in entry["arrays"].items()
        )
        if sound:
            os.utime(folder / "entry.json")
            opened = Arrays(folder, lock, list(entry["arrays"]), entry["about"])
            lock = None
            return opened
    except FileNotFoundError:
        if not folder.is_dir():
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    finally:
        if lock is not None:
            lock.close()
    _remove(folder)
    return None


def open_new(key: str) -> Arrays:
    """The entry of `key`, which this process has just made.

    Raises:
        InputError: the entry is gone already: the disk or the store's bound is too small.
    """
    made = open_entry(key)
    if made is None:
        raise InputError(f"The cache in {cache_folder()} does not keep what is written to it: is its disk full?")
    return made


@contextmanager
def new_entry(key: str, about: Mapping[str, Any]) -> Iterator[ArrayWriter]:
    """Makes the entry of `key` from the rows appended inside the `with` block; nothing is left of one that fails.

    Args:
        key: see `cache_key`.
        about: what the entry is, for people who list the cache (JSON values).

    Raises:
        InputError: the disk is full, or the cache folder cannot be written.
    """
    root = cache_folder()
    temporary = None
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(root)
        temporary = Path(tempfile.mkdtemp(prefix=".making-", dir=root))
        with (temporary / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            writer = ArrayWriter(temporary)
            try:
                yield writer
                arrays = writer.close()
            finally:
                writer.abandon()
            write_json(temporary / "entry.json", {"about": dict(about), "arrays": arrays})
            _evict(root, keep=key, needed=sum(told["bytes"] for told in arrays.values()))
            try:
                temporary.rename(root / key)
            except OSError:
                if not (
                    root / key / "entry.json"
                ).is_file():  # otherwise another process was first, with the same content
                    raise
    except OSError as error:
        raise InputError(
            f"Cannot write the cache in {root}: {error.strerror or error}. Free some space, clear it with "
            "`keras-transfer cache clear --yes`, or set KERAS_TRANSFER_CACHE to another folder."
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def entries() -> list[Entry]:
    """All complete entries, most recently used first."""
    found = []
    for folder in cache_folder().glob("[0-9a-f]*"):
        try:
            about = json.loads((folder / "entry.json").read_text())["about"]
            size = sum(file.stat().st_size for file in folder.iterdir())
            found.append(Entry(folder.name, about, size, (folder / "entry.json").stat().st_mtime))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda entry: -entry.used)


def clear() -> int:
    """Removes every entry that no process holds open and returns the bytes freed."""
    return sum(entry.bytes for entry in entries() if _remove(cache_folder() / entry.key))


def _evict(root: Path, keep: str, needed: int) -> None:
    held = entries()
    excess = sum(entry.bytes for entry in held) + needed - cache_bound()
    for entry in reversed(held):
        if excess <= 0:
            return
        if entry.key != keep and _remove(root / entry.key):
            excess -= entry.bytes


def _remove(folder: Path) -> bool:
    """Removes an entry unless some process holds it open."""
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Renamed first: whoever looks in between sees no entry, never half of one.
            doomed = folder.with_name(f".making-gone-{folder.name}-{os.getpid()}")
            folder.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)
            return True
    except BlockingIOError:
        return False
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        return True


def _remove_abandoned(root: Path) -> None:
    """Removes what killed processes left half made: temporary folders over a minute old that nobody locks."""
    for folder in root.glob(".making-*"):
        try:
            if time.time() - folder.stat().st_mtime > 60:
                _remove(folder)
        except OSError:
            continue
