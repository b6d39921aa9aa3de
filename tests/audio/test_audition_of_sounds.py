"""Which network an audition takes for recordings."""

from pathlib import Path

import pytest
from sounds import chirp, noise, write

import keras_transfer as kt
from keras_transfer.modalities import open_modality, settled
from keras_transfer.recipe import AUTO, make_recipe


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KERAS_TRANSFER_CACHE", "KERAS_HOME"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp(name)))


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    for number in range(16):
        write(tmp_path / "sounds/chirp" / f"{number}.wav", chirp(0.6, low=300 + 20 * number))
        write(tmp_path / "sounds/noise" / f"{number}.wav", noise(0.6, seed=number))
    return tmp_path / "sounds"


def test_recordings_are_auditioned_where_nobody_names_a_network(recordings: Path) -> None:
    recipe = settled(make_recipe(data=str(recordings), val=0.2, test=0.2))
    assert recipe.backbone == AUTO
    found = kt.audition(recipe)
    assert {row["backbone"] for row in found["candidates"]} >= {"yamnet"}
    assert max(row["accuracy"] for row in found["candidates"]) > 0.9
    (why,) = (sentence for sentence in found["left_out"] if "speech_embedding" in sentence)
    assert "knows words and voices" in why and "none was given" in why and "openwakeword" in why
    assert found["rival"] is not None and found["rival"]["accuracy"] > 0.9  # and is no candidate


def test_a_file_of_weights_joins_its_network(tmp_path: Path) -> None:
    (tmp_path / "embedding_model.onnx").touch()
    recipe = make_recipe(data=str(tmp_path), backbone=AUTO, weights=str(tmp_path))
    names = [each.backbone for each in open_modality("audio").candidates(recipe)]
    assert names[:2] == ["yamnet", "speech_embedding"] and "speech_embedding" not in names[2:]
