"""A small network that sees each channel by itself, by the same weights: it takes any channels and any length.

Its weights lie in this package as float16, made by `pretraining/series/pretrain.py` on made signals alone.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

FILE = Path(__file__).with_name("channelwise.npz")
_STEM = 32
_STAGES = ((64, 7), (96, 5), (128, 3))  # channels and steps of the kernels; each stage halves the time


def channelwise_layers(x: "keras.KerasTensor") -> "keras.KerasTensor":
    """The network below its pooling, with random weights.

    Args:
        x: normalized series, float32 `[n, 1, time, channels]`.

    Returns:
        float32 `[n, channels, time / 8, 128]`, rounded up.

    >>> import keras
    >>> channelwise_layers(keras.Input((1, 100, 6))).shape
    (None, 6, 13, 128)
    """
    from keras import layers

    x = layers.Permute((3, 2, 1), name="by_channel")(x)
    x = _convolved(x, _STEM, 9, 1, "stem")
    for number, (filters, taps) in enumerate(_STAGES, 1):
        x = _convolved(x, filters, taps, 2, f"stage{number}_down")
        y = _convolved(x, filters, taps, 1, f"stage{number}_conv")
        x = layers.Add(name=f"stage{number}_add")([x, y])
    return x


def channelwise_weights() -> list[NDArray[np.float32]]:
    """The bundled weights, in the order of the layers."""
    with np.load(FILE, allow_pickle=False) as file:
        return [file[str(number)].astype(np.float32) for number in range(len(file.files))]


def _convolved(x: "keras.KerasTensor", filters: int, taps: int, stride: int, name: str) -> "keras.KerasTensor":
    from keras import layers

    x = layers.Conv2D(filters, (1, taps), (1, stride), "same", use_bias=False, name=name)(x)
    return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))
