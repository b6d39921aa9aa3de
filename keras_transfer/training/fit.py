"""Training as a whole: the head to convergence on frozen features, then the top of the backbone, never ending worse."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transfer.cache import Arrays
from keras_transfer.data import Dataset, Split
from keras_transfer.data.stored import cached_inputs, input_names
from keras_transfer.errors import InputError
from keras_transfer.inputs import Augmenter, Strength
from keras_transfer.models import stages
from keras_transfer.models.graph import model_inputs
from keras_transfer.progress import say
from keras_transfer.recipe import Phase, Strategy
from keras_transfer.training.features import compute_features, one_hot
from keras_transfer.training.feed import Samples, as_dataset
from keras_transfer.training.lr_finder import LearningRateSweep, find_learning_rate
from keras_transfer.training.phases import (
    PhaseResult,
    compile_top,
    phase_tensors,
    quicken_batchnorm,
    train_phase,
    unfreeze_phase,
)
from keras_transfer.training.plan import make_phases, resolve_strategy, with_epochs
from keras_transfer.training.views import choose_views, plan_views
from keras_transfer.training.workers import share_data, worker_count


@dataclass
class History:
    """What `fit` did.

    Args:
        phases: the phases' figures, in order.
        strategy: the strategy, never `"auto"`.
        views: cached views an image.
        kept: the name of the phase whose weights the model has.
        remarks: what a person should know, such as a rolled-back phase.
    """

    phases: list[PhaseResult]
    strategy: Strategy
    views: int
    kept: str
    remarks: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row an epoch over all phases."""
        return [{"phase": phase.name, **row} for phase in self.phases for row in phase.rows]


def fit(
    model: keras.Model,
    data: Dataset,
    *,
    strategy: Strategy = "auto",
    phases: Sequence[Phase] | None = None,
    epochs: int | None = None,
    gradual: bool = False,
    pretrained: bool = True,
    augmentation: Strength = "auto",
    views: int | None = None,
    label_smoothing: float = 0.0,
    class_weights: bool | dict[int, float] = True,
    seed: int = 0,
    checkpoints: Path | None = None,
    on_epoch: Callable[[str, dict[str, Any]], None] | None = None,
) -> History:
    """Trains a classifier on `data.train` with early stopping on `data.val`; `data.test` is not touched.

    What is frozen is computed once for every image and view and kept in a cache on disk; each phase then trains only
    the layers above it. A phase that does not beat the one before it on validation is rolled back.

    Args:
        model: from `build_classifier`, or any functional classifier on pixels in 0..255. Trained in place.
        data: from `load_images`.
        strategy: `"feature-extraction"` (head only), `"fine-tuning"` (head, then the top stage), `"full"` (head, then
            everything), `"scratch"` (everything at once), or `"auto"`: one of the first three by the number of images.
        phases: the phases themselves, instead of a strategy's.
        epochs: the most of each phase after the head's (of the head's where it is alone), in place of its own number.
        gradual: unfreeze one stage after another.
        pretrained: whether the backbone's weights are pretrained; `"auto"` trains from scratch where they are not.
        augmentation: see `keras_transfer.build_augmenter`.
        views: augmented views an image that are computed once and drawn from in each epoch; None chooses.
        label_smoothing: share of each target spread over all classes, in [0, 1).
        class_weights: weigh classes inversely to their frequency where they are uneven; or the weight of each class.
        seed: of orders, views and dropout.
        checkpoints: a folder in which every epoch is saved; a fit with the same arguments goes on from there.
        on_epoch: called with the phase's name and each epoch's figures.

    Returns:
        The figures of all phases.

    Raises:
        InputError: `data` does not fit the model, has no validation images, or the loss is not a number.
    """
    _check(model, data)
    classes = len(data.class_names)
    concrete = resolve_strategy(strategy, len(data.train), classes, pretrained)
    if phases is None:
        phases = make_phases(concrete, stage_count=len(stages(model)), images=len(data.train), gradual=gradual)
    phases = with_epochs(phases, epochs)
    augmenter, views = plan_views(model, phases, data.train, augmentation, views)
    if concrete == "scratch":
        quicken_batchnorm(model)
    keras.utils.set_random_seed(seed)
    results: list[PhaseResult] = []
    remarks: list[str] = []
    if worker_count(model.distribute_strategy) > 1:
        class_weights = data.class_weights() or False if class_weights is True else class_weights
        data = share_data(model.distribute_strategy, data)
    with _prepared(model, data, phases, augmenter, views, seed, class_weights) as prepared:
        for index, (phase, (tensor, train, val)) in enumerate(zip(phases, prepared, strict=True)):
            unfreeze_phase(model, phase)
            before = model.get_weights()
            result = train_phase(
                model,
                phase,
                tensor,
                train,
                val,
                seed=seed,
                multi_label=data.multi_label,
                label_smoothing=label_smoothing,
                checkpoint=checkpoints / f"{index}.npz" if checkpoints else None,
                on_epoch=partial(on_epoch, phase.name) if on_epoch else None,
            )
            best = max(results, key=_score, default=None)
            if best is not None and _score(result) <= _score(best):
                model.set_weights(before)
                remarks.append(
                    f"{phase.name} reached {result.val_accuracy:.3f} on validation, which does not beat the "
                    f"{best.val_accuracy:.3f} of {best.name}: rolled back."
                )
                say(remarks[-1])
            results.append(result)
    return History(results, concrete, views, max(results, key=_score).name, remarks)


def sweep_phases(
    model: keras.Model,
    data: Dataset,
    phases: Sequence[Phase],
    *,
    augmentation: Strength = "auto",
    views: int | None = None,
    label_smoothing: float = 0.0,
    class_weights: bool = True,
    seed: int = 0,
    steps: int = 100,
) -> list[LearningRateSweep]:
    """The learning-rate range test for each phase, from the model's present weights, which are left as they are.

    Args:
        model: as for `fit`.
        data: as for `fit`.
        phases: what would train.
        augmentation: as for `fit`.
        views: as for `fit`.
        label_smoothing: as for `fit`.
        class_weights: as for `fit`.
        seed: as for `fit`.
        steps: training steps a sweep.

    Returns:
        One sweep a phase.
    """
    _check(model, data)
    augmenter, views = plan_views(model, phases, data.train, augmentation, views)
    keras.utils.set_random_seed(seed)
    sweeps = []
    with _prepared(model, data, phases, augmenter, views, seed, class_weights) as prepared:
        for phase, (tensor, train, _) in zip(phases, prepared, strict=True):
            unfreeze_phase(model, phase)
            top = compile_top(model, phase, tensor, steps, data.multi_label, label_smoothing, constant=True)
            batches = as_dataset(train.drawn(phase.batch_size, seed, 0), train)
            sweeps.append(find_learning_rate(top, batches, steps=steps))
    return sweeps


def _score(result: PhaseResult) -> tuple[float, float]:
    return result.val_accuracy, -result.val_loss


@contextmanager
def _prepared(
    model: keras.Model,
    data: Dataset,
    phases: Sequence[Phase],
    augmenter: Augmenter,
    views: int,
    seed: int,
    class_weights: bool | dict[int, float],
) -> Iterator[list[tuple[Any, Samples, Samples]]]:
    """For each phase the tensor below what trains, and its values for training and validation images."""
    tensors = phase_tensors(model, phases)
    cached = [tensor for i, tensor in enumerate(tensors) if tensor is not model.input and _find(tensor, tensors) == i]
    weights = _sample_weights(data, class_weights)
    targets, val_targets = _targets(model, data.train), _targets(model, data.val)
    with ExitStack() as opened:

        def keep(entries: list[Arrays]) -> list[Arrays]:
            for arrays in entries:
                opened.callback(arrays.close)
            return entries

        train = keep(compute_features(model, cached, data.train, augmenter=augmenter, views=views, seed=seed))
        val = keep(compute_features(model, cached, data.val))
        if any(tensor is model.input for tensor in tensors):
            pixels = opened.enter_context(pixel_samples(model, data, augmenter, class_weights))
        samples = []
        for tensor in tensors:
            if tensor is model.input:
                pair = pixels
            else:
                own, held_out = train[_find(tensor, cached)], val[_find(tensor, cached)]
                mixed = np.asarray(own["labels"]) if "labels" in own else targets
                pair = (Samples(own, "values", mixed, views, weights), Samples(held_out, "values", val_targets))
            samples.append((tensor, *pair))
        yield samples


@contextmanager
def pixel_samples(
    model: Any, data: Dataset, augmenter: Augmenter, class_weights: bool | dict[int, float] = True
) -> Iterator[tuple[Samples, Samples]]:
    """The pixels of training and validation images, decoded once; training ones are augmented anew in every epoch.

    Args:
        model: whose input size and kind of output decide; `tf_keras` models do too.
        data: from `load_images`.
        augmenter: from `Split.augmenter`.
        class_weights: weigh classes inversely to their frequency where they are uneven.

    Yields:
        Training and validation samples, open until the context ends.
    """
    weights = _sample_weights(data, class_weights)
    with ExitStack() as opened:
        train, val = (cached_inputs(split, model_inputs(model)) for split in (data.train, data.val))
        for arrays in (train, val):
            opened.callback(arrays.close)
        (name,) = input_names(data.train.spec(model_inputs(model)))
        yield (
            Samples(train, name, _targets(model, data.train), weights=weights, transform=augmenter or None),
            Samples(val, name, _targets(model, data.val)),
        )


@contextmanager
def feature_samples(
    below: keras.Model, model: Any, data: Dataset, augmenter: Augmenter, seed: int = 0, class_weights: bool = True
) -> Iterator[tuple[Samples, Samples]]:
    """What a frozen network makes of training and validation images and their views, computed once and kept.

    Args:
        below: from pixels to the one tensor that `model` takes; run in inference mode.
        model: the rest of the classifier, whose kind of output decides; `tf_keras` models do too.
        data: from `load_images`.
        augmenter: from `Split.augmenter`; `choose_views` says how many views it draws.
        seed: of the views.
        class_weights: weigh classes inversely to their frequency where they are uneven.

    Yields:
        Training and validation samples, open until the context ends.
    """
    views = choose_views(augmenter, len(data.train))
    weights = _sample_weights(data, class_weights)
    with ExitStack() as opened:
        (train,) = compute_features(below, below.outputs, data.train, augmenter=augmenter, views=views, seed=seed)
        opened.callback(train.close)
        (val,) = compute_features(below, below.outputs, data.val)
        opened.callback(val.close)
        labels = np.asarray(train["labels"]) if "labels" in train else _targets(model, data.train)
        yield (
            Samples(train, "values", labels, views, weights),
            Samples(val, "values", _targets(model, data.val)),
        )


def _find(tensor: Any, tensors: Sequence[Any]) -> int:
    """The position of a tensor: KerasTensors have no equality of their own."""
    return next(i for i, other in enumerate(tensors) if other is tensor)


def _check(model: keras.Model, data: Dataset) -> None:
    outputs = model.output_shape[-1]
    expected = len(data.class_names)
    if outputs != expected and not (outputs == 1 and expected == 2):
        raise InputError(
            f"The model has {outputs} outputs but the data {expected} classes: build it for the data's classes."
        )
    if len(data.train) == 0 or len(data.val) == 0:
        raise InputError(
            "Training needs training and validation images: give `load_images` a source with both, or val=0.15."
        )


def _targets(model: keras.Model, split: Split) -> np.ndarray:
    """Labels as the loss wants them: one-hot or multi-hot rows, or one column for a single sigmoid."""
    if model.output_shape[-1] == 1:
        return split.labels.astype(np.float32).reshape(-1, 1)
    return one_hot(split.labels, len(split.class_names))


def _sample_weights(data: Dataset, class_weights: bool | dict[int, float]) -> np.ndarray | None:
    weights = data.class_weights() if class_weights is True else class_weights
    if not weights or data.multi_label:
        return None
    return np.array([weights[int(label)] for label in data.train.labels], np.float32)
