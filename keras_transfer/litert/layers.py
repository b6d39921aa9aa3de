"""Which Keras layers an operator computes: the converter writes the names of what it fused into a tensor's name."""

import re
from collections.abc import Collection


def layers_of(tensor: str, names: Collection[str]) -> list[str]:
    """Returns the layers that a tensor's name speaks of, in order of computation.

    Args:
        tensor: name of a tensor in a file that this package converted.
        names: the Keras model's layers.

    >>> layers_of("model/bn_1/sub;model/conv_2/convolution", ["conv", "bn", "relu"])
    ['conv', 'bn']
    """
    pieces = [piece for path in tensor.split(";") for piece in path.split("/")[:-1]]
    # A traced layer's name gets a number where the name was used in the graph before.
    plain = (piece if piece in names else re.sub(r"_\d+$", "", piece) for piece in pieces)
    return list(reversed(dict.fromkeys(name for name in plain if name in names)))
