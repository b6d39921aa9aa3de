import hashlib
import json
import re
import zlib

import keras
import numpy as np
import pytest

from keras_transfer.errors import InputError
from keras_transfer.evaluation import metrics
from keras_transfer.exporters import ExportGateError, diagnose, export, judge
from keras_transfer.exporters import exporter as exporting
from keras_transfer.exporters.heads import two_columns
from keras_transfer.exporters.proof import compare
from keras_transfer.geometry import LEGACY
from keras_transfer.litert import convert, open_litert, read_labels


@pytest.fixture(scope="module")
def exported(classifier, train_split, test_split, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "export"
    targets = ["android", "web"]
    with pytest.MonkeyPatch.context() as patch:
        patch_web_runtime(patch)
        return out, export(classifier, out, calibration=train_split, proof=test_split, targets=targets)


def test_what_is_written(exported, test_split):
    out, artifacts = exported
    formats = ["float32", "float16", "dynamic", "int8"]
    assert [artifact["format"] for artifact in artifacts] == formats
    expected = {f"model_{name}.{kind}" for name in formats for kind in ("tflite", "json")}
    expected |= {"labels.txt", "inputs.json", "geometry.json"}
    assert {path.name for path in out.iterdir() if path.is_file()} == expected
    assert json.loads((out / "web" / "model.json").read_text("utf-8"))["class_names"] == test_split.class_names
    assert (out / "labels.txt").read_text("utf-8") == "red one\ngrün\nblue\n"
    for artifact in artifacts:
        path = out.parent / artifact["path"]
        assert read_labels(path.read_bytes()) == test_split.class_names


@pytest.mark.parametrize("name", ["float32", "float16", "dynamic", "int8"])
def test_proof_says_what_running_the_file_shows(exported, classifier, test_split, name):
    out, artifacts = exported
    content = (out / f"model_{name}.tflite").read_bytes()
    proof = json.loads((out / f"model_{name}.json").read_text())
    expected = classifier.predict(test_split.images.astype("float32"), verbose=0)
    actual = open_litert(content).predict(test_split.images)
    assert proof["sha256"] == hashlib.sha256(content).hexdigest()
    assert (proof["bytes"], proof["zipped_bytes"]) == (len(content), len(zlib.compress(content)))
    assert proof["images"] == len(test_split) == 151
    assert proof["test_accuracy"] == np.mean(actual.argmax(1) == test_split.labels)
    assert proof["keras_accuracy"] == np.mean(expected.argmax(1) == test_split.labels) > 0.9
    assert proof["accuracy_drop"] == pytest.approx(proof["keras_accuracy"] - proof["test_accuracy"])
    assert proof["agreement"] == np.mean(actual.argmax(1) == expected.argmax(1))
    assert proof["mean_abs_difference"] == pytest.approx(np.abs(actual - expected).mean(), rel=0.02, abs=1e-7)
    assert proof["input"]["shape"] == [1, 24, 24, 3]
    assert (proof["input"]["dtype"], proof["input"]["colour_order"]) == ("uint8", "RGB")
    assert proof["input"]["geometry"] == LEGACY.to_dict() and proof["input"]["resize"] == LEGACY.describe()
    assert proof["output"]["dtype"] == ("uint8" if name == "int8" else "float32")
    assert proof["operators"]["CONV_2D"] == 1
    assert 0 < proof["latency"]["median_ms"] <= proof["latency"]["p95_ms"]
    assert set(proof["class_drops"]) == set(test_split.class_names)
    for target in ("android", "web"):
        count = sum(proof["operators"].values())
        taken = {"target": target, "ok": True, "operators": count, "mapped": count, "cpu": [], "why": ""}
        assert taken.items() <= proof["targets"][target].items()
    assert proof["gate"]["ok"] and proof["versions"]["tensorflow"]
    [listed] = [dict(artifact) for artifact in artifacts if artifact["format"] == name]
    assert listed.pop("gate").items() <= proof["gate"].items()
    assert {key: proof[key] for key in listed if key != "path"} == {k: v for k, v in listed.items() if k != "path"}


def test_given_probabilities_are_used_and_the_model_left_alone(classifier, train_split, test_split, tmp_path):
    known = np.eye(3, dtype="float32")[(test_split.labels + 1) % 3]  # wrong every time
    files = export(classifier, tmp_path / "e", formats=["float32"], proof=test_split, keras_probabilities=known)
    assert files[0]["accuracy_drop"] < -0.9
    assert files[0]["agreement"] < 0.1


def spoil(monkeypatch, kind="int8"):
    """Makes a file of a model whose stem has its filters in another order: a fault in one known layer."""
    real = exporting.convert

    def badly(model, formats, **options):
        files = real(model, formats, **options)
        if kind in formats:
            spoiled = keras.models.clone_model(model)
            spoiled.set_weights(model.get_weights())
            kernel = spoiled.get_layer("stem").kernel
            kernel.assign(kernel.numpy()[..., ::-1])
            files[kind] = real(spoiled, [kind], **options)[kind]
        return files

    monkeypatch.setattr(exporting, "convert", badly)


def patch_web_runtime(monkeypatch):
    monkeypatch.setattr("keras_transfer.exporters.web_page._add_runtime", lambda source, folder: "none in tests")


def test_gate_names_layers_and_remedies_after_everything_is_written(
    classifier, train_split, test_split, tmp_path, monkeypatch
):
    spoil(monkeypatch)
    options = {"formats": ["int8", "float32"], "calibration": train_split, "proof": test_split, "strict": True}
    with pytest.raises(ExportGateError, match=r"model_int8\.tflite.*points.*tolerance of 1 beyond.*float32") as caught:
        export(classifier, tmp_path / "e", **options)
    assert "stem" in str(caught.value)
    assert [artifact["format"] for artifact in caught.value.artifacts] == ["int8", "float32"]
    assert (tmp_path / "e" / "model_float32.tflite").exists()
    proof = json.loads((tmp_path / "e" / "model_int8.json").read_text())
    assert not proof["gate"]["ok"]
    errors = [layer["error"] for layer in proof["gate"]["layers"]]
    assert errors == sorted(errors, reverse=True) and errors[0] > 0.2
    assert any("stem" in layer["layer"] for layer in proof["gate"]["layers"])


def test_diagnosis_of_a_good_file_finds_small_errors(classifier, train_split):
    files = convert(classifier, ["float32", "int8"], calibration=train_split.images)
    names = {layer.name for layer in classifier.layers}
    found = diagnose(files["float32"], files["int8"], train_split.images[:4], names)
    assert {"CONV_2D", "MEAN", "FULLY_CONNECTED"} <= {layer.operator for layer in found}
    assert any("stem" in layer.layer for layer in found)
    assert all(0 <= layer.added <= layer.error < 0.1 for layer in found)


def test_three_outcomes(classifier, test_split, tmp_path):
    """Exactly the tolerated number of images may be lost; a few more are a warning, many a failure."""
    actual = classifier.predict(test_split.images.astype("float32"), verbose=0)

    def lose(count, tolerance, name, **options):
        labels = actual.argmax(1).astype("int32")
        labels[:count] = (labels[:count] + 1) % 3
        known = actual.copy()
        known[:count] = np.eye(3, dtype="float32")[labels[:count]]
        split = type(test_split)(test_split.images, labels, test_split.class_names)
        told = {"formats": ["float32"], "proof": split, "keras_probabilities": known, "tolerance": tolerance}
        return export(classifier, tmp_path / name, **told | options)

    exact = lose(3, 3 / 151, "a")
    assert exact[0]["gate"]["outcome"] == "pass" and not exact.problems and not exact.notes
    assert exact.recommended == exact[0]["path"] == "a/model_float32.tflite"
    doubtful = lose(3, 2 / 151, "b", strict=True)
    assert (doubtful[0]["gate"]["outcome"], doubtful[0]["gate"]["ok"]) == ("warn", True)
    assert "3 of 151 test items lost" in doubtful.notes[0] and "too few to tell" in doubtful.notes[0]
    assert not doubtful.problems and doubtful.recommended
    failed = lose(20, 2 / 151, "c")
    assert (failed[0]["gate"]["outcome"], failed[0]["gate"]["ok"]) == ("fail", False)
    assert "beyond doubt" in failed.problems[0] and "No file passed" in failed.notes[-1]
    assert json.loads((tmp_path / "c" / "model_float32.json").read_text())["lost"] == 20
    with pytest.raises(ExportGateError, match="beyond doubt") as caught:
        lose(20, 2 / 151, "d", strict=True)
    assert caught.value.artifacts[0]["gate"]["outcome"] == "fail"


def test_thirty_images_neither_pass_a_broken_file_nor_fail_a_good_one(
    classifier, train_split, test_split, tmp_path, monkeypatch
):
    few = test_split.stratified(30, 3)
    options = {"formats": ["float32", "int8"], "calibration": train_split, "proof": few}
    good = export(classifier, tmp_path / "good", strict=True, **options)
    assert [file["gate"]["outcome"] for file in good] == ["pass", "pass"]
    spoil(monkeypatch)
    broken = export(classifier, tmp_path / "broken", **options)
    assert [file["gate"]["outcome"] for file in broken] == ["pass", "fail"]
    assert broken.recommended == "broken/model_float32.tflite" and len(broken.problems) == 1


def test_a_file_that_nobody_asked_for_is_a_note(classifier, train_split, test_split, tmp_path, monkeypatch):
    spoil(monkeypatch, "dynamic")
    options = {"calibration": train_split, "proof": test_split}
    files = export(classifier, tmp_path / "a", strict=True, **options)
    gates = {file["format"]: file["gate"] for file in files}
    assert {name: gate["outcome"] == "fail" for name, gate in gates.items()} == {
        "float32": False, "float16": False, "dynamic": True, "int8": False,
    }  # fmt: skip
    assert [name for name, gate in gates.items() if gate["asked"]] == ["int8"]
    assert files.notes == [gates["dynamic"]["sentence"]] and "--repair" not in files.notes[0]
    assert files.recommended == "a/model_int8.tflite"
    with pytest.raises(ExportGateError, match="model_dynamic"):
        export(classifier, tmp_path / "b", formats=["dynamic", "float16"], strict=True, **options)


def test_the_recommended_file_passed(classifier, train_split, test_split, tmp_path, monkeypatch):
    patch_web_runtime(monkeypatch)
    spoil(monkeypatch)
    files = export(classifier, tmp_path, calibration=train_split, proof=test_split, targets=["web"])
    assert len(files.problems) == 1 and "model_int8" in files.problems[0]
    assert {file["path"]: file["gate"]["outcome"] for file in files}[files.recommended] == "pass"
    assert files.recommended.endswith("model_dynamic.tflite")
    assert json.loads((tmp_path / "web" / "model.json").read_text("utf-8"))["file"] == "model_dynamic.tflite"


def test_binary_head_gets_an_output_a_class(train_split, tmp_path):
    split = type(train_split)(train_split.images, (train_split.labels == 1).astype("int32"), ["no", "yes"])
    model = make_binary()
    p = model.predict(split.images.astype("float32"), verbose=0)
    labels = (p[:, 0] > 0.5).astype("int32")
    split = type(split)(split.images, labels, split.class_names)
    [artifact] = export(model, tmp_path / "e", formats=["float32"], proof=split)
    content = (tmp_path / artifact["path"]).read_bytes()
    opened = open_litert(content)
    assert opened.outputs[0].shape == (1, 2)
    assert read_labels(content) == ["no", "yes"]
    np.testing.assert_allclose(opened.predict(split.images), np.concatenate([1 - p, p], axis=1), atol=1e-5)
    assert artifact["agreement"] == artifact["test_accuracy"] == 1.0


def make_binary(fused=False):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((24, 24, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs))
    if fused:
        return keras.Model(inputs, keras.layers.Dense(1, "sigmoid", bias_initializer="normal")(x))
    return keras.Model(inputs, keras.layers.Activation("sigmoid")(keras.layers.Dense(1)(x)))


@pytest.mark.parametrize("kind", ["separate", "fused", "other"])
def test_two_columns_is_exact(kind, train_split):
    model = make_binary(fused=kind == "fused")
    if kind == "other":
        model = keras.Model(model.input, keras.ops.clip(model.output, 0.1, 0.9))
    images = train_split.images[:5].astype("float32")
    p = model.predict(images, verbose=0)
    np.testing.assert_allclose(two_columns(model).predict(images, verbose=0), np.concatenate([1 - p, p], 1), atol=1e-6)


def test_several_labels():
    labels = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], "float32")
    expected = np.array([[0.9, 0.1], [0.9, 0.6], [0.2, 0.2], [0.1, 0.7]], "float32")
    actual = np.array([[0.9, 0.7], [0.9, 0.6], [0.2, 0.2], [0.1, 0.4]], "float32")
    found = compare(expected, actual, labels, ["a", "b"])
    assert (found["keras_accuracy"], found["test_accuracy"], found["agreement"]) == (1.0, 0.5, 0.5)
    assert (found["keras_label_accuracy"], found["test_label_accuracy"]) == (1.0, 0.75)
    assert (found["lost"], found["gained"]) == (2, 0)
    for name, answers in (("keras", expected), ("test", actual)):  # one definition of accuracy everywhere
        scores = metrics(labels, answers, ["a", "b"])
        assert scores["accuracy"] == found[f"{name}_accuracy"]
        assert scores["label_accuracy"] == found[f"{name}_label_accuracy"]
    assert found["class_drops"] == {"a": 0.0, "b": 0.5}


def test_targets(exported, classifier, train_split):
    out, _ = exported
    uint8 = (out / "model_int8.tflite").read_bytes()
    int8 = convert(classifier, ["int8"], calibration=train_split.images, input_dtype="int8")["int8"]
    targets = ("android", "microcontroller", "web")
    ok = {(kind, target): judge(file, target)["ok"] for kind, file in (("u", uint8), ("i", int8)) for target in targets}
    assert ok == {
        ("u", "android"): True,
        ("u", "microcontroller"): False,
        ("u", "web"): True,
        ("i", "android"): True,
        ("i", "microcontroller"): True,
        ("i", "web"): False,
    }


def test_target_that_takes_no_file(classifier, test_split, tmp_path):
    files = export(classifier, tmp_path / "e", formats=["float32"], proof=test_split, targets=["microcontroller"])
    assert len(files.problems) == 1 and re.search("microcontroller takes none.*uint8", files.problems[0])
    assert files[0]["gate"]["ok"] and (tmp_path / "e" / "model_float32.json").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"targets": ["toaster"]}, "toaster"),
        ({"class_names": ["a", "b"]}, "2 class names"),
        ({"class_names": ["a", "b", "c\nd"]}, "one line"),
        ({"tolerance": 2}, "tolerance"),
        ({"formats": ["int8"]}, "calibration"),
        ({"formats": ["coreml"]}, "coreml"),
    ],
)
def test_wrong_arguments_write_nothing(classifier, test_split, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        export(classifier, tmp_path / "e", **{"formats": ["float32"], "proof": test_split, **options})
    assert not (tmp_path / "e").exists()


def test_an_unknown_keyword_is_named(classifier, test_split, tmp_path):
    with pytest.raises(TypeError, match=r"'calibration_images'\. Did you mean 'calibration_items'"):
        export(classifier, tmp_path / "e", proof=test_split, calibration_images=5)
    assert not (tmp_path / "e").exists()


def test_nan_is_refused(classifier, test_split, tmp_path):
    broken = keras.models.clone_model(classifier)
    broken.get_layer("logits").bias.assign([np.nan] * 3)
    with pytest.raises(InputError, match="NaN"):
        export(broken, tmp_path / "e", formats=["float32"], proof=test_split)
