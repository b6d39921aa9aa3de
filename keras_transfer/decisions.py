"""From probabilities to decisions, and whether they are right: one definition for training, evaluation and proofs."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

THRESHOLD = 0.5
"""With several labels per item, a label is predicted from this probability on."""


def two_columns(probabilities: ArrayLike) -> NDArray[np.float32]:
    """Probabilities with one column per class: one sigmoid unit is the probability of the second of two classes.

    Args:
        probabilities: float `[n, classes]`, or `[n, 1]`.

    Returns:
        `float32 [n, classes]`, with at least two columns.

    >>> two_columns([[0.25]]).tolist(), two_columns([[0.5, 0.5]]).tolist()
    ([[0.75, 0.25]], [[0.5, 0.5]])
    """
    values = np.asarray(probabilities, np.float32)
    return np.concatenate([1 - values, values], axis=1) if values.shape[1] == 1 else values


def membership(labels: ArrayLike, classes: int) -> NDArray[np.bool_]:
    """Which classes each item belongs to.

    Args:
        labels: int `[n]`; or `[n, classes]` of 0 and 1, where an item may have several labels.
        classes: how many classes there are.

    Returns:
        bool `[n, classes]`.

    >>> membership([1], 3).tolist(), membership([[0.0, 1.0]], 2).tolist()
    ([[False, True, False]], [[False, True]])
    """
    truth = np.asarray(labels)
    return truth >= 0.5 if truth.ndim == 2 else truth[:, None] == np.arange(classes)


def decide(probabilities: ArrayLike, multi_label: bool = False) -> NDArray[np.bool_]:
    """Which classes are predicted for each item: the most probable one, or each that reaches `THRESHOLD`.

    Args:
        probabilities: float `[n, classes]`.
        multi_label: whether an item may have several labels.

    Returns:
        bool `[n, classes]`.

    >>> decide([[0.2, 0.8], [0.5, 0.5]]).tolist()
    [[False, True], [True, False]]
    """
    values = np.asarray(probabilities)
    if multi_label:
        return values >= THRESHOLD
    return membership(values.argmax(axis=1), values.shape[1])


def correct_labels(labels: ArrayLike, probabilities: ArrayLike) -> NDArray[np.bool_]:
    """Whether each single decision is right: bool `[n]`, or `[n, classes]` where an item may have several labels.

    >>> correct_labels([[1, 0]], [[0.9, 0.7]]).tolist()
    [[True, False]]
    """
    truth, values = np.asarray(labels), np.asarray(probabilities)
    if truth.ndim == 2:
        return np.asarray((values >= THRESHOLD) == (truth >= 0.5))
    return np.asarray(values.argmax(axis=1) == truth)


def correct(labels: ArrayLike, probabilities: ArrayLike) -> NDArray[np.bool_]:
    """Whether each item is answered right, bool `[n]`; with several labels, whether all of them are.

    >>> correct([0, 1], [[0.9, 0.1], [0.8, 0.2]]).tolist(), correct([[1, 0]], [[0.9, 0.7]]).tolist()
    ([True, False], [False])
    """
    single = correct_labels(labels, probabilities)
    return np.asarray(single.all(axis=1)) if single.ndim == 2 else single
