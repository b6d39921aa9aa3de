"""The kit for microcontrollers: what reads a sensor compiled, and run against TFLM's own library."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from series_kits import CHANNELS, LENGTH, NAMES, RATE, make_kit, make_model, make_series
from tflm_program import STRICT, check_sketch, run_program

from keras_transfer.errors import GateError
from keras_transfer.exporters.targets import Kit, kit_writer
from keras_transfer.litert import convert, open_litert, read_flatbuffer, tflm
from keras_transfer.litert.runtime import quantized
from keras_transfer.modalities.series.builder import normalization_of
from keras_transfer.modalities.series.golden import hard_values
from keras_transfer.modalities.series.modality import MODALITY
from keras_transfer.modalities.series.preparer import SeriesPreparer
from keras_transfer.modalities.series.targets import microcontroller
from keras_transfer.models import model_inputs

SOURCES = ("classifier.cc", "model.cc", "golden.cc", "sensor.cc")
pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++"),
    pytest.mark.skipif(not tflm.has_tflm(), reason="needs the extra `microcontroller`"),
]


@pytest.fixture(scope="module")
def kit() -> Kit:
    return make_kit("int8", "microcontroller")


@pytest.fixture(scope="module")
def folder(kit: Kit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("microcontroller")
    assert kit_writer("microcontroller", "series") is microcontroller.write
    files = microcontroller.write(kit, place)
    assert sorted(files) == sorted(path for path in place.rglob("*") if path.is_file())
    return place


def test_every_byte_of_the_test_series_is_pythons(folder: Path) -> None:
    given = (folder / "golden_series.raw").read_bytes()
    code, said = run_program(folder, "sensor_test.cc", SOURCES, given)
    assert (code, said) == (0, f"4 series, 0 of {4 * 6 * LENGTH} bytes differ.\n")
    code, said = run_program(folder, "sensor_test.cc", SOURCES, np.roll(np.frombuffer(given, "<f4"), 99).tobytes())
    assert code == 1


def test_halves_and_values_out_of_range_are_pythons(kit: Kit, folder: Path, tmp_path: Path) -> None:
    tensor = (info := read_flatbuffer(kit.content)).tensors[info.inputs[0]]
    values = hard_values(tensor.scale[0])
    (tmp_path / "main.cc").write_text(
        '#include <cstdio>\n#include "classifier.h"\n'
        "int main() { float v; while (fread(&v, 4, 1, stdin) == 1) putchar(Quantize(v)); }\n"
    )
    program = tmp_path / "quantize"
    subprocess.run([*STRICT, "-std=c++11", "-O2", f"-I{folder}", tmp_path / "main.cc", "-o", program], check=True)
    found = subprocess.run([program], input=values.tobytes(), capture_output=True, check=True).stdout
    np.testing.assert_array_equal(np.frombuffer(found, np.int8), quantized(values, tensor))


def test_the_test_items_agree(folder: Path) -> None:
    code, said = run_program(folder, "golden_test.cc", SOURCES)
    assert code == 0 and "All 4 items agree" in said


def test_it_reads_lines_as_they_come(kit: Kit, folder: Path) -> None:
    series, labels = make_series(3, seed=5, length=2 * LENGTH)
    lines = [", ".join(map(repr, row.tolist())) for row in series.reshape(-1, 6)]
    code, said = run_program(folder, "main.cc", SOURCES, "\n".join(["Hello", *lines, "1,2"]).encode())
    shown = [re.fullmatch(r"([\d.]+) s: (.+), (\d+)%", line).groups() for line in said.splitlines()]
    hop = LENGTH // 4
    ends = range(LENGTH, 6 * LENGTH + 1, hop)
    assert code == 0 and [row[0] for row in shown] == [f"{end / RATE:.2f}" for end in ends]
    for at, label in zip(shown[4::8], labels, strict=True):
        assert at[1] == NAMES[label]
    windows = np.stack([series.reshape(-1, 6)[end - LENGTH : end] for end in ends])
    file = open_litert(kit.content, threads=1)
    scores = file.predict(quantized(windows, file.inputs[0]))
    smoothed = scores[0]
    for own, (_, name, share) in zip(scores, shown, strict=True):
        smoothed = (smoothed + own) / 2
        assert name == NAMES[smoothed.argmax()] and abs(100 * smoothed.max() - int(share)) < 2


def test_the_sketch_reads_an_imu(folder: Path) -> None:
    assert check_sketch(folder) == {"model", "classifier", "golden", "sensor"}
    text = (folder / "arduino" / "classifier" / "classifier.ino").read_text()
    assert "IMU.readGyroscope(moment[3]" in text and '// the latest samples: "ax", "ay"' in text
    assert "$" not in text and f"kSampleRate = {RATE}f" in (folder / "sensor.h").read_text()
    assert "sensor_test.cc compares" in (folder / "README.txt").read_text()


def test_another_sensor_has_a_place(tmp_path: Path) -> None:
    microcontroller.write(make_kit("int8", "microcontroller", width=2, rate=None), tmp_path)
    check_sketch(tmp_path)
    text = (tmp_path / "arduino" / "classifier" / "classifier.ino").read_text()
    assert "analogRead(A0 + i)" in text and "IMU" not in text
    assert "kSampleRate = 0.0f" in (tmp_path / "sensor.h").read_text()


def test_channels_in_unlike_units_are_normalized_as_python_does(kit: Kit, tmp_path: Path) -> None:
    model, series = make_model(), make_series(96)[0]
    preparer = SeriesPreparer(LENGTH, CHANNELS, RATE, normalization=normalization_of(model))
    part = MODALITY.quantized_part(model)
    assert part is not model
    spec, normalized = preparer.spec(model_inputs(part)), preparer.normalized(series)
    options = {"calibration": normalized, "input_dtype": "int8", "per_tensor_dense": True}
    content = convert(part, ["int8"], item=spec.tensors, **options)["int8"]
    microcontroller.write(replace(kit, content=content, inputs=spec), tmp_path)
    code, said = run_program(tmp_path, "sensor_test.cc", SOURCES, (tmp_path / "golden_series.raw").read_bytes())
    assert (code, said) == (0, f"4 series, 0 of {4 * 6 * LENGTH} bytes differ.\n")
    by_window = replace(preparer, normalization="window").spec(spec.tensors)
    with pytest.raises(GateError, match="train without --normalize window"):
        microcontroller.write(replace(kit, content=content, inputs=by_window), tmp_path)
