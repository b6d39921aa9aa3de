"""Magnitude pruning by tensorflow-model-optimization while the classifier trains on; plain Keras models in and out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import keras

from keras_transfer.compression.cut import cut_copy, restore_flags, soft_label_samples
from keras_transfer.compression.plan_sparsity import Block, Pattern, plan_sparsity, read_pattern
from keras_transfer.compression.retrain import OnEpoch, Training, retrain
from keras_transfer.compression.tfmot import load_tfmot
from keras_transfer.data import Dataset
from keras_transfer.errors import InputError
from keras_transfer.inputs import Strength
from keras_transfer.models.twin import copy_weights, make_twin

if TYPE_CHECKING:
    import tf_keras
    from tensorflow_model_optimization.python.core.sparsity.keras.pruning_impl import Pruning

Schedule = Literal["polynomial", "constant"]

_GROWTH = 0.5  # share of the steps in which zeros are made; the others let the accuracy recover
_UPDATES = 20  # times that zeros are added


def prune(
    model: keras.Model,
    data: Dataset,
    sparsity: float = 0.5,
    *,
    schedule: Schedule = "polynomial",
    pattern: Pattern = None,
    allocation: float = 0.75,
    stages: Mapping[str, float] | None = None,
    spare: Sequence[str] = ("first", "last"),
    epochs: int = 10,
    learning_rate: float = 1e-3,
    batch_size: int = 16,
    alpha: float = 0.0,
    temperature: float = 2.0,
    augmentation: Strength = "auto",
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
) -> keras.Model:
    """Sets weights of convolutions and dense layers to zero, the smallest first, while the others train on.

    The zeros stay in every LiteRT file, which is as large as before, and smaller where files are compressed (every APK,
    every web server). What lies below the lowest pruned layer does not change, and is computed once. Zhu & Gupta 2017,
    https://arxiv.org/abs/1710.01878.

    Args:
        model: a functional or Sequential classifier with one input; it stays as it is.
        data: training items train, validation items choose the epoch, test items are not read.
        sparsity: share of zeros among all weights of convolutions and dense layers, in (0, 1).
        schedule: `"polynomial"`, zeros grow during the first half of the steps; or `"constant"`, all at once.
        pattern: which weights become zero together: `"4x1"`, blocks of so many consecutive inputs by outputs; `"1x1"`;
            `"2:4"`, two of each four consecutive inputs (a sparsity of 0.5). None: `"4x1"` up to a sparsity of 0.6,
            which deflate packs better, and `"1x1"` above.
        allocation: 0: the same share of zeros in each layer; 1: the same number of weights left in each; between: the
            density of a layer falls with that power of its size.
        stages: sparsity by the names of `stages(model)` and `"head"`, in place of `sparsity`; others stay dense.
        spare: layers that stay dense, by name; `"first"` and `"last"` are the first and last of all.
        epochs, learning_rate, batch_size: passes over the training items, Adam's highest rate, items per step.
        alpha, temperature: weight, from 0 to 1, of the dense model's predictions against the labels, and by what their
            scores are divided (Hinton et al. 2015); no effect where the whole network trains.
        augmentation, seed: see `keras_transfer.fit`.
        on_epoch: called with each epoch's figures.

    Returns:
        A new model, not compiled, of the same layers and `trainable` flags.

    Raises:
        InputError: an argument is out of range or names what is not there, the model has no twin.
    """
    plan = plan_sparsity(model, sparsity, pattern=pattern, allocation=allocation, stages=stages, spare=spare)
    _check(schedule, alpha, temperature)
    training = Training(epochs, learning_rate, batch_size, augmentation, seed, on_epoch, "Pruning")
    return _prune(model, data, plan, read_pattern(pattern, sparsity, stages), schedule, training, alpha, temperature)


def _check(schedule: str, alpha: float, temperature: float) -> None:
    if schedule not in ("polynomial", "constant"):
        raise InputError(f"`schedule` must be 'polynomial' or 'constant'. Received: schedule={schedule!r}.")
    if not 0 <= alpha <= 1 or temperature <= 0:
        raise InputError(
            "`alpha` must be from 0 to 1 and `temperature` above 0. "
            f"Received: alpha={alpha}, temperature={temperature}."
        )


def _prune(
    model: keras.Model,
    data: Dataset,
    plan: Mapping[str, float],
    block: Block,
    schedule: Schedule,
    training: Training,
    alpha: float,
    temperature: float,
) -> keras.Model:
    """A copy of the model with each layer's planned share of zeros."""
    load_tfmot()
    keras.utils.set_random_seed(training.seed)
    cut = cut_copy(model, plan, data.train)
    twin = make_twin(cut.top)
    steps = -(-len(data.train) // training.batch_size)
    shares = {name: plan[own] for name, own in cut.names.items()}
    wrapped, end = _wrap(twin, shares, schedule, block, steps * training.epochs)
    retrain(
        wrapped,
        data,
        replace(training, from_epoch=-(-end // steps) - 1),
        samples=soft_label_samples(
            cut.below,
            cut.top,
            data,
            alpha=alpha,
            temperature=temperature,
            augmentation=training.augmentation,
            seed=training.seed,
        ),
        callbacks=[load_tfmot().sparsity.keras.UpdatePruningStep()],
    )
    copy_weights(twin, cut.top)  # the wrappers went round the twin's own layers
    restore_flags(model, cut.model)
    return cut.model


def _wrap(
    twin: "tf_keras.Model", shares: Mapping[str, float], schedule: Schedule, block: Block, steps: int
) -> "tuple[tf_keras.Model, int]":
    """The twin with tfmot's wrappers round the layers named, and the step after which no zeros are added."""
    import tf_keras

    tools = load_tfmot().sparsity.keras
    every = max(1, int(_GROWTH * steps) // _UPDATES)
    updates = int(_GROWTH * steps) // every if schedule == "polynomial" else 0
    end = 1 + every * updates

    def wrap(layer: "tf_keras.layers.Layer") -> "tf_keras.layers.Layer":
        if layer.name not in shares:
            return layer
        share = shares[layer.name]
        if updates:
            plan = tools.PolynomialDecay(0.3 * share, share, begin_step=1, end_step=end, frequency=every)
        else:
            plan = tools.ConstantSparsity(share, begin_step=1, end_step=1, frequency=1)
        groups = {"sparsity_m_by_n": (2, 4)} if block == "2:4" else {}
        return tools.prune_low_magnitude(layer, pruning_schedule=plan, **groups)

    wrapped = tf_keras.models.clone_model(twin, clone_function=wrap)
    if isinstance(block, tuple) and block != (1, 1):
        for layer in wrapped.layers:
            if hasattr(layer, "pruning_obj"):
                _use_blocks(layer.pruning_obj, block)
    return wrapped, end


def _use_blocks(pruning: "Pruning", block: tuple[int, int]) -> None:
    """tfmot takes blocks for dense kernels alone: it sees a convolution's as a matrix of inputs by outputs."""
    import tensorflow as tf

    update = pruning._maybe_update_block_mask

    @tf.autograph.experimental.do_not_convert
    def masked(weights: tf.Variable) -> tuple[tf.Tensor, tf.Tensor]:
        threshold, mask = update(tf.reshape(weights, (-1, weights.shape[-1])))
        return threshold, tf.reshape(mask, weights.shape)

    pruning._block_size = list(block)
    pruning._maybe_update_block_mask = masked
