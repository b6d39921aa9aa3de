"""Fake quantization of a network's steps by tensorflow-model-optimization: its wrapper and its quantizers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from keras_transfer.compression.operators import Kernel, Step, operators_of, own_ranges
from keras_transfer.compression.tfmot import load_tfmot
from keras_transfer.litert.quantization import shrunk_range

_MOST_CLUSTERS = 256
_BATCH = 20
_SAMPLES = 500  # values of each activation that an image gives for choosing its range


@dataclass
class Network:
    """A network in which everything that is an integer in its file is fake-quantized.

    Attributes:
        model: `tf_keras.Model` from pixels to probabilities.
        steps: what it consists of; one operator of the file each.
        layers: the steps' layers, wrapped where something of theirs is quantized.
        pixels: the layer that quantizes pixels, or what one scale and offset made of them.
        end: the step whose output is the network's.
        mode: `observing` is True while ranges are collected and nothing is quantized.
    """

    model: Any
    steps: list[Step]
    layers: list[Any]
    pixels: Any
    end: int
    mode: SimpleNamespace

    def run(self, image: Any, preprocessed: bool = False) -> Any:
        """The output for a batch of pixels, or of pixels preprocessed where the network folds that."""
        return self.values(image, preprocessed)[self.end]

    def values(self, image: Any, preprocessed: bool = False) -> dict[int, Any]:
        """The output of every step, by its number."""
        values = {-1: image if preprocessed or self.folds else self.pixels(image)}
        for number, (step, layer) in enumerate(zip(self.steps, self.layers, strict=True)):
            inputs = [values[value] for value in step.inputs]
            if step.pixels:
                values[number] = self.pixels(inputs[0] if preprocessed else layer(inputs[0]))
            else:
                values[number] = layer(inputs if len(inputs) > 1 else inputs[0])
        return values

    @property
    def folds(self) -> bool:
        """Whether the network begins with one scale and offset, which become the quantization of the file's input."""
        return any(step.pixels for step in self.steps)

    def quantized_kernels(self) -> list[tuple[Step, Any]]:
        """The steps that have weights, with their wrapped layers."""
        return [(step, layer) for step, layer in zip(self.steps, self.layers, strict=True) if step.kernel is not None]


def fake_quantized(twin: Any, *, per_tensor: bool = False, preserve: Sequence[str] = ()) -> Network:
    """Makes the fake-quantized network of a twin, its ranges still to be observed.

    Args:
        twin: from `make_twin`; its weights are copied.
        per_tensor: one scale for all channels of a layer's weights.
        preserve: `"sparsity"`, `"clusters"`: what of the weights training must not undo.

    Returns:
        The network, `mode.observing` False.

    Raises:
        InputError: a layer has no integer operator, or an extra is missing.
    """
    import tf_keras

    parts = _parts()
    mode = SimpleNamespace(observing=False)
    steps, end = operators_of(twin)
    own = own_ranges(steps, end)
    layers = []
    for number, step in enumerate(steps):
        output = None
        if number in own:
            output = parts.Range(mode)
        elif step.kind == "fixed" and step.range is not None and not step.pixels:
            output = parts.Fixed(step.range, mode)
        weights = None if step.kernel is None else parts.Weights(step.kernel, per_tensor, preserve, mode)
        wrapped = output is not None or weights is not None
        layers.append(parts.Wrapper(step.layer, parts.Config(weights, output)) if wrapped else step.layer)
    limits = next((step.range for step in steps if step.pixels), (0.0, 255.0))
    identity = tf_keras.layers.Activation("linear", name="pixels")
    pixels = parts.Wrapper(identity, parts.Config(None, parts.Fixed(limits, mode)))
    network = Network(None, steps, layers, pixels, end, mode)
    image = tf_keras.Input(twin.input_shape[1:], name=twin.input_names[0])
    network.model = tf_keras.Model(image, network.run(image), name=twin.name)
    for step, layer in network.quantized_kernels():
        assert step.kernel is not None
        layer.kernel_variable.assign(step.kernel.values)
        if step.kernel.bias is not None:
            layer.layer.bias.assign(step.kernel.bias)
    return network


def observer(network: Network, pixels: np.ndarray) -> Callable[[], list[np.ndarray]]:
    """Prepares to set a network's ranges to what the present weights make of some images.

    Args:
        network: from `fake_quantized`.
        pixels: `[n, H, W, 3]` in 0..255.

    Returns:
        A function that sets each range to the part of what it sees that loses least in the mean square, the weights' to
        their own, and returns the mean of what each step with weights reads.
    """
    import tensorflow as tf

    own = [(number, layer) for number, layer in enumerate(network.layers) if getattr(layer, "range_variables", ())]
    read = [step.inputs[0] for step, _ in network.quantized_kernels()]
    random = np.random.default_rng(0)

    @tf.function(autograph=False, reduce_retracing=True)
    def look(image: Any) -> tuple[list[Any], list[Any]]:
        values = network.values(image)
        rows = []
        for number, _ in own:
            flat = tf.reshape(values[number], (tf.shape(image)[0], np.prod(values[number].shape[1:])))
            some = random.integers(0, flat.shape[1], min(_SAMPLES, flat.shape[1]))
            ends = [tf.reduce_min(flat, 1, keepdims=True), tf.reduce_max(flat, 1, keepdims=True)]
            rows.append(tf.concat([tf.gather(flat, some, axis=1), *ends], 1))
        return rows, [tf.reduce_sum(values[number], 0) for number in read]

    def observe() -> list[np.ndarray]:
        network.mode.observing = True
        try:
            starts = range(0, len(pixels), _BATCH)
            found = [look(tf.constant(pixels[start : start + _BATCH], tf.float32)) for start in starts]
        finally:
            network.mode.observing = False
        for (_, layer), rows in zip(own, zip(*(rows for rows, _ in found), strict=True), strict=True):
            for variable, limit in zip(layer.range_variables, shrunk_range(np.concatenate(rows)), strict=True):
                variable.assign(limit)
        settle(network)
        return [np.sum(sums, axis=0) / len(pixels) for sums in zip(*(sums for _, sums in found), strict=True)]

    return observe


def correct_biases(network: Network, means: list[np.ndarray]) -> None:
    """Takes from each bias what rounding the weights adds in the mean (https://arxiv.org/abs/1906.04721).

    Args:
        network: ranges observed.
        means: of what each step with weights reads, from `observer`.
    """
    for (step, layer), mean in zip(network.quantized_kernels(), means, strict=True):
        _correct_bias(step, layer, mean, network.mode)


def _correct_bias(step: Step, layer: Any, mean: np.ndarray, mode: SimpleNamespace) -> None:
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


def settle(network: Network) -> None:
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


def carry_home(network: Network) -> None:
    """Puts what was trained into the twin from which the network was made."""
    for step, layer in network.quantized_kernels():
        kernel = step.kernel
        assert kernel is not None
        weights = kernel.layer.get_weights()
        weights[kernel.number] = layer.structured_kernel()
        kernel.layer.set_weights(weights)
        if kernel.bias is not None:
            _add_bias(kernel, layer.layer.bias.numpy() - kernel.bias)


def _add_bias(kernel: Kernel, change: np.ndarray) -> None:
    layer = kernel.bias_of
    if type(layer).__name__ != "BatchNormalization":
        layer.bias.assign_add(change)
    elif layer.center:
        layer.beta.assign_add(change)
    else:
        layer.moving_mean.assign_sub(change * np.sqrt(layer.moving_variance + layer.epsilon))


@cache
def _parts() -> SimpleNamespace:
    """Our kinds of tfmot's wrapper, configuration and quantizers; tfmot is imported on first use."""
    import tensorflow as tf

    quantization: Any = load_tfmot().quantization.keras
    quantizers: Any = quantization.quantizers

    class Range(quantizers.MovingAverageQuantizer):
        """An activation's range as observed."""

        def __init__(self, mode: SimpleNamespace) -> None:
            super().__init__(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
            self.mode = mode

        def __call__(self, inputs: Any, training: Any, weights: dict[str, Any], **kwargs: Any) -> Any:
            # The moving average would be one of least and greatest values, which is too wide a range.
            return inputs if self.mode.observing else super().__call__(inputs, False, weights, **kwargs)

    class Fixed(quantizers.FixedQuantizer):
        """A range known beforehand: of pixels, of a sigmoid."""

        def __init__(self, limits: tuple[float, float], mode: SimpleNamespace) -> None:
            super().__init__(num_bits=8, init_min=limits[0], init_max=limits[1], narrow_range=False)
            self.mode = mode

        def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> Any:
            return inputs if self.mode.observing else super().__call__(inputs, training, weights, **kwargs)

    class Weights(quantizers.LastValueQuantizer):
        """Quantizes weights with BatchNormalization's factors in them, as the file has them."""

        def __init__(self, kernel: Kernel, per_tensor: bool, preserve: Sequence[str], mode: SimpleNamespace) -> None:
            super().__init__(num_bits=8, per_axis=not per_tensor, symmetric=True, narrow_range=True)
            self.shape, self.scale, self.mode = kernel.values.shape, kernel.scale, mode
            # Channels last, which of a depthwise kernel `[h, w, channels, 1]` they are not.
            self.grid = self.shape if self.shape[-1] == len(kernel.scale) else (1, *self.shape[:2], len(kernel.scale))
            self.alive = (kernel.values != 0).astype(np.float32) if "sparsity" in preserve else None
            self.centroids, self.indices = None, None
            self.constant: np.ndarray | None = None  # while a file is made: the weights as constants of its graph
            if "clusters" in preserve:
                values, indices = np.unique(kernel.values, return_inverse=True)
                if 1 < len(values) <= min(_MOST_CLUSTERS, kernel.values.size // 2):
                    self.values, self.indices = values, indices.reshape(self.shape).astype(np.int32)

        def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
            if self.indices is not None:
                start = tf.constant_initializer(self.values)
                self.centroids = layer.add_weight(f"{name}_centroids", self.values.shape, initializer=start)
            return super().build(self.grid, name, layer)

        def structured(self, kernel: Any) -> Any:
            """The weights with the structure that must not be lost, before quantization."""
            if self.centroids is not None:
                kernel = tf.gather(self.centroids, self.indices)
            return kernel if self.alive is None else kernel * self.alive

        def __call__(self, inputs: Any, training: Any, weights: dict[str, Any], **kwargs: Any) -> Any:
            if self.constant is not None and self.per_axis:
                # Already on the grid that the converter finds by itself. Told the grid of a dense layer's channels, as
                # it can be of a whole tensor's, it fails ("tfl.transpose op has mismatched quantized axes").
                return tf.constant(self.constant)
            folded = tf.reshape(self.structured(inputs), self.grid) * self.scale
            if not self.mode.observing:
                folded = super().__call__(folded, training, weights, **kwargs)
            return tf.reshape(folded, self.shape)

    class Config(quantization.QuantizeConfig):
        """What of a layer is quantized, told by whoever made it."""

        def __init__(self, weights: Weights | None, output: Any) -> None:
            self.weights, self.output = weights, output

        def get_weights_and_quantizers(self, layer: Any) -> list:
            return [] if self.weights is None else [(getattr(layer, _kernel_name(layer)), self.weights)]

        def set_quantize_weights(self, layer: Any, quantize_weights: list) -> None:
            for weights in quantize_weights:
                setattr(layer, _kernel_name(layer), weights)

        def get_activations_and_quantizers(self, layer: Any) -> list:
            return []

        def set_quantize_activations(self, layer: Any, quantize_activations: list) -> None:
            pass

        def get_output_quantizers(self, layer: Any) -> list:
            return [] if self.output is None else [self.output]

        def get_config(self) -> dict[str, Any]:
            return {}

    class Wrapper(quantization.QuantizeWrapperV2):
        """tfmot's, which trains its weights whatever `trainable` says, and the kernel beside its clusters."""

        @property
        def kernel_variable(self) -> Any:
            return self._weight_vars[0][0]

        @property
        def range_variables(self) -> list:
            """Least and greatest of the output's range, where it has one of its own."""
            found = getattr(self, "_output_quantizer_vars", None) or {}
            return [found[name] for name in ("min_var", "max_var") if name in found]

        def layer_output(self, value: Any) -> np.ndarray:
            """The layer's own output, not quantized, with its weights as they are in the present mode."""
            self.quantize_config.set_quantize_weights(self.layer, [self.quantize_kernel(training=False)])
            return self.layer.call(tf.constant(value, tf.float32)).numpy()

        def structured_kernel(self) -> np.ndarray:
            return self.quantize_config.weights.structured(self.kernel_variable.value()).numpy()

        def quantize_kernel(self, training: bool) -> Any:
            kernel, quantizer, variables = self._weight_vars[0]
            return quantizer(kernel, training, variables)

        @property
        def trainable_weights(self) -> list:
            if not self.layer.trainable:
                return []
            clustered = self.quantize_config.weights is not None and self.quantize_config.weights.centroids is not None
            replaced = id(self.kernel_variable) if clustered else None
            return [weight for weight in super().trainable_weights if id(weight) != replaced]

        @property
        def non_trainable_weights(self) -> list:
            trained = {id(weight) for weight in self.trainable_weights}
            every = [*super().trainable_weights, *super().non_trainable_weights]
            return [weight for weight in self._dedup_weights(every) if id(weight) not in trained]

    return SimpleNamespace(Range=Range, Fixed=Fixed, Weights=Weights, Config=Config, Wrapper=Wrapper)


def _kernel_name(layer: Any) -> str:
    return "depthwise_kernel" if type(layer).__name__ == "DepthwiseConv2D" else "kernel"
