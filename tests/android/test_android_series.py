"""The app around a model of series."""

import json
from pathlib import Path

import pytest
from app_folder import check_app
from series_kits import LENGTH, NAMES, make_kit

from keras_transfer.exporters.android_app import ASSETS, GOLDEN
from keras_transfer.exporters.targets import kit_writer
from keras_transfer.modalities.series.targets import android


def test_the_folder_is_the_app_with_the_model_and_what_its_sensor_gives(tmp_path: Path) -> None:
    kit, out = make_kit("int8", "android"), tmp_path / "android"
    assert kit_writer("android", "series") is android.write
    assert check_app(android.write(kit, out), out) == {"model.tflite", "labels.txt", "sensor.json"}
    assert (out / ASSETS / "labels.txt").read_text().splitlines() == NAMES
    settings = {"rate": 50.0, "hop": LENGTH // 4, "acceleration": 1, "rotation": 1}
    settings |= {"means": [], "deviations": []}
    assert json.loads((out / ASSETS / "sensor.json").read_text()) == settings
    assert len((out / GOLDEN / "series.csv").read_text().splitlines()) == 9
    sizes = [(out / GOLDEN / f"series_000.{kind}").stat().st_size for kind in ("samples", "input")]
    assert sizes == [4 * 6 * LENGTH, 6 * LENGTH]
    text = (out / "README.txt").read_text()
    assert f"uint8 [1, {LENGTH}, 6] in" in text and "8 of the test series" in text


def test_channels_of_no_phone_have_no_app(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert android.write(make_kit("float32", "android", width=2), tmp_path) == []
    assert "the model has 2" in " ".join("".join(capsys.readouterr()).split()) and not list(tmp_path.iterdir())
