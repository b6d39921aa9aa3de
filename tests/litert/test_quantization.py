"""Ranges, biases and layers of quantized files."""

import keras
import numpy as np
import pytest

from keras_transfer.litert import convert, open_litert, read_flatbuffer


def dtypes(content, operator):
    info = read_flatbuffer(content)
    return [info.tensors[o.outputs[0]].dtype for o in info.operators if o.name == operator]


def test_16x8_computes_in_int16_between_a_cast_and_a_dequantize(files, trained, pictures):
    info = read_flatbuffer(files["16x8"])
    names = [operator.name for operator in info.operators]
    assert names[:2] == ["CAST", "QUANTIZE"] and names[-1] == "DEQUANTIZE"
    assert {info.tensors[operator.outputs[0]].dtype for operator in info.operators[1:-1]} == {"int16"}
    weights = [info.tensors[o.inputs[1]].dtype for o in info.operators if "CONV" in o.name]
    assert weights and set(weights) == {"int8"}
    expected = trained.predict(pictures.astype("float32"), verbose=0)
    errors = {name: np.abs(open_litert(files[name]).predict(pictures) - expected).mean() for name in ("16x8", "int8")}
    assert errors["16x8"] < errors["int8"]


def test_an_addend_keeps_its_own_range(pictures):
    """Ten and a hundredth of the input: the sum's range would leave the second with a handful of steps."""
    inputs = keras.Input((32, 32, 3))
    big, small = (keras.layers.Conv2D(4, 1, name=name) for name in ("big", "small"))
    x = keras.layers.Add()([small(inputs), big(inputs)])
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    for layer, scale in ((big, 10.0), (small, 0.01)):
        layer.kernel.assign(np.full((1, 1, 3, 4), scale / 3))
    info = read_flatbuffer(convert(model, ["int8"], calibration=pictures)["int8"])
    steps = sorted(info.tensors[o.outputs[0]].scale[0] for o in info.operators if o.name == "CONV_2D")
    assert steps[1] / steps[0] == pytest.approx(1000, rel=0.02)


@pytest.fixture(scope="module")
def uneven():
    """A convolution whose rounded weights all err to the same side, which its positive inputs do not average out."""
    inputs = keras.Input((32, 32, 3))
    layer = keras.layers.Conv2D(2, 3, strides=2, padding="same", bias_initializer="normal", name="uneven")
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(layer(inputs)))
    kernel = np.full((3, 3, 3, 2), 1.4 / 127)
    kernel[0, 0, 0] = 1
    layer.kernel.assign(kernel)
    return model


@pytest.mark.parametrize("name", ["int8", "16x8"])
def test_biases_make_up_for_rounded_weights(uneven, pictures, name):
    content = convert(uneven, [name], calibration=pictures)[name]
    expected = uneven.predict(pictures.astype("float32"), verbose=0)
    actual = open_litert(content).map(pictures)
    scale = open_litert(content).outputs[0].scale or (1,)
    zero = open_litert(content).outputs[0].zero_point or (0,)
    answers = np.stack([(row[0].astype("float32") - zero[0]) * scale[0] for row in actual])
    # Uncorrected, 26 weights that each lose 0.4 of a 127th of pixels of about 90.
    assert np.abs((answers - expected).mean(axis=0)).max() < 0.1 * 26 * 0.4 / 127 * 90


def test_layers_left_in_float(trained, pictures):
    content = convert(trained, ["int8"], calibration=pictures, float_layers=["bn_1"])["int8"]
    info = read_flatbuffer(content)
    assert [info.tensors[i].dtype for i in (*info.inputs, *info.outputs)] == ["uint8", "uint8"]
    assert dtypes(content, "CONV_2D") == ["int8", "float32"]  # the second holds bn_1
    assert dtypes(content, "DEPTHWISE_CONV_2D") == ["int8", "float32"]  # which writes what it reads
    assert dtypes(content, "MEAN") == ["float32"]  # which reads what it writes
    assert dtypes(content, "FULLY_CONNECTED") == ["int8"]
    expected = trained.predict(pictures.astype("float32"), verbose=0)
    np.testing.assert_allclose(open_litert(content).predict(pictures), expected, atol=0.08)
