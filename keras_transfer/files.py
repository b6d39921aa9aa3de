"""Files written so that a reader sees the old content or the new, never half of it."""

import atexit
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any

from keras_transfer.errors import InputError
from keras_transfer.process import unfinished

MISSING = "no such file"
"""The problem of a path at which there is nothing."""

MAX_BYTES = 1 << 30
"""A larger file is refused before it is read."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; on leaving without an error it is synced and renamed to `path`.

    Raises:
        InputError: the disk is full or the place cannot be written.

    >>> import tempfile, pathlib
    >>> target = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
    >>> with replacing(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=f".tmp{path.suffix}", dir=path.parent)
        temporary = Path(name)
        unfinished.add(temporary)
        os.close(handle)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp makes files private; a run directory is for sharing
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise InputError(
            f"Cannot write {path}: {error.strerror or error}. Free some space or choose another place."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
            unfinished.discard(temporary)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there, and renames are journalled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Writes `content` to `path` atomically and returns the path."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_text(path: str | Path, content: str) -> Path:
    """Writes `content` to `path` atomically as UTF-8 and returns the path."""
    return write_bytes(path, content.encode())


def write_json(path: str | Path, value: Any) -> Path:
    """Writes `value` to `path` atomically as indented JSON (NaN refused: other readers choke on it)."""
    return write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def temporary_folder(parent: str | Path, prefix: str) -> Path:
    """A new folder in `parent` that is removed when this process ends or is stopped; also what killed ones left there.

    It is locked while the process lives, by which the next one knows.

    Raises:
        OSError: it cannot be made.
    """
    for left in Path(parent).glob(f"{prefix}*"):
        with suppress(OSError):
            if left.lstat().st_uid == os.getuid():
                with (left / "lock").open("rb") as abandoned:
                    fcntl.flock(abandoned, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    unfinished.add(folder)
    lock, owner = (folder / "lock").open("wb"), os.getpid()
    fcntl.flock(lock, fcntl.LOCK_SH)

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)
        lock.close()

    atexit.register(remove)
    return folder


def gather_temporary_files() -> None:
    """Has all temporary files of this process and its children made in one folder, which goes when it ends."""
    with suppress(OSError):  # there is no place for them: whoever needs one says so
        folder = temporary_folder(tempfile.gettempdir(), "keras-transfer-")
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)


def read_file(path: str | Path, first: int | None = None) -> bytes:
    """The bytes of a user's file.

    Args:
        path: where it is.
        first: read only so many, of a file of any size.

    Raises:
        InputError: there is no such file, it is no regular one, over 1 GiB, or cannot be read.
    """
    path = Path(path)
    try:
        about = path.stat()
        if not S_ISREG(about.st_mode):  # opening a pipe would wait for ever
            raise InputError("not a regular file")
        if first is not None:
            with path.open("rb") as file:
                return file.read(first)
        if about.st_size > MAX_BYTES:
            raise InputError(f"a file of {about.st_size / MAX_BYTES:.1f} GiB, over the limit of 1 GiB")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(MISSING) from error
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
