"""A KerasHub vision transformer through the main job, from a preset's folder to proven files."""

import json

import pytest
from in_turn import answer

keras_hub = pytest.importorskip("keras_hub", reason="needs keras-hub: pip install keras-hub", exc_type=ImportError)


def test_the_job_trains_exports_and_proves_a_vision_transformer(coloured_noise, tmp_path, monkeypatch):
    """`train DATA --backbone PATH_TO_PRESET_FOLDER`: kept features, fine-tuning, every format and its proof."""
    (tmp_path / "photographs").mkdir()
    photographs = coloured_noise(tmp_path / "photographs", 30, (40, 40))
    backbone = keras_hub.models.ViTBackbone((32, 32, 3), 8, num_layers=3, num_heads=2, hidden_dim=16, mlp_dim=32)
    backbone.save_to_preset(str(tmp_path / "vit"))
    converter = keras_hub.layers.ViTImageConverter(image_size=(32, 32), scale=1 / 127.5, offset=-1.0)
    converter.save_to_preset(str(tmp_path / "vit"))
    formats = ("float32", "float16", "dynamic", "int8")
    command = ["train", photographs, "--backbone", "./vit", "--strategy", "fine-tuning", "--epochs", 1, "--out", "run"]
    command += ["--baselines", "none", "--tolerance", 0.5, *(word for name in formats for word in ("--format", name))]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.argv", [])
    code, _, errors = answer(list(map(str, command)))
    assert code == 0, errors
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["backbone"] == str(tmp_path / "vit") and result["image_size"] == [32, 32]
    assert [phase["name"] for phase in result["phases"]] == ["frozen", "fine-tuning"]
    files = {file["format"]: file for file in result["artifacts"]}
    assert set(files) == set(formats)
    assert all(files[name]["agreement"] > 0.9 for name in ("float32", "float16", "dynamic"))
    about = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert about["weights"]["sha256"]
    assert any(entry.is_dir() for entry in (tmp_path / "cache").iterdir())
