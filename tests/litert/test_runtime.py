import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

from keras_transfer.errors import InputError
from keras_transfer.litert import convert, open_litert
from keras_transfer.litert.flatbuffer import TensorInfo
from keras_transfer.litert.runtime import as_probabilities


def test_order_and_answers_do_not_depend_on_threads(files, pictures):
    one = open_litert(files["int8"], threads=1).predict(pictures)
    np.testing.assert_array_equal(open_litert(files["int8"], threads=3).predict(pictures), one)
    np.testing.assert_array_equal(open_litert(files["int8"], threads=3).predict(iter(pictures)), one)
    alone = open_litert(files["int8"]).predict(pictures[17:18])
    np.testing.assert_array_equal(alone[0], one[17])


def test_map_looks_only_a_bounded_way_ahead(files, pictures):
    n_read = 0

    def images():
        nonlocal n_read
        for _ in range(50):
            yield from pictures
            n_read += len(pictures)

    rows = open_litert(files["float32"], threads=2).map(images())
    next(rows)
    assert n_read <= len(pictures)
    rows.close()


def test_two_callers_at_once(files, pictures):
    opened = open_litert(files["float32"], threads=2)
    expected, answers = opened.predict(pictures), []
    callers = [threading.Thread(target=lambda: answers.append(opened.predict(pictures))) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(answers) == 4
    for answer in answers:
        np.testing.assert_array_equal(answer, expected)


def test_run_gives_raw_outputs_and_refuses_other_types(files, pictures):
    opened = open_litert(files["int8"])
    [raw] = opened.run([pictures[:1]])
    assert raw.dtype == np.uint8
    np.testing.assert_allclose(opened.predict(pictures[:1]), raw / np.float32(256))
    with pytest.raises(InputError, match="float32"):
        opened.run([pictures[:1].astype("float32")])


@pytest.mark.parametrize("wrong", [np.zeros((1, 16, 16, 3), "uint8"), np.zeros((1, 32, 32, 3), "float32")])
def test_pixels_of_another_kind(files, wrong):
    with pytest.raises(InputError, match="uint8"):
        open_litert(files["float32"]).predict(wrong)


def test_no_images(files):
    assert open_litert(files["float32"]).predict(np.zeros((0, 32, 32, 3), "uint8")).shape == (0, 3)


def test_one_sigmoid_unit_is_two_columns(pictures):
    model = keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1, "sigmoid")]
    )
    p = model.predict(pictures[:4].astype("float32"), verbose=0)
    actual = open_litert(convert(model, ["float32"])["float32"]).predict(pictures[:4])
    np.testing.assert_allclose(actual, np.concatenate([1 - p, p], axis=1), atol=1e-6)


def test_dequantization():
    output = TensorInfo(0, "p", (1, 2), "int8", scale=(0.5,), zero_point=(-2,))
    np.testing.assert_array_equal(as_probabilities(np.array([[-2, 4]], np.int8), output), [[0.0, 3.0]])


def test_foreign_file_with_float_input_is_mentioned(tmp_path, pictures, capsys):
    """A file made by TensorFlow alone takes float32 and does not say how it is normalized."""
    script = (
        "import sys, tensorflow as tf, keras\n"
        "model = keras.Sequential([keras.Input(batch_shape=(1, 32, 32, 3)), keras.layers.GlobalAveragePooling2D()])\n"
        "open(sys.argv[1], 'wb').write(tf.lite.TFLiteConverter.from_keras_model(model).convert())\n"
    )
    path = tmp_path / "foreign.tflite"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, capture_output=True)
    opened = open_litert(path)
    assert opened.inputs[0].dtype == "float32"
    np.testing.assert_allclose(opened.predict(pictures[:3]), pictures[:3].mean(axis=(1, 2)), rtol=1e-5)
    assert "0..255" in capsys.readouterr().err


def test_missing_file_and_no_model_file(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.tflite"):
        open_litert(tmp_path / "nowhere.tflite")
    path = tmp_path / "photo.tflite"
    path.write_bytes(b"\xff\xd8\xff" * 50)
    with pytest.raises(InputError, match=r"photo\.tflite.*TFL3"):
        open_litert(path)


def test_features_are_not_probabilities(trained, pictures):
    prefix = keras.Model(trained.input, [trained.layers[-1].output, trained.layers[3].output])
    opened = open_litert(convert(prefix, ["float32"])["float32"])
    with pytest.raises(InputError, match="2"):
        opened.predict(pictures)
