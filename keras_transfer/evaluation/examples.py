"""Which images of a split a person should look at: the mistakes, the doubts, the classes taken for one another."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_transfer.decisions import THRESHOLD, correct, correct_labels

Array = np.ndarray[Any, Any]


def most_confident_mistakes(labels: Any, probabilities: Any, count: int) -> list[int]:
    """Indices of the wrong answers of the highest probability, the most confident first.

    >>> most_confident_mistakes([0, 0, 0], [[0.4, 0.6], [0.1, 0.9], [1.0, 0.0]], 5)
    [1, 0]
    """
    labels, values = np.asarray(labels), np.asarray(probabilities)
    wrong = np.flatnonzero(~correct(labels, values))
    if labels.ndim == 2:
        off = ~correct_labels(labels, values)
        confidence = np.where(off, np.maximum(values, 1 - values), 0).max(axis=1)
    else:
        confidence = values.max(axis=1)
    return wrong[np.argsort(-confidence[wrong], kind="stable")[:count]].tolist()


def least_confident(probabilities: Any, count: int, several: bool = False) -> list[int]:
    """Indices of the images whose answer is the closest call, the closest first.

    >>> least_confident([[0.4, 0.6], [0.1, 0.9], [0.5, 0.5]], 2)
    [2, 0]
    """
    values = np.asarray(probabilities)
    if several:
        margin = np.abs(values - THRESHOLD).min(axis=1)
    else:
        margin = values.max(axis=1)
    return np.argsort(margin, kind="stable")[:count].tolist()


def confused_pairs(
    labels: Any, probabilities: Any, class_names: Sequence[str], pairs: int, images: int
) -> list[dict[str, Any]]:
    """The classes that are most often taken for one another, with the images where it happened.

    Args:
        labels: int `[n]`.
        probabilities: float `[n, classes]`.
        class_names: one name a column.
        pairs: how many pairs at most.
        images: how many images of each, the most confident mistakes first.

    Returns:
        For each pair `true` and `predicted` (names), `count`, `of` (images of the true class) and `images` (indices).

    >>> confused_pairs([0, 0, 1], [[0.2, 0.8], [0.9, 0.1], [0.3, 0.7]], ["cat", "dog"], 3, 2)
    [{'true': 'cat', 'predicted': 'dog', 'count': 1, 'of': 2, 'images': [0]}]
    """
    labels, values = np.asarray(labels), np.asarray(probabilities)
    predicted, classes = values.argmax(axis=1), len(class_names)
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    counts[:: classes + 1] = 0
    found = []
    for cell in np.argsort(-counts, kind="stable")[:pairs]:
        if not counts[cell]:
            break
        true, taken_for = divmod(int(cell), classes)
        where = np.flatnonzero((labels == true) & (predicted == taken_for))
        order = np.argsort(-values[where, taken_for], kind="stable")[:images]
        found.append(
            {
                "true": class_names[true],
                "predicted": class_names[taken_for],
                "count": int(counts[cell]),
                "of": int((labels == true).sum()),
                "images": where[order].tolist(),
            }
        )
    return found
