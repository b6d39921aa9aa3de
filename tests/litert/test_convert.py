import keras
import numpy as np
import pytest

from keras_transfer.errors import InputError, KerasTransferError
from keras_transfer.litert import convert, open_litert, read_flatbuffer
from keras_transfer.litert.convert import FORMATS
from keras_transfer.litert.protocol import Options, Request

INPUT_SCALE = 2 / 255


@pytest.mark.parametrize("name", FORMATS)
def test_contract(files, trained, pictures, name):
    info = read_flatbuffer(files[name])
    image, output = info.tensors[info.inputs[0]], info.tensors[info.outputs[0]]
    assert (image.shape, image.dtype) == ((1, 32, 32, 3), "uint8")
    assert (output.shape, output.dtype) == ((1, 3), "uint8" if name == "int8" else "float32")
    assert not any(tensor.dynamic for tensor in info.tensors)
    assert not any(operator.custom for operator in info.operators)
    expected = trained.predict(pictures.astype("float32"), verbose=0)
    actual = open_litert(files[name]).predict(pictures)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, atol={"float32": 1e-5, "float16": 5e-3}.get(name, 0.08))
    assert np.mean(actual.argmax(1) == expected.argmax(1)) >= 0.95


def test_int8_is_integer_throughout_and_folds_preprocessing_and_batch_norm(files):
    info = read_flatbuffer(files["int8"])
    counts = info.counts()
    assert set(counts) <= {"CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX", "QUANTIZE"}
    assert counts["QUANTIZE"] == 2  # uint8 to int8 and back, each a pure shift of 128
    assert not any(t.dtype.startswith("float") for t in info.tensors)
    image, output = info.tensors[info.inputs[0]], info.tensors[info.outputs[0]]
    assert image.scale == pytest.approx((INPUT_SCALE,), rel=1e-6)
    assert image.zero_point[0] in (127, 128)
    shifted = info.tensors[info.operators[0].outputs[0]]
    assert (shifted.scale, shifted.zero_point[0]) == (image.scale, image.zero_point[0] - 128)
    assert (output.scale, output.zero_point) == ((1 / 256,), (0,))


def test_int8_input_for_microcontrollers(files, trained, pictures):
    content = convert(trained, ["int8"], calibration=pictures, input_dtype="int8")["int8"]
    info = read_flatbuffer(content)
    image, output = info.tensors[info.inputs[0]], info.tensors[info.outputs[0]]
    assert (image.dtype, output.dtype) == ("int8", "int8")
    assert (output.scale, output.zero_point) == ((1 / 256,), (-128,))
    assert "QUANTIZE" not in info.counts()
    np.testing.assert_array_equal(open_litert(content).predict(pictures), open_litert(files["int8"]).predict(pictures))


def test_input_without_one_scale_spans_exactly_the_pixels(pictures):
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling([0.01, 0.02, 0.03], [-1.0, -1.5, -2.0])(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(x))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
    image = open_litert(convert(model, ["int8"], calibration=pictures[:, :, :, :] // 2)["int8"]).inputs[0]
    assert (image.scale, image.zero_point) == ((1.0,), (0,))


@pytest.mark.parametrize("scale, offset", [(1 / 255, 0.0), (1 / 127.5, -1.0), (1 / 255, -0.3)])
def test_folded_first_layer_sees_what_keras_sees(pictures, scale, offset):
    """Each output is off by no more than half a step of the input through the (positive) weights, and of its own."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(scale, offset)(inputs)
    layer = keras.layers.Conv2D(4, 3, kernel_initializer=keras.initializers.RandomUniform(0.5, 1.0))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(layer(x)))
    content = convert(model, ["int8"], calibration=pictures)["int8"]
    opened = open_litert(content)
    assert opened.inputs[0].scale == pytest.approx((scale,), rel=1e-5)
    assert abs(opened.inputs[0].zero_point[0] + offset / scale) <= 0.51
    half_a_step = 0.5 * scale * layer.kernel.numpy().sum(axis=(0, 1, 2)).max()
    errors = opened.predict(pictures) - model.predict(pictures.astype("float32"), verbose=0)
    assert np.abs(errors).max() < 1.2 * half_a_step + 2 * opened.outputs[0].scale[0]


def test_several_outputs_keep_their_order(trained, pictures):
    maps = [layer for layer in trained.layers if isinstance(layer, keras.layers.ReLU)]
    prefix = keras.Model(trained.input, [maps[-1].output, trained.layers[-3].output, maps[0].output])
    opened = open_litert(convert(prefix, ["float32"])["float32"])
    expected = prefix.predict(pictures[:9].astype("float32"), verbose=0)
    rows = list(opened.map(pictures[:9]))
    assert [out.shape for out in rows[0]] == [out.shape[1:] for out in expected]
    for position, out in enumerate(expected):
        np.testing.assert_allclose(np.stack([row[position] for row in rows]), out, atol=1e-5)


def test_per_tensor_dense(trained, pictures, files):
    def dense_scales(content):
        info = read_flatbuffer(content)
        [dense] = [operator for operator in info.operators if operator.name == "FULLY_CONNECTED"]
        return len(info.tensors[dense.inputs[1]].scale)

    assert dense_scales(files["int8"]) == 3
    assert dense_scales(convert(trained, ["int8"], calibration=pictures, per_tensor_dense=True)["int8"]) == 1


def test_same_model_same_bytes(trained, pictures, files):
    assert convert(trained, ["int8"], calibration=pictures) == {"int8": files["int8"]}


class Doubling(keras.layers.Layer):
    """A class that the converting process cannot know."""

    def call(self, x):
        return 2 * x


def test_classes_of_the_users_program_are_converted_too(pictures):
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(Doubling()(inputs)))
    actual = open_litert(convert(model, ["float32"])["float32"]).predict(pictures[:2])
    np.testing.assert_allclose(actual, model.predict(pictures[:2].astype("float32"), verbose=0), rtol=1e-5)


def test_operators_that_litert_lacks_are_named():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(keras.ops.erfinv(inputs / 300)))
    with pytest.raises(InputError, match="Erfinv"):
        convert(model, ["float32"])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"formats": ["float64"]}, "float64"),
        ({"formats": "int8"}, "list"),
        ({"formats": ["int8"]}, "calibration"),
        ({"formats": ["16x8"]}, "16x8 needs `calibration`"),
        ({"formats": ["float32"], "float_layers": ["bn_7"]}, "bn_7"),
        ({"formats": ["int8"], "calibration": np.zeros((2, 16, 16, 3), "uint8")}, "16"),
        ({"formats": ["int8"], "calibration": np.zeros((2, 32, 32, 3), "float32")}, "float32"),
        ({"formats": ["float32"], "input_dtype": "float32"}, "input_dtype"),
    ],
)
def test_wrong_arguments(trained, arguments, message):
    with pytest.raises(InputError, match=message):
        convert(trained, **arguments)


def test_an_open_size_is_an_argument_or_that_of_the_calibration(pictures):
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()])
    with pytest.raises(InputError, match=r"takes pictures of any size .*`image_size=`"):
        convert(model, ["float32"])
    assert open_litert(convert(model, ["float32"], image_size=8)["float32"]).inputs[0].shape == (1, 8, 8, 3)
    assert open_litert(convert(model, ["int8"], calibration=pictures)["int8"]).inputs[0].shape == (1, 32, 32, 3)


def recurrent(layer, steps=8):
    inputs = keras.Input((steps, 8, 3))
    x = keras.layers.Reshape((steps, 24))(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(layer(x)))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN", "Bidirectional"])
def test_recurrent_layers(kind):
    """A loop in float files, steps in a row in integer ones; the model is left as it was."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    layer = layers.Bidirectional(layers.LSTM(4)) if kind == "Bidirectional" else getattr(layers, kind)(4)
    model, sequences = recurrent(layer), np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
    expected = model.predict(sequences.astype("float32"), verbose=0)
    files = convert(model, FORMATS, calibration=sequences)
    for name, content in files.items():
        assert ("WHILE" in read_flatbuffer(content).counts()) == (name not in ("int8", "16x8"))
        np.testing.assert_allclose(
            open_litert(content).predict(sequences), expected, atol={"float32": 1e-5}.get(name, 0.02)
        )
    assert not any(getattr(one, "unroll", False) for one in model._flatten_layers())


def test_a_loop_is_no_integer_file(monkeypatch):
    monkeypatch.setattr("keras_transfer.litert.frozen._UNROLLED", 7)
    with pytest.raises(InputError, match="a recurrent layer of many steps, which int8 cannot hold"):
        convert(recurrent(keras.layers.GRU(4)), ["int8"], calibration=np.zeros((4, 8, 8, 3), np.uint8))


def test_worker_is_kept_renewed_and_replaced(trained, monkeypatch):
    module().close()  # what other tests of this process converted counts towards its renewal
    worker = converting_worker()
    convert(trained, ["float32"])
    assert converting_worker() is worker
    monkeypatch.setattr(module(), "_RENEW_AFTER", 1)
    convert(trained, ["float32"])
    renewed = converting_worker()
    assert renewed is not worker and worker.process.poll() is not None
    renewed.process.kill()
    renewed.process.wait()
    assert convert(trained, ["float32"])["float32"][4:8] == b"TFL3"


def test_worker_that_dies_shows_the_end_of_its_log(trained, monkeypatch):
    worker = module()._running()
    worker.ask(Request("nowhere", {}, Options()))
    worker.process.kill()
    monkeypatch.setattr(module(), "_running", lambda: worker)
    with pytest.raises(KerasTransferError, match="code -9"):
        convert(trained, ["float32"])
    monkeypatch.undo()
    module().close()


def module():
    from importlib import import_module

    return import_module("keras_transfer.litert.convert")


def converting_worker():
    return module()._worker or module()._running()


@pytest.mark.timeout(300)
def test_mobilenet_v2_operators(pictures):
    random = np.random.default_rng(0)
    inputs = keras.Input((96, 96, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    body = keras.applications.MobileNetV2(input_tensor=x, alpha=0.35, weights=None, classes=5)
    for layer in body.layers:  # as if trained: fresh statistics would let the values grow from block to block
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(random.uniform(0.05, 0.3, layer.moving_variance.shape))
    model = keras.Model(inputs, body.output)
    images = random.integers(0, 256, (8, 96, 96, 3), dtype=np.uint8)
    content = convert(model, ["int8"], calibration=images)["int8"]
    info = read_flatbuffer(content)
    assert info.counts() == {
        "CONV_2D": 35,
        "DEPTHWISE_CONV_2D": 17,
        "ADD": 10,
        "QUANTIZE": 2,
        "MEAN": 1,
        "FULLY_CONNECTED": 1,
        "SOFTMAX": 1,
    }
    for operator in info.operators:
        if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            weights = info.tensors[operator.inputs[1]]
            assert len(weights.scale) == weights.shape[weights.axis]


@pytest.mark.parametrize("name", FORMATS)
def test_runtimes_find_inputs_and_outputs_by_name(files, pictures, name):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=files[name]).get_signature_runner("serving_default")
    assert list(runner(image=pictures[:1])) == ["output_0"]
