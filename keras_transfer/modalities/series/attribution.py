"""Which moments of a series a class depends on: what is lost where a stretch of it is taken out (deletion).

It asks nothing of a network but its answers, so it serves Rocket's thresholds as well, which have no gradient.
"""

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.inputs import Array

_STRETCHES = 16  # of a series, each half on its neighbours


def moment_weights(model: keras.Model, series: Array, columns: Array) -> NDArray[np.float32]:
    """How much each moment of a series speaks for a class.

    Stretches of an eighth of the length are replaced by the straight line between their ends.

    Args:
        model: a classifier of series.
        series: `float32 [n, time, channels]`.
        columns: int `[n]`, for each series the class that is asked for.

    Returns:
        `float32 [n, time]` in 0..1, 1 being the strongest moment; all 0 where none speaks for the class.
    """
    count, length, _ = series.shape
    edges = np.linspace(0, length, _STRETCHES + 2).astype(int)
    stretches = [(edges[i], max(edges[i + 2], edges[i] + 1)) for i in range(_STRETCHES)]
    weights = np.zeros((count, length), np.float32)
    for each, column, weight in zip(series, columns, weights, strict=True):
        views = np.repeat(each[None], len(stretches) + 1, axis=0)
        for view, (first, end) in zip(views[1:], stretches, strict=True):
            before, behind = view[max(0, first - 1)].copy(), view[min(end, length - 1)].copy()
            share = np.linspace(0, 1, end - first + 2)[1:-1, None]
            view[first:end] = before + share * (behind - before)
        answers = np.asarray(model(views, training=False))
        column = min(int(column), answers.shape[1] - 1)
        for (first, end), lost in zip(stretches, answers[0, column] - answers[1:, column], strict=True):
            weight[first:end] += max(0.0, float(lost))
        weight /= max(float(weight.max()), 1e-12)
    return weights
