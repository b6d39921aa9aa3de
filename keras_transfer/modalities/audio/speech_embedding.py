"""Google's speech_embedding: a network that was trained to tell keywords apart, on log-mel spectrograms of any length.

Lin et al. 2020, https://arxiv.org/abs/2002.01322; `google/speech_embedding/1` of TensorFlow Hub, Apache-2.0. Its
weights are read from the file `embedding_model.onnx` that openWakeWord made of it.
"""

from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.files import read_file
from keras_transfer.modalities.audio.backbones import SPEECH_FILE
from keras_transfer.modalities.audio.onnx_weights import read_initializers

# Channels of the pairs of a convolution over bands and one over time, and the pooling after them.
_GROUPS = ((24, 1, (2, 2)), (48, 2, (1, 2)), (72, 2, (2, 2)), (96, 2, (1, 2)), (96, 2, (2, 2)))


def speech_embedding_layers(log_mel: keras.KerasTensor) -> keras.KerasTensor:
    """The network, with random weights.

    Args:
        log_mel: float32 `[n, frames, 32]`, 76 frames or more.

    Returns:
        float32 `[n, (frames - 76) // 8 + 1, 1, 96]`: one embedding of every 76 frames, each 8 after the one before.

    >>> speech_embedding_layers(keras.Input((116, 32))).shape
    (None, 6, 1, 96)
    """
    layers = keras.layers
    x = layers.Reshape((*log_mel.shape[1:], 1))(log_mel)
    x = layers.ZeroPadding2D((0, 1))(x)
    x = _conv(24, (3, 3), "conv0", bias=False)(x)
    x = layers.BatchNormalization(epsilon=1e-3, name="conv0_bn")(layers.ReLU(name="conv0_relu")(x))
    x = _activated(x)
    number = 1
    for channels, pairs, pool in _GROUPS:
        for _ in range(pairs):
            x = _activated(_conv(channels, (1, 3), f"conv{number}", padding="same")(x))
            x = _activated(_conv(channels, (3, 1), f"conv{number + 1}")(x))
            number += 2
        x = layers.MaxPooling2D(pool)(x)
    return _conv(96, (3, 1), f"conv{number}", bias=False)(x)


def _conv(
    channels: int, kernel: tuple[int, int], name: str, *, padding: str = "valid", bias: bool = True
) -> keras.layers.Layer:
    start = "he_normal"
    return keras.layers.Conv2D(channels, kernel, padding=padding, use_bias=bias, kernel_initializer=start, name=name)


def _activated(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.ops.maximum(keras.layers.LeakyReLU(0.2)(x), -0.4)


def speech_embedding_weights(weights: str) -> list[NDArray[np.float32]]:
    """The pretrained weights, float32, in the order of the layers.

    Args:
        weights: path of `embedding_model.onnx`, or of the folder where it lies.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    place = Path(weights).expanduser()
    place = place / SPEECH_FILE if place.is_dir() else place
    if not place.is_file():
        none = "none was given" if weights == "pretrained" else f"there is none at {place}"
        raise InputError(
            f"speech_embedding, which knows words and voices, needs a file of weights, and {none}: give the path of "
            f"{SPEECH_FILE} as `weights` (--weights); it lies in the Python package openwakeword 0.4.0 under "
            "resources/models."
        )
    found = read_initializers(read_file(place), str(place))
    try:
        return [_as_keras(found[name]) for name in _names(list(found))]
    except KeyError as error:
        raise InputError(f"{place} does not hold the weights of speech_embedding: it has no {error}.") from error


def _names(found: list[str]) -> list[str]:
    """The names in the file, in the order of the layers."""

    def kernel(number: str) -> str:
        start = f"model/conv2d{number}/"
        return next((name for name in found if name.startswith(start) and "/Conv2D/" in name), f"{start}Conv2D")

    norm = "model/batch_normalization/{}ReadVariableOp{}:0"
    names = [kernel(""), *(norm.format(at, number) for at in ("", "FusedBatchNormV3/") for number in ("", "_1"))]
    for number in range(1, 19):
        names += [f"model/conv2d_{number}/Conv2D_{kind}_fused_bn" for kind in ("weights", "bias")]
    return [*names, kernel("_19")]


def _as_keras(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """ONNX has kernels `[out, in, height, width]`."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
