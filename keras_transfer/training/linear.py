"""The convex fit of a linear head: logistic regression with an L2 penalty, solved instead of stepped to."""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from keras_transfer.data.folds import stratified_folds
from keras_transfer.errors import InputError
from keras_transfer.inputs import Array
from keras_transfer.models import boundary, freeze_backbone, logits_of, suffix
from keras_transfer.training.feed import Samples

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse strengths of the L2 penalty that are tried: scikit-learn's `C`, on scaled features."""
MOST_LOST = 0.015
"""Share of the right answers on held-out items that a class may cost which is added to others."""
_ITERATIONS = 200
_ROUNDING = 1e-3  # of logits
_FOLDS = 5
_ENOUGH = 500  # validation items by which alone the strength is chosen; with fewer, folds of the training items help

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class LinearHead:
    """A Dense layer without activation.

    Args:
        kernel: float32 `[features, outputs]`.
        bias: float32 `[outputs]`.
        sigmoid: whether the outputs are independent; else a softmax stands over them.
    """

    kernel: Rows
    bias: Rows
    sigmoid: bool

    def logits(self, rows: Array) -> Rows:
        """Of `[n, features]`, float32 `[n, outputs]`."""
        return np.asarray(rows, np.float32) @ self.kernel + self.bias

    def probabilities(self, rows: Array) -> Rows:
        """Of `[n, features]`, float32 `[n, outputs]`."""
        from scipy.special import expit, softmax

        logits = self.logits(rows)
        return np.asarray(expit(logits) if self.sigmoid else softmax(logits, axis=1), np.float32)

    def losses(self, rows: Array, targets: Array) -> NDArray[np.float64]:
        """Cross-entropy in nats of each row with its targets `[n, outputs]`, `[n]`."""
        return _cross_entropy(self.logits(rows), targets, self.sigmoid)

    def accuracy(self, rows: Array, targets: Array) -> float:
        """The share of right answers; of independent outputs each counts."""
        logits = self.logits(rows)
        if self.sigmoid:
            return float(np.mean((logits > 0) == (targets >= 0.5)))
        return float(np.mean(logits.argmax(axis=1) == targets.argmax(axis=1)))


def _cross_entropy(logits: Rows, targets: Array, sigmoid: bool) -> NDArray[np.float64]:
    from scipy.special import log_expit, log_softmax

    if sigmoid:
        likely = targets * log_expit(logits) + (1 - targets) * log_expit(-logits)
    else:
        likely = targets * log_softmax(logits, axis=1)
    return np.asarray(-np.sum(likely, axis=1, dtype=np.float64))


def fit_linear(
    rows: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    strength: float = 1.0,
    sigmoid: bool = False,
    evened: float = 1.0,
    offsets: Array | None = None,
) -> LinearHead:
    """Logistic regression with an L2 penalty on the kernel, by L-BFGS (Liu & Nocedal 1989).

    Args:
        rows: features, float `[n, features]`; scaled for the fit, which the kernel undoes.
        targets: float `[n, outputs]` in 0..1: one-hot, smoothed or mixed rows of a softmax, or independent labels.
        weights: of the rows, float `[n]`; all 1 unless given.
        strength: inverse strength of the penalty, above 0.
        sigmoid: whether the outputs are independent, as a single one always is.
        evened: how far features are scaled to one deviation: 1 for standardized ones, 0 for one scale of all.
        offsets: what is known of the logits already and stays: float `[n, outputs]`, added to each row's.

    Returns:
        The head for rows as they were given, without the offsets.

    >>> rows = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0)
    >>> fit_linear(rows, rows).probabilities(rows[[0, 39]]).argmax(axis=1).tolist()
    [0, 1]
    """
    from scipy.optimize import minimize
    from scipy.special import expit, softmax

    targets = np.asarray(targets, np.float32)
    shape = rows.shape[1], targets.shape[1]
    sigmoid = sigmoid or shape[1] == 1
    whole = np.ones(len(rows)) if weights is None else np.asarray(weights, np.float64)
    own, penalty = (whole / whole.sum()).astype(np.float32)[:, None], 1 / strength / whole.sum()
    mean = np.average(rows, axis=0, weights=whole)
    deviation = np.sqrt(np.average(np.square(rows - mean), axis=0, weights=whole))
    common = np.sqrt(np.mean(np.square(deviation))) or 1.0
    constant = deviation <= 1e-6 * np.abs(mean)  # but for rounding
    deviation = np.where(constant, common, deviation**evened * common ** (1 - evened))
    scaled = ((rows - mean) / deviation).astype(np.float32)
    known = np.float32(0) if offsets is None else np.asarray(offsets, np.float32)

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        kernel, bias = parameters[: -shape[1]].reshape(shape), parameters[-shape[1] :]
        logits = scaled @ kernel.astype(np.float32) + bias.astype(np.float32) + known
        errors = own * ((expit(logits) if sigmoid else softmax(logits, axis=1)) - targets)
        total = own[:, 0] @ _cross_entropy(logits, targets, sigmoid) + penalty * np.sum(kernel**2) / 2
        slope = scaled.T @ errors + penalty * kernel
        return float(total), np.concatenate([slope.ravel(), errors.sum(axis=0)]).astype(np.float64)

    # A BLAS with threads of its own is many times slower on matrices this small, the more so on a busy machine.
    with threadpool_limits(1, user_api="blas"):
        limits = {"maxiter": _ITERATIONS, "gtol": 3e-4}
        start = np.zeros((shape[0] + 1) * shape[1])
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=limits).x
    kernel = found[: -shape[1]].reshape(shape) / deviation[:, None]
    return LinearHead(kernel.astype(np.float32), (found[-shape[1] :] - mean @ kernel).astype(np.float32), sigmoid)


def add_output(
    head: LinearHead, train: Rows, examples: Rows, held: Rows, labels: Array, *, most_lost: float = MOST_LOST
) -> tuple[LinearHead, int]:
    """A head of a softmax with one class more, learned from a few examples; the other classes' weights stay.

    The new column is logistic regression of examples against items of the other classes, with what the head says of
    those as an offset. Its logits spread no wider than the others': an int8 file has one scale for all. The bias is as
    high as the examples want, each judged by a fit on the others, but no higher than lets the new class take
    `most_lost` of the held-out items that are right (none of them is of the new class).

    Args:
        head: of the classes so far.
        train: features of training items of these classes, float32 `[n, features]`; fifty a class do.
        examples: features of items of the new class, float32 `[few, features]`.
        held: features of items of these classes that are not in `train`; some hundreds, or the share means little.
        labels: their classes, int `[n]`.
        most_lost: share of the right answers on `held` that the new class may cost.

    Returns:
        The head, and how many examples it recognizes when they are left out of the fit; 0 of a single one.

    >>> head = LinearHead(np.eye(3, 2, dtype=np.float32), np.zeros(2, np.float32), False)
    >>> known, labels = np.repeat(4 * np.eye(3, dtype=np.float32)[:2], 20, axis=0), np.repeat([0, 1], 20)
    >>> examples = np.array([[0, 0, 4], [0, 0, 5]], np.float32)
    >>> wider, recognized = add_output(head, known, examples, held=known, labels=labels)
    >>> wider.logits(np.concatenate([known, examples])).argmax(axis=1)[::20], recognized
    (array([0, 1, 2]), 2)
    """
    column = _column(head, train, examples)
    most = bias_for(head, column, held, labels, most_lost)
    parts = np.array_split(np.arange(len(examples)), min(_FOLDS, len(examples)))
    needed = np.zeros(0)  # the bias from which each example would be recognized
    if len(parts) > 1:
        columns = [_column(head, train, np.delete(examples, part, axis=0)) for part in parts]
        scores = [examples[part] @ own for part, own in zip(parts, columns, strict=True)]
        needed = head.logits(examples).max(axis=1) - np.concatenate(scores)
        most = min(most, needed.max() + needed.std())
    kernel, whole = np.column_stack([head.kernel, column]), np.append(head.bias, most)
    wider = LinearHead(kernel.astype(np.float32), whole.astype(np.float32), sigmoid=False)
    return wider, int((needed < most).sum())


def bias_for(head: LinearHead, column: Rows, val: Rows, labels: Array, most_lost: float = MOST_LOST) -> float:
    """The highest bias with which a new class takes no more than a share of the items that a head answers right.

    Args:
        head: of the other classes.
        column: weights of the new class, `[features]`.
        val: features of items of the other classes, float32 `[n, features]`.
        labels: their classes, int `[n]`.
        most_lost: the share.

    Returns:
        The bias; the mean of the others' where no item is answered right.
    """
    logits = head.logits(val)
    margins = np.sort((logits.max(axis=1) - val @ column)[logits.argmax(axis=1) == labels])
    return float(margins[int(most_lost * len(margins))]) - _ROUNDING if len(margins) else float(head.bias.mean())


def _column(head: LinearHead, train: Rows, examples: Rows) -> Rows:
    """The weights, `[features]`, that tell examples from the items of other classes."""
    from scipy.special import logsumexp

    rows = np.concatenate([train, examples])
    new, others = np.arange(len(rows)) >= len(train), head.logits(rows)
    weights = np.where(new, len(train) / len(head.bias) / len(examples), 1.0)  # as much as another class
    found = fit_linear(
        rows, new[:, None], weights, sigmoid=True, evened=0.5, offsets=-logsumexp(others, axis=1)[:, None]
    )
    column = found.kernel[:, 0]
    wide, own = float(np.ptp(others)), float(np.ptp(rows @ column))
    return column * min(1.0, wide / max(own, 1e-6))


def linear_head(model: keras.Model) -> keras.layers.Dense | None:
    """The one Dense layer of a head that reads flat features, dropout aside; None where the head is anything else.

    Args:
        model: a classifier. Its backbone is frozen.
    """
    freeze_backbone(model)
    try:
        layers = suffix(model, boundary(model), output=logits_of(model)).layers
    except InputError:  # the last layer activates itself
        return None
    dense = [each for each in layers if not isinstance(each, keras.layers.InputLayer | keras.layers.Dropout)]
    flat = len(dense) == 1 and isinstance(dense[0], keras.layers.Dense) and len(dense[0].input.shape) == 2
    return dense[0] if flat and dense[0].activation is keras.activations.linear and dense[0].use_bias else None


@dataclass(frozen=True)
class Solved:
    """A head that was solved.

    Args:
        head: fitted to the training items.
        figures: its figures as those of an epoch: `loss` and `accuracy`, on validation with `val_` before them.
        val: its probabilities of the validation items, float32 `[n, outputs]`.
        whole: fitted with the same penalty to the validation items, too, which it can no longer be judged by.
    """

    head: LinearHead
    figures: dict[str, float]
    val: Rows
    whole: LinearHead


def solve_head(
    train: Samples, val: Samples, *, sigmoid: bool = False, label_smoothing: float = 0.0, seed: int = 0
) -> Solved:
    """The linear head of a phase's samples; the penalty is chosen by the loss on items that a fit has not seen.

    Those are the validation items and, where they are few, the training items, in folds that keep `train.groups`
    together.

    Args:
        train: features of training items and their views; the views of an item weigh as much as an item.
        val: features of validation items.
        sigmoid: whether the outputs are independent.
        label_smoothing: see `models.head.head_loss`.
        seed: of the folds.
    """
    rows, known = (np.asarray(each.arrays[each.names[0]], np.float32) for each in (train, val))
    views, items = train.views, np.arange(len(train))
    labels = train.labels if len(train.labels) == len(rows) else np.repeat(train.labels, views, axis=0)
    sigmoid = sigmoid or labels.shape[1] == 1
    targets, known_targets = (_smoothed(each, label_smoothing, sigmoid) for each in (labels, val.labels))
    weights = np.repeat((np.ones(len(train)) if train.weights is None else train.weights) / views, views)
    groups = items if train.groups is None else train.groups
    cuts = _folds(labels[::views], groups, seed) if len(val) < _ENOUGH else []

    def fitted(some: NDArray[np.int64], strength: float) -> LinearHead:
        every = (views * some[:, None] + np.arange(views)).ravel()
        return fit(rows[every], targets[every], weights[every], strength)

    def fit(some: Array, wanted: Array, importance: Array, strength: float) -> LinearHead:
        # Half-way: a feature that hardly varies gets no huge weight, which would make much of noise and of the steps of
        # a quantized file. Probes, of random networks too, want all features alike.
        return fit_linear(some, wanted, importance, strength=strength, sigmoid=sigmoid, evened=0.5)

    heads, losses = [], []
    for strength in STRENGTHS:
        heads.append(fitted(items, strength))
        losses.append(heads[-1].losses(known, known_targets).sum())
        for rest, part in cuts:
            losses[-1] += fitted(rest, strength).losses(rows[views * part], targets[views * part]).sum()
    best = int(np.argmin(losses))
    head, more = heads[best], _like(val.labels, labels, weights * views)
    both = [np.concatenate(each) for each in ((rows, known), (targets, known_targets), (weights, more))]
    figures = {
        "loss": float(np.average(head.losses(rows, targets), weights=weights)),
        "accuracy": head.accuracy(rows, labels),
        "val_loss": float(head.losses(known, known_targets).mean()),
        "val_accuracy": head.accuracy(known, val.labels),
    }
    return Solved(head, figures, head.probabilities(known), fit(both[0], both[1], both[2], STRENGTHS[best]))


def _like(labels: Array, others: Array, weights: Array) -> NDArray[np.float64]:
    """The weights of items, as those of others whose classes they share; 1 where there is none."""
    if labels.shape[1] == 1:
        own, theirs = labels[:, 0] >= 0.5, others[:, 0] >= 0.5
    else:
        own, theirs = labels.argmax(axis=1), others.argmax(axis=1)
    known = {each: float(np.mean(weights[theirs == each])) for each in np.unique(theirs)}
    return np.array([known.get(each, 1.0) for each in own], np.float64)


def _smoothed(targets: Array, smoothing: float, sigmoid: bool) -> Rows:
    even = 0.5 if sigmoid else 1 / targets.shape[1]
    return np.asarray(targets * (1 - smoothing) + smoothing * even, np.float32)


def _folds(targets: Array, groups: Array, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    classes = targets[:, 0] >= 0.5 if targets.shape[1] == 1 else targets.argmax(axis=1)
    folds = min(_FOLDS, len(np.unique(groups)), int(np.bincount(classes).max(initial=0)))
    try:
        return stratified_folds(classes.astype(np.int32), groups, folds, seed)
    except InputError:  # one group, or one item of each class
        return []
