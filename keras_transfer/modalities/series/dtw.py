"""The nearest neighbour by dynamic time warping: the field's oldest rival (Berndt & Clifford 1994)."""

import numpy as np
from numpy.typing import NDArray

BUDGET = 2e9  # cells of all pairs, half a minute: above, it is not cheap
_BLOCK = 2e7  # cells that are held at once

_Floats = NDArray[np.float32]


def cells(n: int, m: int, length: int) -> float:
    """How many steps `warping_distances` takes for so many series."""
    return float(n) * m * length**2


def warping_distances(a: _Floats, b: _Floats) -> _Floats:
    """Dynamic time warping between series, without a limit to the warping; all channels warp together.

    Args:
        a: float32 `[n, time, channels]`.
        b: float32 `[m, time, channels]`, as long.

    Returns:
        The least sum of squared distances along a path, float32 `[n, m]`.

    >>> step = np.array([[0, 0, 1, 1], [0, 1, 1, 1], [1, 1, 0, 0]], "float32")[:, :, None]
    >>> warping_distances(step[:1], step).tolist()
    [[0.0, 0.0, 4.0]]
    """
    length = a.shape[1]
    block = max(1, int(_BLOCK / (len(b) * length)))
    return np.concatenate([_block(a[start : start + block], b) for start in range(0, len(a), block)])


def nearest_neighbour(train: _Floats, labels: NDArray[np.generic], test: _Floats) -> NDArray[np.generic]:
    """The label of the nearest training series of each test series.

    Args:
        train: float32 `[n, time, channels]`.
        labels: `[n, ...]`.
        test: float32 `[m, time, channels]`.
    """
    return np.asarray(labels[warping_distances(test, train).argmin(axis=1)])


def _block(a: _Floats, b: _Floats) -> _Floats:
    """All pairs at once, one anti-diagonal of the table of steps after another."""
    length = a.shape[1]
    shape = (len(a), len(b), length + 1)
    before, last = (np.full(shape, np.inf, np.float32) for _ in range(2))
    before[:, :, 0] = 0  # cell (0, 0) of the diagonal 0; `last` is that of the diagonal 1
    for diagonal in range(2, 2 * length + 1):
        rows = np.arange(max(1, diagonal - length), min(length, diagonal - 1) + 1)
        step = np.square(a[:, None, rows - 1] - b[None, :, diagonal - rows - 1]).sum(axis=3)
        least = np.minimum(np.minimum(last[:, :, rows], last[:, :, rows - 1]), before[:, :, rows - 1])
        before = np.full(shape, np.inf, np.float32)
        before[:, :, rows] = step + least
        before, last = last, before
    return np.asarray(last[:, :, length])
