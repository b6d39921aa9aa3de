"""Fake quantization of a network's steps by tensorflow-model-optimization: its wrapper and its quantizers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_transfer.compression.operators import Kernel, Step, operators_of, own_ranges
from keras_transfer.inputs import Array
from keras_transfer.litert.quantization import shrunk_range

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras

    from keras_transfer.compression.quantizers import Wrapper

_BATCH = 20
_SAMPLES = 500  # values of each activation that an item gives for choosing its range


@dataclass
class Mode:
    """What a network does now: it observes ranges and quantizes nothing, or it quantizes."""

    observing: bool = False


@dataclass
class Network:
    """A network in which everything that is an integer in its file is fake-quantized.

    Attributes:
        model: from items to probabilities.
        steps: what it consists of; one operator of the file each.
        layers: the steps' layers, wrapped where something of theirs is quantized.
        start: the layer that quantizes items, or what one scale and offset made of them.
        end: the step whose output is the network's.
        mode: whether ranges are being observed.
    """

    model: "tf_keras.Model"
    steps: list[Step]
    layers: "list[tf_keras.layers.Layer | Wrapper]"
    start: "Wrapper"
    end: int
    mode: Mode

    def run(self, items: "tf.Tensor", preprocessed: bool = False) -> "tf.Tensor":
        """The output for a batch of items, or of items preprocessed where the network folds that."""
        return self.values(items, preprocessed)[self.end]

    def values(self, items: "tf.Tensor", preprocessed: bool = False) -> "dict[int, tf.Tensor]":
        """The output of every step, by its number."""
        values = {-1: items if self.folds else self.start(items)}
        for number, (step, layer) in enumerate(zip(self.steps, self.layers, strict=True)):
            inputs = [values[value] for value in step.inputs]
            if step.folded:
                values[number] = self.start(inputs[0] if preprocessed else layer(inputs[0]))
            else:
                values[number] = layer(inputs if len(inputs) > 1 else inputs[0])
        return values

    @property
    def folds(self) -> bool:
        """Whether the network begins with one scale and offset, which become the quantization of the file's input."""
        return any(step.folded for step in self.steps)

    def quantized_kernels(self) -> "list[tuple[Step, Wrapper]]":
        """The steps that have weights, with their wrapped layers."""
        return [(step, layer) for step, layer in zip(self.steps, self.layers, strict=True) if step.kernel is not None]


def fake_quantized(
    twin: "tf_keras.Model",
    input_range: tuple[float, float] = (0.0, 255.0),
    *,
    per_tensor: bool = False,
    preserve: Sequence[str] = (),
) -> Network:
    """Makes the fake-quantized network of a twin, its ranges still to be observed.

    Args:
        twin: from `make_twin`; its weights are copied.
        input_range: least and greatest value of an item.
        per_tensor: one scale for all channels of a layer's weights.
        preserve: `"sparsity"`, `"clusters"`: what of the weights training must not undo.

    Returns:
        The network, `mode.observing` False.

    Raises:
        InputError: a layer has no integer operator.
    """
    import tf_keras

    from keras_transfer.compression import quantizers

    mode = Mode()
    steps, end = operators_of(twin, input_range)
    own = own_ranges(steps, end)
    layers = []
    for number, step in enumerate(steps):
        output = None
        if number in own:
            output = quantizers.Range(mode)
        elif step.kind == "fixed" and step.range is not None and not step.folded:
            output = quantizers.Fixed(step.range, mode)
        weights = None if step.kernel is None else quantizers.Weights(step.kernel, per_tensor, preserve, mode)
        wrapped = output is not None or weights is not None
        layers.append(quantizers.Wrapper(step.layer, quantizers.Config(weights, output)) if wrapped else step.layer)
    limits = next((step.range for step in steps if step.folded), None) or input_range
    identity = tf_keras.layers.Activation("linear", name="input_quantization")
    start = quantizers.Wrapper(identity, quantizers.Config(None, quantizers.Fixed(limits, mode)))
    network = Network(None, steps, layers, start, end, mode)
    item = tf_keras.Input(twin.input_shape[1:], name=twin.input_names[0])
    network.model = tf_keras.Model(item, network.run(item), name=twin.name)
    for step, layer in network.quantized_kernels():
        assert step.kernel is not None
        layer.kernel_variable.assign(step.kernel.values)
        if step.kernel.bias is not None:
            layer.layer.bias.assign(step.kernel.bias)
    return network


def observer(network: Network, items: Array) -> Callable[[], list[NDArray[np.float32]]]:
    """Prepares to set a network's ranges to what the present weights make of some items.

    Args:
        network: from `fake_quantized`.
        items: `[n, ...]`.

    Returns:
        A function that sets each range to the part of what it sees that loses least in the mean square, the weights' to
        their own, and returns the mean of what each step with weights reads.
    """
    import tensorflow as tf

    own = [(number, layer) for number, layer in enumerate(network.layers) if getattr(layer, "range_variables", ())]
    read = [step.inputs[0] for step, _ in network.quantized_kernels()]
    random = np.random.default_rng(0)

    @tf.function(autograph=False, reduce_retracing=True)
    def look(batch: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        values = network.values(batch)
        rows = []
        for number, _ in own:
            flat = tf.reshape(values[number], (tf.shape(batch)[0], np.prod(values[number].shape[1:])))
            some = random.integers(0, flat.shape[1], min(_SAMPLES, flat.shape[1]))
            ends = [tf.reduce_min(flat, 1, keepdims=True), tf.reduce_max(flat, 1, keepdims=True)]
            rows.append(tf.concat([tf.gather(flat, some, axis=1), *ends], 1))
        return rows, [tf.reduce_sum(values[number], 0) for number in read]

    def observe() -> list[NDArray[np.float32]]:
        network.mode.observing = True
        try:
            starts = range(0, len(items), _BATCH)
            seen = [look(tf.constant(items[start : start + _BATCH], tf.float32)) for start in starts]
        finally:
            network.mode.observing = False
        for (_, layer), rows in zip(own, zip(*(rows for rows, _ in seen), strict=True), strict=True):
            for variable, limit in zip(layer.range_variables, shrunk_range(np.concatenate(rows)), strict=True):
                variable.assign(limit)
        update_weight_ranges(network)
        return [np.sum(sums, axis=0) / len(items) for sums in zip(*(sums for _, sums in seen), strict=True)]

    return observe


def correct_biases(network: Network, means: list[NDArray[np.float32]]) -> None:
    """Subtracts from each bias what rounding the weights adds in the mean (https://arxiv.org/abs/1906.04721).

    Args:
        network: ranges observed.
        means: of what each step with weights reads, from `observer`.
    """
    for (step, layer), mean in zip(network.quantized_kernels(), means, strict=True):
        _correct_bias(step, layer, mean, network.mode)


def _correct_bias(step: Step, layer: "Wrapper", mean: NDArray[np.float32], mode: Mode) -> None:
    kernel = step.kernel
    assert kernel is not None
    if kernel.bias is None:
        return
    rounded = layer.layer_output(mean[None])
    mode.observing = True
    error = rounded - layer.layer_output(mean[None])
    mode.observing = False
    # Into what training starts from, not into what it adds: the network in float needs no correction.
    kernel.bias = kernel.bias - error.mean(axis=tuple(range(error.ndim - 1)))
    layer.layer.bias.assign(kernel.bias)


def update_weight_ranges(network: Network) -> None:
    """Brings the stored ranges of the weights up to the weights: in training they lag one step behind."""
    for _, layer in network.quantized_kernels():
        layer.quantize_kernel(training=True)


@contextmanager
def constant_kernels(network: Network) -> Iterator[None]:
    """Within it the network is traced with its weights as constants, for the converter."""
    quantizers = [(layer, layer.quantize_config.weights) for _, layer in network.quantized_kernels()]
    for layer, quantizer in quantizers:
        quantizer.constant = layer.quantize_kernel(training=False).numpy()
    try:
        yield
    finally:
        for _, quantizer in quantizers:
            quantizer.constant = None


def copy_back(network: Network) -> None:
    """Copies what was trained into the twin from which the network was made."""
    for step, layer in network.quantized_kernels():
        kernel = step.kernel
        assert kernel is not None
        weights = kernel.layer.get_weights()
        weights[kernel.number] = layer.structured_kernel()
        kernel.layer.set_weights(weights)
        if kernel.bias is not None:
            _add_bias(kernel, layer.layer.bias.numpy() - kernel.bias)


def _add_bias(kernel: Kernel, change: NDArray[np.float32]) -> None:
    layer = kernel.bias_of
    if type(layer).__name__ != "BatchNormalization":
        layer.bias.assign_add(change)
    elif layer.center:
        layer.beta.assign_add(change)
    else:
        layer.moving_mean.assign_sub(change * np.sqrt(layer.moving_variance + layer.epsilon))
