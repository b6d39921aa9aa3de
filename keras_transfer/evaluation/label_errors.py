"""Which labels are probably wrong, by what a model says of items that it was not fitted on."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_transfer.decisions import membership

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
_TEMPERATURES = np.geomspace(0.5, 4, 25)
_RATES = np.geomspace(1e-4, 0.3, 60)
_FITTED = 20_000  # labels at most that these two are fitted on


class LabelErrors(NamedTuple):
    """What `label_suspicion` returns.

    Attributes:
        suspicion: how probably each label is wrong, float `[n]` in 0..1.
        better: the class that each should have, int `[n]`, -1 where the label is more probably right than wrong. With
            several labels it is the class whose yes or no should be the other.
        rate: the share of all labels that is wrong, as estimated.
    """

    suspicion: Floats
    better: Indices
    rate: float


def label_suspicion(labels: ArrayLike, probabilities: ArrayLike) -> LabelErrors:
    """How probably each label is wrong, and what it should be where that is more likely than not.

    A model that is often wrong itself is no judge: each label is taken to be right but for a share of all that was
    replaced by any other class (symmetric label noise; see Northcutt et al. 2021, https://arxiv.org/abs/1911.00068).
    That share and a temperature, which makes the probabilities as sure as they may be (Guo et al. 2017,
    https://arxiv.org/abs/1706.04599), are those under which the labels are most likely. Bayes' rule then gives the
    probability that a label is wrong: only of what the model nearly rules out.

    Args:
        labels: int `[n]`; or 0/1 `[n, classes]` where several may hold: then each yes or no is judged alone, and an
            item is as suspect as its worst.
        probabilities: float `[n, classes]`, out of fold: of a model that did not see the item.

    >>> label_suspicion([0, 0, 1, 1], [[0.9, 0.1], [0.1, 0.9], [0.2, 0.8], [0.2, 0.8]]).better.tolist()
    [-1, 1, -1, -1]
    """
    truth, values = np.asarray(labels), np.asarray(probabilities, np.float64)
    if truth.ndim == 2:
        pairs = np.stack([1 - values, values], axis=-1).reshape(-1, 2)
        wrong, rate = _wrong(membership(truth, truth.shape[1]).astype(int).reshape(-1), pairs)
        wrong = wrong.reshape(truth.shape)
        worst, suspicion = wrong.argmax(axis=1), wrong.max(axis=1)
        return LabelErrors(suspicion, np.where(suspicion > 0.5, worst, -1), rate)
    suspicion, rate = _wrong(truth, values)
    others = values.copy()
    others[np.arange(len(truth)), truth] = -1
    return LabelErrors(suspicion, np.where(suspicion > 0.5, others.argmax(axis=1), -1), rate)


def _wrong(labels: Indices, values: Floats) -> tuple[Floats, float]:
    """How probably each label is wrong, and the share that is."""
    logs = np.log(np.clip(values, 1e-7, 1))
    some = np.linspace(0, len(labels) - 1, min(len(labels), _FITTED)).astype(int)
    share = 1 / (values.shape[1] - 1)  # of each other class, where a label is wrong
    best: tuple[float, float, float] | None = None
    for temperature in _TEMPERATURES:
        own = _own(logs[some], labels[some], temperature)
        likelihood = np.array([np.log((1 - rate) * own + rate * share * (1 - own)).sum() for rate in _RATES])
        if best is None or likelihood.max() > best[0]:
            best = float(likelihood.max()), float(temperature), float(_RATES[likelihood.argmax()])
    assert best is not None
    _, temperature, rate = best
    own = _own(logs, labels, temperature)
    other = rate * share * (1 - own)
    return other / ((1 - rate) * own + other), rate


def _own(logs: Floats, labels: Indices, temperature: float) -> Floats:
    """The probability of each item's own class at a temperature."""
    scaled = logs / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    powers = np.exp(scaled)
    own: Floats = powers[np.arange(len(labels)), labels] / powers.sum(axis=1)
    return own


def remoteness(rows: NDArray[np.floating], neighbours: int = 5) -> Floats:
    """How far each item lies from all others: the mean cosine distance of its features to the nearest.

    Args:
        rows: features float `[n, features]`, of at least two items.
        neighbours: how many of the nearest count.

    Returns:
        Distances, `float [n]` in 0..2.

    >>> import numpy as np
    >>> int(remoteness(np.array([[1.0, 0], [1, 0.1], [1, 0.05], [0, 1]]), 2).argmax())
    3
    """
    from sklearn.neighbors import NearestNeighbors

    near = min(neighbours, len(rows) - 1)
    distances, _ = NearestNeighbors(n_neighbors=near, metric="cosine").fit(rows).kneighbors()
    mean: Floats = distances.mean(axis=1)
    return mean
