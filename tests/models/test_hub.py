"""Feature vectors from SavedModels: they train, save, load and convert; and cannot smuggle in file operations."""

import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.errors import InputError
from keras_transfer.modalities.image.builder import build_classifier
from keras_transfer.models import boundary, freeze_backbone, load_model, prefix, stages, unfreeze_top

CONVERTER = """
import sys, numpy
from keras_transfer.quick_start import quicken
quicken()
import tensorflow
from keras_transfer.models import load_model
model = load_model(sys.argv[1])
content = tensorflow.lite.TFLiteConverter.from_keras_model(model).convert()
open(sys.argv[2], "wb").write(content)
"""


class Features(tf.Module):
    """A feature vector in the style of TensorFlow Hub: pictures in 0..1 to eight numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.random.normal((3, 3, 3, 8), seed=1))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((), tf.bool)])
    def __call__(self, pictures, training=False):
        features = tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(pictures, self.kernel, 2, "SAME")), [1, 2])
        return tf.cond(training, lambda: features * 0.0, lambda: features)


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    folder, features = tmp_path_factory.mktemp("hub"), Features()
    tf.saved_model.save(features, str(folder))
    return folder, features


def test_features_train_save_load_and_convert(module, tmp_path, pixels):
    folder, features = module
    model = build_classifier(f"hub:{folder}", ["a", "b", "c"], image_size=32)
    freeze_backbone(model)
    expected = features(pixels(32) / 255, tf.constant(False))
    np.testing.assert_allclose(prefix(model, boundary(model))(pixels(32)), expected, rtol=1e-5)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(pixels(32), np.array([0, 1, 2]), verbose=0)
    assert len(model.trainable_variables) == 2
    predictions = model.predict(pixels(32), verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = load_model(tmp_path / "m.keras", compile=True)
    np.testing.assert_array_equal(loaded.predict(pixels(32), verbose=0), predictions)

    from ai_edge_litert.interpreter import Interpreter

    command = [sys.executable, "-c", CONVERTER, str(tmp_path / "m.keras"), str(tmp_path / "m.tflite")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    interpreter = Interpreter(str(tmp_path / "m.tflite"))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels(32)[:1])
    interpreter.invoke()
    got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(got, predictions[:1], atol=1e-5)


def test_a_signature_serves_where_there_is_no_call(tmp_path, pixels):
    plain, features = tf.Module(), Features()
    plain.inner = features
    call = tf.function(lambda pictures: {"default": features(pictures), "map": pictures})
    signature = call.get_concrete_function(tf.TensorSpec((None, 32, 32, 3), name="pictures"))
    tf.saved_model.save(plain, str(tmp_path), signatures={"image_feature_vector": signature})
    model = build_classifier("ignored", 2, weights=f"hub:{tmp_path}", image_size=32)
    assert model.get_layer("features").output.shape == (None, 8)
    with pytest.raises(InputError, match=r"gives no feature vector of \[64, 64, 3\]"):
        build_classifier(f"hub:{tmp_path}", 2, image_size=64)


def test_there_is_nothing_to_unfreeze(module):
    model = build_classifier(f"hub:{module[0]}", 2, image_size=32)
    assert stages(model) == []
    with pytest.raises(InputError, match="nothing can be unfrozen"):
        unfreeze_top(model, stages=1)


def test_graphs_that_touch_files_are_refused(module, tmp_path):
    class Reader(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
        def __call__(self, pictures):
            size = tf.strings.length(tf.io.read_file("/etc/hostname"))
            return tf.ensure_shape(tf.reduce_mean(pictures, [1, 2]) + tf.cast(size, tf.float32), (None, 3))

    tf.saved_model.save(Reader(), str(tmp_path / "reader"))
    with pytest.raises(InputError, match="holds the operation ReadFile"):
        build_classifier(f"hub:{tmp_path / 'reader'}", 2, image_size=32)
    # The same when it comes inside a `.keras` file: the weights of one model with the graph of another.
    from keras_transfer.models import hub

    model = build_classifier(f"hub:{module[0]}", 2, image_size=32)
    reader = tf.saved_model.load(str(tmp_path / "reader"))
    graph = hub._freeze(reader, "reader", tf.TensorSpec((None, 32, 32, 3)))[0]
    model.get_layer("features")._graph = graph
    model.save(tmp_path / "bad.keras")
    assert zipfile.is_zipfile(tmp_path / "bad.keras")
    with pytest.raises(InputError, match=r"safe mode: .*The feature graph holds the operation ReadFile"):
        load_model(tmp_path / "bad.keras")


def test_handles_that_cannot_be_had(tmp_path, monkeypatch):
    hub = pytest.importorskip("tensorflow_hub")

    def resolve(handle):
        raise OSError("Name or service not known")

    monkeypatch.setattr(hub, "resolve", resolve)
    with pytest.raises(InputError, match=r"cannot be downloaded \(Name or service not known\): fetch it"):
        build_classifier("hub:https://example.org/module/1", 2)
    with pytest.raises(InputError, match="cannot be loaded as a SavedModel"):
        build_classifier(f"hub:{tmp_path}", 2)


def test_load_model_refuses_what_is_no_model(tmp_path):
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(InputError, match="cannot be loaded as a Keras model in safe mode"):
        load_model(tmp_path / "text.keras")
    with pytest.raises(InputError, match="There is no model file"):
        load_model(tmp_path / "none.keras")
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs)).save(tmp_path / "lambda.keras")
    with pytest.raises(InputError, match="safe mode"):
        load_model(tmp_path / "lambda.keras")
