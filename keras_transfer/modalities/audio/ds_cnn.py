"""DS-CNN: a small network of depthwise separable convolutions for keywords, trained from random weights.

Zhang et al. 2017, https://arxiv.org/abs/1711.07128, in the small size that MLPerf Tiny measures
(https://github.com/mlcommons/tiny); on log-mel bands in place of cepstral coefficients.
"""

import keras

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array

_CHANNELS, _BLOCKS = 64, 4


def ds_cnn_layers(log_mel: keras.KerasTensor) -> keras.KerasTensor:
    """The network below its pooling.

    Args:
        log_mel: float32 `[n, frames, bands]`.

    Returns:
        float32 `[n, frames / 2, bands / 2, 64]`, rounded up.

    >>> ds_cnn_layers(keras.Input((49, 40))).shape
    (None, 25, 20, 64)
    """
    layers = keras.layers
    x = layers.Reshape((*log_mel.shape[1:], 1))(log_mel)
    x = layers.Conv2D(_CHANNELS, (10, 4), 2, "same", use_bias=False, name="conv")(x)
    x = _normalized(x, "conv")
    for number in range(1, _BLOCKS + 1):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"block{number}_depthwise")(x)
        x = _normalized(x, f"block{number}_depthwise")
        x = layers.Conv2D(_CHANNELS, 1, use_bias=False, name=f"block{number}_pointwise")(x)
        x = _normalized(x, f"block{number}_pointwise")
    return x


def ds_cnn_weights(weights: str) -> list[Array]:
    """Nobody released any.

    Raises:
        InputError: always.
    """
    raise InputError(f"ds_cnn has no pretrained weights: give weights='none'. Received: weights={weights!r}.")


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.ReLU(name=f"{name}_relu")(keras.layers.BatchNormalization(name=f"{name}_bn")(x))
