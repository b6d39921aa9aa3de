"""A bounded on-disk store of arrays keyed by what they were computed from.

An entry is a folder named by its key, holding one `.npy` file per array and `entry.json` with their checksums. It is
written under a temporary name and renamed whole, so that two processes making the same entry cannot meet half of it.
When the store outgrows its bound the least recently used entries go first; one that is held open is left alone.
"""

import errno
import fcntl
import hashlib
import json
import math
import mmap
import os
import shutil
import tempfile
import time
import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from keras_transfer.cache_folders import Root, cache_bound, cache_folder, next_root, roots
from keras_transfer.errors import InputError
from keras_transfer.process import unfinished

if TYPE_CHECKING:
    import numpy as np

    from keras_transfer.inputs import Array, Json

__all__ = [
    "ArrayWriter", "Arrays", "Entry", "cache_bound", "cache_folder", "cache_key", "clear", "digest", "entries",
    "new_entry", "open_entry", "open_new", "release_often",
]  # fmt: skip

_CHUNK = 8 * 2**20
_HEADER = 256  # bytes before the first row of a file
_PAGES = 16 * 2**20  # bytes of an entry that may be in memory
_AROUND = 64 * 2**10  # Linux maps so much around a page that is read, if it has it: a single row costs at least this


def cache_key(**parts: "Json") -> str:
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


class _Place:
    """The folder in which an entry is being made, and its open files."""

    def __init__(self, root: Root) -> None:
        root.folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(root.folder)
        self.root = root
        self.folder = Path(tempfile.mkdtemp(prefix=".making-", dir=root.folder))
        unfinished.add(self.folder)
        self.files: dict[str, IO[bytes]] = {}
        self._lock = (self.folder / "lock").open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def write(self, name: str, position: int, content: memoryview) -> None:
        """Writes at a position of a file, unbuffered: what the disk refuses is refused here."""
        if name not in self.files:
            self.files[name] = (self.folder / name).open("w+b", buffering=0)
        file = self.files[name]
        file.seek(position)
        while content:
            content = content[file.write(content) :]

    def sync(self) -> None:
        """Makes sure that all files are on the disk."""
        for file in self.files.values():
            os.fsync(file.fileno())

    def close(self) -> None:
        """Closes the files and removes the folder, unless it has been renamed."""
        for file in self.files.values():
            file.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        unfinished.discard(self.folder)
        self._lock.close()


class ArrayWriter:
    """Appends rows to an entry's arrays by plain writes, so that memory holds one block however long they grow.

    Where the cache cannot be written, the rows so far move to a temporary folder, and the entry is made there.
    """

    def __init__(self) -> None:
        self._forms: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
        self._rows: dict[str, int] = {}
        self._place: _Place | None = None

    def append(self, name: str, rows: "Array") -> None:
        """Adds `rows` `[n, ...]` to the array `name`; shape and dtype are those of the first call."""
        import numpy as np

        rows = np.ascontiguousarray(rows)
        form = (rows.dtype, rows.shape[1:])
        if self._forms.setdefault(name, form) != form:
            raise ValueError(f"Rows of `{name}` are {self._forms[name]} so far. Received: {form}.")
        self._rows.setdefault(name, 0)
        self._attempt(lambda place: self._write_rows(place, name, rows))
        self._rows[name] += len(rows)

    def publish(self, key: str, about: Mapping[str, object]) -> None:
        """Completes the files and makes them the entry of `key`."""
        self._attempt(lambda place: self._publish(place, key, about))

    def close(self) -> None:
        """Closes all files; what has not been published is removed."""
        if self._place is not None:
            self._place.close()

    def _attempt(self, work: Callable[[_Place], None]) -> None:
        """Does `work`, which writes; where the disk refuses it, again in the next folder with all rows so far."""
        root = self._place.root if self._place is not None else next(iter(roots()), None)
        reason = "HOME is not set"
        while True:
            if root is None:
                root = next_root(None, reason)
            try:
                if self._place is None or self._place.root is not root:
                    self._move(root)
                assert self._place is not None
                return work(self._place)
            except OSError as error:
                root = next_root(root, error.strerror or str(error))

    def _move(self, root: Root) -> None:
        place, old = _Place(root), self._place
        try:
            for path in old.folder.glob("*.npy") if old is not None else ():
                end = self._end(path.stem)
                for position in range(0, end, _CHUNK):
                    block = _read_at(path, position, min(_CHUNK, end - position))
                    place.write(path.name, position, memoryview(block))
        except BaseException:
            place.close()
            raise
        if old is not None:
            old.close()
        self._place = place

    def _end(self, name: str) -> int:
        """Where the next row of an array goes in its file."""
        dtype, shape = self._forms[name]
        return _HEADER + self._rows[name] * math.prod(shape) * dtype.itemsize

    def _write_rows(self, place: _Place, name: str, rows: "Array") -> None:
        total = sum(map(self._end, self._rows)) + rows.nbytes
        if place.root.strict and total > place.root.bound():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if rows.nbytes:
            place.write(f"{name}.npy", self._end(name), rows.reshape(-1).view("uint8").data)

    def _publish(self, place: _Place, key: str, about: Mapping[str, object]) -> None:
        arrays = {}
        for name, form in self._forms.items():
            place.write(f"{name}.npy", 0, memoryview(_npy_header(*form, rows=self._rows[name])))
            arrays[name] = {"bytes": self._end(name), "crc32": _crc32(place.folder / f"{name}.npy")}
        entry = json.dumps({"about": dict(about), "arrays": arrays}, allow_nan=False)
        place.write("entry.json", 0, memoryview(entry.encode()))
        place.sync()
        fits = _evict(place.root, keep=key, needed=sum(array["bytes"] for array in arrays.values()))
        if place.root.strict and not fits:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        try:
            place.folder.rename(place.root.folder / key)
        except OSError:  # unless another process was first, with the same content
            if not (place.root.folder / key / "entry.json").is_file():
                raise


def _npy_header(dtype: "np.dtype", shape: tuple[int, ...], rows: int) -> bytes:
    """The .npy header of `[rows, *shape]`, padded to one length whatever the number of rows."""
    fields = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': ({', '.join(map(str, (rows, *shape)))},), }}"
    padded = fields.ljust(_HEADER - 10 - 1) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()


def _read_at(path: Path, position: int, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(position)
        return file.read(count)


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
    about: Mapping[str, object]
    bytes: int
    used: float


class Arrays:
    """An open entry: its arrays as read-only memory maps, and a lock that keeps it from being evicted."""

    def __init__(self, folder: Path, lock: IO[bytes], names: list[str], about: Mapping[str, object]) -> None:
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
        """Closes the maps and releases the lock."""
        self._maps.clear()
        self._unlock()


def release_often(arrays: Arrays, row_bytes: int) -> Callable[[int], None]:
    """A function to call after every read of rows: now and then it gives the pages back, which bounds memory."""
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
    return next(filter(None, (_open(root.folder / key) for root in roots())), None)


def _open(folder: Path) -> Arrays | None:
    lock = None
    try:
        lock = (folder / "lock").open("rb")
        fcntl.flock(lock, fcntl.LOCK_SH)
        entry = json.loads((folder / "entry.json").read_text())
        intact = all(
            (folder / f"{name}.npy").stat().st_size == file["bytes"] and _crc32(folder / f"{name}.npy") == file["crc32"]
            for name, file in entry["arrays"].items()
        )
        if intact:
            with suppress(OSError):  # a cache that is only read
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
        InputError: the entry is removed already: the cache's bound is too small for what is made at the same time.
    """
    made = open_entry(key)
    if made is None:
        raise InputError(
            f"The cache in {roots()[0].folder} does not keep what is written to it: set KERAS_TRANSFER_CACHE_GB to a "
            "larger number, or KERAS_TRANSFER_CACHE to another folder."
        )
    return made


@contextmanager
def new_entry(key: str, about: Mapping[str, object]) -> Iterator[ArrayWriter]:
    """Makes the entry of `key` from the rows appended inside the `with` block; nothing is left of one that fails.

    Args:
        key: see `cache_key`.
        about: what the entry is, for people who list the cache (JSON values).

    Raises:
        InputError: neither the cache nor the folder for temporary files has room.
    """
    writer = ArrayWriter()
    try:
        yield writer
        writer.publish(key, about)
    finally:
        writer.close()


def entries(folder: Path | None = None) -> list[Entry]:
    """All complete entries of the user's cache, or of another folder, most recently used first."""
    listed = []
    for place in (folder or cache_folder()).glob("[0-9a-f]*"):
        try:
            about = json.loads((place / "entry.json").read_text())["about"]
            size = sum(file.stat().st_size for file in place.iterdir())
            listed.append(Entry(place.name, about, size, (place / "entry.json").stat().st_mtime))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(listed, key=lambda entry: -entry.used)


def clear() -> int:
    """Removes every entry that no process holds open and returns the bytes freed."""
    return sum(entry.bytes for entry in entries() if _remove(cache_folder() / entry.key))


def _evict(root: Root, keep: str, needed: int) -> bool:
    """Removes entries until so many bytes fit in beside the others; returns whether they do."""
    held = entries(root.folder)
    excess = sum(entry.bytes for entry in held) + needed - root.bound()
    for entry in reversed(held):
        if excess > 0 and entry.key != keep and _remove(root.folder / entry.key):
            excess -= entry.bytes
    return excess <= 0


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
    """Removes what killed processes left unfinished: temporary folders over a minute old that nobody locks."""
    for folder in root.glob(".making-*"):
        try:
            if time.time() - folder.stat().st_mtime > 60:
                _remove(folder)
        except OSError:
            continue
