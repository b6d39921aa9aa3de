"""The kit for microcontrollers: front end and listener compiled, and run against TFLM's own library."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from sound_kits import FRONT_END, NAMES, SAMPLES, make_clips, make_kit
from tflm_program import check_sketch, run_program

from keras_transfer.exporters import judge
from keras_transfer.litert import tflm
from keras_transfer.modalities.audio.targets import microcontroller

SOURCES = ("classifier.cc", "model.cc", "golden.cc", "listener.cc", "log_mel.cc")
pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++"),
    pytest.mark.skipif(not tflm.has_tflm(), reason="needs the extra `microcontroller`"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("microcontroller")
    files = microcontroller.write(make_kit("int8", "microcontroller"), place)
    assert sorted(files) == sorted(path for path in place.rglob("*") if path.is_file())
    return place


def test_networks_of_pictures_are_not_suggested_for_sounds() -> None:
    found = judge(make_kit("int8", "microcontroller").content, "microcontroller", fit="flash=1KB")
    assert found["why"].startswith("needs ") and "would fit" not in found["why"]


def run(folder: Path, program: str, sound: bytes) -> tuple[int, str]:
    return run_program(folder, program, SOURCES, sound)


def test_the_front_end_is_pythons_within_a_step(folder: Path) -> None:
    sound = (folder / "golden_clips.raw").read_bytes()
    code, said = run(folder, "log_mel_test.cc", sound)
    assert code == 0 and re.fullmatch("4 clips, at most [01] of 255 steps off.\n", said)
    code, said = run(folder, "log_mel_test.cc", np.roll(np.frombuffer(sound, "<i2"), 999).tobytes())
    assert code == 1 and "at most" in said


def test_the_test_items_agree(folder: Path) -> None:
    code, said = run(folder, "golden_test.cc", b"")
    assert code == 0 and "All 4 items agree" in said


def test_it_listens(folder: Path) -> None:
    clips, labels = make_clips(3, seed=5, samples=2 * 16000)
    code, said = run(folder, "main.cc", (clips * 32767).astype("<i2").tobytes())
    heard = [re.fullmatch(r"([\d.]+) s: (.+), (\d+)%", line).groups() for line in said.splitlines()]
    assert code == 0 and [float(row[0]) for row in heard[:3]] == [0.5, 0.75, 1.0]
    for second, label in zip((1.9, 3.9, 5.9), labels, strict=True):
        assert min(heard, key=lambda row: abs(float(row[0]) - second))[1] == NAMES[label]
    assert FRONT_END.samples(48) == SAMPLES


def test_the_sketch_compiles_and_has_all_it_needs(folder: Path) -> None:
    assert check_sketch(folder) == {"model", "classifier", "golden", "listener", "log_mel"}
    assert "log_mel_test.cc compares" in (folder / "README.txt").read_text()
