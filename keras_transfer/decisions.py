"""From probabilities to decisions, and whether they are right: one definition for training, evaluation and proofs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_transfer.errors import InputError

THRESHOLD = 0.5
"""With several labels per item, a label is predicted from this probability on."""


UNLIKE_LAYER = "unlike"
"""Name of the layer that computes how unlike its training items an item is, see `keras_transfer.models.rejection`."""
NONE_OF_THESE = "none of these"


_REFERENCE = 200


def acceptance_rank(n_items: int, acceptance: float) -> int:
    """Which of `n_items` scores in ascending order, counted from 1, a share of new ones stays below on average."""
    return min(n_items, math.ceil((n_items + 1) * acceptance))


@dataclass(frozen=True)
class RejectionLimit:
    """From which score on an item is "none of these".

    Attributes:
        threshold: scores above it are rejected.
        acceptance: the share of one's own items that is to be accepted, 0..1.
        reference: some scores of validation items, ascending, evenly spread over them.
    """

    threshold: float
    acceptance: float
    reference: tuple[float, ...]

    @classmethod
    def of(cls, scores: ArrayLike, acceptance: float) -> "RejectionLimit":
        """The limit that accepts `acceptance` of new items, on average, by the scores of validation items `[n]`.

        Split conformal prediction (Vovk et al. 2005, "Algorithmic Learning in a Random World"). With fewer items than
        `acceptance / (1 - acceptance)` it is the highest score, which is all that they can say.

        >>> RejectionLimit.of(range(100), 0.95).threshold
        95.0
        """
        ordered = np.sort(np.asarray(scores, np.float64))
        rank = acceptance_rank(len(ordered), acceptance)
        some = ordered[np.linspace(0, len(ordered) - 1, min(len(ordered), _REFERENCE)).round().astype(int)]
        return cls(float(ordered[rank - 1]), acceptance, tuple(some.tolist()))

    def unlikeness(self, scores: ArrayLike) -> NDArray[np.float64]:
        """The share of validation items that score lower, in 0..1.

        >>> RejectionLimit(3.0, 0.5, (1.0, 2.0, 3.0, 4.0)).unlikeness([0.0, 2.5, 9.0]).tolist()
        [0.0, 0.5, 1.0]
        """
        below = np.searchsorted(self.reference, scores, "left")
        return np.asarray(below / max(1, len(self.reference)), np.float64)

    def to_dict(self) -> dict[str, float | list[float]]:
        """As JSON holds it."""
        return {**vars(self), "reference": list(self.reference)}

    @classmethod
    def from_dict(cls, values: object) -> "RejectionLimit":
        """What `to_dict` gave.

        Raises:
            InputError: it is not that.
        """
        try:
            assert isinstance(values, Mapping)
            limit = cls(float(values["threshold"]), float(values["acceptance"]), tuple(map(float, values["reference"])))
            assert np.all(np.isfinite([limit.threshold, *limit.reference])) and 0 < limit.acceptance < 1
        except (AssertionError, LookupError, TypeError, ValueError) as error:
            raise InputError("What is said of the score of unknown items makes no sense: export it again.") from error
        return limit


def auroc(known: ArrayLike, unknown: ArrayLike) -> float:
    """How well scores tell items of known classes from others: 1 where each unknown one scores higher, 0.5 by chance.

    The area under the ROC curve, by ranks; a tie counts half.

    >>> auroc([0.0, 1.0], [2.0, 1.0])
    0.875
    """
    from scipy.stats import rankdata

    n_known, n_unknown = np.size(known), np.size(unknown)
    ranks = rankdata(np.concatenate([np.ravel(known), np.ravel(unknown)]))[n_known:]
    return float((ranks.sum() - n_unknown * (n_unknown + 1) / 2) / (n_known * n_unknown))


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


def expected_calibration_error(right: ArrayLike, confidence: ArrayLike, bins: int = 15) -> float:
    """How far confidence is from accuracy, averaged over equal-width bins of confidence.

    Guo et al., "On Calibration of Modern Neural Networks" (2017), equation 3.

    Args:
        right: bool `[n]`, whether each prediction is right.
        confidence: float `[n]` in 0..1, the probability of each predicted class.
        bins: how many bins 0..1 is cut into; each holds its upper edge.

    Returns:
        The error in 0..1; 0 where every bin's accuracy is its mean confidence.

    >>> expected_calibration_error([True, True, True, False], [0.75, 0.75, 0.75, 0.75])
    0.0
    """
    hits, confidence = np.asarray(right, np.float64), np.asarray(confidence, np.float64)
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    place = np.searchsorted(edges, confidence, side="left")
    gap = np.bincount(place, hits - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))
