"""A model of two inputs is exported, proved, judged and repaired like others: see `tests/pairs.py`."""

import json

import keras
import pytest
from pairs import make_pairs, registered, two_inputs

from keras_transfer.evaluation import open_classifier, predict_split
from keras_transfer.exporters import export
from keras_transfer.exporters.preview import preview
from keras_transfer.exporters.repair import Conversion, repair_quantization
from keras_transfer.litert import convert
from keras_transfer.models import model_inputs


@pytest.fixture(scope="module", autouse=True)
def pair():
    with registered():
        yield


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    return [make_pairs(tmp_path_factory.mktemp("pairs"), count, seed) for seed, count in enumerate((240, 120))]


@pytest.fixture(scope="module")
def model(splits):
    model = two_inputs()
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", jit_compile=False)
    train = splits[0]
    model.fit(list(train.arrays(model_inputs(model))), train.labels, epochs=30, batch_size=24, verbose=0)
    return model


@pytest.fixture(scope="module")
def exported(model, splits, tmp_path_factory):
    out = tmp_path_factory.mktemp("export")
    train, test = splits
    return out, export(model, out, calibration=train, proof=test, formats=["int8", "float32"], targets=["android"])


@pytest.mark.parametrize("name", ["int8", "float32"])
def test_a_proof_says_what_running_the_file_shows(exported, model, splits, name, capsys):
    out, artifacts = exported
    proof = json.loads((out / f"model_{name}.json").read_text())
    answers = predict_split(open_classifier(out / f"model_{name}.tflite"), splits[1])
    labels = splits[1].labels
    assert proof["test_accuracy"] == pytest.approx((answers.argmax(axis=1) == labels).mean())
    assert proof["keras_accuracy"] > 0.8 and proof["agreement"] > 0.9 and proof["gate"]["ok"]
    assert [tensor["name"] for tensor in proof["inputs"]["tensors"]] == ["ids", "values"]
    entries = [proof["input"], *proof["other_inputs"]]
    assert [entry["meaning"] for entry in entries] == ["ids", "values"]
    assert [entry["value_range"] for entry in entries] == ["0..9", "-1..1"]
    assert entries[0]["dtype"] == "int32" and entries[1]["shape"] == [1, 8]
    assert artifacts.recommended is not None and artifacts.problems == []


def test_a_target_without_a_kit_for_it_says_so(model, splits, tmp_path, capsys):
    export(model, tmp_path, proof=splits[1], formats=["float32"], targets=["android"])
    assert "android has no kit for pair models; its file is model_float32.tflite alone" in capsys.readouterr().err
    assert not (tmp_path / "android").exists()


def test_onnx_takes_both_inputs(model, splits, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    [file] = export(model, tmp_path, proof=splits[1], formats=["onnx"], targets=[])
    assert file["agreement"] == 1.0
    proof = json.loads((tmp_path / "model.json").read_text())
    assert [proof["input"]["dtype"], proof["other_inputs"][0]["dtype"]] == ["int32", "float32"]


def test_remedies_take_both_inputs(model, splits):
    train, test = splits
    spec = train.spec(model_inputs(model))
    arrays = train.stratified(20).arrays(spec)
    files = convert(model, ["float32", "int8"], calibration=arrays, item=spec.tensors)
    conversion = Conversion(model, files, spec, train.class_names, train, arrays)
    steps = repair_quantization(conversion, test, 10_000, -1.0, ["more-calibration", "float-layers"]).steps
    assert steps[1]["calibration_images"] == 100 and steps[2]["float_layers"]


def test_a_preview_is_calibrated_with_both_inputs(model, splits):
    made = preview(model, ["android"], splits[0], n_items=12)
    assert (made.format, made.calibration) == ("int8", "12 training items")
    assert made.contents["android"][4:8] == b"TFL3"
