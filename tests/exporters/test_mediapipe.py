"""Files open in MediaPipe Tasks' ImageClassifier with their labels and their normalization.

MediaPipe is incompatible with the `compress` extra, so it may live in an environment of its own:
`KERAS_TRANSFER_MEDIAPIPE` names that environment's Python.
"""

import importlib.util
import os
import sys
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from keras_transfer.geometry import LEGACY, MODES, Geometry
from keras_transfer.litert import convert, write_labels


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
