"""The app around a model of sounds."""

import json
from pathlib import Path

import pytest
from app_folder import check_app
from sound_kits import FRONT_END, NAMES, SAMPLES, make_kit

from keras_transfer.exporters.android_app import ASSETS, GOLDEN
from keras_transfer.exporters.targets import kit_writer
from keras_transfer.modalities.audio.targets import android


@pytest.mark.parametrize("kind", ["int8", "float32"])
def test_the_folder_is_the_app_with_the_model_and_its_front_end(kind: str, tmp_path: Path) -> None:
    kit, out = make_kit(kind, "android"), tmp_path / "android"
    assert kit_writer("android", "audio") is android.write
    assert check_app(android.write(kit, out), out) == {"model.tflite", "labels.txt", "front_end.json"}
    assert (out / ASSETS / "labels.txt").read_text().splitlines() == NAMES
    assert json.loads((out / ASSETS / "front_end.json").read_text()) == FRONT_END.to_dict()
    assert len((out / GOLDEN / "clips.csv").read_text().splitlines()) == 9
    assert (out / GOLDEN / "clip_000.samples").stat().st_size == 2 * SAMPLES
    text = (out / "README.txt").read_text()
    assert ("uint8 [1, 48, 32] in" if kind == "int8" else f"float32 [1, {SAMPLES}] in") in text
    assert "8 of the test clips" in text
