"""Training as a whole: the head to convergence on frozen features, then the top of the backbone, never ending worse."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypedDict, Unpack

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.data import Dataset
from keras_transfer.data.folds import item_groups
from keras_transfer.errors import InputError, check_options
from keras_transfer.inputs import Strength
from keras_transfer.progress import say
from keras_transfer.recipe import Phase, Strategy
from keras_transfer.schemas import HistoryRow
from keras_transfer.training.efficient import efficiently
from keras_transfer.training.feed import Samples, as_dataset
from keras_transfer.training.linear import linear_head, solve_head
from keras_transfer.training.lr_finder import LearningRateSweep, find_learning_rate
from keras_transfer.training.phases import (
    PhaseResult,
    compile_top,
    quicken_batchnorm,
    train_phase,
    unfreeze_phase,
)
from keras_transfer.training.plan import Plan, make_plan, solvable
from keras_transfer.training.samples import ClassWeights, phase_samples
from keras_transfer.training.views import plan_views
from keras_transfer.training.workers import share_data, worker_count

OnEpoch = Callable[[str, HistoryRow], None]
"""Called with a phase's name and an epoch's figures."""


class PhaseRow(HistoryRow):
    """One epoch, and the phase that it belongs to."""

    phase: str


@dataclass
class History:
    """What `fit` did.

    Args:
        phases: the phases' figures, in order.
        strategy: the strategy, never `"auto"`.
        views: cached views of each item.
        kept: the name of the phase whose weights the model has.
        remarks: what a person should know, such as a rolled-back phase.
        held_out: where the head has learned from validation items in the end: probabilities of those, float32
            `[n, outputs]`, by the head before it did.
    """

    phases: list[PhaseResult]
    strategy: Strategy
    views: int
    kept: str
    remarks: list[str] = field(default_factory=list)
    held_out: NDArray[np.float32] | None = None

    @property
    def rows(self) -> list[PhaseRow]:
        """One row for each epoch of all phases."""
        return [{"phase": phase.name, **row} for phase in self.phases for row in phase.rows]


class FitOptions(TypedDict, total=False):
    """Options of `fit` and `fit_plan`.

    Attributes:
        label_smoothing: share of each target spread over all classes, in [0, 1); 0 unless given.
        class_weights: weigh classes inversely to their frequency where they are uneven, the default; or the weight of
            each class.
        seed: of orders, views and dropout; 0 unless given.
        refit: let a head that is solved learn from validation items as well, once they have chosen its penalty and
            what is kept: the model can no longer be judged by them. Not unless given.
        checkpoints: a folder in which every epoch is saved; a fit with the same arguments continues from there.
        on_epoch: called with the phase's name and each epoch's figures.
    """

    label_smoothing: float
    class_weights: ClassWeights
    seed: int
    refit: bool
    checkpoints: Path | None
    on_epoch: OnEpoch | None


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
    rank: int | None = None,
    ema: float | None = None,
    **options: Unpack[FitOptions],
) -> History:
    """Trains a classifier on `data.train` with early stopping on `data.val`; `data.test` is not touched.

    What is frozen is computed once for every item and view and kept in a cache on disk; each phase then trains only
    the layers above it. A phase that does not beat the one before it on validation is rolled back.

    Args:
        model: from `build_classifier`, or any functional classifier of such items. Trained in place.
        data: from `load`.
        strategy: `"feature-extraction"` (head only), `"fine-tuning"` (head, then the top stage), `"full"` (head, then
            everything), `"lora"`, `"bitfit"` or `"adapter"` (head, then few numbers in all layers; see
            `training.efficient`), `"scratch"` (everything at once), or `"auto"`: one of the first three by the number
            of items.
        phases: the phases themselves, instead of a strategy's.
        epochs: the most of each phase after the head's (of the head's where it is alone), in place of its own number.
        gradual: unfreeze one stage after another.
        pretrained: whether the backbone's weights are pretrained; `"auto"` trains from scratch where they are not.
        augmentation: `"auto"`, `"none"`, or a strength or settings that the modality knows.
        views: augmented views of each item that are computed once and drawn from in each epoch; None chooses.
        rank: of LoRA's changes, 8 unless given.
        ema: momentum of the moving average of weights that is validated and kept, of each phase after the head's, such
            as 0.99; the weights themselves unless given.
        **options: see `FitOptions`.

    Returns:
        The figures of all phases.

    Raises:
        InputError: `data` does not fit the model, has no validation items, or the loss is not a number.
    """
    check_options("fit", options, FitOptions)
    _check(model, data)
    plan = make_plan(
        model, data.train, strategy=strategy, phases=phases, epochs=epochs, gradual=gradual, pretrained=pretrained,
        augmentation=augmentation, views=views, rank=rank, ema=ema,
    )  # fmt: skip
    return fit_plan(model, data, plan, **options)


def fit_plan(
    model: keras.Model,
    data: Dataset,
    plan: Plan,
    *,
    label_smoothing: float = 0.0,
    class_weights: ClassWeights = True,
    seed: int = 0,
    refit: bool = False,
    checkpoints: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> History:
    """Trains the phases of a plan one after another; the other arguments are those of `fit`."""
    if not plan.phases:  # the model came trained
        return History([], plan.strategy, plan.views, "", [])
    if plan.strategy == "scratch":
        quicken_batchnorm(model)
    keras.utils.set_random_seed(seed)
    if worker_count(model.distribute_strategy) > 1:
        class_weights = data.class_weights() or False if class_weights is True else class_weights
        data = share_data(model.distribute_strategy, data)
    results: list[PhaseResult] = []
    remarks: list[str] = []
    with phase_samples(model, data, plan.phases, plan.augmenter, plan.views, seed, class_weights) as samples:
        for index, (phase, (tensor, train, val)) in enumerate(zip(plan.phases, samples, strict=True)):
            unfreeze_phase(model, phase)
            before = model.get_weights()
            with efficiently(model, phase):
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
        where = max(range(len(results)), key=lambda index: _score(results[index]))
        kept, held_out = results[where], None
        alone = plan.phases[where].frozen and worker_count(model.distribute_strategy) == 1
        if refit and alone and solvable(model, len(data.train)):
            held_out = _refit(model, data, kept, samples[where], label_smoothing, seed)
    return History(results, plan.strategy, plan.views, kept.name, remarks, held_out)


def _refit(
    model: keras.Model,
    data: Dataset,
    kept: PhaseResult,
    samples: tuple[keras.KerasTensor, Samples, Samples],
    label_smoothing: float,
    seed: int,
) -> NDArray[np.float32] | None:
    """Has the head learn from validation items, too; what one that had not says of them, or None where it stays."""
    dense, (_, train, val), solved = linear_head(model), samples, kept.solved
    if solved is None:
        train = replace(train, groups=item_groups(data, data.train))
        solved = solve_head(train, val, sigmoid=data.multi_label, label_smoothing=label_smoothing, seed=seed)
    # One that was stepped to stays where it is better beyond chance: it has not seen all items.
    chance = (kept.val_accuracy * (1 - kept.val_accuracy) / len(val)) ** 0.5
    if dense is None or solved.figures["val_accuracy"] < kept.val_accuracy - chance:
        return None
    dense.set_weights([solved.whole.kernel, solved.whole.bias])
    return solved.val


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
        steps: training steps of each sweep.

    Returns:
        One sweep for each phase.
    """
    _check(model, data)
    augmenter, views = plan_views(model, phases, data.train, augmentation, views)
    keras.utils.set_random_seed(seed)
    sweeps = []
    with phase_samples(model, data, phases, augmenter, views, seed, class_weights) as samples:
        for phase, (tensor, train, _) in zip(phases, samples, strict=True):
            unfreeze_phase(model, phase)
            with efficiently(model, phase):
                top = compile_top(model, phase, tensor, steps, data.multi_label, label_smoothing, constant=True)
                batches = as_dataset(train.drawn(phase.batch_size, seed, 0), train)
                sweeps.append(find_learning_rate(top, batches, steps=steps))
    return sweeps


def _score(result: PhaseResult) -> tuple[float, float]:
    return result.val_accuracy, -result.val_loss


def _check(model: keras.Model, data: Dataset) -> None:
    outputs = model.output_shape[-1]
    expected = len(data.class_names)
    if outputs != expected and not (outputs == 1 and expected == 2):
        raise InputError(
            f"The model has {outputs} outputs but the data {expected} classes: build it for the data's classes."
        )
    if len(data.train) == 0 or len(data.val) == 0:
        raise InputError(
            f"Training needs training and validation items: load both, such as by val=0.15. Received: {data}."
        )
