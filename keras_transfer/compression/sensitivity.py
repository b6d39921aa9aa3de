"""How sensitive each stage of a model is to compression: each is compressed alone, and nothing is trained."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.compression.channel_graph import ChannelGraph, channel_graph
from keras_transfer.compression.channels import choose_channels, rebuild
from keras_transfer.compression.importance import gate_importance
from keras_transfer.data import Split
from keras_transfer.decisions import correct_labels
from keras_transfer.errors import InputError
from keras_transfer.evaluation import keras_classifier
from keras_transfer.inputs import Array, only
from keras_transfer.models import Stage, stages
from keras_transfer.models.graph import model_inputs, nodes
from keras_transfer.progress import track

_BATCH = 32
KINDS = ("prune 50%", "prune 75%", "channels 50%", "int8")
# What a converter computes together with the layer before it, so that nothing is rounded in between.
_FUSED = (keras.layers.BatchNormalization, keras.layers.Activation, keras.layers.ReLU, keras.layers.Dropout)


class Sensitivity(NamedTuple):
    """What one stage's compression costs.

    Attributes:
        stage: its name.
        kind: how it was compressed.
        accuracy: of the whole model with only this stage compressed, 0..1.
        drop: by how much that is below the model's accuracy; negative where it is above.
        divergence: mean Kullback-Leibler divergence of its predictions from the model's, in nats: it distinguishes
            stages where a few hundred items give equal accuracies.
    """

    stage: str
    kind: str
    accuracy: float
    drop: float
    divergence: float


def sensitivity(
    model: keras.Model, split: Split, *, kinds: Sequence[str] = KINDS, n_items: int = 300, seed: int = 0
) -> list[Sensitivity]:
    """Compresses one stage after another, each in every way, and scores the whole model without training it.

    A scan in the manner of Li et al. 2017 (https://arxiv.org/abs/1608.08710, section 3.2). Retraining regains much of
    what it shows; the order of the stages is its result.

    Args:
        model: a functional classifier with one input. Left as it is.
        split: labelled items that have not trained the model: `data.val`.
        kinds: `"prune N%"` (that share of the smallest weights of each kernel set to zero), `"channels N%"` (channels
            removed as by `remove_channels` until the stage has lost that share of its multiply-adds; a stage that
            cannot lose so many has no row), `"intN"` (weights to N bits per output channel, activations to N bits per
            tensor).
        n_items: how many of `split`'s are used.
        seed: of their choice.

    Returns:
        One row for each stage and kind.

    Raises:
        InputError: an unknown kind, or no labelled items.
    """
    ways = {kind: _parse(kind) for kind in kinds}
    if len(split) == 0:
        raise InputError(f"The {split.name} split holds no items: a scan needs some.")
    chosen = split.stratified(n_items, seed)
    items = only(chosen.arrays(model_inputs(model)))
    dense = keras_classifier(model).predict(items)
    accuracy = _accuracy(dense, chosen)
    graph = channel_graph(model)
    importance = np.zeros(graph.count)
    if any(way == "channels" for way, _ in ways.values()):
        importance = gate_importance(model, graph, chosen)
    rows = []
    for stage in track(stages(model), "Sensitivity of stages"):
        for kind, (way, number) in ways.items():
            compressed = _predict(model, stage, way, number, items, graph, importance)
            if compressed is not None:
                own = _accuracy(compressed, chosen)
                rows.append(
                    Sensitivity(stage.name, kind, own, round(accuracy - own, 6), _divergence(dense, compressed))
                )
    return rows


def _predict(
    model: keras.Model,
    stage: Stage,
    way: str,
    number: int,
    items: Array,
    graph: ChannelGraph,
    importance: NDArray[np.float64],
) -> NDArray[np.float32] | None:
    """The predictions with one stage compressed; None where it cannot be."""
    if way == "prune":
        with _pruned(stage, number / 100):
            return keras_classifier(model).predict(items)
    if way == "int":
        with _rounded(stage, number):
            return keras_classifier(_quantized(model, stage, number, items)).predict(items)
    try:
        kept = choose_channels(model, graph, importance, {stage.name: 1 - number / 100})
    except InputError:
        return None
    return keras_classifier(rebuild(model, graph, kept)).predict(items)


def _parse(kind: str) -> tuple[str, int]:
    """The way and its number."""
    match = re.fullmatch(r"(prune|channels) ([1-9]\d?)%|(int)([2-9]|1\d)", kind)
    if match is None:
        raise InputError(f"A kind must be like 'prune 50%', 'channels 50%' or 'int8'. Received: {kind!r}.")
    way, number = [part for part in match.groups() if part]
    return way, int(number)


def _accuracy(probabilities: NDArray[np.float32], split: Split) -> float:
    return float(correct_labels(split.labels, probabilities).mean())


def _divergence(dense: NDArray[np.float32], compressed: NDArray[np.float32]) -> float:
    p, q = (np.clip(one.astype(np.float64), 1e-7, 1) for one in (dense, compressed))
    return float((p * np.log(p / q)).sum(1).mean())


@contextmanager
def _changed(stage: Stage, change: Callable[[Array, bool], Array]) -> Iterator[None]:
    """The stage's kernels changed, and put back at the end."""
    kernels = [weight for layer in stage.layers for weight in layer.weights if weight.path.endswith("kernel")]
    before = [np.asarray(kernel) for kernel in kernels]
    try:
        for kernel, values in zip(kernels, before, strict=True):
            kernel.assign(change(values, "depthwise" in kernel.path))
        yield
    finally:
        for kernel, values in zip(kernels, before, strict=True):
            kernel.assign(values)


def _pruned(stage: Stage, share: float) -> AbstractContextManager[None]:
    def change(values: Array, _: bool) -> Array:
        return np.where(np.abs(values) <= np.quantile(np.abs(values), share), 0, values)

    return _changed(stage, change)


def _rounded(stage: Stage, bits: int) -> AbstractContextManager[None]:
    """Kernels symmetric to `bits` bits for each output channel; folding BatchNorm into them changes nothing in that."""
    largest = 2 ** (bits - 1) - 1

    def change(values: Array, depthwise: bool) -> Array:
        axes = tuple(range(values.ndim - (2 if depthwise else 1)))
        scale = np.maximum(np.abs(values).max(axes, keepdims=True), 1e-12) / largest
        return np.asarray(np.rint(values / scale) * scale)

    return _changed(stage, change)


def _quantized(model: keras.Model, stage: Stage, bits: int, items: Array) -> keras.Model:
    """The model with the activations of one stage rounded to `bits` bits over the range that they have on `items`."""
    own = {id(layer) for layer in stage.layers}
    readers: dict[int, list[keras.Operation]] = {}
    for node in nodes(model):
        for tensor in node.inputs:
            readers.setdefault(id(tensor), []).append(node.operation)
    stops = {
        id(node.operation): node.output
        for node in nodes(model)
        if id(node.operation) in own
        and not all(isinstance(reader, _FUSED) for reader in readers.get(id(node.output), [None]))
    }
    ranges = dict(zip(stops, _ranges(model, list(stops.values()), items), strict=True))

    def call(layer: keras.layers.Layer, *args: object, **kwargs: object) -> keras.KerasTensor:
        made = layer(*args, **kwargs)
        if id(layer) not in ranges:
            return made
        low, high = ranges[id(layer)]
        scale = max((high - low) / (2**bits - 1), 1e-12)
        first = round(low / scale)
        return keras.ops.clip(keras.ops.round(made / scale), first, first + 2**bits - 1) * scale

    plain = keras.Model(model.inputs[0], model.outputs[0])  # functional where the model is Sequential; not compiled
    return keras.models.clone_model(plain, clone_function=lambda layer: layer, call_function=call)


def _ranges(model: keras.Model, tensors: list[keras.KerasTensor], items: Array) -> list[tuple[float, float]]:
    """The least and largest value of each tensor, and 0 within them."""
    ends = [keras.ops.stack([keras.ops.min(tensor), keras.ops.max(tensor)]) for tensor in tensors]
    look = keras.Model(model.inputs[0], ends)
    batches = (items[start : start + _BATCH].astype(np.float32) for start in range(0, len(items), _BATCH))
    seen = [np.stack([np.asarray(pair) for pair in keras.tree.flatten(look(batch))]) for batch in batches]
    low, high = np.min(seen, 0)[:, 0], np.max(seen, 0)[:, 1]
    return [(min(0.0, float(a)), max(0.0, float(b))) for a, b in zip(low, high, strict=True)]
