"""Structured pruning: whole channels removed, so that the dense model is smaller and faster on any device."""

import math
from collections.abc import Mapping
from typing import TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.compression.channel_graph import ChannelGraph, Slices, channel_graph
from keras_transfer.compression.importance import gate_importance, norm_importance
from keras_transfer.data import Split
from keras_transfer.errors import InputError
from keras_transfer.models import stages

Kept: TypeAlias = NDArray[np.bool_]

# The least share of a family's channels that is kept: retraining cannot recover from a layer of a few channels.
_LEAST = 0.25


def remove_channels(
    model: keras.Model,
    data: Split | None = None,
    *,
    multiply_adds: float | Mapping[str, float] = 0.6,
    multiple: int = 8,
    n_items: int = 512,
    seed: int = 0,
) -> keras.Model:
    """Builds the smaller model that is left when the least important channels are removed.

    Channels that meet (in an addition, a depthwise convolution, a squeeze-and-excite product) go together; which they
    are is read from the graph, so that it works for any backbone and for a model of one's own. Layers that are not
    understood keep their channels. Chunks of channels are removed one after another, always that with the least
    importance for each multiply-add it saves.

    Args:
        model: a functional or Sequential model with one input, channels last. Left as it is.
        data: training items, with which a channel's importance is the squared change of the loss that its removal
            would cause, to first order (Molchanov et al. 2019, https://arxiv.org/abs/1906.10771). Without them it is
            the norm of the channel's weights (Li et al. 2017, https://arxiv.org/abs/1608.08710), which chooses badly.
        multiply_adds: share of the model's multiply-adds to keep, above 0 and below 1; or the share of each stage's own
            by its name (`stages`), where stages that are not named keep all of theirs.
        multiple: kept channels come to a multiple of this where a layer had more: vector units compute eight at a time.
        n_items: how many of `data`'s items are looked at.
        seed: of the choice of items.

    Returns:
        A new model with the same layers by name, weights and all; not compiled. What it computes is what the model
        computes with the removed channels set to zero where they are read. Retrain it (`shrink` does).

    Raises:
        InputError: a share is out of range, there is no such stage, or so few multiply-adds cannot be reached.

    >>> from keras_transfer.models.cost import multiply_adds
    >>> model = keras.Sequential([keras.Input((8, 8, 3))])
    >>> for layer in (keras.layers.Conv2D(32, 3), keras.layers.Conv2D(32, 3), keras.layers.GlobalMaxPooling2D()):
    ...     model.add(layer)
    >>> model.add(keras.layers.Dense(2))
    >>> small = remove_channels(model, multiply_adds=0.5)
    >>> 0.3 < multiply_adds(small) / multiply_adds(model) <= 0.5, small.output_shape
    (True, (None, 2))
    """
    graph = channel_graph(model)
    goals = multiply_adds if isinstance(multiply_adds, Mapping) else {"": multiply_adds}
    _check(goals)  # before the items are read
    if data is None:
        importance = norm_importance(graph)
    else:
        importance = gate_importance(model, graph, data.stratified(n_items, seed), seed=seed)
    return rebuild(model, graph, choose_channels(model, graph, importance, goals, multiple))


def choose_channels(
    model: keras.Model,
    graph: ChannelGraph,
    importance: NDArray[np.float64],
    goals: Mapping[str, float],
    multiple: int = 8,
) -> Kept:
    """Which channels to keep.

    Args:
        model: the whole model.
        graph: its channels.
        importance: float `[graph.count]`.
        goals: share of multiply-adds to keep by stage; of the whole model by the empty name.
        multiple: as for `remove_channels`.

    Returns:
        bool `[graph.count]`.

    Raises:
        InputError: see `remove_channels`.
    """
    _check(goals)
    kept = np.ones(graph.count, bool)
    for name, share in goals.items():
        _choose(kept, graph, importance, _layers_of(model, name), share, multiple)
    return kept


def _check(goals: Mapping[str, float]) -> None:
    for share in goals.values():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise InputError(f"`multiply_adds` must be above 0 and below 1. Received: multiply_adds={share!r}.")


def rebuild(model: keras.Model, graph: ChannelGraph, kept: Kept) -> keras.Model:
    """The model with only some of its channels.

    Args:
        model: the whole model.
        graph: its channels.
        kept: bool `[graph.count]`.

    Returns:
        A new model, not compiled.
    """
    clones: dict[int, keras.layers.Layer] = {}

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, keras.layers.Layer):
            return layer
        if id(layer) not in clones:
            if isinstance(layer, keras.Model):
                clones[id(layer)] = keras.models.clone_model(layer)
            else:
                clones[id(layer)] = type(layer).from_config(_config(layer, graph, kept))
        return clones[id(layer)]

    if isinstance(model, keras.Sequential):
        body = keras.Sequential(
            [keras.Input(batch_shape=model.input_shape), *map(clone, model.layers)], name=model.name
        )
    else:
        body = keras.models.clone_model(model, clone_function=clone)
        outputs = body.outputs[0] if len(body.outputs) == 1 else body.outputs
        body = keras.Model(body.inputs[0], outputs, name=model.name)  # `clone_model` would compile it
    axes = {(id(s.layer), s.weight): s.axes for s in graph.slices}
    for layer in model.layers:
        if layer.weights:
            values = layer.get_weights()
            for index in range(len(values)):
                for axis, ids in axes.get((id(layer), index), {}).items():
                    values[index] = np.compress(kept[ids], values[index], axis)
            clones[id(layer)].set_weights(values)
    return body


def _config(layer: keras.layers.Layer, graph: ChannelGraph, kept: Kept) -> dict[str, object]:
    config = layer.get_config()
    changed: dict[str, object] = {}
    if id(layer) in graph.sizes:
        entry, ids = graph.sizes[id(layer)]
        count = int(kept[ids].sum())
        changed[entry] = (*config[entry][:-1], count) if entry == "target_shape" else count
    return {**config, **changed}


def _layers_of(model: keras.Model, stage_name: str) -> set[int]:
    """The identities of a stage's layers; of all layers for the empty name."""
    if not stage_name:
        return {id(layer) for layer in model.layers}
    layers = {stage.name: stage.layers for stage in stages(model)}
    if stage_name not in layers:
        raise InputError(f"There is no stage {stage_name!r}. Model {model.name!r} has {', '.join(layers) or 'none'}.")
    return {id(layer) for layer in layers[stage_name]}


def _choose(
    kept: Kept, graph: ChannelGraph, importance: NDArray[np.float64], layers: set[int], share: float, multiple: int
) -> None:
    """Removes channels from `kept` until the layers cost no more than `share` of what they do."""
    kernels = [s for s in graph.slices if s.places and id(s.layer) in layers]
    chunks = []  # of each family, the next ones to remove: the least important last, so that `pop` gives them
    for family in graph.families:
        own = set(family.tolist())
        makers = {
            key for key, (entry, ids) in graph.sizes.items() if entry != "target_shape" and own & set(ids.tolist())
        }
        order = family[np.argsort(-importance[family], kind="stable")]
        order = order[kept[order]]
        least = max(multiple, math.ceil(_LEAST * len(order) / multiple) * multiple)
        if makers <= layers and len(order) > least:
            chunks.append([order[start : start + multiple] for start in range(least, len(order), multiple)])
    whole, saved = _cost(kernels, kept)
    total = whole
    while total > share * whole:
        waiting = [chunk for chunk in chunks if chunk]
        if not waiting:
            raise InputError(
                f"The least that can be kept is {total / whole:.2f} of the multiply-adds, with {multiple} channels and "
                f"{_LEAST:.0%} in each layer. Received: multiply_adds={share}."
            )
        prices = [importance[chunk[-1]].sum() / max(saved[chunk[-1]].sum(), 1e-9) for chunk in waiting]
        kept[waiting[int(np.argmin(prices))].pop()] = False
        total, saved = _cost(kernels, kept)


def _cost(kernels: list[Slices], kept: Kept) -> tuple[float, NDArray[np.float64]]:
    """Multiply-adds of the channels that are kept, and how many each of them is worth."""
    total, worth = 0.0, np.zeros(len(kept))
    for kernel in kernels:
        shape = kernel.layer.weights[kernel.weight].shape
        lengths = {axis: int(kept[ids].sum()) for axis, ids in kernel.axes.items()}
        own = kernel.places * math.prod(lengths.get(axis, side) for axis, side in enumerate(shape))
        total += own
        for axis, ids in kernel.axes.items():
            np.add.at(worth, ids, own / max(1, lengths[axis]))
    return total, worth
