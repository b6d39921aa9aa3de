"""The array cache: whole entries or none, checksums, bounds, several processes."""

import os
import subprocess
import sys

import numpy as np
import pytest

from keras_transfer import cache
from keras_transfer.errors import InputError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make(key, rows=10, value=1.0):
    with cache.new_entry(key, {"kind": "test"}) as writer:
        for _ in range(rows):
            writer.append("a", np.full((1, 4), value, np.float32))
            writer.append("b", np.arange(3, dtype=np.uint8).reshape(1, 3))


def test_what_is_written_is_read_back():
    key = cache.cache_key(x=1)
    assert cache.open_entry(key) is None
    make(key, rows=7, value=2.5)
    arrays = cache.open_entry(key)
    assert arrays["a"].shape == (7, 4) and arrays["a"].dtype == np.float32 and (arrays["a"] == 2.5).all()
    assert arrays["b"].shape == (7, 3) and (arrays["b"][6] == [0, 1, 2]).all()
    arrays.release_pages()
    assert (arrays["a"] == 2.5).all()


def test_scalars_can_be_rows():
    with cache.new_entry("f" * 32, {}) as writer:
        writer.append("a", np.arange(5))
    assert cache.open_entry("f" * 32)["a"].tolist() == [0, 1, 2, 3, 4]


def test_rows_of_another_shape_are_refused_and_leave_nothing(folder):
    with pytest.raises(ValueError, match="Rows of `a`"), cache.new_entry("0" * 32, {}) as writer:
        writer.append("a", np.zeros((1, 2)))
        writer.append("a", np.zeros((1, 3)))
    assert cache.entries() == [] and list(folder.iterdir()) == []


@pytest.mark.parametrize("damage", ["flip", "truncate", "describe"])
def test_a_damaged_entry_is_noticed_and_removed(folder, damage):
    key = "a" * 32
    make(key)
    file = folder / key / "a.npy"
    if damage == "flip":
        content = bytearray(file.read_bytes())
        content[-3] ^= 1
        file.write_bytes(content)
    elif damage == "truncate":
        file.write_bytes(file.read_bytes()[:-5])
    else:
        (folder / key / "entry.json").write_text("{")
    assert cache.open_entry(key) is None
    assert not (folder / key).exists()
    make(key)
    assert cache.open_entry(key) is not None


def test_the_least_recently_used_entry_goes_first(monkeypatch):
    monkeypatch.setenv("KERAS_TRANSFER_CACHE_GB", str(40_000 / 2**30))
    keys = [f"{i:032x}" for i in range(4)]
    for age, key in enumerate(keys[:3]):
        make(key, rows=500)  # about 10 KB each
        os.utime(cache.cache_folder() / key / "entry.json", (1000 + age, 1000 + age))
    cache.open_entry(keys[0]).close()  # used just now
    make(keys[3], rows=500)
    left = {entry.key for entry in cache.entries()}
    assert keys[3] in left and keys[0] in left and keys[1] not in left


def test_what_is_held_open_is_not_evicted_nor_cleared():
    make("1" * 32)
    make("2" * 32)
    held = cache.open_entry("1" * 32)
    cache.clear()
    assert [entry.key for entry in cache.entries()] == ["1" * 32]
    held.close()
    assert cache.clear() > 0 and cache.entries() == []


def test_two_processes_may_make_the_same_entry():
    program = (
        "import numpy as np\nfrom keras_transfer import cache\n"
        "with cache.new_entry('c' * 32, {}) as writer:\n"
        "    for i in range(300):\n        writer.append('a', np.full((1, 100), i))\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert (cache.open_entry("c" * 32)["a"][:, 0] == np.arange(300)).all()
    assert len(cache.entries()) == 1


def test_a_killed_writer_leaves_no_entry(folder):
    program = (
        "import numpy as np, os, signal\nfrom keras_transfer import cache\n"
        "with cache.new_entry('d' * 32, {}) as writer:\n"
        "    writer.append('a', np.zeros((1, 4)))\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    assert cache.open_entry("d" * 32) is None
    for left in folder.glob(".making-*"):
        os.utime(left, (0, 0))
    make("e" * 32)
    assert not list(folder.glob(".making-*"))


@pytest.mark.parametrize("told", ["", "no", "-1", "0", "nan"])
def test_a_wrong_bound_is_refused(monkeypatch, told):
    monkeypatch.setenv("KERAS_TRANSFER_CACHE_GB", told)
    with pytest.raises(InputError, match="KERAS_TRANSFER_CACHE_GB"):
        cache.cache_bound()


def test_keys_follow_the_content_only():
    assert cache.cache_key(a=1, b=[2]) == cache.cache_key(b=[2], a=1) != cache.cache_key(a=1, b=[3])
