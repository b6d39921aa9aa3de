"""Files open in MediaPipe Tasks' classifiers of images, texts and sounds, with all that stands in their metadata.

MediaPipe is incompatible with the `compress` extra, so it may live in an environment of its own:
`KERAS_TRANSFER_MEDIAPIPE` names that environment's Python.
"""

import csv
import importlib.util
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest
from encoders import VOCABULARY, write_encoder
from PIL import Image
from sound_kits import NAMES as HEARD
from sound_kits import make_clips
from sound_kits import make_kit as make_sound_kit

from keras_transfer.errors import InputError
from keras_transfer.evaluation import open_classifier
from keras_transfer.evaluation.rejection import fit_rejection
from keras_transfer.exporters import Artifacts, export
from keras_transfer.exporters.targets import judge
from keras_transfer.geometry import LEGACY, MODES, Geometry
from keras_transfer.inputs import InputSpec, TensorSpec, keep_asset, open_asset, open_modality
from keras_transfer.litert import convert, read_flatbuffer, write_labels
from keras_transfer.litert.labels import read_inputs
from keras_transfer.modalities import load
from keras_transfer.modalities.text.builder import build_text_classifier
from keras_transfer.models.rejection import feature_tensor, with_rejection
from keras_transfer.schemas import Proof


@pytest.fixture(scope="module")
def agreement(import_benchmark) -> ModuleType:
    return import_benchmark("mediapipe_agreement")


@pytest.fixture(scope="module")
def mediapipe() -> str:
    named = os.environ.get("KERAS_TRANSFER_MEDIAPIPE")
    if named:
        return named
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("needs mediapipe, here or in the environment that KERAS_TRANSFER_MEDIAPIPE names")
    return sys.executable


@pytest.mark.parametrize("kind", ["int8", "float32"])
def test_same_answers_by_name(agreement, mediapipe, kind, classifier, train_split, test_split, tmp_path):
    content = write_labels(convert(classifier, [kind], calibration=train_split.images)[kind], test_split.class_names)
    (tmp_path / f"{kind}.tflite").write_bytes(content)
    photographs = []
    for i, (pixels, label) in enumerate(zip(test_split.images[:24], test_split.labels[:24], strict=True)):
        path = tmp_path / test_split.class_names[label] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        # Twice as large, of another shape: MediaPipe has something to crop.
        Image.fromarray(pixels).resize((96, 60)).save(path)
        photographs.append(path)
    prepared, region, alone = agreement.compare(tmp_path / f"{kind}.tflite", photographs, mediapipe)
    assert prepared["images"] == 24
    assert prepared["same top-1"] == 1
    assert prepared["mean score difference"] < 1e-5
    assert prepared["accuracy"] == prepared["our accuracy"] > 0.8
    assert region["same top-1"] > 0.9
    assert region["mean score difference"] < 0.05
    assert alone["images"] == 24


@pytest.mark.parametrize("kind", ["int8", "float32"])
@pytest.mark.parametrize("geometry", [Geometry("crop", 0.875, "mediapipe"), MODES["squash"]])
def test_pictures_are_seen_alike_to_the_bit(agreement, mediapipe, geometry, kind, classifier, train_split, tmp_path):
    """MediaPipe's own resize is ours: of whole pictures as they are, of a window given as the region of interest.

    That is so under four times the size of the input; beyond, `predict` averages first.
    """
    content = convert(classifier, [kind], calibration=train_split.images)[kind]
    (tmp_path / "model.tflite").write_bytes(write_labels(content, train_split.class_names, geometry))
    random = np.random.default_rng(0)
    paths = []
    for i, size in enumerate([(64, 48), (33, 61), (95, 80), (48, 48), (20, 31), (24, 90)]):
        path = tmp_path / "red one" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(path)
        paths.append(path)
    rows = agreement.compare(tmp_path / "model.tflite", paths, mediapipe)
    cropped = geometry.mode == "crop"
    seen = rows[1 if cropped else 2]
    assert seen["geometry"] == geometry.mode and seen["same top-1"] == 1
    # A region of interest comes to MediaPipe in 32-bit floats: a position may fall to the next of 32 steps.
    assert seen["mean score difference"] < (0.01 if cropped else 1e-6)


def test_the_region_is_what_is_used(agreement):
    found = agreement.region(LEGACY, 320, 240, 224, 224)
    assert found == {"left": 55 / 320, "top": 15 / 240, "right": 265 / 320, "bottom": 225 / 240}
    assert set(agreement.region(MODES["squash"], 99, 400, 96, 64).values()) == {0.0, 1.0}


WORDS = VOCABULARY[-16:]
LENGTH = 16


def export_texts(folder: Path, kind: str) -> Artifacts:
    """Files of a random classifier of texts, for MediaPipe."""
    random, encoder = np.random.default_rng(0), write_encoder(folder / "encoder", kind)
    with (folder / "texts.csv").open("w", newline="") as file:
        rows = [
            [" ".join(random.choice(WORDS, random.integers(1, 24))) + f" {n}", ["no", "yes"][n % 2]] for n in range(48)
        ]
        csv.writer(file).writerows([["text", "label"], *rows])
    data = load(folder / "texts.csv", preparation={"backbone": str(encoder), "length": LENGTH}, test=0.5)
    model = build_text_classifier(str(encoder), data.class_names)
    formats = ["float32", "dynamic"]
    return export(model, folder / "out", proof=data.test, formats=formats, targets=["mediapipe"])


@pytest.fixture(scope="module")
def text_files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    files = export_texts(folder, "bert")
    assert not files.problems
    assert files.recommended == "out/mediapipe/model.tflite"
    return folder / "out"


def test_texts_have_a_file_of_three_inputs_with_a_proof_of_its_own(text_files: Path) -> None:
    content = (text_files / "mediapipe" / "model.tflite").read_bytes()
    info, spec = read_flatbuffer(content), read_inputs(content)
    assert spec is not None and [tensor.name for tensor in spec.tensors] == ["ids", "segment_ids", "mask"]
    assert [(info.tensors[i].dtype, info.tensors[i].shape) for i in info.inputs] == [("int32", (1, LENGTH))] * 3
    proof: Proof = json.loads((text_files / "mediapipe" / "model.json").read_text())
    assert proof["format"] == "dynamic" and proof["gate"]["ok"] and proof["targets"]["mediapipe"]["ok"]
    assert proof["inputs"] == spec.to_dict() and len(proof["other_inputs"]) == 2
    other: Proof = json.loads((text_files / "model_dynamic.json").read_text())
    assert "other_inputs" not in other and len(other["inputs"]["tensors"]) == 1
    assert "mediapipe/model.tflite" in other["targets"]["mediapipe"]["why"]
    assert proof["test_accuracy"] == other["test_accuracy"]


def test_predict_reads_the_file_of_three_inputs(text_files: Path) -> None:
    answers = []
    for name in ("mediapipe/model.tflite", "model_dynamic.tflite"):
        classifier = open_classifier(text_files / name)
        preparer = open_modality("text").preparer(classifier.inputs.preparation)
        spec = preparer.spec(classifier.inputs.tensors)
        assert spec.tensors == classifier.inputs.tensors
        items = preparer.prepare(b"the soup was very good", spec)
        answers.append(
            classifier.predict(np.stack([items]) if isinstance(items, np.ndarray) else tuple(a[None] for a in items))
        )
    assert isinstance(items, np.ndarray) and np.array_equal(*answers)


def test_mediapipe_reads_texts_as_predict_does(agreement, mediapipe: str, text_files: Path) -> None:
    random = np.random.default_rng(1)
    texts = [" ".join(random.choice([*WORDS, "Soup!", "unheard-of", "(tea)"], n)) for n in range(1, 40)]
    row = agreement.compare_texts(text_files / "mediapipe" / "model.tflite", texts, ["no"] * len(texts), mediapipe)
    assert row["same top-1"] == 1 and row["mean score difference"] < 1e-5
    assert row["texts"] == 39 and row["accuracy"] == row["our accuracy"]


def test_encoders_with_other_tokens_are_refused(tmp_path: Path) -> None:
    files = export_texts(tmp_path, "roberta")
    assert [Path(file["path"]).name for file in files] == ["model_float32.tflite", "model_dynamic.tflite"]
    [problem] = files.problems
    assert problem.startswith("Target mediapipe takes none of the files") and "WordPiece" in problem


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"lowercase": False}, "capitals"), ({"padding": 3}, "fills texts up"), ({"tokenizer": "words"}, "WordPiece")],
    ids=str,
)
def test_what_its_tokenizer_does_otherwise(text_files: Path, change: dict[str, object], reason: str) -> None:
    spec = read_inputs((text_files / "model_float32.tflite").read_bytes())
    assert spec is not None
    with pytest.raises(InputError, match=reason):
        open_modality("text").mediapipe_inputs(replace(spec, preparation={**spec.preparation, **change}))


def test_a_vocabulary_of_another_system_is_refused(text_files: Path) -> None:
    spec = read_inputs((text_files / "model_float32.tflite").read_bytes())
    assert spec is not None
    vocabulary = keep_asset(open_asset(spec.assets["vocab.txt"]).replace(b"\n", b"\r\n"))
    with pytest.raises(InputError, match="line feed"):
        open_modality("text").mediapipe_inputs(
            replace(spec, preparation={**spec.preparation, "assets": {"vocab.txt": vocabulary}})
        )


def test_pictures_are_taken_as_they_are(classifier, train_split) -> None:
    """But not int8 at the ends, nor other channels than three."""
    contents = {
        dtype: convert(classifier, ["int8"], calibration=train_split.images, input_dtype=dtype)["int8"]
        for dtype in ("uint8", "int8")
    }
    assert judge(write_labels(contents["uint8"], train_split.class_names), "mediapipe")["ok"]
    assert judge(contents["uint8"], "mediapipe")["ok"]
    assert "int8, which MediaPipe refuses" in judge(contents["int8"], "mediapipe")["why"]
    gray = InputSpec("image", (TensorSpec("image", (24, 24, 1), "uint8", 0, 255),), {"geometry": LEGACY.to_dict()})
    with pytest.raises(InputError, match="3 channels, the file takes 1"):
        open_modality("image").mediapipe_inputs(gray)


def test_sounds_are_heard_alike(agreement: ModuleType, mediapipe: str, tmp_path: Path) -> None:
    kit, (clips, labels) = make_sound_kit("float32", "mediapipe"), make_clips(30, seed=2)
    assert judge(kit.content, "mediapipe")["ok"]
    (tmp_path / "model.tflite").write_bytes(kit.content)
    row = agreement.compare_sounds(tmp_path / "model.tflite", clips, [HEARD[i] for i in labels], mediapipe)
    assert row["clips"] == 30 and row["same top-1"] == 1 and row["mean score difference"] < 1e-5
    assert row["accuracy"] == row["our accuracy"] > 0.9


def test_spectrograms_are_not_for_mediapipe() -> None:
    assert "MediaPipe gives samples" in judge(make_sound_kit("int8", "mediapipe").content, "mediapipe")["why"]


@pytest.mark.parametrize("kind", ["int8", "float32"])
def test_a_file_that_rejects_opens_too(agreement, mediapipe, kind, classifier, train_split, test_split, tmp_path):
    """MediaPipe gives the score of unknown items as a second head."""
    features = keras.Model(classifier.input, feature_tensor(classifier))
    train, test = (features.predict(split.images.astype("float32"), verbose=0) for split in (train_split, test_split))
    model = with_rejection(classifier, rejection := fit_rejection(train, train_split.labels, test)[0])
    content = convert(model, [kind], calibration=train_split.images)[kind]
    (tmp_path / "model.tflite").write_bytes(write_labels(content, test_split.class_names, None, rejection.limit))
    photographs = []
    for i, pixels in enumerate(test_split.images[:6]):
        photographs.append(tmp_path / f"{i}.png")
        Image.fromarray(pixels).save(photographs[-1])
    alone = agreement.compare(tmp_path / "model.tflite", photographs, mediapipe)[-1]
    assert alone["same top-1"] == 1 and alone["mean score difference"] < 1e-5
