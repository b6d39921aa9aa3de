"""Linear probes: how far a backbone's frozen features go by themselves (Alain & Bengio 2016, arXiv:1610.01644)."""

import hashlib
from collections.abc import Sequence

import keras
import numpy as np

from keras_transfer import cache
from keras_transfer.data import Split
from keras_transfer.data.folds import stratified_folds
from keras_transfer.data.labels import class_indices, log_loss, one_hot
from keras_transfer.inputs import Array
from keras_transfer.models import boundary, freeze_backbone, stages
from keras_transfer.models.batchnorm import adapt_batchnorm, batch_size, batchnorm_layers
from keras_transfer.models.graph import start_of
from keras_transfer.progress import track
from keras_transfer.training.features import compute_features, feature_rows
from keras_transfer.training.linear import STRENGTHS, fit_linear

_WORK = 1e8  # items x features x classes, above which only one strength is tried
_THIRDS = 3


def pooled_features(model: keras.Model, splits: Sequence[Split], every_stage: bool = False) -> list[Array]:
    """The features that a classifier's head reads, of every item: computed once, from the cache after that.

    Args:
        model: a classifier. Its backbone is frozen.
        splits: the items, all with the same classes.
        every_stage: the means of all stages' outputs (`all_stages`) instead.

    Returns:
        One float32 `[n, features]` for each split.
    """
    freeze_backbone(model)
    if every_stage:
        model = all_stages(model)
    tensor = model.output if every_stage else boundary(model)
    total = sum(map(len, splits))
    # Each split on its own: training left some of them in the cache.
    return [feature_rows(model, tensor, split, total) for split in splits]


def share_pass(models: Sequence[keras.Model], split: Split) -> None:
    """Computes what the heads of several classifiers read in one pass over the items, for `pooled_features`.

    Args:
        models: classifiers that share their input and the layers above it, such as those of `models.depth.at_depth`.
            Their backbones are frozen.
        split: the items.
    """
    for model in models:
        freeze_backbone(model)
    for arrays in compute_features(models[0], [boundary(model) for model in models], split):
        arrays.close()


def linear_probe(train: tuple[Array, Array], val: tuple[Array, Array], test: Array, classes: int) -> Array:
    """Logistic regression on features; the penalty's strength is the best on validation.

    Args:
        train: features float `[n, features]` and labels, int `[n]` or 0/1 `[n, classes]`, every class among them.
        val: the same of the validation split, by whose log loss the penalty is chosen; may be empty.
        test: features to classify.
        classes: how many classes there are.

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
        strengths=STRENGTHS, classes=classes,
    )  # fmt: skip
    entry = cache.open_entry(key)
    if entry is None:
        with cache.new_entry(key, {"kind": "probe", "items": len(rows)}) as writer:
            writer.append("probabilities", _fit_probe(train, val, test, classes))
        entry = cache.open_new(key)
    try:
        return np.array(entry["probabilities"])
    finally:
        entry.close()


def out_of_fold(rows: Array, labels: Array, groups: Array, classes: int, *, folds: int = 5, seed: int = 0) -> Array:
    """Out-of-fold predictions: what a linear probe says of each item that it was not fitted on.

    Args:
        rows: features float `[n, features]`.
        labels: int `[n]` or 0/1 `[n, classes]`.
        groups: int `[n]`; rows of one group (near-duplicates) stand in one fold, unless most rows' classes are then
            unknown to the probe that predicts them, as where each class comes from one recording.
        classes: how many classes there are.
        folds: how many parts at most; each is predicted by a probe fitted on the others.
        seed: of the folds.

    Returns:
        Probabilities, `float32 [n, classes]`.
    """
    predictions = np.zeros((len(rows), classes), np.float32)
    strata = class_indices(labels)
    folds = min(folds, int(np.bincount(strata).max(initial=0)))
    count = min(folds, len(np.unique(groups)))
    cuts = stratified_folds(labels, groups, count, seed) if count > 1 else []
    known = sum(int(np.isin(strata[part], strata[rest]).sum()) for rest, part in cuts)
    if 2 * known < len(rows):
        cuts = stratified_folds(labels, np.arange(len(rows)), folds, seed)
    for rest, part in track(cuts, "Out-of-fold predictions", total=len(cuts)):
        nothing = rows[:0], labels[:0]
        predictions[part] = _fit_probe((rows[rest], labels[rest]), nothing, rows[part], classes)
    return predictions


def tuned_probe(train: tuple[Array, Array], test: Array, classes: int, seed: int = 0) -> Array:
    """Logistic regression on features; the penalty's strength is the best on thirds of the training rows in turn.

    Args:
        train: features float `[n, features]` and labels, int `[n]` or 0/1 `[n, classes]`.
        test: features to classify.
        classes: how many classes there are.
        seed: of the thirds.

    Returns:
        Probabilities of `test`, `float32 [n, classes]`.
    """
    rows, labels = train
    strata = class_indices(labels)
    strengths = STRENGTHS if rows.size * classes <= _WORK else (1e-2,)
    if len(strengths) > 1 and np.bincount(strata).max() >= _THIRDS:
        cuts = stratified_folds(labels, np.arange(len(rows)), _THIRDS, seed)
        nothing = rows[:0], labels[:0]

        def loss(strength: float) -> float:
            return sum(
                len(part)
                * log_loss(
                    labels[part],
                    _fit_probe((rows[rest], labels[rest]), nothing, rows[part], classes, (strength,)),
                )
                for rest, part in cuts
            )

        strengths = (min(strengths, key=loss),)
    return _fit_probe(train, (rows[:0], labels[:0]), test, classes, strengths[-1:])


def _fit_probe(
    train: tuple[Array, Array],
    val: tuple[Array, Array],
    test: Array,
    classes: int,
    strengths: Sequence[float] | None = None,
) -> Array:
    rows, labels = train
    if strengths is None:
        strengths = STRENGTHS if len(val[0]) and rows.size * classes <= _WORK else (1e-2,)
    targets, sigmoid = one_hot(labels, classes), labels.ndim == 2
    heads = [fit_linear(rows, targets, strength=strength, sigmoid=sigmoid) for strength in strengths]
    known = one_hot(val[1], classes) if len(val[0]) else targets[:0]
    return min(heads, key=lambda head: head.losses(val[0], known).sum()).probabilities(test)


def _digest(array: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def all_stages(model: keras.Model) -> keras.Model:
    """A model whose outputs are the means of every stage's output over its positions, side by side.

    A deep random network loses its input on the way up; its lower stages keep simple features. A probe on all of them
    is the stronger, and so the fairer, baseline.

    Args:
        model: a classifier; its layers are shared.

    Returns:
        A model from items to `[n, features]`; `model` itself where no stage's output has positions.
    """
    maps = [stage.output for stage in stages(model) if len(stage.output.shape) > 2]
    if not maps:
        return model
    means = [getattr(keras.layers, f"GlobalAveragePooling{len(tensor.shape) - 2}D")()(tensor) for tensor in maps]
    return keras.Model(start_of(model), keras.layers.Concatenate()(means) if len(means) > 1 else means[0])


def settle_batchnorm(model: keras.Model, split: Split, seed: int = 0) -> None:
    """Gives BatchNorm's statistics the values of some items, so that random weights give useful features.

    Without it the activations of a deep random network die out, and the comparison with a pretrained backbone would not
    be fair.

    Args:
        model: a classifier. Changed in place.
        split: the training items, of which 16 to 64 are used once.
        seed: of their choice.
    """
    count = min(batch_size(model), len(split))
    if batchnorm_layers(model):
        adapt_batchnorm(model, split.stratified(count, seed))
