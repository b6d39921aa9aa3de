"""What a network trains on, and validates with: items as its inputs, or what frozen layers make of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypedDict

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer import cache
from keras_transfer.data import Dataset
from keras_transfer.data.folds import item_groups
from keras_transfer.data.labels import loss_targets
from keras_transfer.data.stored import cached_inputs, input_names
from keras_transfer.inputs import Augmenter, item_lengths
from keras_transfer.models import side_inputs
from keras_transfer.models.graph import model_inputs, start_of
from keras_transfer.recipe import Phase
from keras_transfer.training.features import compute_features, feature_names
from keras_transfer.training.feed import Samples
from keras_transfer.training.phases import phase_tensors
from keras_transfer.training.views import choose_views

ClassWeights = bool | Mapping[int, float]


@contextmanager
def phase_samples(
    model: keras.Model,
    data: Dataset,
    phases: Sequence[Phase],
    augmenter: Augmenter,
    views: int,
    seed: int,
    class_weights: ClassWeights,
) -> Iterator[list[tuple[keras.KerasTensor, Samples, Samples]]]:
    """For each phase the tensor below what trains, and its values for training and validation items.

    Args:
        model: the classifier; its layers stay marked as the last phase trains them.
        data: the items.
        phases: what will train.
        augmenter: from `Split.augmenter`.
        views: views of each training item where frozen layers are below.
        seed: of the views.
        class_weights: as for `fit`.

    Yields:
        One triple for each phase, open until the context ends.
    """
    start = start_of(model)
    tensors = phase_tensors(model, phases)
    distinct = list({id(tensor): tensor for tensor in tensors if tensor is not start}.values())
    sides, padding = [side_inputs(model, tensor) for tensor in distinct], _padding(data, model)
    solved = any(phase.optimizer == "lbfgs" for phase in phases)
    groups = item_groups(data, data.train) if solved else None
    pairs: dict[int, tuple[Samples, Samples]] = {}
    with ExitStack() as stack:
        train = compute_features(model, distinct, data.train, sides=sides, augmenter=augmenter, views=views, seed=seed)
        _close_later(stack, train)
        val = compute_features(model, distinct, data.val, sides=sides)
        _close_later(stack, val)
        for tensor, beside, own, held_out in zip(distinct, sides, train, val, strict=True):
            taken = [tensor, *beside]
            pairs[id(tensor)] = _feature_pair(
                model, data, own, held_out, feature_names(beside), taken, padding, views, class_weights, groups
            )
        if any(tensor is start for tensor in tensors):
            pairs[id(start)] = stack.enter_context(input_samples(model, data, augmenter, class_weights))
        yield [(tensor, *pairs[id(tensor)]) for tensor in tensors]


@contextmanager
def input_samples(
    model: keras.Model, data: Dataset, augmenter: Augmenter, class_weights: ClassWeights = True
) -> Iterator[tuple[Samples, Samples]]:
    """Training and validation items as a model's inputs, prepared once; training ones are augmented in every epoch.

    Args:
        model: whose inputs and kind of output decide; a `tf_keras` model too.
        data: the items.
        augmenter: from `Split.augmenter`.
        class_weights: weigh classes inversely to their frequency where they are uneven.

    Yields:
        Training and validation samples, open until the context ends.
    """
    inputs, outputs, classes = model_inputs(model), model.output_shape[-1], len(data.class_names)
    names, dtypes = tuple(input_names(data.train.spec(inputs))), [tensor.dtype for tensor in inputs]
    padding = _padding(data, model)
    with ExitStack() as stack:
        train, val = (cached_inputs(split, inputs) for split in (data.train, data.val))
        _close_later(stack, [train, val])
        yield (
            Samples(
                train,
                names,
                loss_targets(data.train.labels, classes, outputs),
                weights=sample_weights(data, class_weights),
                transform=augmenter or None,
                dtypes=dtypes,
                **_lengths(train, names, model.inputs, padding),
            ),
            Samples(
                val,
                names,
                loss_targets(data.val.labels, classes, outputs),
                dtypes=dtypes,
                **_lengths(val, names, model.inputs, padding),
            ),
        )


@contextmanager
def feature_samples(
    below: keras.Model,
    model: keras.Model,
    data: Dataset,
    augmenter: Augmenter,
    seed: int = 0,
    class_weights: bool = True,
) -> Iterator[tuple[Samples, Samples]]:
    """What a frozen network makes of training and validation items and their views, computed once and kept.

    Args:
        below: from items to the tensor that `model` takes; after it the outputs of `below` may be some of its inputs
            that `model` takes too, such as a padding mask. Run in inference mode.
        model: the rest of the classifier, whose kind of output decides; a `tf_keras` model too.
        data: the items.
        augmenter: from `Split.augmenter`; `choose_views` says how many views it draws.
        seed: of the views.
        class_weights: weigh classes inversely to their frequency where they are uneven.

    Yields:
        Training and validation samples, open until the context ends.
    """
    views = choose_views(augmenter, len(data.train))
    tensor, *sides = below.outputs
    with ExitStack() as stack:
        train = compute_features(
            below, [tensor], data.train, sides=[sides], augmenter=augmenter, views=views, seed=seed
        )
        _close_later(stack, train)
        val = compute_features(below, [tensor], data.val, sides=[sides])
        _close_later(stack, val)
        yield _feature_pair(
            model,
            data,
            train[0],
            val[0],
            feature_names(sides),
            model.inputs,
            _padding(data, below),
            views,
            class_weights,
        )


def _feature_pair(
    model: keras.Model,
    data: Dataset,
    train: cache.Arrays,
    val: cache.Arrays,
    names: tuple[str, ...],
    taken: Sequence[keras.KerasTensor],
    padding: int | None,
    views: int,
    class_weights: ClassWeights,
    groups: NDArray[np.int64] | None = None,
) -> tuple[Samples, Samples]:
    targets, val_targets = (
        loss_targets(split.labels, len(data.class_names), model.output_shape[-1]) for split in (data.train, data.val)
    )
    if "labels" in train:
        targets = np.asarray(train["labels"])
    dtypes = [keras.backend.standardize_dtype(tensor.dtype) for tensor in taken]
    lengths, val_lengths = (_lengths(arrays, names, taken, padding) for arrays in (train, val))
    return (
        Samples(
            train,
            names,
            targets,
            views,
            sample_weights(data, class_weights),
            dtypes=dtypes,
            groups=groups,
            **lengths,
        ),
        Samples(val, names, val_targets, dtypes=dtypes, **val_lengths),
    )


class _Lengths(TypedDict):
    """See `Samples`."""

    lengths: NDArray[np.int64] | None
    open_ended: Sequence[bool]


def _padding(data: Dataset, model: keras.Model) -> int | None:
    """What fills items up as inputs of a model, if anything does."""
    padded = data.train.spec(model_inputs(model)).padded
    return padded.padding if padded is not None else None


def _lengths(
    arrays: cache.Arrays, names: tuple[str, ...], taken: Sequence[keras.KerasTensor], padding: int | None
) -> _Lengths:
    """How long the rows of an entry are: by the token ids, if they are among its arrays."""
    open_ended = [len(tensor.shape) > 1 and tensor.shape[1] is None for tensor in taken]
    ids = (name for name, tensor in zip(names, taken, strict=True) if len(tensor.shape) == 2 and "int" in tensor.dtype)
    where = next(ids, None) if padding is not None and any(open_ended) else None
    if where is None or padding is None:
        return {"lengths": None, "open_ended": ()}
    return {"lengths": item_lengths(np.asarray(arrays[where]), padding), "open_ended": open_ended}


def _close_later(stack: ExitStack, entries: Sequence[cache.Arrays]) -> None:
    for arrays in entries:
        stack.callback(arrays.close)


def sample_weights(data: Dataset, class_weights: ClassWeights) -> NDArray[np.float32] | None:
    """The weight of each training item, float32 `[n]`; None where all weigh the same."""
    weights = data.class_weights() if class_weights is True else class_weights
    if not weights or data.multi_label:
        return None
    return np.array([weights[int(label)] for label in data.train.labels], np.float32)
