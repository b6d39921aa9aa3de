"""`check` on sound, foreign and damaged files: verdicts, exit codes, and never more than one sentence."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crafted import Graph

from keras_transfer.cli import options
from keras_transfer.cli.check import _reasons
from keras_transfer.errors import InputError
from keras_transfer.exporters.targets import TARGETS, judge
from keras_transfer.jobs.check import judge_file

LIGHT = ["android", "edgetpu", "web"]  # that run no compiler


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "keras_transfer.cli", "check", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def benchmark(import_benchmark: Any) -> Any:
    """`benchmarks/mutated_files.py` as a module."""
    return import_benchmark("mutated_files")


@pytest.fixture(scope="module")
def sources(benchmark: Any) -> list[bytes]:
    """A classifier as an int8 and a float32 file."""
    return benchmark.make_sources()


@pytest.fixture(scope="module")
def int8(sources: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("check") / "int8.tflite"
    path.write_bytes(sources[0])
    return path


@pytest.fixture(scope="module")
def float32(sources: list[bytes], int8: Path) -> Path:
    path = int8.with_name("float32.tflite")
    path.write_bytes(sources[1])
    return path


def test_one_target_is_an_object(int8: Path) -> None:
    done = command(int8, "--target", "edgetpu", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    content = int8.read_bytes()
    identity = {"file": str(int8), "sha256": hashlib.sha256(content).hexdigest()}
    assert json.loads(done.stdout) == {**identity, **judge(content, "edgetpu")}


def test_several_targets_are_a_list_and_a_refusal_ends_with_3(float32: Path) -> None:
    done = command(float32, "--target", "web", "--target", "edgetpu", "--json")
    assert done.returncode == 3
    assert [(v["target"], v["ok"]) for v in json.loads(done.stdout)] == [("web", True), ("edgetpu", False)]
    assert done.stderr.count("\n") == 1
    assert "is refused for edgetpu: leaves" in done.stderr
    assert "web" not in done.stderr


def test_the_help_names_all_targets() -> None:
    assert options.TARGETS.replace(" or ", ", ").split(", ") == list(TARGETS)


def test_without_a_target_it_only_informs(float32: Path) -> None:
    done = command(float32, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert {v["target"]: v["ok"] for v in json.loads(done.stdout)}["edgetpu"] is False


def test_the_table(float32: Path) -> None:
    done = command(float32, "--target", "edgetpu")
    assert done.returncode == 3
    assert "works on float32, not int8 or uint8" in done.stdout
    assert "│ edgetpu │ no" in done.stdout


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "header"), (b"PK\x03\x04" + bytes(50), "header"), (b"\x1c\0\0\0TFL3" + bytes(400), "damaged")],
)
def test_a_file_of_another_kind_ends_with_2(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(content)
    done = command(path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {path}: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_all_targets_by_default_and_a_missing_tool_leaves_one_open(int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from keras_transfer.exporters.targets import ethos_u

    monkeypatch.setattr(ethos_u.shutil, "which", lambda *_, **__: None)
    verdicts = judge_file(int8, None, {})
    assert [verdict["target"] for verdict in verdicts] == list(TARGETS)
    left = next(verdict for verdict in verdicts if verdict["target"] == "ethos-u")
    assert (left["ok"], left["mapped"]) == (None, None)
    assert "pip install 'ethos-u-vela" in left["why"]
    with pytest.raises(InputError, match="pip install"):
        judge_file(int8, ["ethos-u"], {})


def test_the_same_code_as_export(int8: Path) -> None:
    for verdict in judge_file(int8, LIGHT, {}):
        assert verdict.items() >= judge(int8.read_bytes(), verdict["target"]).items()


@pytest.mark.parametrize(
    ("targets", "options", "sentence"),
    [
        (["toaster"], {}, "must be out of android, edgetpu"),
        (["web"], {"fit": "ram=1KB"}, "--fit is for --target microcontroller"),
        (["edgetpu"], {"accelerator": "U55-32"}, "--accelerator is for --target ethos-u"),
    ],
)
def test_wrong_calls(int8: Path, targets: list[str], options: dict[str, str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        judge_file(int8, targets, options)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"Cannot read absent\.tflite"):
        judge_file(Path("absent.tflite"), LIGHT, {})


def test_options_reach_their_target(int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def judged(content: bytes, info: Any, **told: str) -> dict[str, Any]:
        seen.update(told)
        return {"target": "microcontroller", "ok": True, "operators": 1, "mapped": 1, "cpu": [], "why": ""}

    row = TARGETS["microcontroller"]
    monkeypatch.setitem(TARGETS, "microcontroller", type(row)(row.what, judged))
    judge_file(int8, ["microcontroller", "web"], {"fit": "flash=1MB", "board": "rp2040"})
    assert seen == {"fit": "flash=1MB", "board": "rp2040"}


def test_a_model_with_operators_from_elsewhere_is_judged_without_running_it(tmp_path: Path) -> None:
    graph = Graph()
    x = graph.conv(graph.input((1, 8, 8, 4), "uint8"), (1, 8, 8, 4), "uint8")
    graph.op("PosenetDecoderOp", [x], (1, 10), "float32")
    path = tmp_path / "posenet.tflite"
    path.write_bytes(graph.file())
    web, edgetpu = judge_file(path, ["web", "edgetpu"], {})
    assert (web["ok"], edgetpu["ok"], edgetpu["mapped"]) == (False, True, 1)


def test_reasons_are_grouped() -> None:
    left = [{"index": i, "op": "CONV_2D", "why": "a"} for i in range(6)] + [{"index": 9, "op": "ADD", "why": "b"}]
    assert _reasons({"cpu": left}) == [("0, 1, 2, 3 and 2 more", "CONV_2D", "a"), ("9", "ADD", "b")]
    many = [{"index": i, "op": f"O{i}", "why": "c"} for i in range(20)]
    assert _reasons({"cpu": many})[-1] == ("...", "", "12 more reasons: see --json")


def test_mutated_files_end_in_one_sentence(benchmark: Any, sources: list[bytes]) -> None:
    rows = benchmark.measure(sources, 84, LIGHT, seed=1)
    assert sum(row["files"] for row in rows) == 84
    assert [row["other"] for row in rows] == [0] * len(rows)
    for action in ("check judged", "check refused", "predict answered", "predict refused", "evaluate answered"):
        assert sum(row[action] for row in rows) > 5
    assert next(row for row in rows if row["damage"] == "foreign")["check judged"] == 0


def test_damage_that_only_the_interpreter_sees(sources: list[bytes], tmp_path: Path) -> None:
    """A convolution whose filter has another depth than its input: sound tables, and nothing that can run."""
    graph = Graph()
    x = graph.input((1, 8, 8, 4))
    weights, bias = graph.tensor((4, 1, 1, 7), "int8", 1), graph.constant(np.zeros(4))
    graph.op("CONV_2D", [x, weights, bias], (1, 8, 8, 4))
    path = tmp_path / "odd.tflite"
    path.write_bytes(graph.file())
    with pytest.raises(InputError, match="LiteRT cannot run this file"):
        judge_file(path, LIGHT, {})
