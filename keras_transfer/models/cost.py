"""What a model costs to run."""

import math
from typing import NamedTuple

import keras

from keras_transfer.models.graph import nodes, size

_BIASED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)  # one operator of a file each


def multiply_adds(model: keras.Model) -> int:
    """Multiplications and additions of one picture's way through the convolutions and dense layers.

    Args:
        model: a functional or Sequential model with one input of fixed size.

    Returns:
        How many pairs of them.

    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, padding="same")])
    >>> multiply_adds(model) == 8 * 8 * 3 * 3 * 3 * 4
    True
    """
    total = 0
    for node in nodes(model):
        kernels = [w for w in getattr(node.layer, "weights", []) if w.path.rsplit("/", 1)[-1].endswith("kernel")]
        places = math.prod(side or 1 for side in node.output.shape[1:-1])
        total += sum(math.prod(kernel.shape) for kernel in kernels) * places
    return total


class Least(NamedTuple):
    """Bytes that an int8 file of a model has at least, and its tensor arena."""

    file: int
    arena: int


def least_bytes(model: keras.Model) -> Least:
    """What no int8 file of a model can go below, from its graph alone: to rule out before anything is converted.

    The file holds every kernel in bytes and a bias of four bytes for each of a convolution's outputs; while that runs,
    what it reads and what it gives are in the arena together.

    Args:
        model: a functional or Sequential model with inputs of fixed size.

    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, padding="same")])
    >>> least_bytes(model)
    Least(file=124, arena=448)
    """
    kernels: dict[int, int] = {}
    arena = 0
    for node in nodes(model):
        own = [w for w in getattr(node.layer, "weights", []) if w.path.rsplit("/", 1)[-1].endswith("kernel")]
        for kernel in own:
            bias = 4 * (node.output.shape[-1] or 1) if isinstance(node.layer, _BIASED) else 0
            kernels[id(kernel)] = math.prod(kernel.shape) + bias
        if own:
            arena = max(arena, size(node.output) + sum(size(tensor) for tensor in node.inputs))
    return Least(sum(kernels.values()), arena)
