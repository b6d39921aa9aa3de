"""A recipe's network trained again on other parts of the same photographs, its answers kept in the cache."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer import cache
from keras_transfer.jobs.parts import build_classifier_of, fit_recipe
from keras_transfer.recipe import Recipe

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split

VALIDATION = 7
"""One in so many of the photographs that a training is given is left out of it, to stop early by."""
# What changes nothing about a training on given splits.
_ELSEWHERE = {"data", "export", "report", "base", "compression"}


def given(data: "Dataset", whole: Any, rows: np.ndarray, groups: np.ndarray, seed: int = 0) -> Any:
    """The data of one training: some photographs of a whole, of which one in `VALIDATION` validates.

    Args:
        data: the `Dataset` that all belong to.
        whole: a `Split` of photographs of `data`.
        rows: which of them may be used, int `[n]`.
        groups: of all of `whole`, from `item_groups`.
        seed: of the choice.

    Returns:
        `data` with parts of `whole` for its training and validation splits.

    Raises:
        InputError: there are too few photographs.
    """
    from keras_transfer.data.folds import stratified_folds

    labels = whole.labels[rows]
    strata = labels.argmax(axis=1) if labels.ndim == 2 else labels
    folds = min(VALIDATION, len(np.unique(groups[rows])), int(np.bincount(strata).max()))
    train, val = stratified_folds(labels, groups[rows], folds, seed)[0]
    return replace(data, train=whole.part(rows[np.sort(train)]), val=whole.part(rows[np.sort(val)]))


def retrained(recipe: Recipe, data: "Dataset", test: "Split") -> tuple[np.ndarray, int]:
    """Trains what a recipe tells on `data.train`, stops early by `data.val`, and answers `test`.

    Args:
        recipe: what to train; what it says of data and files is not looked at.
        data: whose training and validation splits are used.
        test: a `Split` to answer.

    Returns:
        Probabilities `float32 [n, classes]`, and the epochs that were trained.
    """
    weights = Path(recipe.model.weights)
    key = cache.cache_key(
        retrained=recipe.model_dump(mode="json", exclude=_ELSEWHERE),
        weights=hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else None,
        images=[cache.digest(split.hashes) for split in (data.train, data.val, test)],
        labels=[cache.digest([split.labels.tobytes().hex()]) for split in (data.train, data.val)],
        preparation=[dict(split.preparer.settings) for split in (data.train, data.val, test)],
    )
    found = cache.open_entry(key)
    if found is None:
        model = build_classifier_of(recipe, data)
        epochs = len(fit_recipe(model, data, recipe).rows)
        about = {"kind": "training", "images": len(data.train), "epochs": epochs}
        with cache.new_entry(key, about) as writer:
            writer.append("probabilities", _answers(model, test))
        found = cache.open_new(key)
    try:
        return np.array(found["probabilities"]), int(found.about["epochs"])
    finally:
        found.close()


def _answers(model: "keras.Model", test: "Split") -> np.ndarray:
    """What the model says; of a part of a whole, by the frozen features of the whole."""
    from keras_transfer.evaluation import predict_pixels
    from keras_transfer.training.features import predict_cached

    return predict_pixels(model, test) if getattr(test, "whole", None) is None else predict_cached(model, test)
