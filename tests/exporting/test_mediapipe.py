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

from keras_transfer.data.decode import CROP, _window
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


@pytest.mark.parametrize("width, height, size", [(320, 240, (224, 224)), (99, 400, (96, 64)), (50, 50, (10, 30))])
def test_region_is_our_window(agreement, width, height, size):
    found = agreement.region(width, height, *size, share=CROP)
    corners = np.array([found["left"] * width, found["top"] * height, found["right"] * width, found["bottom"] * height])
    np.testing.assert_allclose(corners, _window((width, height), size), atol=1e-9)
