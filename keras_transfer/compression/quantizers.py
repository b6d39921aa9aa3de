"""tensorflow-model-optimization's wrapper, configuration and quantizers, of the kinds that an integer file asks for."""

from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from keras_transfer.compression.operators import Kernel
from keras_transfer.compression.tfmot import load_tfmot

_MOST_CLUSTERS = 256


@cache
def quantizer_parts() -> SimpleNamespace:
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
