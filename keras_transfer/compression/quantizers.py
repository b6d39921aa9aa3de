"""tensorflow-model-optimization's wrapper, configuration and quantizers, of the kinds that an integer file needs.

Importing this module imports tfmot: import it where it is used.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from keras_transfer.compression.operators import Kernel
from keras_transfer.compression.tfmot import load_tfmot

_MOST_CLUSTERS = 256
_quantization: Any = load_tfmot().quantization.keras  # classes to derive from, in a library without types
_quantizers: Any = _quantization.quantizers

if TYPE_CHECKING:
    Variables: TypeAlias = dict[str, tf.Variable]


class Mode(Protocol):
    """Whether ranges are being observed, and nothing is quantized."""

    observing: bool


class Range(_quantizers.MovingAverageQuantizer):
    """An activation's range as observed."""

    def __init__(self, mode: Mode) -> None:
        super().__init__(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
        self.mode = mode

    def __call__(self, inputs: tf.Tensor, training: bool, weights: "Variables", **kwargs: object) -> tf.Tensor:
        # The moving average would be one of least and greatest values, which is too wide a range.
        return inputs if self.mode.observing else super().__call__(inputs, False, weights, **kwargs)


class Fixed(_quantizers.FixedQuantizer):
    """A range known beforehand: of the input, of a sigmoid."""

    def __init__(self, limits: tuple[float, float], mode: Mode) -> None:
        super().__init__(num_bits=8, init_min=limits[0], init_max=limits[1], narrow_range=False)
        self.mode = mode

    def __call__(self, inputs: tf.Tensor, training: bool, weights: "Variables", **kwargs: object) -> tf.Tensor:
        return inputs if self.mode.observing else super().__call__(inputs, training, weights, **kwargs)


class Weights(_quantizers.LastValueQuantizer):
    """Quantizes weights with BatchNormalization's factors in them, as the file has them."""

    def __init__(self, kernel: Kernel, per_tensor: bool, preserve: Sequence[str], mode: Mode) -> None:
        super().__init__(num_bits=8, per_axis=not per_tensor, symmetric=True, narrow_range=True)
        self.shape, self.scale, self.mode = kernel.values.shape, kernel.scale, mode
        # Channels last, which of a depthwise kernel `[h, w, channels, 1]` they are not.
        self.grid = self.shape if self.shape[-1] == len(kernel.scale) else (1, *self.shape[:2], len(kernel.scale))
        self.alive = (kernel.values != 0).astype(np.float32) if "sparsity" in preserve else None
        self.centroids: tf.Variable | None = None
        self.indices: NDArray[np.int32] | None = None
        self.constant: NDArray[np.float32] | None = None  # while a file is made: the weights as constants of its graph
        if "clusters" in preserve:
            values, indices = np.unique(kernel.values, return_inverse=True)
            if 1 < len(values) <= min(_MOST_CLUSTERS, kernel.values.size // 2):
                self.values, self.indices = values, indices.reshape(self.shape).astype(np.int32)

    def build(self, tensor_shape: tf.TensorShape, name: str, layer: tf_keras.layers.Layer) -> "Variables":
        if self.indices is not None:
            start = tf.constant_initializer(self.values)
            self.centroids = layer.add_weight(f"{name}_centroids", self.values.shape, initializer=start)
        variables: Variables = super().build(self.grid, name, layer)
        return variables

    def structured(self, kernel: tf.Tensor) -> tf.Tensor:
        """The weights with the structure that must not be lost, before quantization."""
        if self.centroids is not None:
            kernel = tf.gather(self.centroids, self.indices)
        return kernel if self.alive is None else kernel * self.alive

    def __call__(self, inputs: tf.Tensor, training: bool, weights: "Variables", **kwargs: object) -> tf.Tensor:
        if self.constant is not None and self.per_axis:
            # Already on the grid that the converter finds by itself. With the grid of a dense layer's channels it fails
            # ("tfl.transpose op has mismatched quantized axes"), and with that of a whole tensor it does not.
            return tf.constant(self.constant)
        folded = tf.reshape(self.structured(inputs), self.grid) * self.scale
        if not self.mode.observing:
            folded = super().__call__(folded, training, weights, **kwargs)
        return tf.reshape(folded, self.shape)


class Config(_quantization.QuantizeConfig):
    """What of a layer is quantized: its weights, its output, or both."""

    def __init__(self, weights: Weights | None, output: Range | Fixed | None) -> None:
        self.weights, self.output = weights, output

    def get_weights_and_quantizers(self, layer: tf_keras.layers.Layer) -> list[tuple[tf.Variable, Weights]]:
        return [] if self.weights is None else [(getattr(layer, _kernel_name(layer)), self.weights)]

    def set_quantize_weights(self, layer: tf_keras.layers.Layer, quantize_weights: list[tf.Tensor]) -> None:
        for weights in quantize_weights:
            setattr(layer, _kernel_name(layer), weights)

    def get_activations_and_quantizers(self, layer: tf_keras.layers.Layer) -> list[object]:
        return []

    def set_quantize_activations(self, layer: tf_keras.layers.Layer, quantize_activations: list[object]) -> None:
        pass

    def get_output_quantizers(self, layer: tf_keras.layers.Layer) -> list[Range | Fixed]:
        return [] if self.output is None else [self.output]

    def get_config(self) -> dict[str, object]:
        return {}


class Wrapper(_quantization.QuantizeWrapperV2):
    """tfmot's, which trains its weights whatever `trainable` says, and the kernel beside its clusters."""

    @property
    def kernel_variable(self) -> tf.Variable:
        return self._weight_vars[0][0]

    @property
    def range_variables(self) -> list[tf.Variable]:
        """Least and greatest of the output's range, where it has one of its own."""
        variables = getattr(self, "_output_quantizer_vars", None) or {}
        return [variables[name] for name in ("min_var", "max_var") if name in variables]

    def layer_output(self, value: NDArray[np.float32]) -> NDArray[np.float32]:
        """The layer's own output, not quantized, with its weights as they are in the present mode."""
        self.quantize_config.set_quantize_weights(self.layer, [self.quantize_kernel(training=False)])
        output: NDArray[np.float32] = self.layer.call(tf.constant(value, tf.float32)).numpy()
        return output

    def structured_kernel(self) -> NDArray[np.float32]:
        kernel: NDArray[np.float32] = self.quantize_config.weights.structured(self.kernel_variable.value()).numpy()
        return kernel

    def quantize_kernel(self, training: bool) -> tf.Tensor:
        kernel, quantizer, variables = self._weight_vars[0]
        return quantizer(kernel, training, variables)

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        if not self.layer.trainable:
            return []
        clustered = self.quantize_config.weights is not None and self.quantize_config.weights.centroids is not None
        replaced = id(self.kernel_variable) if clustered else None
        return [weight for weight in super().trainable_weights if id(weight) != replaced]

    @property
    def non_trainable_weights(self) -> list[tf.Variable]:
        trained = {id(weight) for weight in self.trainable_weights}
        every = [*super().trainable_weights, *super().non_trainable_weights]
        return [weight for weight in self._dedup_weights(every) if id(weight) not in trained]


def _kernel_name(layer: tf_keras.layers.Layer) -> str:
    return "depthwise_kernel" if type(layer).__name__ == "DepthwiseConv2D" else "kernel"
