"""Remedies for an int8 file that has failed its gate."""

import json

import keras
import numpy as np
import pytest

from keras_transfer.errors import InputError
from keras_transfer.exporters import ExportGateError, export
from keras_transfer.exporters.repair import REMEDIES, Conversion, repair_quantization, weigh
from keras_transfer.litert import convert, open_litert
from keras_transfer.models import model_inputs
from keras_transfer.models.silent import preparer_of

SPREAD = np.array([3e4, 1, 1, 1, 1, 1, 1, 1], "float32")


@pytest.fixture(scope="module")
def spread(classifier):
    """The small classifier, with one activation whose channels int8 cannot hold together: "wide" needs float."""
    inputs = keras.Input((24, 24, 3))
    x = inputs
    for layer in classifier.layers[1:]:
        if layer.name == "logits":
            wide, logits = keras.layers.Dense(8, name="wide"), keras.layers.Dense(3, name="logits")
            x = logits(wide(x))
            wide.set_weights([np.diag(SPREAD), np.zeros(8, "float32")])
            kernel, bias = layer.get_weights()
            logits.set_weights([kernel / SPREAD[:, None], bias])
        else:
            x = layer(x)
    return keras.Model(inputs, x)


@pytest.fixture(scope="module")
def conversion(spread, train_split):
    files = convert(spread, ["float32", "int8"], calibration=train_split.images)
    inputs = preparer_of(train_split).spec(model_inputs(spread))
    return Conversion(spread, files, inputs, train_split.class_names, train_split, train_split.images[:20])


def test_the_layer_at_fault_is_left_in_float_and_the_file_proved_once(spread, train_split, test_split, tmp_path):
    out = tmp_path / "e"
    options = {"formats": ["int8"], "calibration": train_split, "proof": test_split, "targets": ["android"]}
    with pytest.raises(ExportGateError, match="--repair"):
        export(spread, out, strict=True, **options)
    failed = json.loads((out / "model_int8.json").read_text())
    [artifact] = export(spread, out, repair=True, validation=train_split, **options)
    proof = json.loads((out / "model_int8.json").read_text())
    assert artifact["accuracy_drop"] <= 0.01 < failed["accuracy_drop"]
    steps = {step["remedy"]: step for step in proof["repair"]}
    assert list(steps) == ["none", "more-calibration", "float-layers"]  # and no further
    assert steps["none"]["test_accuracy"] == failed["test_accuracy"]
    assert steps["none"]["val_accuracy_drop"] > 0.1
    assert steps["float-layers"]["float_layers"] == ["logits"]  # where it shows; "wide", which it reads, is spared too
    assert [name for name, step in steps.items() if step.get("chosen")] == ["float-layers"]
    assert steps["float-layers"]["val_bound"] <= 0.01 < steps["more-calibration"]["val_bound"]
    assert (proof["input"]["dtype"], proof["output"]["dtype"]) == ("uint8", "uint8")
    assert proof["test_accuracy"] == np.mean(
        open_litert((out / "model_int8.tflite").read_bytes()).predict(test_split.images).argmax(1) == test_split.labels
    )


def test_16x8_takes_the_int8_files_place(spread, train_split, test_split, tmp_path):
    out = tmp_path / "e"
    options = {"formats": ["float32", "int8"], "calibration": train_split, "proof": test_split}
    assert export(spread, out, targets=[], **options).problems
    files = export(spread, out, targets=[], repair=["16x8"], validation=train_split, **options)
    assert [file["format"] for file in files] == ["float32", "16x8"]
    assert {path.name for path in out.glob("*.tflite")} == {"model_float32.tflite", "model_16x8.tflite"}
    assert not (out / "model_int8.json").exists()
    assert json.loads((out / "model_16x8.json").read_text())["gate"]["ok"]


def test_where_nothing_helps_the_least_bad_is_kept_and_the_gate_says_so(
    spread, train_split, test_split, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "keras_transfer.exporters.repair.convert", lambda model, formats, **_: dict.fromkeys(formats, bad)
    )
    other = keras.models.clone_model(spread)
    bad = convert(other, ["int8"], calibration=train_split.images)["int8"]
    options = {"formats": ["int8"], "calibration": train_split, "proof": test_split, "targets": []}
    with pytest.raises(ExportGateError, match="No remedy"):
        export(spread, tmp_path, repair=["more-calibration"], validation=train_split, strict=True, **options)
    steps = json.loads((tmp_path / "model_int8.json").read_text())["repair"]
    assert min(steps, key=lambda step: step["val_bound"]).get("chosen")


def test_a_good_file_is_left_alone(classifier, train_split, test_split, tmp_path):
    options = {"formats": ["int8"], "calibration": train_split, "proof": test_split, "targets": []}
    export(classifier, tmp_path, repair=True, validation=train_split, **options)
    assert "repair" not in json.loads((tmp_path / "model_int8.json").read_text())


def test_every_remedy_gives_a_file(conversion, train_split):
    steps = repair_quantization(conversion, train_split, 10_000, -1.0).steps
    assert [step["remedy"] for step in steps] == ["none", *REMEDIES]
    assert all(step["bytes"] > 0 and 0 <= step["val_agreement"] <= 1 for step in steps)
    assert steps[1]["calibration_images"] == 60


def test_weighing():
    sure, torn = np.array([[0.99, 0.01]] * 50), np.array([[0.52, 0.48]] * 50)
    labels = np.zeros(50, int)
    flipped = weigh(sure, sure[:, ::-1], labels, 100)
    assert flipped == {
        "accuracy": 0.0, "accuracy_drop": 1.0, "agreement": 0.0,
        "mean_abs_difference": 0.98, "expected_drop": 0.98, "bound": 1.08,
    }  # fmt: skip
    assert weigh(torn, torn[:, ::-1], labels, 100)["expected_drop"] == 0.04
    assert weigh(torn, torn, labels, 100)["bound"] == 0.0
    assert weigh(sure, sure[:, ::-1], labels, 400)["bound"] == 1.03
    several = weigh(torn, torn[:, ::-1], np.zeros((50, 2)), 100)
    assert several["expected_drop"] == 0.04 and several["agreement"] == 0.0
    one = np.where([True, False], torn[:, ::-1], torn)  # one label of two decided otherwise: 0.52 * (0.52 - 0.48)
    assert weigh(torn, one, np.zeros((50, 2)), 100)["expected_drop"] == 0.0208


@pytest.mark.parametrize(
    "options, message",
    [
        ({"repair": ["magic"]}, "magic"),
        ({"repair": "16x8"}, "16x8"),
        ({"repair": True, "validation": None}, "validation split, never on the test"),
        ({"repair": True, "formats": ["float32"]}, "int8"),
    ],
)
def test_wrong_arguments_write_nothing(classifier, train_split, test_split, tmp_path, options, message):
    told = {"formats": ["int8"], "calibration": train_split, "validation": train_split, "proof": test_split}
    with pytest.raises(InputError, match=message):
        export(classifier, tmp_path / "e", **told | options)
    assert not (tmp_path / "e").exists()
