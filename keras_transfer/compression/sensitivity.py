"""Which stage of a model bears how much compression: each is compressed alone, and nothing is trained."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_transfer.compression.channel_graph import channel_graph
from keras_transfer.compression.channels import choose_channels, rebuild
from keras_transfer.compression.importance import gate_importance
from keras_transfer.data import Split
from keras_transfer.decisions import correct_labels
from keras_transfer.errors import InputError
from keras_transfer.evaluation import keras_classifier
from keras_transfer.inputs import only
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
        divergence: mean Kullback-Leibler divergence of its answers from the model's, in nats: it tells stages apart
            where a few hundred images give equal accuracies.
    """

    stage: str
    kind: str
    accuracy: float
    drop: float
    divergence: float


def sensitivity(
    model: keras.Model, split: Split, *, kinds: Sequence[str] = KINDS, images: int = 300, seed: int = 0
) -> list[Sensitivity]:
    """Compresses one stage after another, each in every way, and scores the whole model without training it.

    A scan in the manner of Li et al. 2017 (https://arxiv.org/abs/1608.08710, section 3.2). Retraining regains much of
    what it shows; the order of the stages is what it tells.

    Args:
        model: a functional classifier on pixels in 0..255 with BatchNormalization or without. Left as it is.
        split: labelled images that have not trained the model: `data.val`.
        kinds: `"prune N%"` (that share of the smallest weights of each kernel set to zero), `"channels N%"` (channels
            removed as by `remove_channels` until the stage has lost that share of its multiply-adds; a stage that
            cannot lose so many has no row), `"intN"` (weights to N bits an output channel, activations to N bits a
            tensor).
        images: how many of `split`'s are looked at.
        seed: of their choice.

    Returns:
        One row for each stage and kind.

    Raises:
        InputError: an unknown kind, or no labelled images.
    """
    told = {kind: _parse(kind) for kind in kinds}
    if len(split) == 0:
        raise InputError(f"The {split.name or 'given'} split holds no images: a scan needs some.")
    chosen = split.stratified(images, seed)
    pixels = only(chosen.arrays(model_inputs(model)))
    ask = keras_classifier(model)
    whole = ask.predict(pixels)
    dense = _accuracy(whole, chosen)
    graph = channel_graph(model)
    importance = np.zeros(graph.count)
    if any(way == "channels" for way, _ in told.values()):
        importance = gate_importance(model, graph, chosen)
    rows = []
    for stage in track(stages(model), "Sensitivity of stages"):
        for kind, (way, number) in told.items():
            if way == "prune":
                with _pruned(stage, number / 100):
                    answers = ask.predict(pixels)
            elif way == "int":
                with _rounded(stage, number):
                    answers = keras_classifier(_quantized(model, stage, number, pixels)).predict(pixels)
            else:
                try:
                    kept = choose_channels(model, graph, importance, {stage.name: 1 - number / 100})
                except InputError:
                    continue
                answers = keras_classifier(rebuild(model, graph, kept)).predict(pixels)
            accuracy = _accuracy(answers, chosen)
            rows.append(
                Sensitivity(stage.name, kind, accuracy, round(dense - accuracy, 6), _divergence(whole, answers))
            )
    return rows


def _parse(kind: str) -> tuple[str, int]:
    """The way and its number."""
    found = re.fullmatch(r"(prune|channels) ([1-9]\d?)%|(int)([2-9]|1\d)", kind)
    if found is None:
        raise InputError(f"A kind must be like 'prune 50%', 'channels 50%' or 'int8'. Received: {kind!r}.")
    way, number = [part for part in found.groups() if part]
    return way, int(number)


def _accuracy(answers: np.ndarray, split: Split) -> float:
    return float(correct_labels(split.labels, answers).mean())


def _divergence(whole: np.ndarray, answers: np.ndarray) -> float:
    p, q = (np.clip(one.astype(np.float64), 1e-7, 1) for one in (whole, answers))
    return float((p * np.log(p / q)).sum(1).mean())


@contextmanager
def _changed(stage: Stage, change: Callable[[np.ndarray, bool], np.ndarray]) -> Iterator[None]:
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


def _pruned(stage: Stage, share: float) -> Any:
    def change(values: np.ndarray, _: bool) -> np.ndarray:
        return np.where(np.abs(values) <= np.quantile(np.abs(values), share), 0, values)

    return _changed(stage, change)


def _rounded(stage: Stage, bits: int) -> Any:
    """Kernels symmetric to `bits` bits for each output channel; folding BatchNorm into them changes nothing in that."""
    largest = 2 ** (bits - 1) - 1

    def change(values: np.ndarray, depthwise: bool) -> np.ndarray:
        axes = tuple(range(values.ndim - (2 if depthwise else 1)))
        scale = np.maximum(np.abs(values).max(axes, keepdims=True), 1e-12) / largest
        return np.rint(values / scale) * scale

    return _changed(stage, change)


def _quantized(model: keras.Model, stage: Stage, bits: int, pixels: np.ndarray) -> keras.Model:
    """The model with the activations of one stage rounded to `bits` bits over the range that they have on `pixels`."""
    own = {id(layer) for layer in stage.layers}
    readers: dict[int, list[Any]] = {}
    for node in nodes(model):
        for tensor in node.inputs:
            readers.setdefault(id(tensor), []).append(node.operation)
    stops = {
        id(node.operation): node.output
        for node in nodes(model)
        if id(node.operation) in own
        and not all(isinstance(reader, _FUSED) for reader in readers.get(id(node.output), [None]))
    }
    ranges = dict(zip(stops, _ranges(model, list(stops.values()), pixels), strict=True))

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        made = layer(*args, **kwargs)
        if id(layer) not in ranges:
            return made
        low, high = ranges[id(layer)]
        scale = max((high - low) / (2**bits - 1), 1e-12)
        first = round(low / scale)
        return keras.ops.clip(keras.ops.round(made / scale), first, first + 2**bits - 1) * scale

    plain = keras.Model(model.inputs[0], model.outputs[0])  # functional where the model is Sequential; not compiled
    return keras.models.clone_model(plain, clone_function=lambda layer: layer, call_function=call)


def _ranges(model: keras.Model, tensors: list[Any], pixels: np.ndarray) -> list[tuple[float, float]]:
    """The least and largest value of each tensor, and 0 within them."""
    ends = [keras.ops.stack([keras.ops.min(tensor), keras.ops.max(tensor)]) for tensor in tensors]
    look = keras.Model(model.inputs[0], ends)
    found = [
        np.stack(
            [np.asarray(pair) for pair in keras.tree.flatten(look(pixels[start : start + _BATCH].astype(np.float32)))]
        )
        for start in range(0, len(pixels), _BATCH)
    ]
    low, high = np.min(found, 0)[:, 0], np.max(found, 0)[:, 1]
    return [(min(0.0, float(a)), max(0.0, float(b))) for a, b in zip(low, high, strict=True)]
