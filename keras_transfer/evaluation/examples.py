"""Which items of a split a person should look at: mistakes, least confident answers, classes that are confused."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from keras_transfer.decisions import THRESHOLD, correct, correct_labels


def most_confident_mistakes(labels: ArrayLike, probabilities: ArrayLike, count: int) -> list[int]:
    """Indices of the wrong answers of the highest probability, the most confident first.

    >>> most_confident_mistakes([0, 0, 0], [[0.4, 0.6], [0.1, 0.9], [1.0, 0.0]], 5)
    [1, 0]
    """
    truth, values = np.asarray(labels), np.asarray(probabilities)
    wrong = np.flatnonzero(~correct(truth, values))
    if truth.ndim == 2:
        off = ~correct_labels(truth, values)
        confidence = np.where(off, np.maximum(values, 1 - values), 0).max(axis=1)
    else:
        confidence = values.max(axis=1)
    indices: list[int] = wrong[np.argsort(-confidence[wrong], kind="stable")[:count]].tolist()
    return indices


def least_confident(probabilities: ArrayLike, count: int, several: bool = False) -> list[int]:
    """Indices of the items whose answer is the closest call, the closest first.

    >>> least_confident([[0.4, 0.6], [0.1, 0.9], [0.5, 0.5]], 2)
    [2, 0]
    """
    values = np.asarray(probabilities)
    if several:
        margin = np.abs(values - THRESHOLD).min(axis=1)
    else:
        margin = values.max(axis=1)
    indices: list[int] = np.argsort(margin, kind="stable")[:count].tolist()
    return indices


@dataclass(frozen=True)
class ConfusedPair:
    """A class that is taken for another.

    Attributes:
        true: the name of the class.
        predicted: the name of the other.
        count: how many items of the class are taken for the other.
        of: how many items the class has.
        indices: some of those that are confused, the most confident mistakes first.
    """

    true: str
    predicted: str
    count: int
    of: int
    indices: list[int]


def confused_pairs(
    labels: ArrayLike, probabilities: ArrayLike, class_names: Sequence[str], n_pairs: int, n_items: int
) -> list[ConfusedPair]:
    """The classes that are most often confused, with the items where it happened.

    Args:
        labels: int `[n]`.
        probabilities: float `[n, classes]`.
        class_names: one name per column.
        n_pairs: how many pairs at most.
        n_items: how many items of each at most.

    Returns:
        The pairs, the most frequent first.

    >>> confused_pairs([0, 0, 1], [[0.2, 0.8], [0.9, 0.1], [0.3, 0.7]], ["cat", "dog"], 3, 2)
    [ConfusedPair(true='cat', predicted='dog', count=1, of=2, indices=[0])]
    """
    truth, values = np.asarray(labels), np.asarray(probabilities)
    predicted, classes = values.argmax(axis=1), len(class_names)
    counts = np.bincount(truth * classes + predicted, minlength=classes * classes)
    counts[:: classes + 1] = 0
    pairs = []
    for cell in np.argsort(-counts, kind="stable")[:n_pairs]:
        if not counts[cell]:
            break
        true, other = divmod(int(cell), classes)
        where = np.flatnonzero((truth == true) & (predicted == other))
        order = np.argsort(-values[where, other], kind="stable")[:n_items]
        of = int((truth == true).sum())
        pair = ConfusedPair(class_names[true], class_names[other], int(counts[cell]), of, where[order].tolist())
        pairs.append(pair)
    return pairs
