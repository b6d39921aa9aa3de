"""YAMNet: a MobileNet that was trained on the 521 classes of AudioSet, on log-mel spectrograms of any length.

Plakal and Ellis, https://github.com/tensorflow/models/tree/master/research/audioset/yamnet (Apache-2.0, see NOTICE).
Its weights lie in this package in 8 bits, made by `pretraining/pack_yamnet.py`; batch normalization is folded in.
"""

from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError

FILE = Path(__file__).with_name("yamnet.npz")
# Channels and stride of each pair of a depthwise and a pointwise convolution.
_PAIRS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


def yamnet_layers(log_mel: keras.KerasTensor) -> keras.KerasTensor:
    """The network below its pooling, with random weights.

    Args:
        log_mel: float32 `[n, frames, 64]`.

    Returns:
        float32 `[n, frames / 32, 2, 1024]`, rounded up.

    >>> yamnet_layers(keras.Input((96, 64))).shape
    (None, 3, 2, 1024)
    """
    layers = keras.layers
    x = layers.Reshape((*log_mel.shape[1:], 1))(log_mel)
    x = layers.Conv2D(32, 3, 2, "same", kernel_initializer="he_normal", name="layer1_conv")(x)
    x = layers.ReLU(name="layer1_relu")(x)
    for number, (channels, stride) in enumerate(_PAIRS, 2):
        # Keras counts all channels as a depthwise kernel's inputs, where each has one.
        start = keras.initializers.TruncatedNormal(stddev=(2 / 9) ** 0.5)
        depthwise = layers.DepthwiseConv2D(
            3, stride, "same", depthwise_initializer=start, name=f"layer{number}_depthwise"
        )
        x = layers.ReLU(name=f"layer{number}_depthwise_relu")(depthwise(x))
        pointwise = layers.Conv2D(channels, 1, kernel_initializer="he_normal", name=f"layer{number}_pointwise")
        x = layers.ReLU(name=f"layer{number}_relu")(pointwise(x))
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
