"""A cache that cannot be written: work goes on in a temporary folder, says so once, and leaves nothing behind."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from keras_transfer import cache, cache_folders
from keras_transfer.errors import InputError

KEY = "a" * 32
ROWS = np.arange(4000, dtype=np.float32).reshape(1000, 4)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's folder; those that stand in for it are below `tmp_path` too."""
    cache_folders._store.cache_clear()
    for name in ("temporary", "memory"):
        (tmp_path / name).mkdir()
    places = ((lambda: str(tmp_path / "temporary"), 2**20), (lambda: str(tmp_path / "memory"), 2**20))
    monkeypatch.setattr(cache_folders, "_PLACES", places)
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes folders refuse what goes beyond so many bytes, after taking a part of it as real disks do."""
    left: dict[Path, int] = {}
    write = cache._Place.write

    def refuse(place: cache._Place, name: str, position: int, content: memoryview) -> None:
        disk = next((disk for disk in left if place.folder.is_relative_to(disk)), None)
        if disk is not None:
            room, left[disk] = left[disk], left[disk] - len(content)
            if len(content) > room:
                write(place, name, position, content[: max(room, 0)])
                raise OSError(errno.EDQUOT if "cache" in disk.name else errno.ENOSPC, os.strerror(errno.EDQUOT))
        write(place, name, position, content)

    monkeypatch.setattr(cache._Place, "write", refuse)
    return lambda disk, room: left.update({disk: room})


@pytest.fixture
def mounted(folder: Path) -> Iterator[Callable[[str], None]]:
    """Mounts a file system in memory on the cache's folder."""

    def mount(options: str) -> None:
        folder.mkdir(exist_ok=True)
        call = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.name == "nt" or subprocess.run(call, capture_output=True, check=False).returncode:
            pytest.skip("needs the right to mount a file system")

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def make(key: str = KEY) -> None:
    with cache.new_entry(key, {"kind": "test"}) as writer:
        for start in range(0, len(ROWS), 100):
            writer.append("a", ROWS[start : start + 100])
            writer.append("b", ROWS[start : start + 100].astype(np.uint8))


def check(key: str = KEY) -> Path:
    """Opens an entry, compares what is in it, and says in which folder it lies."""
    arrays = cache.open_new(key)
    np.testing.assert_array_equal(arrays["a"], ROWS)
    np.testing.assert_array_equal(arrays["b"], ROWS.astype(np.uint8))
    place = arrays.folder
    arrays.close()
    return place


@pytest.mark.parametrize("room", [0, 100, 5_000, 20_300, 20_550])
def test_what_was_written_moves_along(folder, tmp_path, small_disk, capsys, room):
    small_disk(folder, room)
    make()
    make("b" * 32)
    for key in (KEY, "b" * 32):
        assert check(key).is_relative_to(tmp_path / "temporary")
    said = capsys.readouterr().err
    assert said.count("Note") == 1 and f"The cache in {folder} cannot be written (" in said
    assert list(folder.iterdir()) == []


def test_an_entry_of_the_cache_is_used_after_it_became_full(folder, small_disk, tmp_path):
    make("c" * 32)
    small_disk(folder, 10)
    make()
    assert check("c" * 32).parent == folder and check().is_relative_to(tmp_path / "temporary")


def test_memory_comes_after_a_full_temporary_folder(folder, tmp_path, small_disk, capsys):
    small_disk(folder, 10_000)
    small_disk(tmp_path / "temporary", 15_000)
    make()
    assert check().is_relative_to(tmp_path / "memory")
    assert capsys.readouterr().err.count("Note") == 1


def test_no_more_is_taken_than_the_bound(folder, tmp_path, small_disk, monkeypatch):
    places = [(lambda: str(tmp_path / "temporary"), 10_000), (lambda: str(tmp_path / "memory"), 50_000)]
    monkeypatch.setattr(cache_folders, "_PLACES", tuple(places))
    small_disk(folder, 0)
    make()  # 20 KB
    assert check().is_relative_to(tmp_path / "memory")
    make("b" * 32)
    make("c" * 32)  # the first goes
    assert cache.open_entry(KEY) is None and check("b" * 32) and check("c" * 32)
    held = [cache.open_new(key * 32) for key in "bc"]
    with pytest.raises(InputError, match="no room for temporary files"):
        make("d" * 32)
    assert [arrays["a"].shape for arrays in held] == [ROWS.shape, ROWS.shape]


def test_without_any_room_it_ends_and_leaves_nothing(folder, tmp_path, small_disk):
    for disk in ("cache", "temporary", "memory"):
        small_disk(tmp_path / disk, 3_000)
    with pytest.raises(InputError, match=r"cannot be written \(.*\), and there is no room .* KERAS_TRANSFER_CACHE"):
        make()
    assert not list(tmp_path.rglob("*.npy"))


def test_a_cache_that_is_a_file(folder, tmp_path, capsys):
    folder.write_text("mine")
    assert cache.open_entry(KEY) is None
    make()
    assert check().is_relative_to(tmp_path / "temporary") and folder.read_text() == "mine"
    assert capsys.readouterr().err.count("Note") == 1


def test_no_home_folder(tmp_path, monkeypatch, capsys):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("KERAS_TRANSFER_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache.open_entry(KEY) is None
    make()
    assert check().is_relative_to(tmp_path / "temporary")
    assert "The cache has no home folder" in capsys.readouterr().err
    with pytest.raises(InputError, match="no home folder"):
        cache.entries()


def test_a_tiny_file_system(folder, tmp_path, mounted, capsys):
    mounted("size=12k")
    make()
    assert check().is_relative_to(tmp_path / "temporary")
    assert "No space left" in capsys.readouterr().err and list(folder.iterdir()) == []


def test_a_cache_that_can_only_be_read(folder, tmp_path, mounted):
    mounted("size=1m")
    make()
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    assert check().parent == folder
    make("b" * 32)
    assert check("b" * 32).is_relative_to(tmp_path / "temporary")


PROGRAM = f"""
import os, sys, numpy as np
from keras_transfer import cache, cache_folders
with cache.new_entry("{KEY}", {{}}) as writer:
    writer.append("a", np.arange(5))
print(cache.open_entry("{KEY}").folder)
if "kill" in sys.argv:
    sys.stdout.flush()
    os.kill(os.getpid(), 9)
"""


def test_temporary_folders_go_with_their_process(folder, tmp_path):
    folder.write_text("a file")
    place = tmp_path / "elsewhere"
    place.mkdir()
    for how, left in (("kill", 1), ("kill", 1), ("end", 0)):  # what a killed process leaves is removed by the next
        call = [sys.executable, "-c", PROGRAM, how]
        done = subprocess.run(
            call, env=os.environ | {"TMPDIR": str(place)}, capture_output=True, text=True, check=False
        )
        assert str(place) in done.stdout, done.stderr
        assert len(list(place.iterdir())) == left
