"""Serializing: equal vectors once, constants aligned, the same answers."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_transfer.litert import open_litert
from keras_transfer.litert.packing import pack


def quantized(channels=512):
    import keras

    from keras_transfer.litert import convert

    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(channels, 3, activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.DepthwiseConv2D(3)(x))
    model = keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(x))
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
    return convert(model, ["int8"], calibration=pixels)["int8"], pixels


def test_zero_points_are_stored_once_and_answers_stay():
    content, pixels = quantized()
    builder = flatbuffers.Builder()  # the plain serializer writes every vector again
    builder.Finish(schema.ModelT.InitFromPackedBuf(content, 0).Pack(builder), b"TFL3")
    plain = bytes(builder.Output())
    packed = pack(schema.ModelT.InitFromPackedBuf(plain, 0))
    # Weights and biases of two layers of 512 channels, 8 bytes a zero point: three of the four vectors go.
    assert len(plain) - len(packed) > 3 * 512 * 8 - 512
    assert np.array_equal(open_litert(content).predict(pixels), open_litert(packed).predict(pixels))
    model = schema.Model.GetRootAs(packed)
    for index in range(model.BuffersLength()):
        if model.Buffers(index).DataLength():
            vector = model.Buffers(index)._tab.Vector(model.Buffers(index)._tab.Offset(4))
            assert vector % 16 == 0
