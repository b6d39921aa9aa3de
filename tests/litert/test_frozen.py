"""Graphs with constants for variables: made without TensorFlow's slow way where that does, to the same files."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.litert import convert, frozen, open_litert


class Shift(keras.layers.Layer):
    """Adds what a variable, or something else, says."""

    def __init__(self, way, **kwargs):
        super().__init__(**kwargs)
        self.way = way
        self.table = tf.Variable([[0.0, 0.0], [0.5, -0.5]], trainable=False)
        self.constant = tf.constant([0.5, -0.5])

    def call(self, inputs):
        if self.way == "read":
            return inputs + self.table[1]
        if self.way == "captured tensor":
            return inputs + self.constant
        if self.way == "gathered":  # by an operator that takes the variable itself
            return inputs + tf.gather(self.table, 1)
        return tf.function(lambda values: values + self.table[1])(inputs)

    def compute_output_shape(self, shape):
        return shape


def shifted(way):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs)))
    return keras.Model(inputs, keras.layers.Softmax()(Shift(way)(x)))


@pytest.mark.parametrize("way", ["read", "captured tensor", "gathered", "inside a function"])
def test_variables_become_constants_however_they_are_used(way, pictures):
    model = shifted(way)
    images = np.ascontiguousarray(pictures[:4, :8, :8])
    graphs = []

    def spied(function, real=frozen._constant):
        graphs.append(real(function))
        return graphs[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frozen, "_constant", spied)
        content = convert(model, ["float32"])["float32"]
    assert (graphs[0] is not None) == (way in ("read", "captured tensor"))
    expected = model(tf.cast(images, tf.float32)).numpy()
    np.testing.assert_allclose(open_litert(content).predict(images), expected, atol=1e-6)


def test_files_are_those_of_tensorflow_s_way(trained, pictures, monkeypatch):
    options = {"formats": ["float32", "int8"], "calibration": pictures}
    ours = convert(trained, **options)
    monkeypatch.setattr(frozen, "_constant", lambda function: None)
    assert convert(trained, **options) == ours
