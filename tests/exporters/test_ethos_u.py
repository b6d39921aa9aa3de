"""Vela on small networks: what it maps, what it leaves to the CPU, and what is said where it is missing or fails."""

import csv
import json
import re
import stat
import sys

import numpy as np
import pytest
from crafted import Graph

from keras_transfer.errors import InputError
from keras_transfer.exporters.targets import TARGETS, Kit, check_targets, ethos_u, judge
from keras_transfer.inputs import InputSpec
from keras_transfer.litert import convert, read_flatbuffer

try:
    ethos_u.vela()
except InputError:
    pytest.skip("needs Vela: the extra ethos-u", allow_module_level=True)


@pytest.fixture(scope="module")
def network() -> bytes:
    """An int8 network of three operators."""
    graph = Graph()
    x = graph.conv(graph.input((1, 16, 16, 4)), (1, 16, 16, 8))
    x = graph.op("MAX_POOL_2D", [x], (1, 8, 8, 8), filterWidth=2, filterHeight=2, strideW=2, strideH=2)
    return graph.file(graph.conv(x, (1, 8, 8, 4)))


@pytest.mark.parametrize("backbone", ["mobilenet", "mobilenet_v2", "mobilenet_v3_small_minimalistic"])
def test_all_of_the_mobilenets_runs_on_the_npu(backbone):
    from keras_transfer.modalities.image.backbones import BACKBONES
    from keras_transfer.modalities.image.builder import build_classifier

    smallest = min(BACKBONES[backbone].alphas, default=None)
    model = build_classifier(backbone, 4, weights=None, image_size=96, alpha=smallest)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3), dtype=np.uint8)
    content = convert(model, ["int8"], calibration=pixels)["int8"]
    verdict = judge(content, "ethos-u")
    assert (verdict["ok"], verdict["why"], verdict["cpu"]) == (True, "", [])
    assert verdict["mapped"] == verdict["operators"] == len(read_flatbuffer(content).operators)
    assert verdict["npu_share"] == 1
    assert verdict["accelerator"] == "U55-128"
    assert 0 < verdict["sram_bytes"] < 1 << 20
    assert 0 < verdict["flash_bytes"] < 1.1 * len(content)  # Vela compresses weights, of random ones hardly any
    assert verdict["inference_ms"] == pytest.approx(1000 * verdict["cycles"] / verdict["clock_hz"], rel=0.01)
    assert verdict["cycles"] > verdict["macs"] / 128


def test_what_vela_leaves_to_the_cpu():
    graph = Graph()
    x = graph.conv(graph.input((1, 8, 8, 4)), (1, 8, 8, 4))
    x = graph.op("DEQUANTIZE", [x], dtype="float32")
    x = graph.op("QUANTIZE", [graph.op("SIN", [x], dtype="float32")])
    for _ in range(3):
        x = graph.conv(x, (1, 8, 8, 4))
    verdict = judge(graph.file(x), "ethos-u")
    assert (verdict["ok"], verdict["mapped"], verdict["operators"]) == (True, 4, 7)
    assert [(left["index"], left["op"]) for left in verdict["cpu"]] == [(1, "DEQUANTIZE"), (2, "SIN"), (3, "QUANTIZE")]
    assert "Unsupported opType" in verdict["cpu"][1]["why"]
    assert verdict["why"].startswith("leaves 3 of 7 operators to the CPU; the first, operator 1 (DEQUANTIZE)")
    assert 0 < verdict["npu_share"] < 1


@pytest.mark.photos
def test_a_file_of_whose_operators_vela_makes_many(shared_data):
    """Vela's own list of what it leaves to the CPU fails on it: a KeyError."""
    file = shared_data / "edgetpu" / "deeplab_mobilenet_edgetpu_slim_cityscapes_quant.tflite"
    if not file.is_file():
        pytest.skip(f"needs ../shared/data/edgetpu/{file.name}, which is not on this machine")
    verdict = judge(file.read_bytes(), "ethos-u")
    assert (verdict["ok"], verdict["mapped"], verdict["operators"]) == (True, 83, 84)
    [left] = verdict["cpu"]
    assert (left["index"], left["op"]) == (82, "RESIZE_BILINEAR")
    assert "unsupported scale-factor=16" in left["why"]


def test_a_float_file_is_refused():
    graph = Graph()
    x = graph.input((1, 8, 8, 4), "float32")
    graph.op("RELU", [x], dtype="float32")
    verdict = judge(graph.file(), "ethos-u")
    assert (verdict["ok"], verdict["mapped"], verdict["npu_share"]) == (False, 0, 0)


def test_more_multipliers_take_fewer_cycles(network):
    small, large = (judge(network, "ethos-u", accelerator=name) for name in ("U55-32", "U55-256"))
    assert small["cycles"] > large["cycles"]
    assert (small["macs"], small["accelerator"]) == (large["macs"], "U55-32")


def test_an_accelerator_that_is_not_there(network):
    with pytest.raises(InputError, match=r"U55-32, U55-64.*Received: 'U85-9'"):
        judge(network, "ethos-u", accelerator="U85-9")


def test_the_folder(network, tmp_path):
    kit = Kit("model_int8", network, ["cat", "dog", "horse", "cow"], {}, None, InputSpec("image", ()))
    written = TARGETS["ethos-u"].write(kit, tmp_path)
    assert {path.name for path in written} == {path.name for path in tmp_path.iterdir()}
    compiled = read_flatbuffer((tmp_path / "model_int8_vela.tflite").read_bytes())
    assert [operator.name for operator in compiled.operators] == ["ethos-u"]
    with (tmp_path / "configurations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["accelerator"] for row in rows] == list(ethos_u.ACCELERATORS)
    assert all(float(row["npu_share"]) == 1 and int(row["sram_bytes"]) > 0 for row in rows)
    assert json.loads((tmp_path / "configurations.json").read_text())[2]["cycles"] == int(rows[2]["cycles"])
    assert "--accelerator-config" in (tmp_path / "README.txt").read_text()


def test_without_vela(network, monkeypatch):
    monkeypatch.setattr(ethos_u.shutil, "which", lambda *_, **__: None)
    for act in (lambda: judge(network, "ethos-u"), lambda: check_targets(["ethos-u"])):
        with pytest.raises(InputError, match=r"pip install .*ethos-u-vela"):
            act()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (
            "raise RuntimeError('Compilation failed: no networks')",
            "it failed with RuntimeError: Compilation failed",
        ),
        ("import os; os.kill(os.getpid(), 11)", r"it crashed \(signal 11\)"),
        ("print('nothing else')", "nothing else"),
    ],
)
def test_vela_that_fails(network, tmp_path, monkeypatch, body, why):
    program = tmp_path / "vela"
    program.write_text(f"#!{sys.executable}\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(ethos_u, "vela", lambda: str(program))
    verdict = judge(network, "ethos-u")
    assert (verdict["ok"], verdict["mapped"], verdict["cycles"]) == (False, 0, None)
    assert re.search(why, verdict["why"])
