"""CLIP by KerasHub's presets, with random weights: classifiers from names, and the picture's tower as a backbone."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from keras_transfer.cli.app import app
from keras_transfer.errors import InputError
from keras_transfer.litert import convert, open_litert
from keras_transfer.modalities.image.builder import build_classifier
from keras_transfer.modalities.image.clip import build_zero_shot_classifier
from keras_transfer.models import load_model, stages

keras_hub = pytest.importorskip("keras_hub", reason="needs keras-hub: pip install keras-hub", exc_type=ImportError)

NAMES = ["cat", "hot dog"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """The folder of a preset, its network, and its tokenizer."""
    folder = tmp_path_factory.mktemp("clip") / "preset"
    letters = [*"abcdefghijklmnopqrstuvwxyz.", *(f"{sign}</w>" for sign in "abcdefghijklmnopqrstuvwxyz.")]
    vocabulary = {
        sign: number for number, sign in enumerate([*letters, "ca", "cat</w>", "<|startoftext|>", "<|endoftext|>"])
    }
    tokenizer = keras_hub.tokenizers.CLIPTokenizer(vocabulary, ["c a", "ca t</w>"])
    keras.utils.set_random_seed(0)
    vision = keras_hub.models.CLIPVisionEncoder(8, 16, 2, 2, 32, image_shape=(32, 32, 3))
    text = keras_hub.models.CLIPTextEncoder(len(vocabulary), 16, 16, 2, 2, 32, max_sequence_length=24)
    model = keras_hub.models.CLIPBackbone(vision, text, 12)
    for weight in model.weights:
        weight.assign(weight + keras.random.normal(weight.shape, stddev=0.1))
    model.save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))
    keras_hub.layers.CLIPImageConverter(image_size=(32, 32), scale=1 / 127.5, offset=-1.0).save_to_preset(str(folder))
    return folder, model, tokenizer


@pytest.fixture
def pixels() -> Any:
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.float32)


def test_it_answers_as_clip_does(clip: tuple[Path, Any, Any], pixels: Any, tmp_path: Path) -> None:
    folder, model, tokenizer = clip
    found = build_zero_shot_classifier(str(folder), NAMES, ["a photo of a {}."])
    rows = [[tokenizer.start_token_id, *map(int, tokenizer(f"a photo of a {name}.")), tokenizer.end_token_id]
            for name in NAMES]  # fmt: skip
    ids = np.array([row + [0] * (24 - len(row)) for row in rows])
    scores = model({"images": pixels / 127.5 - 1, "token_ids": ids})["vision_logits"]
    assert np.allclose(np.array(found(pixels)), np.array(keras.ops.softmax(scores)), atol=1e-4)
    file = convert(found, ["float32"])["float32"]
    assert np.allclose(open_litert(file).predict(pixels.astype(np.uint8)), np.array(found(pixels)), atol=1e-4)
    several = build_zero_shot_classifier(str(folder), NAMES, ["{}", "a drawing of a {}"])
    assert not np.allclose(np.array(several(pixels)), np.array(found(pixels)), atol=1e-4)


def test_its_tower_is_a_backbone(clip: tuple[Path, Any, Any], pixels: Any) -> None:
    folder, model, _ = clip
    found = build_classifier(str(folder), 2)
    features = keras.Model(found.inputs[0], found.get_layer("dropout").input)(pixels)
    wanted = model.vision_pooler(model.vision_encoder({"images": pixels / 127.5 - 1}))
    assert np.allclose(np.array(features), np.array(wanted), atol=1e-4)
    assert len(stages(found)) >= 3


@pytest.mark.parametrize(
    ("names", "prompts", "said"),
    [(["cat"], ["{}"], "two or more"), (NAMES, ["a photo"], "with {} where"), (["a", "a"], ["{}"], "different")],
)
def test_names_and_prompts_are_checked(
    clip: tuple[Path, Any, Any], names: list[str], prompts: list[str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        build_zero_shot_classifier(str(clip[0]), names, prompts)


def test_the_command_answers_and_writes_a_file_that_others_take(
    clip: tuple[Path, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        place = tmp_path / "photos" / NAMES[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (40, 30, 3), np.uint8)).save(place)
    monkeypatch.chdir(tmp_path)
    words = ["zero-shot", "photos", "--clip", str(clip[0]), "--prompt", "a photo of {}", "--json"]
    printed = CliRunner().invoke(app, words)
    assert printed.exit_code == 0, printed.output
    rows = json.loads(printed.stdout)
    assert len(rows) == 4 and {name for name, _ in rows[0]["top"]} == set(NAMES)
    assert load_model(tmp_path / "zero-shot" / "model.keras").output_shape == (None, 2)
    scored = CliRunner().invoke(app, ["evaluate", "zero-shot/model.keras", "photos", "--json"])
    assert scored.exit_code == 0, scored.output
    named = CliRunner().invoke(app, [*words, "--classes", "cat,dog, bird"])
    assert {name for name, _ in json.loads(named.stdout)[0]["top"]} == {"cat", "dog", "bird"}
