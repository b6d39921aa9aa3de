"""The app around a model of texts."""

from pathlib import Path

import pytest
from app_folder import check_app
from encoders import write_encoder
from text_kits import LENGTH, NAMES, make_kit

from keras_transfer.exporters.android_app import ASSETS, GOLDEN
from keras_transfer.exporters.targets import kit_writer
from keras_transfer.modalities.text.targets import android


def test_the_folder_is_the_app_with_the_model_and_its_tokenizer(tmp_path: Path) -> None:
    kit, out = make_kit(write_encoder(tmp_path / "encoder")), tmp_path / "android"
    assert kit_writer("android", "text") is android.write
    assert check_app(android.write(kit, out), out) == {
        *("model.tflite", "labels.txt", "vocab.txt", "characters.txt", "tokenizer.csv")
    }
    assert (out / ASSETS / "model.tflite").read_bytes() == kit.content
    assert (out / ASSETS / "labels.txt").read_text().splitlines() == NAMES
    assert (out / ASSETS / "vocab.txt").read_bytes() == (tmp_path / "encoder" / "vocab.txt").read_bytes()
    assert f"length,{LENGTH}" in (out / ASSETS / "tokenizer.csv").read_text()
    assert len((out / GOLDEN / "sentences.csv").read_text().splitlines()) == 501
    text = (out / "README.txt").read_text()
    assert f"int32 [1, {LENGTH}] in, float32 [1, 3] out" in text and "75.0% of 400 test texts" in text


def test_other_tokenizers_have_no_app(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert android.write(make_kit(write_encoder(tmp_path / "encoder", "roberta")), tmp_path / "android") == []
    assert not (tmp_path / "android").exists() and "WordPiece alone" in capsys.readouterr().err
