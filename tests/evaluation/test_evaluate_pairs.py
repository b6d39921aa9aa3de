"""Models of several inputs are opened, asked and scored like others: see `tests/pairs.py`."""

from dataclasses import replace

import numpy as np
import pytest
from pairs import make_pairs, registered, two_inputs

from keras_transfer.data import Split
from keras_transfer.errors import InputError
from keras_transfer.evaluation import evaluate, keras_classifier, predict_files, predict_split
from keras_transfer.evaluation.similarity import cka_by_stage
from keras_transfer.models import model_inputs


@pytest.fixture(scope="module", autouse=True)
def pair():
    with registered():
        yield


@pytest.fixture(scope="module")
def split(tmp_path_factory) -> Split:
    return make_pairs(tmp_path_factory.mktemp("pairs"), 21)


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
