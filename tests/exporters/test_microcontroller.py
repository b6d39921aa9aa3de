"""What a microcontroller's owner gets: measured in TFLM, compiled, and run against TFLM's own library."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from crafted import Graph

from keras_transfer.budget import Budget
from keras_transfer.errors import GateError, InputError
from keras_transfer.evaluation import open_classifier
from keras_transfer.exporters import export, judge, recommend
from keras_transfer.exporters.targets.microcontroller import boards, sources
from keras_transfer.exporters.targets.microcontroller.operators import METHODS
from keras_transfer.litert import open_litert, read_flatbuffer, tflm

API = Path(__file__).parent / "tflm_api"
NAMES = ["red one", "grün", 'a "b" ??/']
needs_tflm = pytest.mark.skipif(not tflm.has_tflm(), reason="needs the extra `microcontroller`")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
# A program is a library here, opened in a process that has TFLM's library: it is made for Python, which must be there.
RUN = """
import ctypes, os, sys
sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
from tflite_micro import runtime
sys.exit(ctypes.CDLL(sys.argv[1]).main())
"""


@pytest.fixture(scope="module")
def exported(classifier, train_split, test_split, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "export"
    options = {"formats": ["int8"], "targets": ["microcontroller", "android"], "class_names": NAMES}
    return out, export(classifier, out, calibration=train_split, proof=test_split, **options)


def compiled(folder, program, *more):
    """The program in a folder of sources, as a shared library."""
    names = [program, "classifier.cc", "model.cc", "golden.cc"]
    command = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", f"-I{API}", f"-I{folder}", *more]
    target = folder / f"{program}.so"
    subprocess.run([*command, *(folder / name for name in names), "-o", target], check=True)
    return target


def run(library):
    return subprocess.run([sys.executable, "-c", RUN, library], capture_output=True, text=True, check=False)


def test_the_delivered_file_is_proved_itself(exported, test_split):
    out, artifacts = exported
    assert [a["path"] for a in artifacts] == ["export/model_int8.tflite", "export/microcontroller/model.tflite"]
    content = (out / "microcontroller" / "model.tflite").read_bytes()
    proof = json.loads((out / "microcontroller" / "model.json").read_text())
    assert proof["input"]["dtype"] == proof["output"]["dtype"] == "int8"
    answers = open_litert(content).predict(test_split.images)
    assert proof["test_accuracy"] == np.mean(answers.argmax(1) == test_split.labels)
    assert proof["images"] == len(test_split)
    assert not read_flatbuffer(content).metadata
    assert set(proof["targets"]) == {"microcontroller"} and proof["targets"]["microcontroller"]["ok"]
    whole = json.loads((out / "model_int8.json").read_text())["targets"]
    assert not whole["microcontroller"]["ok"] and whole["android"]["ok"]


def test_the_target_named_first_decides_what_is_recommended(exported):
    out, artifacts = exported
    assert artifacts.recommended == "export/microcontroller/model.tflite"
    assert open_classifier(out.parent / artifacts.recommended).class_names == NAMES  # though the file has no metadata
    assert recommend(artifacts, ["android", "microcontroller"])["path"] == "export/model_int8.tflite"


def test_dense_layers_have_one_scale(exported):
    info = read_flatbuffer((exported[0] / "microcontroller" / "model.tflite").read_bytes())
    [dense] = [o for o in info.operators if o.name == "FULLY_CONNECTED"]
    assert len(info.tensors[dense.inputs[1]].scale) == 1


def test_vectors(exported, test_split):
    folder = exported[0] / "microcontroller"
    inputs, outputs = np.load(folder / "golden_inputs.npy"), np.load(folder / "golden_outputs.npy")
    assert len(inputs) == 50 and inputs.dtype == outputs.dtype == np.int8
    content = (folder / "model.tflite").read_bytes()
    opened, steps = open_litert(content), sources.rounding_steps(read_flatbuffer(content))
    pixels = inputs.view(np.uint8) ^ 128
    assert all(any((image == other).all() for other in test_split.images) for image in pixels[:5])
    np.testing.assert_allclose((outputs.astype(float) + 128) / 256, opened.predict(pixels), atol=steps / 255)


@needs_tflm
def test_a_network_that_says_nothing_yet_runs():
    """Before training its answers hardly differ from zero, and TFLM's softmax refuses a scale that is too fine."""
    import keras

    from keras_transfer.litert import convert

    inputs = keras.Input((16, 16, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs))
    tiny = keras.initializers.RandomNormal(stddev=1e-9, seed=0)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", kernel_initializer=tiny)(x))
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    content = convert(model, ["int8"], calibration=pixels, input_dtype="int8", per_tensor_dense=True)["int8"]
    found = judge(content, "microcontroller")
    assert (found["ok"], found["why"]) == (True, "") and found["arena_bytes"] > 0


@needs_tflm
def test_the_arena_is_the_least_that_works(exported):
    folder = exported[0] / "microcontroller"
    content = (folder / "model.tflite").read_bytes()
    arena = int(re.search(r"kTensorArenaSize = (\d+)", (folder / "model.h").read_text())[1])
    proof = json.loads((folder / "model.json").read_text())
    found = json.loads((folder / "tflm.json").read_text())
    assert arena == proof["targets"]["microcontroller"]["arena_bytes"] == found["arena_bytes"]
    image = np.load(folder / "golden_inputs.npy")[:1]
    tflm.run_tflm(content, image, arena)
    with pytest.raises(InputError):
        tflm.run_tflm(content, image, arena - 16)
    assert found["images"] == 50 and found["largest_difference"] <= found["rounding_steps"] < 12


@needs_tflm
def test_rounding_explains_what_differs(exported):
    """Sums just below a half, where TFLM and LiteRT part: the last dense layer alone, on made-up features."""
    import keras

    from keras_transfer.litert import convert

    inputs = keras.Input((1, 1, 256))
    weights = keras.initializers.RandomNormal(stddev=0.0015, seed=0)
    x = keras.layers.Dense(10, activation="softmax", kernel_initializer=weights)(keras.layers.Flatten()(inputs))
    pixels = np.random.default_rng(0).integers(0, 256, (8000, 1, 1, 256), dtype=np.uint8)
    told = {"calibration": pixels[:50], "input_dtype": "int8", "per_tensor_dense": True}
    content = convert(keras.Model(inputs, x), ["int8"], **told)["int8"]
    images = (pixels ^ np.uint8(128)).view(np.int8)
    off = np.abs(tflm.run_tflm(content, images, 1 << 16).astype(int) - sources._reference(content, images))
    assert off.max() <= sources.rounding_steps(read_flatbuffer(content))
    assert 0 < (off > 0).any(1).mean() < 0.01


@needs_compiler
def test_sources_compile(exported, tmp_path):
    """With TFLM as it was before 2026 and as it is; and the sketch, which Arduino prefixes with its header."""
    folder = exported[0] / "microcontroller"
    for program in ("main.cc", "golden_test.cc"):
        compiled(folder, program)
        compiled(folder, program, "-DTFLM_BEFORE_2026", "-fsyntax-only")
    sketch = folder / "arduino" / "classifier"
    command = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{API}", f"-I{API / 'arduino'}"]
    subprocess.run([*command, *sorted(sketch.glob("*.cpp"))], check=True)
    subprocess.run([*command, "-include", "Arduino.h", "-x", "c++", sketch / "classifier.ino"], check=True)
    assert {path.stem for path in sketch.glob("*.cpp")} == {"model", "classifier", "golden"}


@needs_compiler
@needs_tflm
def test_programs_run_against_tflm_itself(exported, tmp_path):
    folder = shutil.copytree(exported[0] / "microcontroller", tmp_path / "copy")
    done = run(compiled(folder, "golden_test.cc"))
    assert (done.returncode, done.stdout.count("equal")) == (0, 4), done.stdout + done.stderr
    done = run(compiled(folder, "main.cc"))
    answer = np.load(folder / "golden_outputs.npy")[0].argmax()
    assert done.returncode == 0 and done.stdout.startswith(f"{NAMES[answer]}: ")
    # The same programs must be able to fail.
    golden = folder / "golden.cc"
    golden.write_text(re.sub(r"-?\d+,", lambda m: "7," if m[0] != "7," else "8,", golden.read_text(), count=1))
    done = run(compiled(folder, "golden_test.cc"))
    assert done.returncode == 1 and done.stdout.count("DIFFERENT") == 1
    header = folder / "model.h"
    header.write_text(re.sub(r"(?<=ArenaSize = )\d+", lambda m: str(int(m[0]) - 1024), header.read_text()))
    done = run(compiled(folder, "main.cc"))
    assert done.returncode == 1 and "TENSOR_ARENA_EXTRA" in done.stderr


def test_without_tflm(classifier, train_split, test_split, tmp_path, monkeypatch):
    monkeypatch.setattr(tflm, "has_tflm", lambda: False)
    options = {"formats": ["int8"], "targets": ["microcontroller"], "proof": test_split}
    export(classifier, tmp_path / "e", calibration=train_split, **options)
    folder = tmp_path / "e" / "microcontroller"
    found = judge((folder / "model.tflite").read_bytes(), "microcontroller")
    assert found["ok"] and found["arena_bytes"] is None
    assert any("pip install 'tflite-micro" in note for note in found["notes"])
    assert "NOT MEASURED" in (folder / "model.h").read_text()
    assert json.loads((folder / "tflm.json").read_text())["images"] == 0


@needs_tflm
def test_the_guess_without_tflm_is_enough(exported):
    folder = exported[0] / "microcontroller"
    content = (folder / "model.tflite").read_bytes()
    guess = sources.guess(read_flatbuffer(content))
    least = json.loads((folder / "tflm.json").read_text())["arena_bytes"]
    assert least <= guess <= 2 * least


@needs_tflm
def test_other_answers_fail_the_export(classifier, train_split, test_split, tmp_path, monkeypatch):
    real = sources.run_tflm
    monkeypatch.setattr(sources, "run_tflm", lambda *told: real(*told) ^ np.int8(64))
    options = {"formats": ["int8"], "targets": ["microcontroller"], "proof": test_split}
    with pytest.raises(GateError, match=r"50 of 50 test items otherwise .* by up to 64 of 255"):
        export(classifier, tmp_path / "e", calibration=train_split, strict=True, **options)
    assert (tmp_path / "e" / "microcontroller" / "README.txt").exists()


def test_room(exported, classifier, train_split, test_split, tmp_path):
    content = (exported[0] / "microcontroller" / "model.tflite").read_bytes()
    for board in boards.BOARDS:
        assert judge(content, "microcontroller", board=board)["ok"]
    flash = len(content) + boards.CODE_BYTES
    assert judge(content, "microcontroller", fit=f"flash={flash}")["ok"]
    found = judge(content, "microcontroller", fit=f"flash={flash - 1}")
    assert not found["ok"] and not found["fit"]["flash"]["fits"] and "of flash" in found["why"]
    told = {"microcontroller": {"fit": "flash=1KB"}}
    options = {"formats": ["int8"], "targets": ["microcontroller"], "proof": test_split, "target_options": told}
    with pytest.raises(GateError, match="of flash"):
        export(classifier, tmp_path / "e", calibration=train_split, strict=True, **options)


@needs_tflm
def test_room_in_ram(exported):
    content = (exported[0] / "microcontroller" / "model.tflite").read_bytes()
    need = judge(content, "microcontroller")["arena_bytes"] + boards.MARGIN_BYTES
    assert judge(content, "microcontroller", fit=f"ram={need}")["ok"]
    found = judge(content, "microcontroller", fit=f"ram={need - 1}", board="rp2040")
    assert not found["ok"] and found["fit"]["flash"]["fits"] and not found["fit"]["ram"]["fits"]


def test_what_fits_is_what_the_table_says():
    room = Budget(flash=1 << 20, ram=256 << 10)
    rows = boards.what_fits(room)
    assert rows == sorted(rows, key=lambda row: (row.bytes, row.side), reverse=True)
    assert all(row.arena_bytes + boards.MARGIN_BYTES <= room.ram for row in rows)
    assert {row.backbone for row in rows} >= {"mobilenet", "mobilenet_v2"}
    assert "mobilenet_v2 alpha 0.35 at 96 x 96" in boards.suggestion(room)


def test_unknown_board(exported):
    content = (exported[0] / "microcontroller" / "model.tflite").read_bytes()
    with pytest.raises(InputError, match=r"rp2040.*toaster"):
        judge(content, "microcontroller", board="toaster")


def test_operators_are_litert_s_and_tflm_s():
    assert set(METHODS) <= set(vars(schema.BuiltinOperator))
    assert METHODS["DEPTHWISE_CONV_2D"] == "AddDepthwiseConv2D"


@needs_tflm
def test_every_operator_is_registered_in_the_installed_tflm():
    import tflite_micro

    [library] = Path(tflite_micro.__file__).parent.rglob("_runtime*.so")
    content = library.read_bytes()
    assert [name for name in METHODS if f"Register_{name}Ev".encode() not in content] == []


def test_files_of_before_int8():
    graph = Graph()
    x = graph.conv(graph.input((1, 8, 8, 4), "uint8"), (1, 8, 8, 4), "uint8")
    x = graph.op("RESHAPE", [x, graph.constant([1, 256])], (1, 256), "uint8")
    found = judge(graph.file(graph.dense(x, 4, "uint8")), "microcontroller")
    assert (found["ok"], found["mapped"], [left["op"] for left in found["cpu"]]) == (
        False,
        1,
        ["CONV_2D", "FULLY_CONNECTED"],
    )  # fmt: skip
    assert found["why"].startswith("computes 2 operators in uint8")


def test_an_operator_that_tflm_lacks(exported):
    content = bytearray((exported[0] / "microcontroller" / "model.tflite").read_bytes())
    model = schema.ModelT.InitFromPackedBuf(bytes(content), 0)
    from keras_transfer.litert.packing import pack

    code = next(c for c in model.operatorCodes if c.builtinCode == schema.BuiltinOperator.MEAN)
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.REDUCE_PROD
    found = judge(pack(model), "microcontroller")
    assert not found["ok"] and found["why"] == "uses operators that TFLM lacks: REDUCE_PROD"
    assert [entry["why"] for entry in found["cpu"]] == ["is not in TFLM"]
