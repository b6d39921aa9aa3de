"""Magnitude pruning by tensorflow-model-optimization while the classifier trains on; plain Keras models in and out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import keras

from keras_transfer.compression.cut import copy_model, cut_below, restore_flags, taught_samples
from keras_transfer.compression.plan_sparsity import Pattern, plan_sparsity, read_pattern
from keras_transfer.compression.retrain import retrain
from keras_transfer.compression.sparsity import kernel_layers
from keras_transfer.compression.tfmot import load_tfmot
from keras_transfer.data import Dataset
from keras_transfer.errors import InputError
from keras_transfer.inputs import Strength
from keras_transfer.models.twin import copy_weights, make_twin

Schedule = Literal["polynomial", "constant"]

_GROWTH = 0.5  # share of the steps in which zeros are made; the rest heals
_UPDATES = 20  # times that they are made more


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
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> keras.Model:
    """Sets weights of convolutions and dense layers to zero, the smallest first, while the others train on.

    The zeros stay zeros in every LiteRT file. Such a file is as large as before; it is smaller where files are
    compressed (every APK, every web server), and faster only with kernels for sparse weights. What lies below the
    lowest pruned layer is left as it is, and computed once. Zhu & Gupta 2017, https://arxiv.org/abs/1710.01878.

    Args:
        model: a functional or Sequential classifier on pixels in 0..255. It stays as it is.
        data: from `load_images`; training images train, validation images choose the epoch, test images are not read.
        sparsity: share of zeros among all weights of convolutions and dense layers, in (0, 1).
        schedule: `"polynomial"`, zeros grow during the first half of the steps; or `"constant"`, all at once.
        pattern: which weights become zero together. `(rows, columns)` or `"4x1"`: blocks of so many consecutive inputs
            by outputs. `"1x1"`: each for itself. `"2:4"`: two of each four consecutive inputs, which makes a sparsity
            of 0.5. None: `"4x1"` up to a sparsity of 0.6 and `"1x1"` above. Such runs lie side by side in a file, so
            that deflate packs it further; where most weights are zero it needs no such help.
        allocation: how the zeros are shared out. 0: the same share in each layer; 1: the same number of weights left in
            each, so that large layers, mostly the deepest, give most; between: the density of a layer falls with that
            power of its size.
        stages: sparsity by the names of `stages(model)` and `"head"`, in place of `sparsity`; others stay dense.
        spare: layers that stay dense, by name; `"first"` and `"last"` are the first and last of all.
        epochs: passes over the training images.
        learning_rate: Adam's highest.
        batch_size: images a step.
        alpha: weight, from 0 to 1, of what the dense model says of the same view against the labels (Hinton et al.
            2015, https://arxiv.org/abs/1503.02531). Without effect where the whole network trains on pixels.
        temperature: by which the dense model's scores are divided for that.
        augmentation: see `keras_transfer.build_augmenter`.
        seed: of orders, augmentation and dropout.
        on_epoch: called with each epoch's figures.

    Returns:
        A new model, not compiled, of the same layers and `trainable` flags.

    Raises:
        InputError: an argument is out of range or names what is not there, the model has no twin.
    """
    load_tfmot()
    if schedule not in ("polynomial", "constant"):
        raise InputError(f"`schedule` must be 'polynomial' or 'constant'. Received: schedule={schedule!r}.")
    if not 0 <= alpha <= 1 or temperature <= 0:
        raise InputError(
            "`alpha` must be from 0 to 1 and `temperature` above 0. "
            f"Received: alpha={alpha}, temperature={temperature}."
        )
    shares = plan_sparsity(model, sparsity, pattern=pattern, allocation=allocation, stages=stages, spare=spare)
    keras.utils.set_random_seed(seed)
    pruned = copy_model(model)
    changed = {id(layer) for name, layer in kernel_layers(pruned).items() if name in shares}
    below, top = cut_below(pruned, changed)
    # A cut model's names may differ where layers of nested ones share a name.
    names = {id(layer): name for name, layer in kernel_layers(pruned).items()}
    targets = {name: shares[names[id(layer)]] for name, layer in kernel_layers(top).items() if id(layer) in changed}
    twin = make_twin(top)
    steps = -(-len(data.train) // batch_size)
    wrapped, end = _wrap(twin, targets, schedule, read_pattern(pattern, sparsity, stages), steps * epochs)
    retrain(
        wrapped,
        data,
        samples=taught_samples(
            below, top, data, alpha=alpha, temperature=temperature, augmentation=augmentation, seed=seed
        ),
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        augmentation=augmentation,
        seed=seed,
        settled=-(-end // steps) - 1,
        callbacks=[load_tfmot().sparsity.keras.UpdatePruningStep()],
        label="Pruning",
        on_epoch=on_epoch,
    )
    copy_weights(twin, top)  # the wrappers went round the twin's own layers
    restore_flags(model, pruned)
    return pruned


def _wrap(twin: Any, shares: Mapping[str, float], schedule: Schedule, pattern: Any, steps: int) -> tuple[Any, int]:
    """The twin with tfmot's wrappers round the layers named, and the step after which no more zeros are made."""
    import tf_keras

    tools = load_tfmot().sparsity.keras
    every = max(1, int(_GROWTH * steps) // _UPDATES)
    updates = int(_GROWTH * steps) // every if schedule == "polynomial" else 0
    end = 1 + every * updates

    def wrap(layer: Any) -> Any:
        if layer.name not in shares:
            return layer
        share = shares[layer.name]
        if updates:
            plan = tools.PolynomialDecay(0.3 * share, share, begin_step=1, end_step=end, frequency=every)
        else:
            plan = tools.ConstantSparsity(share, begin_step=1, end_step=1, frequency=1)
        groups = {"sparsity_m_by_n": (2, 4)} if pattern == "2:4" else {}
        return tools.prune_low_magnitude(layer, pruning_schedule=plan, **groups)

    wrapped = tf_keras.models.clone_model(twin, clone_function=wrap)
    if isinstance(pattern, tuple) and pattern != (1, 1):
        for layer in wrapped.layers:
            if hasattr(layer, "pruning_obj"):
                _use_blocks(layer.pruning_obj, pattern)
    return wrapped, end


def _use_blocks(pruning: Any, block: tuple[int, int]) -> None:
    """tfmot takes blocks for dense kernels alone: a convolution's is shown to it as a matrix of inputs by outputs."""
    import tensorflow as tf

    update = pruning._maybe_update_block_mask

    @tf.autograph.experimental.do_not_convert
    def masked(weights: Any) -> tuple[Any, Any]:
        threshold, mask = update(tf.reshape(weights, (-1, weights.shape[-1])))
        return threshold, tf.reshape(mask, weights.shape)

    pruning._block_size = list(block)
    pruning._maybe_update_block_mask = masked
