"""Parameter-efficient fine-tuning: a phase that trains few numbers in many layers.

LoRA (Hu et al. 2021, https://arxiv.org/abs/2106.09685) by Keras's own `enable_lora`, merged into the layers at the
phase's end; BitFit (Ben Zaken et al. 2021, https://arxiv.org/abs/2106.10199); adapters (Houlsby et al. 2019,
https://arxiv.org/abs/1902.00751), small layers that stay in the model. They serve transformers of texts and of
pictures alike: what trains is found by the kind of the layers, not by their names.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import keras

from keras_transfer.errors import InputError
from keras_transfer.models import head_layers, side_inputs, stages, suffix
from keras_transfer.models.replay import only_or_all, replay
from keras_transfer.models.stage import can_train
from keras_transfer.progress import say
from keras_transfer.recipe import Phase

Layers = Sequence[keras.layers.Layer]
RANK = 8
"""Of LoRA's changes, and units of an adapter, where nobody says."""
_ADAPTER = "adapter"
_DENSE = (keras.layers.Dense, keras.layers.EinsumDense)


@contextmanager
def efficiently(model: keras.Model, phase: Phase) -> Iterator[None]:
    """Within it, of the layers that a phase trains, its method decides what trains; what can be merged then is.

    Args:
        model: a classifier, its layers marked as the phase trains them; compile it within.
        phase: `method` names a row of `METHODS`; without one nothing happens.

    Raises:
        InputError: there is no layer that the method could train.
    """
    if phase.method is None:
        yield
        return
    head = {id(inner) for layer in head_layers(model) for inner in layer._flatten_layers()}
    layers = [
        layer
        for layer in model._flatten_layers(include_self=False)
        if id(layer) not in head and not layer._layers and can_train(layer) and layer.trainable_variables
    ]
    adapted = METHODS[phase.method](layers, phase.rank)
    if not adapted:
        raise InputError(
            f"{phase.method} needs dense layers in the backbone, as transformers have. Give --strategy full."
        )
    for layer in layers:
        if not any(layer is other for other in adapted):
            layer.trainable = False
    count = _numbers(model.trainable_variables)
    say(f"{phase.method} trains {count:,} numbers, {count / _numbers(model.weights):.1%} of the model's")
    try:
        yield
    finally:
        for layer in adapted:
            merge_lora(layer)
            layer.trainable = True


def add_lora(layers: Layers, rank: int) -> Layers:
    """Gives dense layers a low-rank change of their kernels, which alone trains; returns them."""
    chosen = [layer for layer in layers if isinstance(layer, _DENSE)]
    for layer in chosen:
        layer.enable_lora(rank)
        if layer.bias is not None:
            layer.bias.trainable = False
    return chosen


def keep_biases(layers: Layers, rank: int) -> Layers:
    """Leaves biases and offsets to train, nothing else; returns the layers that have some."""
    chosen = []
    for layer in layers:
        biases = [variable for variable in layer.trainable_variables if variable.name in ("bias", "beta")]
        for variable in layer.trainable_variables:
            variable.trainable = any(variable is bias for bias in biases)
        if biases:
            chosen.append(layer)
    return chosen


def keep_adapters(layers: Layers, rank: int) -> Layers:
    """Leaves adapters and normalizations to train, nothing else; returns them.

    Raises:
        InputError: the model has no adapters.
    """
    if not any(layer.name.startswith(_ADAPTER) for layer in layers):
        raise InputError("This model has no adapters to train: give `add_adapters(model)` in its place.")
    kinds = keras.layers.LayerNormalization
    return [layer for layer in layers if layer.name.startswith(_ADAPTER) or isinstance(layer, kinds)]


METHODS: dict[str, Callable[[Layers, int], Layers]] = {
    "lora": add_lora,
    "bitfit": keep_biases,
    "adapter": keep_adapters,
}
"""Name -> what marks the numbers that train: from the layers and a rank to the layers that have some."""


def add_adapters(model: keras.Model, rank: int = RANK) -> keras.Model:
    """A classifier with an adapter behind each block of its transformer, which answers as it did: `--strategy adapter`.

    An adapter is `x + up(gelu(down(x)))`, of few units inside, and `up` begins as zeros. They cannot be merged: they
    stay in the model and its files.

    Args:
        model: a classifier whose backbone is a transformer; its layers are shared with the result.
        rank: units inside of an adapter.

    Returns:
        A model of the same inputs and outputs, not compiled.

    Raises:
        InputError: it has no blocks between which whole rows of tokens pass.
    """
    blocks = [stage.output for stage in stages(model)[1:] if len(stage.output.shape) == 3]
    if not blocks:
        raise InputError("Adapters stand between the blocks of a transformer, and this backbone has none.")
    for number in reversed(range(len(blocks))):
        x = blocks[number]
        down = keras.layers.Dense(rank, activation="gelu", name=f"{_ADAPTER}{number}_down")(x)
        up = keras.layers.Dense(x.shape[-1], kernel_initializer="zeros", name=f"{_ADAPTER}{number}_up")(down)
        above, sides = suffix(model, x), side_inputs(model, x)
        outputs = replay(above, [keras.layers.Add()([x, up]), *sides])
        model = keras.Model(only_or_all(model.inputs), only_or_all(outputs), name=model.name)
    return model


def merge_lora(layer: keras.layers.Layer) -> None:
    """Adds the low-rank change to a layer's kernel and takes it out of the layer; others stay as they are.

    >>> layer = keras.layers.Dense(3)
    >>> layer.build((None, 4))
    >>> layer.enable_lora(2)
    >>> assigned = layer.lora_kernel_b.assign(layer.lora_kernel_b + 1)
    >>> before = layer.kernel
    >>> merge_lora(layer)
    >>> [weight.name for weight in layer.weights], bool(keras.ops.all(layer.kernel == before))
    (['kernel', 'bias'], True)
    """
    if not getattr(layer, "lora_enabled", False):
        return
    merged = layer.kernel
    layer.lora_enabled = False
    layer._kernel.assign(merged)
    layer._tracker.unlock()
    for name in ("lora_kernel_a", "lora_kernel_b"):
        layer._untrack_variable(getattr(layer, name))
        super(keras.layers.Layer, layer).__delattr__(name)  # Keras's own calls the garbage collector every time
    layer._tracker.lock()
    layer.lora_rank = layer.lora_alpha = None
    layer._kernel.trainable = True


def _numbers(variables: Sequence[keras.Variable]) -> int:
    """How many numbers some variables hold, each counted once."""
    return sum(math.prod(variable.shape) for variable in {id(each): each for each in variables}.values())
