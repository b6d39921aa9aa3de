"""The ready files are what their proofs say."""

import hashlib
import json
from functools import cache
from pathlib import Path

import pytest

from keras_transfer.data.split import Split
from keras_transfer.evaluation import evaluate
from keras_transfer.jobs.parts import load_data
from keras_transfer.litert import read_flatbuffer, read_labels
from keras_transfer.modalities import settled
from keras_transfer.recipe import make_recipe

FOLDER = Path(__file__).parents[1] / "tflite_models"
FILES = sorted(FOLDER.glob("*/*.tflite"))


@pytest.fixture(scope="module")
def test_items():
    """The test split of each folder's recipe, made once."""

    @cache
    def items(folder: Path) -> Split:
        return load_data(settled(make_recipe(folder / "recipe.yaml"))).test

    return items


def test_they_are_few_and_small():
    assert len(FILES) >= 2
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 10e6


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_file_and_proof(path, test_items):
    content, proof = path.read_bytes(), json.loads(path.with_suffix(".json").read_text())
    info = read_flatbuffer(content)
    tensor = info.tensors[info.inputs[0]]
    assert hashlib.sha256(content).hexdigest() == proof["sha256"]
    assert (list(tensor.shape), tensor.dtype) == (proof["input"]["shape"], proof["input"]["dtype"])
    assert info.counts() == proof["operators"]
    assert read_labels(content) == (path.parent / "labels.txt").read_text().splitlines()
    found, count = evaluate(path, test_items(path.parent)), proof["images"]
    assert found["images"] == count
    # Other processors' kernels round some sums otherwise: an item on the edge may fall to the other side.
    assert abs(found["accuracy"] - proof["test_accuracy"]) * count <= 2.5
    assert proof["gate"]["ok"] and proof["accuracy_drop"] <= 0.01 + 1e-9
