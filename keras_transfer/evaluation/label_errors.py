"""Which labels are probably wrong: confident learning (Northcutt et al. 2021, https://arxiv.org/abs/1911.00068)."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def label_suspicion(labels: Any, probabilities: Any) -> tuple[Array, Array]:
    """How suspect each label is, and what it should be where it is probably wrong.

    The suspicion is the normalized margin: half of one, less the probability of the given class, plus that of the most
    probable other. A label is called wrong where another class is more probable than the given one, and at least as
    probable as it is, on average, for the images that carry it.

    Args:
        labels: int `[n]`; or 0/1 `[n, classes]` where several may hold: then each yes or no is judged alone, and an
            image is as suspect as its worst.
        probabilities: float `[n, classes]`, out of fold: of a model that did not see the image.

    Returns:
        Suspicions, `float [n]` in 0..1; and the class that each should have, `int [n]`, -1 where nothing is wrong.
        With several labels it is the class whose yes or no should be the other.

    >>> label_suspicion([0, 0, 1, 1], [[0.9, 0.1], [0.1, 0.9], [0.2, 0.8], [0.2, 0.8]])[1].tolist()
    [-1, 1, -1, -1]
    """
    labels, values = np.asarray(labels), np.asarray(probabilities, np.float64)
    if labels.ndim == 2:
        given = np.where(labels >= 0.5, values, 1 - values)
        worst = given.argmin(axis=1)
        suspicion = 1 - given.min(axis=1)
        # As sure of the opposite as it is, on average, of what holds.
        return suspicion, np.where(suspicion >= np.maximum(0.5, given.mean(axis=0))[worst], worst, -1)
    rows = np.arange(len(labels))
    own = values[rows, labels]
    others = values.copy()
    others[rows, labels] = -1
    best = others.argmax(axis=1)
    suspicion = (1 - own + others[rows, best]) / 2
    counts = np.bincount(labels, minlength=values.shape[1])
    usual = np.bincount(labels, own, minlength=values.shape[1]) / np.maximum(counts, 1)
    usual[counts == 0] = np.inf
    over = (others >= usual) & (others > own[:, None])
    return suspicion, np.where(over.any(axis=1), np.where(over, others, -1).argmax(axis=1), -1)


def remoteness(rows: Any, neighbours: int = 5) -> Array:
    """How far each image lies from all others: the mean cosine distance of its features to the nearest.

    Args:
        rows: features float `[n, features]`, of at least two images.
        neighbours: how many of the nearest count.

    Returns:
        Distances, `float [n]` in 0..2.

    >>> import numpy as np
    >>> int(remoteness(np.array([[1.0, 0], [1, 0.1], [1, 0.05], [0, 1]]), 2).argmax())
    3
    """
    from sklearn.neighbors import NearestNeighbors

    near = min(neighbours, len(rows) - 1)
    found = NearestNeighbors(n_neighbors=near, metric="cosine").fit(rows)
    distances, _ = found.kneighbors()
    mean: Array = distances.mean(axis=1)
    return mean
