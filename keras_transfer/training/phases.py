"""One phase of training: some top layers, on the cached outputs of everything below them, by an ordinary `fit`."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from keras_transfer.errors import InputError
from keras_transfer.models import freeze_backbone, head_layers, logits_of, suffix, unfreeze_top
from keras_transfer.models.graph import start_of
from keras_transfer.models.head import head_loss
from keras_transfer.recipe import Phase
from keras_transfer.schemas import HistoryRow
from keras_transfer.training.callbacks import AveragedWeights, PullToStart, ReduceRatesOnPlateau, ResumableEarlyStopping
from keras_transfer.training.features import frozen_boundary
from keras_transfer.training.feed import Samples, as_dataset
from keras_transfer.training.kernels import quick_kernels
from keras_transfer.training.linear import Solved, linear_head, solve_head
from keras_transfer.training.optimizers import layerwise_optimizer, learning_rate_schedule
from keras_transfer.training.workers import fit_on_workers, send_file, worker_count

if TYPE_CHECKING:
    import tensorflow as tf

_EVALUATION_BATCH, _SHORT = 256, 64  # items, and up to which length so many


@dataclass(frozen=True)
class PhaseResult:
    """What a phase did: one row of figures for each epoch, and the validation figures of its best epoch.

    `solved` is its head, where it was solved.
    """

    name: str
    rows: list[HistoryRow]
    val_accuracy: float
    val_loss: float
    solved: Solved | None = None

    @property
    def seconds(self) -> float:
        """Time spent in epochs."""
        return sum(row["seconds"] for row in self.rows)


def train_phase(
    model: keras.Model,
    phase: Phase,
    tensor: keras.KerasTensor,
    train: Samples,
    val: Samples,
    *,
    seed: int = 0,
    multi_label: bool = False,
    label_smoothing: float = 0.0,
    checkpoint: Path | None = None,
    on_epoch: Callable[[HistoryRow], None] | None = None,
) -> PhaseResult:
    """Trains the layers after `tensor` in place, restores the best weights, and resumes from `checkpoint`.

    Args:
        model: the classifier; which of its layers train is already set.
        phase: rates, epochs, patience.
        tensor: the KerasTensor of `model` whose values `train` and `val` hold; its inputs where all trains.
        train: training samples.
        val: validation samples.
        seed: of the order of samples.
        multi_label: whether the outputs are independent.
        label_smoothing: see `head_loss`.
        checkpoint: see `ResumableEarlyStopping`.
        on_epoch: called with each epoch's figures.

    Returns:
        The phase's figures.

    Raises:
        InputError: the loss is not a number.
    """
    if phase.optimizer == "lbfgs":
        return _solve_phase(model, phase, tensor, train, val, seed, multi_label, label_smoothing, checkpoint, on_epoch)
    strategy = model.distribute_strategy
    workers = worker_count(strategy)
    devices = strategy.num_replicas_in_sync // workers
    batch_size = shared_batch(-(-phase.batch_size // workers), len(train), devices)
    steps = train.steps(batch_size)
    with strategy.scope():
        top = compile_top(model, phase, tensor, steps * phase.epochs, multi_label, label_smoothing)
        top.optimizer.build(top.trainable_variables)
    if phase.frozen and strategy.num_replicas_in_sync == 1:  # a head's step takes less time than starting it
        top.steps_per_execution = steps
    pulls = _pulls(model, top, phase)  # before a checkpoint is read: they pull to where the phase began
    if checkpoint is not None and workers > 1:
        send_file(strategy, checkpoint)
    averaged = [AveragedWeights(top.trainable_variables, phase.ema)] if phase.ema else []
    stopping = ResumableEarlyStopping(phase.patience, phase.monitor, checkpoint, on_epoch, *averaged)
    done = stopping.restore(top)
    if not stopping.finished:
        batches = as_dataset(train.drawn(batch_size, seed, done), train)
        largest = phase.batch_size if tensor is start_of(model) else _evaluation_batch(phase, val)
        held_out = _in_order(val, shared_batch(largest, len(val), devices))
        callbacks = [*pulls, *averaged, stopping, *_plateau(phase, stopping.rows)]
        with quick_kernels(top) if strategy.num_replicas_in_sync == 1 else nullcontext():
            run = fit_on_workers if workers > 1 else _fit
            run(top, batches, held_out, steps=steps, initial_epoch=done, epochs=phase.epochs, callbacks=callbacks)
    return _result(phase, stopping.rows)


def _result(phase: Phase, rows: list[HistoryRow]) -> PhaseResult:
    sign = -1 if phase.monitor == "val_accuracy" else 1
    best = min(rows, key=lambda row: sign * row[phase.monitor])  # of equals the first, as early stopping does
    return PhaseResult(phase.name, rows, best["val_accuracy"], best["val_loss"])


def _solve_phase(
    model: keras.Model,
    phase: Phase,
    tensor: keras.KerasTensor,
    train: Samples,
    val: Samples,
    seed: int,
    multi_label: bool,
    label_smoothing: float,
    checkpoint: Path | None,
    on_epoch: Callable[[HistoryRow], None] | None,
) -> PhaseResult:
    """`train_phase` of a head that is solved: for its callbacks one epoch."""
    alone = phase.frozen and worker_count(model.distribute_strategy) == 1
    dense = linear_head(model) if alone else None
    if dense is None:
        raise InputError(
            f"The phase {phase.name!r} has the optimizer lbfgs, which solves a head of one Dense layer on a frozen "
            "backbone, on one machine, and this is another case: choose adam, adamw or sgd."
        )
    top = suffix(model, tensor, output=logits_of(model))
    stopping = ResumableEarlyStopping(phase.patience, phase.monitor, checkpoint, on_epoch)
    stopping.restore(top)
    solved = solve_head(train, val, sigmoid=multi_label, label_smoothing=label_smoothing, seed=seed)
    if not stopping.finished:
        callbacks = keras.callbacks.CallbackList([stopping], model=top, epochs=1, steps=1, verbose=0)
        top.stop_training = False  # as `fit` begins
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(0)
        dense.set_weights([solved.head.kernel, solved.head.bias])
        callbacks.on_epoch_end(0, solved.figures)
        callbacks.on_train_end()
    return replace(_result(phase, stopping.rows), solved=solved)


def _evaluation_batch(phase: Phase, val: Samples) -> int:
    """Items validated at once where a part of the network trains: all of it would take gigabytes of activations.

    Long items come in smaller batches: attention's memory grows with the square of their length.
    """
    longest = int(val.lengths.max()) if val.lengths is not None else 1
    return max(phase.batch_size, _EVALUATION_BATCH // -(-longest // _SHORT))


def _in_order(samples: Samples, batch_size: int) -> "tf.data.Dataset":
    return as_dataset(samples.in_order(batch_size), samples, samples.steps(batch_size))


def _pulls(model: keras.Model, top: keras.Model, phase: Phase) -> list[keras.callbacks.Callback]:
    """What pulls the backbone's weights back to their values now, where the phase wants that."""
    if not phase.l2_sp:
        return []
    head = {id(variable) for layer in head_layers(model) for variable in layer.trainable_variables}
    return [PullToStart([variable for variable in top.trainable_variables if id(variable) not in head], phase.l2_sp)]


def _plateau(phase: Phase, rows: Sequence[HistoryRow]) -> list[keras.callbacks.Callback]:
    if phase.schedule != "plateau":
        return []
    return [ReduceRatesOnPlateau(patience=max(1, phase.patience // 2), rows=rows)]


def _fit(
    top: keras.Model,
    batches: "tf.data.Dataset",
    held_out: "tf.data.Dataset",
    *,
    steps: int,
    epochs: int,
    initial_epoch: int,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    top.fit(
        batches,
        validation_data=held_out,
        steps_per_epoch=steps,
        epochs=epochs,
        initial_epoch=initial_epoch,
        callbacks=callbacks,
        shuffle=False,  # the batches come in an order of their own
        verbose=0,
    )


def shared_batch(batch_size: int, n_items: int, devices: int) -> int:
    """The largest batch up to about `batch_size` of which every device gets a part, of the last one too.

    Keras wants the first batch shared out evenly, and layers fail on an empty part.

    >>> shared_batch(13, 100, 1), shared_batch(13, 100, 4), shared_batch(64, 13, 2)
    (13, 16, 10)
    """
    if devices == 1:
        return batch_size
    largest = min(-(-batch_size // devices), n_items // devices) * devices
    sizes = (size for size in range(largest, 0, -devices) if n_items % size in (0, *range(devices, size)))
    return next(sizes, devices)


def compile_top(
    model: keras.Model,
    phase: Phase,
    tensor: keras.KerasTensor,
    steps: int,
    multi_label: bool = False,
    label_smoothing: float = 0.0,
    constant: bool = False,
) -> keras.Model:
    """The model from `tensor` to the logits, compiled as `phase` says; its layers are those of `model`.

    Args:
        model: the classifier.
        phase: optimizer, rates and schedule.
        tensor: where it begins.
        steps: optimizer steps in all, for the schedule.
        multi_label: whether the outputs are independent.
        label_smoothing: see `train_phase`.
        constant: keep the rate constant whatever the phase says, for a sweep of rates.

    Returns:
        A compiled model.
    """
    output, from_logits = _output(model)
    top = suffix(model, tensor, output=output)
    schedule = "constant" if constant else phase.schedule
    rate = learning_rate_schedule(schedule, phase.learning_rate, steps, phase.warmup)
    loss, accuracy = head_loss(
        top.output_shape[-1], multi_label=multi_label, from_logits=from_logits, label_smoothing=label_smoothing
    )
    top.compile(
        optimizer=layerwise_optimizer(
            top,
            rate,
            decay=phase.layer_decay,
            optimizer=phase.optimizer,
            weight_decay=phase.weight_decay,
            momentum=phase.momentum,
            beta_2=phase.beta_2,
        ),
        loss=loss,
        weighted_metrics=[],
        metrics=[accuracy],
        jit_compile=False,  # XLA on a CPU is many times slower than TensorFlow's own kernels
    )
    return top


def unfreeze_phase(model: keras.Model, phase: Phase) -> None:
    """Marks the layers that a phase trains; compile the model again afterwards."""
    if phase.frozen:
        freeze_backbone(model)
    else:
        unfreeze_top(
            model, stages=phase.stages, layers=phase.layers, from_layer=phase.from_layer, batchnorm=phase.batchnorm
        )


def phase_tensors(model: keras.Model, phases: Sequence[Phase]) -> list[keras.KerasTensor]:
    """The KerasTensor below each phase's trainable layers; the layers stay marked as the last phase trains them."""
    tensors = []
    for phase in phases:
        unfreeze_phase(model, phase)
        tensors.append(frozen_boundary(model))
    return tensors


def _output(model: keras.Model) -> tuple[keras.KerasTensor, bool]:
    """The tensor of which the loss is computed, and whether it holds logits: a Dense layer may activate itself."""
    try:
        return logits_of(model), True
    except InputError:
        return model.output, False


def quicken_batchnorm(model: keras.Model, momentum: float = 0.9) -> None:
    """Lets BatchNorm's statistics follow within tens of steps: momentum 0.999 needs the thousands of a long training.

    Args:
        model: a classifier. Changed in place.
        momentum: the largest that is left to a layer.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, momentum)
