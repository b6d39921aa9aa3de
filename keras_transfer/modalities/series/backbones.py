"""The table of backbones of time series: one row each, and their layers.

Networks work on maps of height 1: a convolution over time is then a `Conv2D`, which every runtime of small devices has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from keras_transfer.modalities.rows import find_row
from keras_transfer.modalities.series.channelwise import channelwise_layers, channelwise_weights

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

_Tensor: TypeAlias = "keras.KerasTensor"
FEATURES = 20_000
"""About so many features does Rocket compute of a series."""


@dataclass(frozen=True)
class SeriesBackbone:
    """A network of time series and what a user must know of it.

    Attributes:
        name: the name to ask for it by.
        layers: from float32 `[n, 1, time, channels]` to the map below the pooling; None where `rocket.py` has them.
        source: the paper.
        fit_for: where it is at home: `"phone"`, `"microcontroller"`, `"edgetpu"`, `"server"`.
        features: of Rocket, about how many; 0 of others.
        pretrained: gives its weights in their order, where there are some in this package.
        apart: whether its map has a row for each channel, whose means are features of their own.
    """

    name: str
    layers: Callable[[_Tensor], _Tensor] | None
    source: str
    fit_for: tuple[str, ...]
    features: int = 0
    pretrained: "Callable[[], list[NDArray[np.float32]]] | None" = None
    apart: bool = False


def inception_time_layers(x: _Tensor) -> _Tensor:
    """InceptionTime: six modules of kernels of 10, 20 and 40 steps side by side, with two shortcuts."""
    import keras

    layers, shortcut = keras.layers, x
    for number in range(1, 7):
        name = f"module{number}"
        narrow = layers.Conv2D(32, 1, use_bias=False, name=f"{name}_narrow")(x) if x.shape[-1] > 1 else x
        sides = [
            layers.Conv2D(32, (1, taps), padding="same", use_bias=False, name=f"{name}_{taps}")(narrow)
            for taps in (40, 20, 10)
        ]
        pooled = layers.MaxPooling2D((1, 3), 1, "same", name=f"{name}_pool")(x)
        sides.append(layers.Conv2D(32, 1, use_bias=False, name=f"{name}_pooled")(pooled))
        x = _normalized(layers.Concatenate(name=f"{name}_sides")(sides), name)
        if number % 3 == 0:
            x = shortcut = _with_shortcut(shortcut, x, name)
    return x


def resnet_1d_layers(x: _Tensor) -> _Tensor:
    """ResNet of three blocks with kernels of 8, 5 and 3 steps."""
    for number, filters in enumerate((64, 128, 128), 1):
        before, name = x, f"block{number}"
        for taps in (8, 5, 3):
            x = _convolved(x, filters, taps, f"{name}_{taps}", relu=taps != 3)
        x = _with_shortcut(before, x, name)
    return x


def fcn_layers(x: _Tensor) -> _Tensor:
    """Three convolutions with kernels of 8, 5 and 3 steps."""
    for number, (filters, taps) in enumerate(((128, 8), (256, 5), (128, 3)), 1):
        x = _convolved(x, filters, taps, f"conv{number}")
    return x


def ds_cnn_1d_layers(x: _Tensor) -> _Tensor:
    """A convolution and three depthwise separable ones, each on half as many steps as the one before."""
    import keras

    x = _convolved(x, 32, 9, "conv")
    for number, filters in enumerate((32, 64, 64), 1):
        name = f"block{number}"
        steps = min(2, x.shape[2])
        x = keras.layers.MaxPooling2D((1, steps), name=f"{name}_pool")(x)
        x = keras.layers.DepthwiseConv2D((1, 9), padding="same", use_bias=False, name=f"{name}_depthwise")(x)
        x = _convolved(_normalized(x, f"{name}_depthwise"), filters, 1, f"{name}_pointwise")
    return x


def transformer_1d_layers(x: _Tensor) -> _Tensor:
    """Pieces of a series as tokens, their places by a convolution (Chu et al. 2021), and three blocks of attention."""
    import keras

    layers, width = keras.layers, 64
    steps = max(1, min(16, x.shape[2] // 8))
    x = layers.Conv2D(width, (1, 2 * steps), (1, steps), "same", name="pieces")(x)
    places = layers.DepthwiseConv2D((1, 9), padding="same", name="places")(x)
    x = layers.Add(name="placed")([x, places])
    x = layers.Reshape((x.shape[2], width), name="tokens")(x)
    for number in range(1, 4):
        name = f"block{number}"
        y = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm1")(x)
        y = layers.MultiHeadAttention(4, width // 4, name=f"{name}_attention")(y, y)
        x = layers.Add(name=f"{name}_add1")([x, y])
        y = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm2")(x)
        y = layers.Dense(2 * width, activation="gelu", name=f"{name}_dense1")(y)
        x = layers.Add(name=f"{name}_add2")([x, layers.Dense(width, name=f"{name}_dense2")(y)])
    return layers.LayerNormalization(epsilon=1e-5, name="norm")(x)


_WANG = "Wang et al. 2017, https://arxiv.org/abs/1611.06455"
_SMALL = ("microcontroller", "edgetpu")

# fmt: off
_ROWS = [
    SeriesBackbone("rocket", None, "Dempster et al. 2021 and Tan et al. 2022", ("phone",), FEATURES),
    SeriesBackbone("rocket_small", None, "Dempster et al. 2021 and Tan et al. 2022", _SMALL, 1_000),
    SeriesBackbone("channelwise", channelwise_layers, "pretraining/series of this project", ("phone",),
                   pretrained=channelwise_weights, apart=True),
    SeriesBackbone("inception_time", inception_time_layers,
                   "Ismail Fawaz et al. 2020, https://arxiv.org/abs/1909.04939", ("phone",)),
    SeriesBackbone("resnet_1d", resnet_1d_layers, _WANG, ("phone",)),
    SeriesBackbone("fcn", fcn_layers, _WANG, ("phone", "edgetpu")),
    SeriesBackbone("ds_cnn_1d", ds_cnn_1d_layers, "Zhang et al. 2017, https://arxiv.org/abs/1711.07128", _SMALL),
    SeriesBackbone("transformer_1d", transformer_1d_layers,
                   "Vaswani et al. 2017, https://arxiv.org/abs/1706.03762", ("phone",)),
]
# fmt: on

SERIES_BACKBONES: dict[str, SeriesBackbone] = {row.name: row for row in _ROWS}
"""Every backbone of time series by its name."""


def find_series_backbone(name: str) -> SeriesBackbone:
    """The row of a backbone.

    Args:
        name: such as `"rocket"`, `"inception_time"`.

    Raises:
        InputError: there is none of that name; the message gives the nearest ones.

    >>> find_series_backbone("InceptionTime").name
    'inception_time'
    """
    return find_row(name, SERIES_BACKBONES, "backbone of time series")


def _convolved(x: _Tensor, filters: int, taps: int, name: str, *, relu: bool = True) -> _Tensor:
    import keras

    x = keras.layers.Conv2D(filters, (1, taps), padding="same", use_bias=False, name=name)(x)
    return _normalized(x, name, relu=relu)


def _normalized(x: _Tensor, name: str, *, relu: bool = True) -> _Tensor:
    import keras

    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x


def _with_shortcut(before: _Tensor, x: _Tensor, name: str) -> _Tensor:
    """A block's output with what went into it."""
    import keras

    if before.shape[-1] != x.shape[-1]:
        before = _convolved(before, x.shape[-1], 1, f"{name}_shortcut", relu=False)
    return keras.layers.ReLU(name=f"{name}_out")(keras.layers.Add(name=f"{name}_add")([before, x]))
