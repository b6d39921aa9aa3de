"""A small classifier of ordinary, depthwise and 1x1 convolutions."""

import keras
import numpy as np

from keras_transfer.compression.sparsity import kernel_layers


def small_classifier(classes, nested=False):
    """Two stages of ordinary, depthwise and 1x1 convolutions under a dense head."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = keras.layers.BatchNormalization(name="stem_bn")(x)
    x = keras.layers.ReLU()(x)
    start = keras.Input(x.shape[1:]) if nested else x
    y = keras.layers.DepthwiseConv2D(3, strides=2, padding="same", name="depthwise")(start)
    y = keras.layers.Conv2D(32, 1, name="expand")(y)
    y = keras.layers.BatchNormalization(name="expand_bn")(y)
    y = keras.layers.ReLU()(y)
    y = keras.layers.Conv2D(48, 3, padding="same", activation="relu", name="wide")(y)
    x = keras.Model(start, y, name="inner")(x) if nested else y
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(32, activation="relu", name="hidden")(x)
    x = keras.layers.Dropout(0.1)(x)
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax", name="logits")(x))


def kernels(model):
    return {name: np.asarray(layer.kernel) for name, layer in kernel_layers(model).items()}
