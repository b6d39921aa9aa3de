"""Near-duplicates: the same photograph resized, recompressed, slightly cropped or mirrored."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from keras_transfer.data.parallel import ordered, workers
from keras_transfer.data.splits import merge
from keras_transfer.inputs import Array
from keras_transfer.modalities.image.decode import Pixels
from keras_transfer.progress import track

THUMBNAIL = 32
"""Photographs are compared as grayscale squares of this side, in pixels."""
SMALLEST = 2 * THUMBNAIL
"""Pictures with a shorter side than this are too small to be distinguished by their details."""
# Chosen on photographs of flowers and dishes, where copies and different pictures lie far apart:
# benchmarks/near_duplicates.py.
COARSE = 0.8
"""Pairs whose 8 x 8 pictures correlate less are not looked at again."""
FINE = 0.93
"""The same photograph correlates at least this much, in the best of `_CROPS`. Any two light blobs may, too."""
DETAIL = 0.7
"""And so much in its details: what is left when the mean of each pixel's surroundings is subtracted."""
_BLOCK = 512
_TILE = 16 * _BLOCK  # a multiple of it
_MOST = 50
# Windows (top, left, height, width), of the whole, on which a cropped copy is sought: the middle, corners and edges.
_CROPS = [
    (0, 0, 1, 1),
    *((top, left, s, s) for s in (0.95, 0.9) for top in (0, (1 - s) / 2, 1 - s) for left in (0, (1 - s) / 2, 1 - s)),
]


def thumbnail(pixels: Pixels) -> Pixels:
    """Reduces `uint8 [32, 32, 3]` pixels to the grayscale `uint8 [32, 32]` by which photographs are compared."""
    return np.rint(pixels @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.uint8)


def clusters(thumbnails: Pixels, hashes: Sequence[str], large: NDArray[np.bool_] | None = None) -> list[list[int]]:
    """Groups photographs that are byte for byte the same, or nearly the same picture.

    A pair is near when its thumbnails, each with its mean removed and scaled to unit length, correlate: first at 8 x 8
    (a blockwise matrix product over all pairs, also with the mirror image), then, for what is left, at 32 x 32 with
    either of them cropped by up to a tenth, both as they are and in their details. A picture without contrast is near
    to nothing.

    Args:
        thumbnails: `uint8 [n, 32, 32]`, from `thumbnail`.
        hashes: SHA-256 of each file.
        large: `bool [n]`, which of them can be near-duplicates at all; `None` for all. Of the others (tiny pictures,
            whose thumbnails hold no detail to compare) only byte-identical ones go together.

    Returns:
        A partition of 0..n-1 in ascending order; most parts hold one photograph.

    >>> clusters(np.zeros((3, 32, 32), np.uint8), ["a", "b", "a"])
    [[0, 2], [1]]
    """
    same = merge([[i] for i in range(len(hashes))], hashes)
    where = np.arange(len(hashes)) if large is None else np.flatnonzero(large)
    near = [where[list(pair)].tolist() for pair in near_pairs(thumbnails[where])]
    return merge([*same, *near], [""] * len(hashes))


def near_pairs(thumbnails: Pixels) -> list[tuple[int, int]]:
    """Lists (i, j) of photographs that are nearly the same picture; some pairs both ways round."""
    count = len(thumbnails)
    small = thumbnails.reshape(count, 8, THUMBNAIL // 8, 8, THUMBNAIL // 8).mean(axis=(2, 4), dtype=np.float32)
    vectors, mirrored = _unit(small), _unit(small[:, :, ::-1])

    def near(start: int) -> list[tuple[int, int]]:
        rows = vectors[start : start + _BLOCK]
        # For each row the pictures most similar to it, and their similarity.
        best: dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}
        for left in range(0, count, _TILE):  # so that memory does not grow with the number of pictures
            tile = slice(left, left + _TILE)
            alike = np.maximum(rows @ vectors[tile].T, rows @ mirrored[tile].T)
            if left <= start < left + _TILE:
                np.fill_diagonal(alike[:, start - left :], 0)
            for row in np.flatnonzero(alike.max(axis=1) >= COARSE).tolist():
                own = np.flatnonzero(alike[row] >= COARSE)
                others, how = best.get(row, (own[:0], alike[row, :0]))
                others, how = np.concatenate([others, left + own]), np.concatenate([how, alike[row, own]])
                # Where all pictures are of one kind (scans, X-rays) a copy is still among those most alike.
                order = np.argsort(-how, kind="stable")[:_MOST]
                best[row] = others[order], how[order]
        pairs = []
        for row, (others, _) in best.items():
            whole, detail = similarity(thumbnails[start + row], thumbnails[others])
            same = others[(whole >= FINE) & (detail >= DETAIL)]
            pairs += [(start + row, int(other)) for other in same]
        return pairs

    starts = range(0, count, _BLOCK)
    # Our own threads share the work; a BLAS that brings its own to products this small only waits for them.
    with threadpool_limits(1, user_api="blas"):
        blocks = list(track(ordered(near, starts, 2 * workers()), "Looking for near-duplicates", total=len(starts)))
    return [pair for block in blocks for pair in block]


def similarity(one: Pixels, others: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How well a thumbnail `[32, 32]`, at its best crop and mirroring, correlates with each of `[n, 32, 32]`.

    Returns:
        `float32 [n]` in -1..1 twice: as the pictures are, and of their details only.
    """
    crops = _crops(one)
    sides = np.concatenate([crops, crops[:, :, ::-1]])
    whole = np.max(_unit(sides) @ _unit(others).T, axis=0)
    fine = np.max(_unit(_detail(sides)) @ _unit(_detail(others)).T, axis=0)
    return whole, fine


def _unit(pictures: Array) -> NDArray[np.float32]:
    """Rows of zero mean and length 1; of zeros where a picture is flat."""
    flat = pictures.reshape(len(pictures), int(np.prod(pictures.shape[1:]))).astype(np.float32)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    # A standard deviation under one gray level is noise and rounding, no picture.
    return np.where(length >= np.sqrt(flat.shape[1]), flat / np.maximum(length, 1e-6), 0)


def _resampling() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each crop the matrices that resample rows and columns of a thumbnail's window to its full side, linearly."""

    def matrix(start: float, length: float) -> NDArray[np.float32]:
        places = np.clip(
            (start + (np.arange(THUMBNAIL) + 0.5) / THUMBNAIL * length) * THUMBNAIL - 0.5, 0, THUMBNAIL - 1
        )
        low = np.minimum(places.astype(int), THUMBNAIL - 2)
        result = np.zeros((THUMBNAIL, THUMBNAIL), np.float32)
        result[np.arange(THUMBNAIL), low] = 1 - (places - low)
        result[np.arange(THUMBNAIL), low + 1] = places - low
        return result

    return (
        np.stack([matrix(top, height) for top, _, height, _ in _CROPS]),
        np.stack([matrix(left, width).T for _, left, _, width in _CROPS]),
    )


_ROWS, _COLUMNS = _resampling()


def _crops(picture: Pixels) -> NDArray[np.float32]:
    return _ROWS @ picture.astype(np.float32) @ _COLUMNS


def _blur() -> NDArray[np.float32]:
    """Averages over five neighbours, fewer at the edge."""
    places = np.arange(THUMBNAIL)
    near = (abs(places[:, None] - places) <= 2).astype(np.float32)
    return np.asarray(near / near.sum(axis=1, keepdims=True))


_BLUR = _blur()


def _detail(pictures: Array) -> NDArray[np.float32]:
    pictures = pictures.astype(np.float32)
    return np.asarray(pictures - _BLUR @ pictures @ _BLUR.T)
