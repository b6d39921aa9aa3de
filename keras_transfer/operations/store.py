"""Where a registry's files lie: a local folder, or any place that fsspec opens, such as `s3://bucket/models`."""

import fcntl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from keras_transfer.errors import InputError, in_one_line
from keras_transfer.extras import require
from keras_transfer.files import read_file, write_bytes

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


class Store(Protocol):
    """Files by their paths below the registry, with `/` between folders. Each is seen whole or not at all."""

    def read(self, path: str) -> bytes:
        """The content of a file.

        Raises:
            InputError: it is missing or cannot be read.
        """
        ...

    def write(self, path: str, content: bytes) -> None:
        """Writes a file, in place of an older one.

        Raises:
            InputError: it cannot be written.
        """
        ...

    def create(self, path: str, content: bytes) -> bool:
        """Writes a file unless there is one already; returns whether it did. Of several writers one succeeds.

        Raises:
            InputError: it cannot be written.
        """
        ...

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted; none where there is no such folder. Hidden files are left out."""
        ...


@dataclass(frozen=True)
class LocalStore:
    """A folder. Files appear by renaming, and new ones are created under a lock that ends with its process."""

    root: Path

    def read(self, path: str) -> bytes:
        """See `Store.read`."""
        try:
            return read_file(self.root / path)
        except InputError as error:
            raise InputError(f"{self.root / path}: {error}.") from error

    def write(self, path: str, content: bytes) -> None:
        """See `Store.write`."""
        write_bytes(self.root / path, content)

    def create(self, path: str, content: bytes) -> bool:
        """See `Store.create`."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / ".lock").open("w")
        except OSError as error:
            raise InputError(f"Cannot write the registry {self.root}: {error.strerror or error}.") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the system takes it back when the process dies, however it dies
            if (self.root / path).exists():
                return False
            self.write(path, content)
            return True

    def names(self, folder: str) -> list[str]:
        """See `Store.names`."""
        place = self.root / folder
        return sorted(path.name for path in place.iterdir() if path.name[0] != ".") if place.is_dir() else []


@dataclass(frozen=True)
class RemoteStore:
    """A place of fsspec. `create` is as good as the place's own conditional writes (docs/operations.md)."""

    system: "AbstractFileSystem"
    root: str

    def read(self, path: str) -> bytes:
        """See `Store.read`."""
        try:
            return bytes(self.system.cat_file(f"{self.root}/{path}"))
        except Exception as error:  # each place has errors of its own
            raise InputError(f"Cannot read {self.root}/{path}: {in_one_line(error)}.") from error

    def write(self, path: str, content: bytes) -> None:
        """See `Store.write`."""
        self._write(path, content, "overwrite")

    def create(self, path: str, content: bytes) -> bool:
        """See `Store.create`."""
        try:
            self._write(path, content, "create")
        except FileExistsError:
            return False
        return True

    def _write(self, path: str, content: bytes, mode: str) -> None:
        place = f"{self.root}/{path}"
        try:
            self.system.makedirs(place.rpartition("/")[0], exist_ok=True)
            self.system.pipe_file(place, content, mode=mode)
        except FileExistsError:
            raise
        except Exception as error:
            raise InputError(f"Cannot write {place}: {in_one_line(error)}.") from error

    def names(self, folder: str) -> list[str]:
        """See `Store.names`."""
        self.system.invalidate_cache()
        try:
            paths = self.system.ls(f"{self.root}/{folder}".rstrip("/"), detail=False)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise InputError(f"Cannot list {self.root}/{folder}: {in_one_line(error)}.") from error
        names = (path.rstrip("/").rpartition("/")[2] for path in paths)
        return sorted(name for name in names if name and name[0] != ".")


def open_store(place: str | Path) -> Store:
    """The store at a place.

    Args:
        place: a folder, or an address such as `s3://bucket/models`, which needs fsspec and its package for the place.

    Raises:
        InputError: a package is missing, or fsspec knows no such place.

    >>> open_store("models")
    LocalStore(root=PosixPath('models'))
    """
    address = str(place).removeprefix("file://")
    if "://" not in address:
        return LocalStore(Path(address))
    require("fsspec", "remote", f"The registry {address}")
    from fsspec.core import url_to_fs

    try:
        system, root = url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise InputError(f"The registry {address} cannot be opened: {in_one_line(error)}.") from error
    return RemoteStore(system, root.rstrip("/"))
