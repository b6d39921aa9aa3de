"""Recordings through the jobs of photographs: one run of a small network from scratch, and what is made of it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import keras_transfer as kt
from keras_transfer.cli.app import app
from keras_transfer.errors import InputError
from keras_transfer.jobs.adapt import adapt_run
from keras_transfer.jobs.add_class import add_class
from keras_transfer.jobs.compress import compress
from keras_transfer.jobs.shift import shift_run
from keras_transfer.jobs.train import train
from keras_transfer.litert.labels import read_inputs
from keras_transfer.modalities.audio.backbones import AUDIO_BACKBONES
from keras_transfer.models import read_inputs as inputs_of_model
from keras_transfer.recipe import Compression, make_recipe

sys.path.append(str(Path(__file__).parents[1] / "audio"))
from sounds import melody, noise, write


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise and tones: of each twelve files of a second, and an OGG of five."""
    folder = tmp_path_factory.mktemp("recordings")
    for number in range(12):
        write(folder / "noise" / f"{number}.wav", noise(1, seed=number))
        write(folder / "tones" / f"{number}.wav", melody(1, seed=number))
    write(folder / "noise" / "long.ogg", noise(5, seed=99))
    write(folder / "tones" / "long.ogg", melody(5, seed=99))
    return folder


@pytest.fixture(scope="module")
def run(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose float32 and int8 files were proved."""
    recipe = make_recipe(
        data=str(recordings),
        window=1.0,
        hop=0.5,
        backbone="ds_cnn",
        strategy="scratch",
        epochs=2,
        formats=("float32", "int8"),
        val=0.3,
        test=0.3,
        tolerance=0.9,
        baselines="none",
    )
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = train(recipe, folder)
    assert [entry["gate"]["ok"] for entry in result["artifacts"]] == [True, True]
    return folder


def test_a_class_is_added_from_recordings(run: Path, tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / "new" / f"{number}.wav", 0.3 * noise(1.5, seed=number) * (np.arange(24000) % 4000 < 400))
    result = add_class(run, "ticks", [tmp_path / "new"], tmp_path / "out")
    assert result["classes"] == ["noise", "tones", "ticks"] and result["added"]["examples"] >= 3
    assert [row["path"] for row in result["artifacts"]] == ["export/model_float32.tflite", "export/model_int8.tflite"]
    assert not any("background" in warning for warning in result["warnings"])


def test_a_compressed_run_keeps_its_front_end(run: Path, tmp_path: Path) -> None:
    result = compress(run, tmp_path / "smaller", Compression(clusters=16, epochs=1))
    assert [Path(entry["path"]).name for entry in result["artifacts"]] == ["model_float32.tflite", "model_int8.tflite"]
    assert result["steps"][-1]["name"] == "cluster"
    before = inputs_of_model(run / "model.keras")
    assert before is not None and before.preparation["front_end"]
    assert inputs_of_model(tmp_path / "smaller" / "model.keras") == before
    file = read_inputs((tmp_path / "smaller" / "export" / "model_int8.tflite").read_bytes())
    assert file is not None and len(file.tensor.shape) == 2 and file.preparation == before.preparation


def test_a_network_of_ones_own_is_exported_with_its_front_end(recordings: Path, tmp_path: Path) -> None:
    data = kt.load(recordings, window=1.0, val=0.3, test=0.3)
    model = kt.build_audio_classifier("ds_cnn", data.class_names, samples=16_000, weights="none")
    files = kt.export(model, tmp_path, calibration=data.train, proof=data.test, formats=["int8"], tolerance=0.9)
    inputs = read_inputs((tmp_path / Path(files[0]["path"]).name).read_bytes())
    assert inputs is not None and inputs.preparation["front_end"] == AUDIO_BACKBONES["ds_cnn"].front_end.to_dict()


def test_steps_that_serve_no_recordings_are_refused_at_once(run: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"qat does not serve recordings: .* What does: --student, --channels, --prune"
    ):
        compress(run, tmp_path / "smaller", Compression(clusters=16, qat=True))
    assert not (tmp_path / "smaller").exists()


def test_a_student_has_its_own_weights_and_front_end(run: Path, tmp_path: Path) -> None:
    asked = Compression(distill=True, epochs=1)
    result = compress(run, tmp_path / "student", asked, backbone="ds_cnn", formats=("float32",), tolerance=0.9)
    assert result["steps"][-1]["name"] == "distill" and result["weights"] == "none"


def test_new_recordings_are_compared_and_adapted_to(run: Path, tmp_path: Path) -> None:
    write(tmp_path / "new" / "yard.ogg", np.concatenate([noise(3, seed=5), melody(9, seed=6)]))
    found = shift_run(run, tmp_path / "new", tmp_path / "shift")
    assert {row["property"] for row in found["differences"]} >= {"level", "brightness"}
    result = adapt_run(run, tmp_path / "adapted", method="adabn", new_items=tmp_path / "new")
    assert result["adapted"]["images"] == 12
    assert inputs_of_model(tmp_path / "adapted" / "model.keras") == inputs_of_model(run / "model.keras")


def test_commands_speak_of_recordings(run: Path, recordings: Path) -> None:
    answer = CliRunner().invoke(app, ["evaluate", str(run), str(recordings), "--hop", "0.5"])
    assert answer.exit_code == 0 and "recordings" in answer.output and "images" not in answer.output
    long = str(recordings / "tones" / "long.ogg")
    answer = CliRunner().invoke(app, ["predict", str(run), long, "--hop", "0.5", "--json"])
    segments = json.loads(answer.output)
    assert segments[0]["start"] == 0 and segments[-1]["end"] == pytest.approx(5)
