"""Data sets that need no download, by name wherever a data set goes."""

from collections.abc import Callable

import numpy as np


def digits() -> tuple[np.ndarray, list[str]]:
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


EMBEDDED: dict[str, Callable[[], tuple[np.ndarray, list[str]]]] = {"digits": digits}
