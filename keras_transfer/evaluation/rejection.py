"""Items of no known class: scores that find them, a fitted one for files, and a threshold that keeps its promise."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from keras_transfer.decisions import RejectionLimit, acceptance_rank, auroc
from keras_transfer.errors import InputError
from keras_transfer.models.rejection import Rejection
from keras_transfer.schemas import Acceptance, RejectionFigures

Rows: TypeAlias = NDArray[np.floating]
Labels: TypeAlias = NDArray[np.integer]
Scorer: TypeAlias = Callable[[Rows, Rows], Rows]
"""Features `[n, features]` and logits `[n, classes]` -> how unlike the training items each is, `[n]`."""

_DIRECTIONS = 64  # in which items vary most; the others count alike
_SHRINKAGE = 0.8  # of the covariance towards a round one
_GROUPS = 10  # of classes that are left out in turn
_HELD_OUT = 0.3
_FAR = 4.0  # standard deviations beyond which a term says nothing more
_PLAIN = (1.0, 0.35)  # closeness and length, where there are no classes to leave out
_MOST_ITEMS = 5000


class Score(NamedTuple):
    """A way to tell items of unknown classes: what is fitted on training items to score others."""

    source: str
    fit: Callable[[Rows, Labels, Rows], Scorer]  # features, labels and logits of the training items


def _softmax(logits: Rows) -> Rows:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _energy(logits: Rows) -> Rows:
    most = logits.max(axis=1)
    return np.asarray(most + np.log(np.exp(logits - most[:, None]).sum(axis=1)))


def _gen(logits: Rows, gamma: float = 0.1, most: int = 100) -> Rows:
    top = np.clip(np.sort(_softmax(logits), axis=1)[:, -most:], 1e-12, 1 - 1e-12)
    return np.asarray((top**gamma * (1 - top) ** gamma).sum(axis=1))


def _mahalanobis(features: Rows, labels: Labels, logits: Rows) -> Scorer:
    means = _class_means(features, labels)
    values, vectors = np.linalg.eigh(_covariance(features - means[np.unique(labels, return_inverse=True)[1]]))
    whiten = vectors / np.sqrt(0.9 * np.maximum(values, 0) + 0.1 * values.mean() + 1e-12)
    centres = means @ whiten

    def score(others: Rows, _: Rows) -> Rows:
        points = others @ whiten
        distances = (points**2).sum(axis=1)[:, None] - 2 * points @ centres.T + (centres**2).sum(axis=1)
        return np.asarray(distances.min(axis=1))

    return score


def _nearest(features: Rows, labels: Labels, logits: Rows, place: int = 10) -> Scorer:
    bank = _unit(features)
    return lambda others, _: -np.sort(_unit(others) @ bank.T, axis=1)[:, -min(place, len(bank))]


def _vim(features: Rows, labels: Labels, logits: Rows) -> Scorer:
    centre = features.mean(axis=0)
    values, vectors = np.linalg.eigh(_covariance(features - centre))
    rest = vectors[:, : len(values) - min(_DIRECTIONS, len(values) // 2)]

    def residual(others: Rows) -> Rows:
        return np.asarray(np.linalg.norm((others - centre) @ rest, axis=1))

    scale = float(logits.max(axis=1).mean() / max(residual(features).mean(), 1e-12))
    return lambda others, own: scale * residual(others) - _energy(own)


def _fitted(features: Rows, labels: Labels, logits: Rows) -> Scorer:
    rejection = fit_rejection(features, labels, features)[0]
    return lambda others, _: rejection.scores(others)


SCORES: dict[str, Score] = {
    "softmax": Score(
        "Hendrycks & Gimpel 2017, arXiv:1610.02136", lambda *_: lambda _, logits: -_softmax(logits).max(axis=1)
    ),
    "maximum logit": Score("Hendrycks et al. 2022, arXiv:1911.11132", lambda *_: lambda _, logits: -logits.max(axis=1)),
    "energy": Score("Liu et al. 2020, arXiv:2010.03759", lambda *_: lambda _, logits: -_energy(logits)),
    "GEN": Score("Liu et al. 2023, openaccess.thecvf.com (CVPR 2023, GEN)", lambda *_: lambda _, logits: _gen(logits)),
    "Mahalanobis": Score("Lee et al. 2018, arXiv:1807.03888", _mahalanobis),
    "k-NN": Score("Sun et al. 2022, arXiv:2204.06507; the 10th by cosine", _nearest),
    "ViM": Score("Wang et al. 2022, arXiv:2203.10807; the residual of a subspace less the energy", _vim),
    "fitted": Score("of this package, see `fit_rejection`: what files compute", _fitted),
}
"""The scores that `benchmarks/rejection.py` measures."""


def fit_rejection(
    features: Rows, labels: Labels, val_features: Rows, *, acceptance: float = 0.95, seed: int = 0
) -> tuple[Rejection, RejectionFigures]:
    """Fits the score that files compute, and its threshold, on the features that a classifier's last layer reads.

    Two terms are weighed by logistic regression: the closeness to the nearest class in a space where classes are about
    round (Mahalanobis's space; Lee et al. 2018, arXiv:1807.03888, the covariance shrunk), and the squared length in
    it. The first knows classes that are near, the second what is far. What they are weighed on are training items:
    classes left out in turn, in up to ten groups, are what is near; features of which each comes from another item
    (permuted columns) are what is far. The threshold is split conformal (Vovk et al. 2005): of new items like those
    of validation, `acceptance` or more are accepted on average.

    Args:
        features: of the training items, `[n, features]`.
        labels: their classes, `int [n]`.
        val_features: of the validation items.
        acceptance: the share of one's own items that is to be accepted, above 0 and below 1.
        seed: of what is held out and of the permutations.

    Returns:
        The rejection, and its figures: the area under the ROC curve (AUROC) for classes left out (None for two
        classes) and for permuted features, on held-out training items; and what is promised.

    Raises:
        InputError: there are several labels per item, only one class or no validation items, or `acceptance` is out
            of range.

    >>> random = np.random.default_rng(0)
    >>> rows, labels = random.normal(size=(400, 8)), np.repeat(np.arange(4), 100)
    >>> rows[np.arange(400), labels] += 6
    >>> rejection, figures = fit_rejection(rows[::2], labels[::2], rows[1::2])
    >>> bool(figures["left_out"] > 0.9), figures["threshold"] == rejection.limit.threshold
    (True, True)
    """
    if np.ndim(labels) != 1:
        raise InputError('"None of these" (--reject) is for one label per item: several labels may all be absent.')
    if not 0 < acceptance < 1:
        raise InputError(f"`acceptance` must lie between 0 and 1. Received: acceptance={acceptance}.")
    if len(np.unique(labels)) < 2 or not len(val_features):
        raise InputError(
            '"None of these" (--reject) needs two classes or more, and validation items for its threshold. Received: '
            f"{len(np.unique(labels))} classes, {len(val_features)} validation items."
        )
    if len(features) > _MOST_ITEMS:
        chosen = np.random.default_rng(seed).permutation(len(features))[:_MOST_ITEMS]
        features, labels = features[chosen], labels[chosen]
    features = np.asarray(features, np.float64)
    with threadpool_limits(1, user_api="blas"):  # more threads are slower on matrices this small
        closeness, length, left_out, permuted = _weigh(features, labels, seed)
        space = _space(features, labels)
    parts = space.mean, closeness * space.classes, np.sqrt(length) * space.directions
    mean, near, directions = (np.asarray(part, np.float32) for part in parts)
    rejection = Rejection(mean, near, directions, length * space.spread, RejectionLimit(0.0, acceptance, ()))
    limit = RejectionLimit.of(rejection.scores(val_features), acceptance)
    rejection, promise = replace(rejection, limit=limit), promised(len(val_features), acceptance)
    return rejection, {"left_out": left_out, "permuted": permuted, "threshold": limit.threshold, "promise": promise}


def promised(n_items: int, acceptance: float) -> Acceptance:
    """What a limit from so many validation items promises.

    The share of all further items that it accepts has a beta distribution, whose 95% interval is given.

    >>> promise = promised(100, 0.95)
    >>> promise["low"] < 0.95 < promise["high"]
    True
    """
    from scipy.stats import beta

    rank = acceptance_rank(n_items, acceptance)
    low, high = (float(end) for end in beta.ppf((0.025, 0.975), rank, n_items + 1 - rank))
    return {"share": rank / (n_items + 1), "low": low, "high": high, "n": n_items}


class _Space(NamedTuple):
    """Where classes are about round: squared lengths are `spread * |c|^2 - |c directions|^2`, about 1 on average."""

    mean: Rows
    classes: Rows
    directions: Rows
    spread: float

    def terms(self, features: Rows) -> Rows:
        """Closeness to the nearest class and squared length, `[n, 2]`."""
        centred = features - self.mean
        length = self.spread * (centred**2).sum(axis=1) - ((centred @ self.directions) ** 2).sum(axis=1)
        return np.stack([(centred @ self.classes).max(axis=1), length], axis=1)


def _space(features: Rows, labels: Labels) -> _Space:
    from sklearn.utils.extmath import randomized_svd

    means = _class_means(features, labels)
    inside = features - means[np.unique(labels, return_inverse=True)[1]]
    count = min(_DIRECTIONS, max(1, features.shape[1] // 2))
    total = float((inside**2).sum() / inside.size) or 1.0
    _, lengths, rows = randomized_svd(inside, min(count, *inside.shape), random_state=0)
    values, vectors = lengths**2 / len(inside), rows.T
    rest = max(0.0, total * features.shape[1] - values.sum()) / max(1, features.shape[1] - count)
    tail = (1 - _SHRINKAGE) * rest + _SHRINKAGE * total
    gains = np.maximum(0.0, 1 / tail - 1 / ((1 - _SHRINKAGE) * values + _SHRINKAGE * total)) / features.shape[1]
    mean, spread, directions = means.mean(axis=0), 1 / tail / features.shape[1], vectors * np.sqrt(gains)
    centred = means - mean
    round_ = spread * centred - centred @ directions @ directions.T  # the inverse covariance times the means
    norms = np.sqrt(np.maximum((round_ * centred).sum(axis=1, keepdims=True), 1e-12))
    return _Space(mean, (round_ / norms).T, directions, spread)


def _weigh(features: Rows, labels: Labels, seed: int) -> tuple[float, float, float | None, float]:
    """Weights of closeness and length, and the AUROC of both together for classes left out and permuted features."""
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(seed)
    held = random.random(len(labels)) < _HELD_OUT
    classes = np.unique(labels)
    left = random.permutation(classes) if len(classes) > 2 else classes[:0]
    groups = np.array_split(left, min(max(1, len(left)), _GROUPS))
    terms: list[list[Rows]] = []  # of each group: known items, those left out, permuted ones
    scales = []
    for group in groups:
        out = np.isin(labels, group)
        own, other = features[held & ~out], features[held & out]
        space = _space(features[~held & ~out], labels[~held & ~out])
        parts = [space.terms(rows) for rows in (own, other, random.permuted(own, axis=0))]
        centre, scale = parts[0].mean(axis=0), parts[0].std(axis=0) + 1e-12
        terms.append([np.clip((part - centre) / scale, -_FAR, _FAR) for part in parts])
        scales.append(scale)
    known, near, far = (np.concatenate(parts) for parts in zip(*terms, strict=True))
    weights = np.array(_PLAIN)
    if len(near):
        unlike = np.repeat([0, 1, 1], [len(known), len(near), len(far)])
        shares = np.repeat([1 / len(known), 0.5 / len(near), 0.5 / len(far)], [len(known), len(near), len(far)])
        model = LogisticRegression().fit(np.concatenate([known, near, far]), unlike, shares * len(unlike))
        weights = np.maximum(model.coef_[0] * (-1, 1), 1e-3)
    total = weights * (-1, 1)
    left_out, permuted = (
        [auroc(parts[0] @ total, parts[kind] @ total) for parts in terms if len(parts[kind])] for kind in (1, 2)
    )
    closeness, length = weights / np.mean(scales, axis=0)
    return float(closeness), float(length), float(np.mean(left_out)) if left_out else None, float(np.mean(permuted))


def _class_means(features: Rows, labels: Labels) -> Rows:
    return np.stack([features[labels == label].mean(axis=0) for label in np.unique(labels)])


def _covariance(rows: Rows) -> Rows:
    return np.asarray(rows.T @ rows / len(rows))


def _unit(rows: Rows) -> Rows:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
