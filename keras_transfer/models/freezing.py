"""Which layers train: the head alone, or the top of the backbone with it; and the models before and after that line."""

from collections.abc import Sequence
from difflib import get_close_matches

import keras

from keras_transfer.errors import InputError
from keras_transfer.models.graph import cut_nodes, is_random, nodes, side_inputs, size, start_of
from keras_transfer.models.stage import backbone_layers, can_train, head_layers, require_stages


def freeze_backbone(model: keras.Model) -> None:
    """Freezes every layer below the head; the head trains. Compile the model again afterwards, as Keras demands.

    A frozen BatchNormalization (`trainable=False`) normalizes by its stored statistics and leaves them as they are,
    in every Keras release.

    Args:
        model: a functional or Sequential classifier.

    >>> inputs = keras.Input((8, 8, 3))
    >>> x = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    >>> model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))
    >>> freeze_backbone(model)
    >>> [variable.path for variable in model.trainable_variables]
    ['logits/kernel', 'logits/bias']
    """
    model.trainable = True  # a model frozen as a whole would hide its head's variables
    for layer in backbone_layers(model):
        layer.trainable = False
    for layer in head_layers(model):
        layer.trainable = True


def unfreeze_top(
    model: keras.Model,
    *,
    stages: int | str | None = None,
    layers: int | str | None = None,
    from_layer: str | None = None,
    batchnorm: bool = False,
) -> list[keras.layers.Layer]:
    """Unfreezes the top of the backbone for fine-tuning and freezes what is below. Compile the model again afterwards.

    Set exactly one of `stages`, `layers` and `from_layer`. The head always trains.

    Args:
        model: a functional or Sequential classifier.
        stages: how many stages from the top (see `stages`), or `"all"`. 0 leaves only the head.
        layers: how many layers from the top of the backbone, as `model.layers` counts them, or `"all"`.
        from_layer: the name of the lowest layer to train.
        batchnorm: whether BatchNormalization layers among them train too and move their statistics. Left False they
            stay in inference mode, which is right for all but large batches.

    Returns:
        The backbone's layers that train now, from the bottom up.

    Raises:
        InputError: none or several of them are set, a number is out of range, or no layer has that name.

    >>> inputs = keras.Input((32, 32, 3))
    >>> x = keras.layers.Conv2D(8, 3, padding="same", name="a")(inputs)
    >>> x = keras.layers.Conv2D(16, 3, strides=2, padding="same", name="b")(x)
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    >>> [layer.name for layer in unfreeze_top(model, stages=1)]
    ['b']
    """
    ways = {"stages": stages, "layers": layers, "from_layer": from_layer}
    chosen_ways = {way: value for way, value in ways.items() if value is not None}
    if len(chosen_ways) != 1:
        received = ", ".join(f"{way}={value!r}" for way, value in chosen_ways.items()) or "none of them"
        raise InputError(f"Give exactly one of `stages`, `layers` and `from_layer`. Received: {received}.")
    backbone = backbone_layers(model)
    if from_layer is not None:
        chosen = backbone[_position(from_layer, backbone) :]
    elif layers is not None:
        chosen = backbone[len(backbone) - _count("layers", layers, len(backbone)) :]
    else:
        cut = require_stages(model)
        top = cut[len(cut) - _count("stages", stages, len(cut)) :]
        chosen = [layer for stage in top for layer in stage.layers]
    freeze_backbone(model)
    trained = [layer for layer in chosen if can_train(layer) and (batchnorm or not _is_batchnorm(layer))]
    for layer in trained:
        layer.trainable = True
    if not batchnorm:
        for layer in trained:  # those inside a nested model
            for inner in layer._flatten_layers(include_self=False):
                if _is_batchnorm(inner):
                    inner.trainable = False
    return trained


def boundary(model: keras.Model) -> keras.KerasTensor:
    """The tensor where training begins: everything below it is frozen, so it can be computed once and kept.

    It is the deepest cut (see `cut_points`) below every layer that trains and below the head's random layers (dropout);
    of equally deep cuts, with only weightless layers between them, the smallest tensor. What is below counts as run in
    inference mode: BatchNormalization by its statistics, drop-connect off.

    Args:
        model: a functional or Sequential classifier.

    Returns:
        A KerasTensor of the model; where everything trains the model's input (of several inputs, `model.input`).
        `side_inputs(model, tensor)` lists what `suffix` takes beside it.

    >>> inputs = keras.Input((8, 8, 3))
    >>> x = keras.layers.GlobalMaxPooling2D(name="pool")(keras.layers.Conv2D(4, 3)(inputs))
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(x))
    >>> freeze_backbone(model)
    >>> boundary(model).shape
    (None, 4)
    """
    order = nodes(model)
    head = {id(layer) for layer in head_layers(model)}
    cuts = {id(node.output) for node in cut_nodes(model)}
    best, weighted = start_of(model), False
    for node in order:
        layer = node.layer
        if layer is not None and (layer.trainable_weights or (id(layer) in head and is_random(layer))):
            break
        weighted = weighted or (layer is not None and bool(layer.weights))
        if id(node.output) in cuts and (weighted or size(node.output) <= size(best)):
            best, weighted = node.output, False
    return best


def suffix(
    model: keras.Model, tensor: keras.KerasTensor, output: keras.KerasTensor | Sequence[keras.KerasTensor] | None = None
) -> keras.Model:
    """The model from `tensor` on; it shares its layers with `model`, so training it trains the model.

    Args:
        model: a functional or Sequential model.
        tensor: one of `cut_points(model)`, such as `boundary(model)`.
        output: where to end, one or more KerasTensors of the model such as `logits_of(model)`; its output by default.

    Returns:
        A functional model, not compiled. It takes the values of `tensor`; where `side_inputs(model, tensor)` has some
        (a padding mask), a list of the values of `tensor` and of these; and from a model's several inputs on, a list of
        them all.

    Raises:
        InputError: `tensor` is no cut point, so other tensors would have to be fed as well.
    """
    sides = side_inputs(model, tensor)
    starts = keras.tree.flatten(tensor) + sides
    starts = starts if len(starts) > 1 else starts[0]
    # Keras 3.15 lets an Input that stands beside an inner tensor forget its own call; the model could not be saved.
    histories = [side._keras_history for side in sides]
    rest = keras.Model(starts, model.output if output is None else output, name=f"{model.name}_suffix")
    for side, history in zip(sides, histories, strict=True):
        side._keras_history = history
    return rest


def prefix(model: keras.Model, tensor: keras.KerasTensor) -> keras.Model:
    """The model up to `tensor`, sharing its layers with `model`.

    Args:
        model: a functional or Sequential model.
        tensor: one of `cut_points(model)`, such as `boundary(model)`.

    Returns:
        A functional model on the inputs of `model`, not compiled; call it with `training=False`.

    Raises:
        InputError: `tensor` is no cut point of the model.
    """
    side_inputs(model, tensor)  # raises
    return keras.Model(start_of(model), tensor, name=f"{model.name}_prefix")


def _is_batchnorm(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _count(name: str, value: object, most: int) -> int:
    if value == "all":
        return most
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise InputError(f"`{name}` must be 'all' or a whole number from 0 to {most}. Received: {name}={value!r}.")
    return value


def _position(name: str, layers: list[keras.layers.Layer]) -> int:
    names = [layer.name for layer in layers]
    if name not in names:
        near = get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else "`model.summary()` lists them."
        raise InputError(f"The backbone has no layer {name!r}. {hint}")
    return names.index(name)
