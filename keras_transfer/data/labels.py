"""The forms in which labels come, and the probability that each of them got."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST = float(np.finfo(np.float32).eps)
"""Probabilities below count as this: int8 files give exactly 0, and the log loss must stay finite."""


def one_hot(labels: ArrayLike, classes: int) -> NDArray[np.float32]:
    """Class indices `[n]` as rows `float32 [n, classes]`; labels that are rows already keep their values.

    >>> one_hot([1, 0], 2).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    labels = np.asarray(labels)
    return np.eye(classes, dtype=np.float32)[labels] if labels.ndim == 1 else labels.astype(np.float32)


def loss_targets(labels: ArrayLike, classes: int, outputs: int) -> NDArray[np.float32]:
    """Labels as the loss of a head wants them.

    Args:
        labels: class indices `[n]`, or rows of 0 and 1 `[n, classes]`.
        classes: number of classes.
        outputs: units of the head; 1 for a single sigmoid.

    Returns:
        `float32 [n, outputs]`: one-hot or multi-hot rows; one column for a single sigmoid.

    >>> loss_targets([1, 0], 2, 1).tolist()
    [[1.0], [0.0]]
    """
    if outputs == 1:
        return np.asarray(labels, np.float32).reshape(-1, 1)
    return one_hot(labels, classes)


def class_indices(labels: NDArray[np.generic]) -> NDArray[np.integer]:
    """One class for each item, such as for stratified splits: of several labels the first."""
    return labels.argmax(axis=1) if labels.ndim == 2 else labels.astype(np.int64, copy=False)


def label_probabilities(labels: NDArray[np.generic], probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
    """The probability that each label got: `[n]`, or `[n, classes]` where an item may have several labels.

    >>> label_probabilities(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]])).tolist()
    [0.9, 0.4]
    """
    if labels.ndim == 2:
        return np.where(np.asarray(labels, np.float64) >= 0.5, probabilities, 1 - probabilities)
    return np.asarray(probabilities[np.arange(len(labels)), labels.astype(np.int64)])


def label_losses(labels: NDArray[np.generic], probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
    """Cross-entropy in nats of each label: the negative logarithms of `label_probabilities`, in their shape.

    >>> label_losses(np.array([0]), np.array([[0.5, 0.5]])).round(3).tolist()
    [0.693]
    """
    return np.asarray(-np.log(np.clip(label_probabilities(labels, probabilities), LEAST, 1)))


def log_loss(labels: NDArray[np.generic], probabilities: NDArray[np.floating]) -> float:
    """Cross-entropy in nats: the mean of `label_losses`.

    >>> round(log_loss(np.array([0]), np.array([[0.5, 0.5]])), 3)
    0.693
    """
    return float(label_losses(labels, probabilities).mean())
