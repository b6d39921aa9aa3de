"""The ready files are what their proofs say."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from keras_transfer.jobs.parts import load_data
from keras_transfer.litert import open_litert, read_flatbuffer, read_labels
from keras_transfer.recipe import make_recipe

FOLDER = Path(__file__).parents[1] / "tflite_models"
FILES = sorted(FOLDER.glob("*/*.tflite"))


@pytest.fixture(scope="module")
def test_pictures():
    """The test split of each folder's recipe, made once."""
    made: dict[Path, tuple[np.ndarray, np.ndarray]] = {}

    def pictures(folder: Path, side: int) -> tuple[np.ndarray, np.ndarray]:
        if folder not in made:
            test = load_data(make_recipe(folder / "recipe.yaml")).test
            made[folder] = test.pixels((side, side)), test.labels
        return made[folder]

    return pictures


def test_they_are_few_and_small():
    assert len(FILES) >= 2
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 10e6


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_file_and_proof(path, test_pictures):
    content, proof = path.read_bytes(), json.loads(path.with_suffix(".json").read_text())
    info = read_flatbuffer(content)
    tensor = info.tensors[info.inputs[0]]
    assert hashlib.sha256(content).hexdigest() == proof["sha256"]
    assert (list(tensor.shape), tensor.dtype) == (proof["input"]["shape"], proof["input"]["dtype"])
    assert info.counts() == proof["operators"]
    assert read_labels(content) == (path.parent / "labels.txt").read_text().split()
    pixels, labels = test_pictures(path.parent, tensor.shape[1])
    right = (open_litert(content, trusted=True).predict(pixels).argmax(1) == labels).sum()
    assert len(labels) == proof["images"]
    # Other processors' kernels round some sums otherwise: a picture on the edge may fall to the other side.
    assert abs(right - proof["test_accuracy"] * proof["images"]) <= 2
    assert proof["gate"]["ok"] and proof["accuracy_drop"] <= 0.01 + 1e-9
