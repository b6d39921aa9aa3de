"""The registry: what was added stays as it was, what is in use follows from the history, and nothing is ever half."""

import csv
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from keras_transfer.cli.app import app
from keras_transfer.cli.options import model_path
from keras_transfer.errors import GateError, InputError
from keras_transfer.operations import registry as room
from keras_transfer.operations.registry import Registry

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bench(import_benchmark: Any) -> ModuleType:
    module: ModuleType = import_benchmark("registry")
    module.LARGEST = 4096
    return module


@pytest.fixture(params=["folder", "memory", "s3"])
def registry(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path / "cache"))
    if request.param == "folder":
        return room.open_registry(tmp_path / "registry")
    if request.param == "memory":
        pytest.importorskip("fsspec")
        return room.open_registry(f"memory://{tmp_path}")
    return room.open_registry(f"{request.getfixturevalue('bucket')}/{tmp_path.name}")


@pytest.fixture(scope="module")
def bucket() -> Any:
    """A bucket of a server of S3 on this machine."""
    if find_spec("moto") is None or find_spec("s3fs") is None:
        pytest.skip("needs moto[server] and s3fs, which are in no extra of this package")
    moto, s3fs = pytest.importorskip("moto.server"), pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ACCESS_KEY_ID", "made-up")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        s3fs.S3FileSystem(endpoint_url=f"http://{host}:{port}").mkdir("models")
        yield "s3://models"
    server.stop()


def test_versions_follow_one_another(registry: Registry, bench: ModuleType, tmp_path: Path) -> None:
    runs = [bench.made_run(tmp_path / f"run{seed}", seed) for seed in range(3)]
    (runs[0] / "checkpoints").mkdir()
    (runs[0] / "checkpoints" / "weights").write_bytes(b"only for resuming")
    added = [room.add(registry, run, "cats") for run in runs]
    assert [version["version"] for version in added] == [1, 2, 3]
    assert room.add(registry, runs[1], "cats") == added[1]  # the same content is the same version
    assert registry.names() == ["cats"] and room.versions(registry, "cats") == added
    assert "model.keras" in added[0]["files"] and not any("checkpoints" in path for path in added[0]["files"])
    folder = room.open_version(registry, "cats@2")
    assert (folder / "model.keras").read_bytes() == (runs[1] / "model.keras").read_bytes()
    assert room.verify(registry) == []


def test_what_is_in_use_can_be_taken_back(registry: Registry, bench: ModuleType, tmp_path: Path) -> None:
    for seed in range(3):
        room.add(registry, bench.made_run(tmp_path / f"run{seed}", seed), "cats")
    with pytest.raises(InputError, match="no champion yet: `keras-transfer models promote cats@3`"):
        room.find(registry, "cats@champion")
    for reference in ("cats@1", "cats@3", "cats@2"):
        room.promote(registry, reference)
    room.promote(registry, "cats@1", "challenger")
    assert room.aliases(room.history(registry, "cats")) == {"champion": 2, "challenger": 1}
    assert [room.rollback(registry, "cats")["version"] for _ in range(2)] == [3, 1]
    assert room.find(registry, "cats@champion")["version"] == 1
    with pytest.raises(InputError, match="There is no champion of cats before the present one"):
        room.rollback(registry, "cats")
    shown = [(event["action"], event["before"], event["version"]) for event in room.history(registry, "cats")]
    assert shown[:4] == [("promote", None, 1), ("promote", 1, 3), ("promote", 3, 2), ("promote", None, 1)]
    assert shown[4:] == [("rollback", 2, 3), ("rollback", 3, 1)]


def test_two_who_write_at_once(
    registry: Registry, bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is second finds its number taken, and reads anew what it stands on."""
    for seed in range(2):
        room.add(registry, bench.made_run(tmp_path / f"run{seed}", seed), "cats")
    create = type(registry.store).create

    def late(store: Any, path: str, content: bytes) -> bool:
        monkeypatch.setattr(type(registry.store), "create", create)
        room.promote(registry, "cats@1")
        return create(store, path, content)

    monkeypatch.setattr(type(registry.store), "create", late)
    assert room.promote(registry, "cats@2")["before"] == 1
    assert [event["number"] for event in room.history(registry, "cats")] == [1, 2]


def test_a_version_knows_where_it_comes_from(tmp_path: Path, bench: ModuleType) -> None:
    registry = room.open_registry(tmp_path / "registry")
    first, second = (bench.made_run(tmp_path / f"run{seed}", seed) for seed in range(2))
    result = json.loads((second / "result.json").read_text())
    (second / "result.json").write_text(json.dumps({**result, "base": str(first)}))
    (second / "data.csv").write_text((first / "data.csv").read_text() + f"b.jpg,dog,val,{77:064x},\n")
    room.add(registry, first, "cats")
    lineage = room.add(registry, second, "cats")["lineage"]
    assert lineage == {
        "parent": "cats@1", "base": str(first), "items_added": 1, "items_removed": 0, "recipe_changes": ["seed"]
    }  # fmt: skip
    named = room.add(registry, bench.made_run(tmp_path / "run5", 5), "cats", parent="cats@2")["lineage"]
    assert (named["parent"], named["items_added"], named["items_removed"]) == ("cats@2", 1, 2)


def test_what_cannot_be(tmp_path: Path, bench: ModuleType) -> None:
    registry = room.open_registry(tmp_path / "registry")
    run = bench.made_run(tmp_path / "run", 0)
    for name in ("../cats", "", ".cats", "cats@1"):
        with pytest.raises(InputError, match="A name has letters"):
            room.add(registry, run, name)
    with pytest.raises(InputError, match="holds no finished run"):
        room.add(registry, tmp_path, "cats")
    with pytest.raises(InputError, match="has no cats: it has nothing"):
        room.find(registry, "cats@1")
    room.add(registry, run, "cats")
    for reference, said in (("cats", "A version is named"), ("cats@7", "has the versions 1."), ("cats@best", "named")):
        with pytest.raises(InputError, match=said):
            room.promote(registry, reference)


def test_a_record_names_no_file_elsewhere(tmp_path: Path, bench: ModuleType) -> None:
    registry = room.open_registry(tmp_path / "registry")
    room.add(registry, bench.made_run(tmp_path / "run", 0), "cats")
    path = tmp_path / "registry" / "cats" / "versions" / "1.json"
    record = {key: value for key, value in json.loads(path.read_text()).items() if key != "seal"}
    record["files"]["../../../stolen"] = record["files"]["model.keras"]
    path.write_bytes(room._seal({**record, "id": room._hash_of(record["files"])}))
    with pytest.raises(InputError, match="is no record of cats@1"):
        room.open_version(registry, "cats@1")


def test_the_commands(
    tmp_path: Path, bench: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(room.VARIABLE, str(tmp_path / "registry"))

    def call(*words: object) -> str:
        app(["models", *map(str, words)], standalone_mode=False)
        return capsys.readouterr().out

    for seed in range(2):
        said = call("add", bench.made_run(tmp_path / f"run{seed}", seed), "cats")
    assert "models promote cats@2" in said
    assert "The champion is cats@1." in call("promote", "cats@1")
    assert "The champion is cats@2 (before: cats@1)." in call("promote", "cats@2")
    assert json.loads(call("rollback", "cats", "--json"))["version"] == 1
    assert [row["alias"] for row in json.loads(call("list", "--json"))] == ["champion", ""]
    assert "cats@2" in call("list") and "rollback" in call("show", "cats@champion")
    assert call("verify").endswith("every file is as it was added.\n")
    champion = model_path("cats@champion")
    assert (champion / "result.json").is_file()
    (champion / "model.keras").write_bytes(b"forged")
    with pytest.raises(GateError, match="1 problems"):
        call("verify")
    assert "cats@1: model.keras has changed since it was added" in capsys.readouterr().out


def test_writers_at_once_killed_and_rolled_back(tmp_path: Path) -> None:
    """The benchmark in small; `python benchmarks/registry.py` is the whole."""
    counts = {"--writers": 8, "--kills": 6, "--flips": 6}
    words = [str(word) for pair in counts.items() for word in pair]
    call = [sys.executable, str(ROOT / "benchmarks" / "registry.py"), *words, "--csv", str(tmp_path / "out.csv")]
    done = subprocess.run(call, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=300)
    assert (tmp_path / "out.csv").is_file(), done.stderr
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    # How long a rollback takes is not what is tested here: machines are shared.
    assert [row["ok"] for row in rows if "rollback" not in row["what"]] == ["True"] * 3, done.stdout + done.stderr
