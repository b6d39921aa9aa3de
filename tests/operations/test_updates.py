"""Updates of devices: only what is whole, signed, newer and fit for the app is read."""

import random
from pathlib import Path

import pytest

from keras_transfer.cli.app import app
from keras_transfer.errors import InputError
from keras_transfer.operations import registry as room
from keras_transfer.operations import updates

pytest.importorskip("cryptography", reason="needs cryptography")
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = updates.public_key(KEY)
FILES = {"model.tflite": b"a model", "labels.txt": "crème brûlée\nsushi\n".encode()}
NAMES = ("crème brûlée", "sushi")


def manifest(serial: int = 8, **more: int) -> bytes:
    return updates.make_update(FILES, NAMES, KEY, model="cats@3", serial=serial, **more)


def refused(content: bytes, *, version: int = 1, since: int = 0) -> str:
    with pytest.raises(updates.UpdateError) as raised:
        updates.read_update(content, PUBLIC, app=version, since=since)
    return raised.value.reason


def test_what_was_signed_is_read() -> None:
    update = updates.read_update(manifest(), PUBLIC, app=1, since=7)
    assert (update.model, update.serial, update.app, update.labels) == ("cats@3", 8, 1, NAMES)
    assert [file.name for file in update.files] == list(FILES)
    for file in update.files:
        updates.check_file(file, FILES[file.name])
        for content in (FILES[file.name][:-1], b"", FILES[file.name] + b"\0", b"A" + FILES[file.name][1:]):
            with pytest.raises(updates.UpdateError):
                updates.check_file(file, content)


def test_no_bit_may_change() -> None:
    content = manifest()
    for at in range(len(content)):
        bit = 1 << at % 8
        assert refused(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]) in (
            updates.DAMAGED,
            updates.FORGED,
        )
        assert refused(content[:at]) == updates.DAMAGED
    chance = random.Random(0)
    for length in range(0, 400, 7):
        assert refused(chance.randbytes(length)) == updates.DAMAGED


def test_what_else_is_refused() -> None:
    assert refused(manifest(serial=8), since=8) == updates.OLD
    assert refused(manifest(app=2)) == updates.APP
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    assert refused(updates.make_update(FILES, NAMES, other, model="cats@3")) == updates.FORGED
    for name in ("../model.tflite", "a b", "", ".hidden"):
        with pytest.raises(InputError, match="Files are named by"):
            updates.make_update({name: b""}, NAMES, KEY, model="cats@3")
    with pytest.raises(InputError):
        updates.make_update(FILES, ["two\nlines"], KEY, model="cats@3")


def test_the_files_of_kits(tmp_path: Path) -> None:
    """Of a page the model and what says how to use it, not the page; of an app its assets."""
    web, assets = (tmp_path / name for name in ("export/web", "export/android/app/src/main/assets"))
    for folder, names in (
        (web, "index.html page.js a.tflite model.json vocab.txt"),
        (assets, "model.tflite labels.txt"),
    ):
        folder.mkdir(parents=True)
        for name in names.split():
            (folder / name).write_text(name)
    (web / "model.json").write_text('{"file": "a.tflite"}')
    assert set(updates.release_files(tmp_path, "web")) == {"a.tflite", "model.json", "vocab.txt"}
    assert set(updates.release_files(tmp_path, "android")) == {"model.tflite", "labels.txt"}


def test_the_commands(tmp_path: Path, import_benchmark, capsys: pytest.CaptureFixture[str]) -> None:
    bench = import_benchmark("registry")
    run = bench.made_run(tmp_path / "run", 0)
    (run / "labels.txt").write_text("cat\ndog\n")
    registry = room.open_registry(tmp_path / "registry")
    room.add(registry, run, "cats")

    def call(*words: object) -> str:
        app(["models", *map(str, words)], standalone_mode=False)
        return capsys.readouterr().out

    key, out = tmp_path / "key.pem", tmp_path / "out"
    public = call("key", key).strip()
    assert len(public) == 64 and key.stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="there already"):
        call("key", key)
    words = ("release", "cats@1", out, "--key", key, "--registry", registry.place, "--target")
    assert "cats@1: 2 files" in call(*words, "file")
    update = updates.read_update((out / updates.MANIFEST).read_bytes(), public, app=1)
    assert update.labels == ("cat", "dog")
    for file in update.files:
        updates.check_file(file, (out / file.name).read_bytes())
    with pytest.raises(InputError, match=r"was not exported for web: .* --target web"):
        call(*words, "web")
    key.write_text("no key")
    with pytest.raises(InputError, match="holds no private key"):
        call(*words, "file")
