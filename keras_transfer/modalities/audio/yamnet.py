"""YAMNet: a MobileNet that was trained on the 521 classes of AudioSet, on log-mel spectrograms.

Plakal and Ellis, https://github.com/tensorflow/models/tree/master/research/audioset/yamnet (Apache-2.0, see NOTICE).
Its weights lie in this package in 8 bits, made by `pretraining/pack_yamnet.py`; batch normalization is folded in.
"""

import math
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError

FILE = Path(__file__).with_name("yamnet.npz")
_FRAMES, _GAP = 96, 0.25  # of a window, and the share of one that may stay unseen between two
# Channels and stride of each pair of a depthwise and a pointwise convolution.
_PAIRS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


def yamnet_layers(log_mel: keras.KerasTensor) -> keras.KerasTensor:
    """The network below its pooling, with random weights.

    A clip is seen in windows of 96 frames, spread evenly. The network was trained on such: each place of its last map
    sees both ends of its window, and run over longer clips at once it tells sounds apart far worse. Windows lie behind
    one another along time.

    Args:
        log_mel: float32 `[n, frames, 64]`, 96 frames or more.

    Returns:
        float32 `[n, windows * 3, 2, 1024]`.

    >>> yamnet_layers(keras.Input((96, 64))).shape, yamnet_layers(keras.Input((498, 64))).shape
    ((None, 3, 2, 1024), (None, 15, 2, 1024))
    """
    ops, layers = keras.ops, keras.layers
    rest = log_mel.shape[1] - _FRAMES
    count = 1 + max(0, math.ceil(rest / _FRAMES - _GAP))
    starts = np.linspace(0, rest, count).astype(int) if count > 1 else [rest // 2]

    def within(layer: keras.layers.Layer, x: keras.KerasTensor) -> keras.KerasTensor:
        """A convolution of each window by itself."""
        if count == 1:
            return layer(x)
        y = layer(ops.reshape(x, (-1, x.shape[1] // count, *x.shape[2:])))
        return ops.reshape(y, (-1, count * y.shape[1], *y.shape[2:]))

    windows = [log_mel[:, start : start + _FRAMES] for start in starts]
    x = windows[0] if count == 1 else layers.Concatenate(axis=1, name="windows")(windows)
    x = layers.Reshape((*x.shape[1:], 1))(x)
    x = within(layers.Conv2D(32, 3, 2, "same", kernel_initializer="he_normal", name="layer1_conv"), x)
    x = layers.ReLU(name="layer1_relu")(x)
    for number, (channels, stride) in enumerate(_PAIRS, 2):
        # Keras counts all channels as a depthwise kernel's inputs, where each has one.
        start = keras.initializers.TruncatedNormal(stddev=(2 / 9) ** 0.5)
        name = f"layer{number}"
        depthwise = layers.DepthwiseConv2D(3, stride, "same", depthwise_initializer=start, name=f"{name}_depthwise")
        x = layers.ReLU(name=f"{name}_depthwise_relu")(within(depthwise, x))
        pointwise = layers.Conv2D(channels, 1, kernel_initializer="he_normal", name=f"{name}_pointwise")
        x = layers.ReLU(name=f"{name}_relu")(pointwise(x))
    return x


def yamnet_weights(weights: str = "pretrained") -> list[NDArray[np.float32]]:
    """The weights in this package, float32, in the order of the layers.

    Args:
        weights: `"pretrained"`; there are no others.

    Raises:
        InputError: others are asked for.

    >>> sum(array.size for array in yamnet_weights())
    3195456
    """
    if weights != "pretrained":
        raise InputError(f"The weights of yamnet are 'pretrained' or 'none'. Received: weights={weights!r}.")
    with np.load(FILE, allow_pickle=False) as stored:
        names = sorted(name for name in stored.files if not name.endswith("_scale"))
        return [stored[name] * np.float32(stored.get(f"{name}_scale", 1.0)) for name in names]
