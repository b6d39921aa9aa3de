"""A recipe's network trained again on other parts of the same items; its answers are kept in the cache."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_transfer import cache
from keras_transfer.inputs import Labels
from keras_transfer.jobs.parts import build_classifier_of, fit_recipe, plan_of
from keras_transfer.modalities import open_modality
from keras_transfer.recipe import Recipe

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split

VALIDATION = 7
"""One in so many of a training's items validates it, to stop early."""
# What changes nothing about a training on known splits.
_ELSEWHERE = {"data", "export", "report", "base", "compression"}


def training_rows(
    labels: Labels, rows: NDArray[np.int64], groups: NDArray[np.int64], seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Some items of a whole to train on, and one in `VALIDATION` of them to validate.

    Args:
        labels: of the whole.
        rows: which of its items may be used, int `[n]`.
        groups: which items of the whole stay together, int, from `keras_transfer.data.folds.item_groups`.
        seed: of the choice.

    Raises:
        InputError: there are too few items.
    """
    from keras_transfer.data.folds import stratified_folds
    from keras_transfer.data.labels import class_indices

    strata = class_indices(labels[rows])
    folds = min(VALIDATION, len(np.unique(groups[rows])), int(np.bincount(strata).max()))
    train, val = stratified_folds(labels[rows], groups[rows], folds, seed)[0]
    return rows[np.sort(train)], rows[np.sort(val)]


def training_data(
    data: "Dataset", whole: "Split", rows: NDArray[np.int64], groups: NDArray[np.int64], seed: int = 0
) -> "Dataset":
    """The data of one training: some items of a whole, of which one in `VALIDATION` validates.

    Args:
        data: the `Dataset` that all belong to.
        whole: a `Split` of items of `data`.
        rows: which of them may be used, int `[n]`.
        groups: which items of `whole` stay together, int, from `keras_transfer.data.folds.item_groups`.
        seed: of the choice.

    Returns:
        `data` with parts of `whole` for its training and validation splits.

    Raises:
        InputError: there are too few items.
    """
    train, val = training_rows(whole.labels, rows, groups, seed)
    return replace(data, train=whole.part(train), val=whole.part(val))


def retrained(recipe: Recipe, data: "Dataset", test: "Split") -> tuple[NDArray[np.float32], int]:
    """Trains a recipe's network on `data.train`, stops early by `data.val`, and answers `test`.

    Args:
        recipe: what to train; its sections on data and files are not used.
        data: whose training and validation splits are used.
        test: a `Split` to answer.

    Returns:
        Probabilities `float32 [n, classes]`, and the epochs that were trained.
    """
    fitted = open_modality(test.preparer.modality).fitted(recipe, data)
    if fitted is not data:
        data, test = fitted, test.prepared_by(fitted.train.preparer)
    weights = Path(recipe.model.weights)
    key = cache.cache_key(
        retrained=recipe.model_dump(mode="json", exclude=_ELSEWHERE),
        weights=hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else None,
        items=[cache.digest(split.hashes) for split in (data.train, data.val, test)],
        labels=[cache.digest([split.labels.tobytes().hex()]) for split in (data.train, data.val)],
        preparation=[dict(split.preparer.settings) for split in (data.train, data.val, test)],
    )
    entry = cache.open_entry(key)
    if entry is None:
        model = build_classifier_of(recipe, data)
        epochs = len(fit_recipe(model, data, recipe, plan_of(recipe, model, data)).rows)
        about = {"kind": "training", "items": len(data.train), "epochs": epochs}
        with cache.new_entry(key, about) as writer:
            writer.append("probabilities", _answers(model, test))
        entry = cache.open_new(key)
    try:
        return np.array(entry["probabilities"]), int(str(entry.about["epochs"]))
    finally:
        entry.close()


def _answers(model: "keras.Model", test: "Split") -> NDArray[np.float32]:
    """The model's answers; of a part of a whole, by the frozen features of the whole."""
    from keras_transfer.evaluation import predict_split
    from keras_transfer.training.features import predict_cached

    return predict_split(model, test) if getattr(test, "whole", None) is None else predict_cached(model, test)
