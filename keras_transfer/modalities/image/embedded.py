"""Data sets that need no download, by name wherever a data set goes."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.modalities.image.decode import Pixels
from keras_transfer.modalities.image.pizza import draw_pizzas

_Arrays = tuple[Pixels, list[str]]


def digits() -> _Arrays:
    """scikit-learn's handwritten digits: 1797 real scans of 8x8 pixels (Alpaydin & Kaynak 1998, UCI repository).

    Returns:
        `uint8 [1797, 10, 10]` in 0..255, with a margin of a pixel so that no stroke is lost at the edge, and the
        labels `"0"` to `"9"`.

    >>> digits()[0].shape
    (1797, 10, 10)
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.pad(np.rint(bunch.images * (255 / 16)).astype(np.uint8), ((0, 0), (1, 1), (1, 1)))
    return images, [str(label) for label in bunch.target]


class Embedded(NamedTuple):
    """A row of the table: the function that makes the data set, and what its user must know."""

    make: Callable[..., _Arrays]
    note: str


EMBEDDED = {
    "digits": Embedded(digits, "digits are real scans of 8x8 pixels: photographs teach little that helps there."),
    "pizza": Embedded(draw_pizzas, "The pizzas are drawn by a program: they show how it works, not how good it is."),
}


def is_embedded(source: object) -> bool:
    """Whether a source names a data set of this table; a file or folder of that name comes first.

    >>> is_embedded("pizza:difficulty=0.2"), is_embedded("photos/")
    (True, False)
    """
    return isinstance(source, str) and source.partition(":")[0] in EMBEDDED and not Path(source).exists()


def load_embedded(source: str) -> tuple[Pixels, list[str], str]:
    """Makes a data set of the table.

    Args:
        source: its name, and after a colon the arguments of its function: `"pizza:difficulty=0.2,per_class=50"`.

    Returns:
        Images `uint8 [n, H, W]` or `[n, H, W, 3]` in 0..255, their class names, and what to know of them.

    Raises:
        InputError: it has no such parameter, or a value is no number.

    >>> load_embedded("pizza:per_class=2,side=32")[0].shape
    (8, 32, 32, 3)
    """
    name, _, settings = source.partition(":")
    make, note = EMBEDDED[name]
    known = {key: parameter.annotation for key, parameter in inspect.signature(make).parameters.items()}
    arguments = {}
    for part in filter(None, settings.split(",")):
        key, _, value = part.partition("=")
        if key not in known:
            takes = f"takes {', '.join(known)}, as in {name}:NAME=VALUE,..." if known else "takes no parameters"
            raise InputError(f"The data set {name} {takes}. Received: {source!r}.")
        try:
            arguments[key] = known[key](value)
        except ValueError as error:
            raise InputError(f"{key} of {name} must be of type {known[key].__name__}. Received: {value!r}.") from error
    return *make(**arguments), note
