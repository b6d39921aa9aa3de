"""Models of several inputs are opened, asked and scored like others: a small one of two, of a modality made here."""

import sys
from dataclasses import dataclass, replace
from types import ModuleType, SimpleNamespace

import keras
import numpy as np
import pytest

from keras_transfer.data import Split
from keras_transfer.data.split import Paths
from keras_transfer.errors import InputError
from keras_transfer.evaluation import evaluate, keras_classifier, predict_files, predict_split
from keras_transfer.evaluation.similarity import cka_by_stage
from keras_transfer.files import read_file
from keras_transfer.inputs import MODALITIES, InputSpec, TensorSpec
from keras_transfer.modalities import NoAugmenter
from keras_transfer.models import model_inputs


@dataclass(frozen=True)
class PairPreparer:
    """Four bytes are ids, the rest float32 values."""

    modality: str = "pair"
    settings = property(lambda self: {"ids": 4})
    augmenter = staticmethod(lambda strength, per_class, classes: NoAugmenter())

    load = staticmethod(read_file)

    def spec(self, inputs):
        ids, values = inputs
        return InputSpec(
            "pair",
            (
                TensorSpec(ids.name, (4,), "int32", 0, 9, "ids"),
                TensorSpec(values.name, (8,), "float32", -1, 1, "values"),
            ),
            self.settings,
        )

    def prepare(self, content, spec):
        if len(content) != 36:
            raise InputError(f"a pair has 36 bytes. Received: {len(content)}")
        return np.frombuffer(content[:4], np.uint8).astype(np.int32), np.frombuffer(content[4:], np.float32)


@pytest.fixture(scope="module", autouse=True)
def pair():
    module = ModuleType("pair_modality")
    module.MODALITY = SimpleNamespace(preparer=lambda preparation: PairPreparer())
    sys.modules["pair_modality"], MODALITIES["pair"] = module, "pair_modality"
    yield
    del MODALITIES["pair"], sys.modules["pair_modality"]


def two_inputs(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    ids, values = keras.Input((4,), name="ids", dtype="int32"), keras.Input((8,), name="values")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(10, 3)(ids))
    x = keras.layers.Concatenate()([embedded, keras.layers.Dense(5, activation="relu")(values)])
    return keras.Model([ids, values], keras.layers.Dense(3, activation="softmax")(x))


@pytest.fixture(scope="module")
def split(tmp_path_factory) -> Split:
    import hashlib

    folder, random = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    paths, hashes = [], []
    for i in range(21):
        content = bytes(random.integers(0, 10, 4).tolist()) + random.uniform(-1, 1, 8).astype(np.float32).tobytes()
        (folder / f"{i}.pair").write_bytes(content)
        paths.append(folder / f"{i}.pair")
        hashes.append(hashlib.sha256(content).hexdigest())
    labels = random.integers(0, 3, 21).astype(np.int32)
    return Split("test", Paths(paths), labels, hashes, ["a", "b", "c"], PairPreparer())


def test_a_split_is_predicted_as_the_model_itself_answers(split):
    model = two_inputs()
    ids, values = split.arrays(model_inputs(model))
    expected = model.predict([ids, values], verbose=0)
    assert np.allclose(predict_split(model, split, batch_size=4), expected, atol=1e-6)
    right = float((expected.argmax(axis=1) == split.labels).mean())
    assert evaluate(model, split)["accuracy"] == pytest.approx(right)


def test_files_are_predicted_and_damaged_ones_named(split, tmp_path):
    model = two_inputs()
    (tmp_path / "cut.pair").write_bytes(b"12")
    classifier = keras_classifier(model, None, split.class_names, inputs=split.spec(model_inputs(model)))
    first, cut, second = predict_files(classifier, [split.paths[0], tmp_path / "cut.pair", split.paths[1]])
    assert cut.problem == "a pair has 36 bytes. Received: 2"
    rows = predict_split(classifier, split)
    assert [first.confidence, second.confidence] == pytest.approx(rows[:2].max(axis=1).tolist())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ids, values: ids, r"2 inputs \(ids, values\). Received: 1"),
        (lambda ids, values: (ids, values[:, :7]), r"of input 'values' must be float32 \[n, 8\]"),
        (lambda ids, values: (ids.astype(np.int64), values), r"of input 'ids' must be int32 \[n, 4\]"),
        (lambda ids, values: (ids, values[:-1]), r"of input 'values'"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(split, change, message):
    model = two_inputs()
    spec = split.spec(model_inputs(model))
    classifier = keras_classifier(model, inputs=spec)
    with pytest.raises(InputError, match=message):
        classifier.predict(change(*split.arrays(spec)))


def test_a_spec_of_fewer_inputs_than_the_model_has_is_refused(split):
    model = two_inputs()
    spec = split.spec(model_inputs(model))
    with pytest.raises(InputError, match=r"takes \[4\] and \[8\], but its metadata says \[4\]"):
        keras_classifier(model, inputs=replace(spec, tensors=spec.tensors[:1]))


def test_stages_are_compared_from_the_inputs_on(split):
    ours, theirs = two_inputs(), two_inputs(seed=1)
    items = split.arrays(model_inputs(ours))
    assert all(row["cka"] == 1 for row in cka_by_stage(ours, ours, items))
    assert all(row["cka"] < 1 for row in cka_by_stage(ours, theirs, items))
