"""Linear probes: how far a backbone's frozen features go by themselves (Alain & Bengio 2016, arXiv:1610.01644)."""

import hashlib
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from keras_transfer import cache
from keras_transfer.data import Split
from keras_transfer.data.folds import joined, stratified_folds
from keras_transfer.models import boundary, freeze_backbone, stages
from keras_transfer.models.batchnorm import adapt_batchnorm, batch_size, batchnorm_layers
from keras_transfer.progress import track
from keras_transfer.training.features import compute_features

Array = np.ndarray[Any, Any]
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Inverse strengths of the L2 penalty that are tried."""
_WORK = 1e8  # images x features x classes, above which one strength is all that is tried
_ITERATIONS = 200
_THIRDS = 3


def pooled_features(model: keras.Model, splits: Sequence[Split], every_stage: bool = False) -> list[Array]:
    """What the head of a classifier sees, of every photograph: computed once, from the cache after that.

    Args:
        model: a classifier on pixels in 0..255. Its backbone is frozen.
        splits: the photographs, all with the same classes.
        every_stage: take the means of all stages' maps (`all_stages`) instead.

    Returns:
        One float32 `[n, features]` a split.
    """
    freeze_backbone(model)
    if every_stage:
        model = all_stages(model)
    tensor = model.output if every_stage else boundary(model)
    whole = joined(splits, " and ".join(split.name for split in splits))
    (arrays,) = compute_features(model, [tensor], whole)
    try:
        rows = np.asarray(arrays["values"], np.float32).reshape(len(whole), -1)
    finally:
        arrays.close()
    return np.split(rows, np.cumsum([len(split) for split in splits])[:-1])


def linear_probe(
    train: tuple[Array, Array], val: tuple[Array, Array], test: Array, classes: int, seed: int = 0
) -> Array:
    """Logistic regression on features; the penalty's strength is the best on validation.

    Args:
        train: features float `[n, features]` and labels, int `[n]` or 0/1 `[n, classes]`, every class among them.
        val: the same of the validation split, by whose log loss the penalty is chosen; may hold no rows.
        test: features to answer.
        classes: how many classes there are.
        seed: of the solver.

    Returns:
        Probabilities of `test`, `float32 [n, classes]`.

    >>> features = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0)
    >>> labels = np.repeat([0, 1], 20)
    >>> linear_probe((features, labels), (features, labels), features[[0, 39]], 2).argmax(axis=1).tolist()
    [0, 1]
    """
    rows, labels = train
    key = cache.cache_key(
        probe=[_digest(array) for array in (rows, labels, *val, test)],
        strengths=STRENGTHS, iterations=_ITERATIONS, classes=classes, seed=seed,
    )  # fmt: skip
    found = cache.open_entry(key)
    if found is None:
        with cache.new_entry(key, {"kind": "probe", "images": len(rows)}) as writer:
            writer.append("probabilities", _fit_probe(train, val, test, classes, seed))
        found = cache.open_new(key)
    try:
        return np.array(found["probabilities"])
    finally:
        found.close()


def out_of_fold(rows: Array, labels: Array, groups: Array, classes: int, *, folds: int = 5, seed: int = 0) -> Array:
    """What a linear probe says of each photograph that it was not fitted on.

    Args:
        rows: features float `[n, features]`.
        labels: int `[n]` or 0/1 `[n, classes]`.
        groups: int `[n]`; rows of one group (near-duplicates) stand in one fold.
        classes: how many classes there are.
        folds: parts the photographs are cut into, each answered by a probe fitted on the others.
        seed: of the folds.

    Returns:
        Probabilities, `float32 [n, classes]`.
    """
    answers = np.zeros((len(rows), classes), np.float32)
    cuts = stratified_folds(labels, groups, folds, seed)
    for rest, part in track(cuts, "Answering photographs by the others", total=folds):
        nothing = rows[:0], labels[:0]
        answers[part] = _fit_probe((rows[rest], labels[rest]), nothing, rows[part], classes, seed)
    return answers


def tuned_probe(train: tuple[Array, Array], test: Array, classes: int, seed: int = 0) -> Array:
    """Logistic regression on features; the penalty's strength is the best on thirds of the training rows in turn.

    Args:
        train: features float `[n, features]` and labels, int `[n]` or 0/1 `[n, classes]`.
        test: features to answer.
        classes: how many classes there are.
        seed: of the thirds and of the solver.

    Returns:
        Probabilities of `test`, `float32 [n, classes]`.
    """
    rows, labels = train
    strata = labels.argmax(axis=1) if labels.ndim == 2 else labels
    strengths = STRENGTHS if rows.size * classes <= _WORK else (1e-2,)
    if len(strengths) > 1 and np.bincount(strata).max() >= _THIRDS:
        cuts = stratified_folds(labels, np.arange(len(rows)), _THIRDS, seed)
        nothing = rows[:0], labels[:0]

        def loss(strength: float) -> float:
            return sum(
                len(part)
                * _loss(
                    labels[part],
                    _fit_probe((rows[rest], labels[rest]), nothing, rows[part], classes, seed, (strength,)),
                )
                for rest, part in cuts
            )

        strengths = (min(strengths, key=loss),)
    return _fit_probe(train, (rows[:0], labels[:0]), test, classes, seed, strengths[-1:])


def _fit_probe(
    train: tuple[Array, Array],
    val: tuple[Array, Array],
    test: Array,
    classes: int,
    seed: int,
    strengths: Sequence[float] | None = None,
) -> Array:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.preprocessing import StandardScaler

    rows, labels = train
    scaler = StandardScaler().fit(rows)
    if strengths is None:
        strengths = STRENGTHS if len(val[0]) and rows.size * classes <= _WORK else (1e-2,)
    best: tuple[float, Array] | None = None
    for strength in strengths:
        probe: Any = LogisticRegression(C=strength, max_iter=_ITERATIONS, tol=1e-3, random_state=seed)
        if labels.ndim == 2:
            probe = OneVsRestClassifier(probe)
        # A BLAS with threads of its own is many times slower on matrices this small, the more so on a busy machine.
        with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", UserWarning)  # a label that all training images have, or none
            probe.fit(scaler.transform(rows), labels)
        loss = _loss(val[1], _answers(probe, scaler.transform(val[0]), classes)) if len(val[0]) else 0.0
        if best is None or loss < best[0]:
            best = loss, _answers(probe, scaler.transform(test), classes)
    assert best is not None
    return best[1]


def _answers(probe: Any, rows: Array, classes: int) -> Array:
    answer = np.zeros((len(rows), classes), np.float32)
    columns = np.arange(classes) if getattr(probe, "multilabel_", False) else probe.classes_
    answer[:, columns] = probe.predict_proba(rows)
    return answer


def _loss(labels: Array, probabilities: Array) -> float:
    if labels.ndim == 2:
        of_truth = np.where(labels >= 0.5, probabilities, 1 - probabilities)
    else:
        of_truth = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(of_truth, 1e-7, 1)).mean())


def _digest(array: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def all_stages(model: keras.Model) -> keras.Model:
    """A model whose answers are the means of every stage's map, side by side.

    A deep random network loses the picture on its way up; its lower stages keep colours and textures. A probe on all of
    them is the stronger, and so the fairer, baseline.

    Args:
        model: a classifier; its layers are shared.

    Returns:
        A model from pixels to `[n, features]`; `model` itself where no stage has a map.
    """
    maps = [stage.output for stage in stages(model) if len(stage.output.shape) > 2]
    if not maps:
        return model
    means = [getattr(keras.layers, f"GlobalAveragePooling{len(tensor.shape) - 2}D")()(tensor) for tensor in maps]
    return keras.Model(model.inputs, keras.layers.Concatenate()(means) if len(means) > 1 else means[0])


def settle_batchnorm(model: keras.Model, split: Split, seed: int = 0) -> None:
    """Gives BatchNorm's statistics the values of some photographs, so that random weights give features of use.

    Without it the activations of a deep random network die out. It is what makes the comparison with a pretrained
    backbone fair.

    Args:
        model: a classifier on pixels in 0..255. Changed in place.
        split: the training photographs, of which 16 to 64 are shown once.
        seed: of their choice.
    """
    count = min(batch_size(model), len(split))
    if batchnorm_layers(model):
        adapt_batchnorm(model, split.stratified(count, seed))
