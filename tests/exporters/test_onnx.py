"""ONNX files: proved like the others, by ONNX Runtime."""

import hashlib
import json
from importlib.util import find_spec

import keras
import numpy as np
import pytest

from keras_transfer.errors import InputError
from keras_transfer.exporters import export
from keras_transfer.exporters import onnx as exporting
from keras_transfer.modalities.image import ImagePreparer

pytestmark = pytest.mark.skipif(find_spec("tf2onnx") is None, reason="needs the extra `onnx`")


@pytest.fixture(scope="module")
def exported(classifier, test_split, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "export"
    return out, export(classifier, out, formats=["float32", "onnx"], proof=test_split, targets=["android"])


def test_proof_says_what_running_the_file_shows(exported, classifier, test_split):
    out, artifacts = exported
    assert [artifact["path"] for artifact in artifacts] == ["export/model_float32.tflite", "export/model.onnx"]
    content = (out / "model.onnx").read_bytes()
    proof = json.loads((out / "model.json").read_text())
    expected = classifier.predict(test_split.images.astype("float32"), verbose=0)
    actual = exporting.Onnx(content).predict(test_split.images)
    np.testing.assert_allclose(actual, expected, atol=1e-4)
    assert proof["sha256"] == hashlib.sha256(content).hexdigest() and proof["images"] == len(test_split)
    assert proof["test_accuracy"] == np.mean(actual.argmax(1) == test_split.labels) == proof["keras_accuracy"]
    assert proof["agreement"] == 1.0 and proof["gate"]["ok"] and proof["targets"] == {}
    assert proof["input"]["shape"] == ["batch", 24, 24, 3] and proof["operators"]["Conv"] == 1
    assert proof["versions"]["onnxruntime"] and proof["latency"]["median_ms"] > 0


def test_names_stand_in_the_file(exported, test_split):
    import onnx

    about = {p.key: p.value for p in onnx.load(exported[0] / "model.onnx").metadata_props}
    assert json.loads(about["class_names"]) == test_split.class_names


def test_alone(classifier, test_split, tmp_path):
    [artifact] = export(classifier, tmp_path / "e", formats=["onnx"], proof=test_split)
    assert artifact["format"] == "onnx" and artifact["accuracy_drop"] == 0


def test_statistics_of_a_normalization_are_constants(test_split):
    """As in EfficientNet, where tf2onnx asks for them at every inference."""
    inputs = keras.Input((24, 24, 3))
    normalize = keras.layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[50.0, 60.0, 70.0], name="normalize")
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, name="stem")(normalize(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="head")(x))
    content = exporting.convert_onnx(model, test_split.class_names, ImagePreparer().spec(24))
    expected = model.predict(test_split.images[:8].astype("float32"), verbose=0)
    np.testing.assert_allclose(exporting.Onnx(content).predict(test_split.images[:8]), expected, atol=1e-4)


def test_without_the_packages(classifier, test_split, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install .*tf2onnx"):
        export(classifier, tmp_path / "e", formats=["onnx"], proof=test_split)
    assert not (tmp_path / "e").exists()
