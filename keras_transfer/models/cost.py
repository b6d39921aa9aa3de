"""What a model costs to run."""

import math

import keras

from keras_transfer.models.graph import nodes


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
