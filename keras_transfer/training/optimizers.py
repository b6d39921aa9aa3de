"""Optimizers and learning-rate schedules as plain Keras objects."""

import re
from functools import partial
from typing import TypeAlias

import keras

from keras_transfer.errors import InputError
from keras_transfer.models import head_layers, stages

# Biases, normalization scales and offsets are not decayed (Goyal et al. 2017, https://arxiv.org/abs/1706.02677,
# section 5.1).
_UNDECAYED = ["bias", "gamma", "beta"]


LearningRate: TypeAlias = float | keras.optimizers.schedules.LearningRateSchedule


@keras.saving.register_keras_serializable(package="keras_transfer")
class CyclicalLearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """A triangular learning rate between two bounds (Smith 2017, https://arxiv.org/abs/1506.01186).

    Args:
        lowest: the rate at the ends of each cycle.
        highest: the rate in the middle of each cycle.
        cycle_steps: optimizer steps a cycle, at least 2.

    >>> schedule = CyclicalLearningRate(0.001, 0.003, cycle_steps=10)
    >>> [round(float(schedule(step)), 4) for step in (0, 5, 10)]
    [0.001, 0.003, 0.001]
    """

    def __init__(self, lowest: float, highest: float, cycle_steps: int) -> None:
        super().__init__()
        self.lowest, self.highest, self.cycle_steps = lowest, highest, cycle_steps

    def __call__(self, step: int | keras.KerasTensor) -> keras.KerasTensor:
        """The rate at optimizer step `step`."""
        position = keras.ops.mod(keras.ops.cast(step, "float32"), float(self.cycle_steps)) / self.cycle_steps
        return self.lowest + (self.highest - self.lowest) * (1.0 - keras.ops.abs(2.0 * position - 1.0))

    def get_config(self) -> dict[str, float]:
        """The arguments of the constructor."""
        return {"lowest": self.lowest, "highest": self.highest, "cycle_steps": self.cycle_steps}


def learning_rate_schedule(schedule: str, peak: float, steps: int, warmup: float = 0.0) -> LearningRate:
    """A learning rate for `compile`, by its usual name.

    Args:
        schedule: `"constant"`, `"cosine"` (decay to zero, Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983),
            `"cyclical"` (triangular, four cycles), or `"plateau"` (constant here: `keras.callbacks.ReduceLROnPlateau`
            lowers it).
        peak: the highest rate.
        steps: optimizer steps in all.
        warmup: the share of `steps` over which the rate climbs linearly to `peak`.

    Returns:
        A float, or a `keras.optimizers.schedules.LearningRateSchedule`.

    Raises:
        InputError: `schedule` has no such name.

    >>> learning_rate_schedule("constant", 1e-3, steps=100)
    0.001
    """
    if schedule in ("constant", "plateau"):
        return peak
    if schedule == "cosine":
        climbing = int(steps * warmup)
        start = peak / 25 if climbing else peak
        return keras.optimizers.schedules.CosineDecay(
            start, max(1, steps - climbing), warmup_target=peak if climbing else None, warmup_steps=climbing
        )
    if schedule == "cyclical":
        return CyclicalLearningRate(peak / 10, peak, max(2, steps // 4))
    raise InputError(
        f"`schedule` must be 'constant', 'cosine', 'cyclical' or 'plateau'. Received: schedule={schedule!r}."
    )


def make_optimizer(
    name: str, learning_rate: LearningRate, weight_decay: float = 0.0, momentum: float = 0.9, beta_2: float = 0.999
) -> keras.optimizers.Optimizer:
    """An Adam, AdamW or SGD optimizer with the usual exceptions from weight decay.

    Args:
        name: `"adam"`, `"adamw"` or `"sgd"` (with Nesterov momentum).
        learning_rate: a float or a schedule.
        weight_decay: decoupled weight decay (Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101).
        momentum: of SGD.
        beta_2: of Adam and AdamW: how slowly they forget how large gradients were. 0.99 for trainings of some hundred
            steps (fastai's `sqr_mom`).

    Returns:
        A `keras.optimizers.Optimizer`.

    Raises:
        InputError: `name` is none of the three.

    >>> make_optimizer("sgd", 0.1).momentum
    0.9
    """
    if name == "sgd":
        optimizer = keras.optimizers.SGD(
            learning_rate, momentum=momentum, nesterov=momentum > 0, weight_decay=weight_decay or None
        )
    elif name == "adamw":
        optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay, beta_2=beta_2)
    elif name == "adam":
        optimizer = keras.optimizers.Adam(learning_rate, weight_decay=weight_decay or None, beta_2=beta_2)
    else:
        raise InputError(f"`optimizer` must be 'adam', 'adamw' or 'sgd'. Received: optimizer={name!r}.")
    if weight_decay:
        optimizer.exclude_from_weight_decay(var_names=_UNDECAYED)
    return optimizer


def layerwise_optimizer(
    model: keras.Model,
    learning_rate: LearningRate,
    *,
    decay: float = 0.5,
    optimizer: str = "adam",
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    beta_2: float = 0.999,
) -> keras.optimizers.Optimizer:
    """An optimizer for each stage: the head at the full rate, each stage at `decay` times the rate of the one above.

    Discriminative learning rates (Howard & Ruder 2018, https://arxiv.org/abs/1801.06146), as a
    `keras.optimizers.MultiOptimizer` that saves and loads with the model.

    Args:
        model: a classifier; a model cut from one works as well.
        learning_rate: of the head; a float or a `keras.optimizers.schedules.LearningRateSchedule`.
        decay: the factor from one stage to the one below it, in (0, 1]; 1 gives an ordinary optimizer.
        optimizer: `"adam"`, `"adamw"` or `"sgd"`.
        weight_decay: as for `make_optimizer`.
        momentum: of SGD.
        beta_2: of Adam and AdamW.

    Returns:
        An optimizer for `model.compile`.

    Raises:
        InputError: `decay` is not in (0, 1], or `optimizer` is unknown.

    >>> layers = [keras.layers.Conv1D(8, 3, strides=2, name=f"conv{number}") for number in range(3)]
    >>> head = [keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(3, activation="softmax")]
    >>> model = keras.Sequential([keras.Input((64, 1)), *layers, *head])
    >>> model.compile(layerwise_optimizer(model, 1e-4, decay=0.5), "sparse_categorical_crossentropy")
    >>> type(model.optimizer).__name__
    'MultiOptimizer'
    """
    if not 0 < decay <= 1:
        raise InputError(f"`decay` must be above 0 and at most 1. Received: decay={decay}.")
    make = partial(make_optimizer, optimizer, weight_decay=weight_decay, momentum=momentum, beta_2=beta_2)
    head = make(learning_rate)
    if decay == 1:
        return head
    rates = {}
    for depth, stage in enumerate(reversed(stages(model)), start=1):
        named = [re.escape(layer.name) for layer in stage.layers if layer.trainable_weights]
        if named:
            rates[rf"(?:.*/)?(?:{'|'.join(named)})/.*"] = make(_scaled(learning_rate, decay**depth))
    if not rates or not any(layer.trainable_weights for layer in head_layers(model)):
        return head
    return keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(head, rates))


def _scaled(learning_rate: LearningRate, factor: float) -> LearningRate:
    """`learning_rate` times `factor`, for floats and for the schedules made here."""
    if not isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        return learning_rate * factor
    config = learning_rate.get_config()
    for field in ("initial_learning_rate", "warmup_target", "lowest", "highest"):
        if config.get(field) is not None:
            config[field] *= factor
    return type(learning_rate).from_config(config)
