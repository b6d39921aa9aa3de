"""TensorFlow's fused kernels in place of what Keras composes of many operations: the same numbers in less time."""

import timeit
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from types import MethodType
from typing import TYPE_CHECKING

import keras

from keras_transfer.models.graph import nodes

if TYPE_CHECKING:
    import tensorflow as tf

_LEAST_GAIN = (
    1.3  # of bfloat16 over float32, before what casting costs; processors with units for it reach 1.7 and more
)
# Of these bfloat16 goes through as it is. Other layers cast what they read to their own float32.
_ELEMENTWISE = (keras.layers.ReLU, keras.layers.Add, keras.layers.ZeroPadding2D)


@contextmanager
def quick_kernels(model: keras.Model) -> Iterator[None]:
    """While the context is open, `model.fit` on one device computes the same in less time.

    - Adam and AdamW update a variable by TensorFlow's kernel, in place of Keras's dozen operations.
    - BatchNorm that learns normalizes by TensorFlow's fused kernel.
    - On a processor a convolution before a frozen BatchNorm becomes one affine map with it, in training steps. Where
      bfloat16 is multiplied faster than float32, they compute that in bfloat16 (Kalamkar et al. 2019,
      https://arxiv.org/abs/1905.12322). Weights, sums and updates stay float32, and so does validation.

    Nothing stays behind: the model saves, loads and converts as ever.

    Args:
        model: a compiled model whose optimizer is built.

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> with quick_kernels(model):
    ...     history = model.fit(np.zeros([8, 4]), np.zeros(8), verbose=0)
    """
    with ExitStack() as restored:

        def replace(owner: object, name: str, function: Callable[..., object]) -> None:
            setattr(owner, name, MethodType(function, owner))
            restored.callback(delattr, owner, name)

        def change(layer: keras.layers.Layer, name: str, value: object) -> None:
            restored.callback(setattr, layer, name, getattr(layer, name))
            setattr(layer, name, value)

        for optimizer in getattr(model.optimizer, "optimizers", [model.optimizer]):
            if isinstance(optimizer, keras.optimizers.Adam) and not optimizer.amsgrad:
                replace(optimizer, "update_step", _update_by_kernel)
        pairs = [] if _has_gpu() else normalized_convolutions(model)
        dtype = "bfloat16" if pairs and multiplies_bfloat16() else "float32"
        for convolution, norm in pairs:
            change(norm, "input_spec", None)  # what it reads has the channels of the convolution's input
            replace(
                norm,
                "call",
                partial(_convolve_and_normalize, convolution=convolution, plain=convolution.call, dtype=dtype),
            )
            replace(convolution, "call", _pass_on)
        passing = [layer for layer in model.layers if type(layer) in _ELEMENTWISE]
        for layer in (*passing, *(layer for pair in pairs for layer in pair)) if dtype == "bfloat16" else ():
            change(layer, "autocast", False)
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable and _is_plain(layer):
                replace(layer, "call", _normalize_fused)
        yield


@cache
def matrix_speed(dtype: str = "float32", side: int = 512) -> float:
    """Multiply-adds per second of a matrix multiplication in TensorFlow on this machine's processor.

    Args:
        dtype: `"float32"` or `"bfloat16"`.
        side: rows and columns of the matrices.
    """
    import tensorflow as tf

    with tf.device("CPU"):
        matrix = tf.ones((side, side), dtype)
        return side**3 / min(timeit.repeat(lambda: tf.matmul(matrix, matrix), number=1, repeat=5))


def multiplies_bfloat16() -> bool:
    """Whether this machine trains on its processor, and that multiplies bfloat16 faster than float32.

    AMX and AVX512-BF16 do. Others have to convert each number, and take several times as long.
    """
    return not _has_gpu() and matrix_speed("bfloat16") > _LEAST_GAIN * matrix_speed()


def _has_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_logical_devices("GPU"))


def normalized_convolutions(model: keras.Model) -> list[tuple[keras.layers.Layer, keras.layers.BatchNormalization]]:
    """Each plain float32 convolution with the frozen BatchNorm that alone reads it."""
    order = nodes(model)
    calls = Counter(id(node.operation) for node in order)
    readers: dict[int, list[keras.Operation]] = defaultdict(list)
    for node in order:
        for tensor in node.inputs:
            readers[id(tensor)].append(node.operation)
    outputs = {id(tensor) for tensor in model.outputs}
    pairs = []
    for node in order:
        convolution, read_by = node.operation, readers[id(node.output)]
        norm = read_by[0] if len(read_by) == 1 and id(node.output) not in outputs else None
        if (
            norm is not None
            and type(convolution) in (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
            and type(norm) is keras.layers.BatchNormalization
            and not norm.trainable
            and _is_plain(norm)
            and norm.axis in (-1, 3)
            and calls[id(convolution)] == calls[id(norm)] == 1
            and convolution.compute_dtype == norm.compute_dtype == "float32"
            and convolution.activation is keras.activations.linear
            and convolution.data_format == "channels_last"
            and getattr(convolution, "groups", 1) == 1
            and set(convolution.dilation_rate) == {1}
        ):
            pairs.append((convolution, norm))
    return pairs


def _is_plain(norm: keras.layers.BatchNormalization) -> bool:
    return bool(norm.scale and norm.center and not norm.renorm)


def _pass_on(self: keras.layers.Layer, inputs: "tf.Tensor") -> "tf.Tensor":
    return inputs  # the BatchNorm after it convolves: it knows whether this is training


def _convolve_and_normalize(
    self: keras.layers.BatchNormalization,
    inputs: "tf.Tensor",
    training: bool | None = None,
    mask: "tf.Tensor | None" = None,
    *,
    convolution: keras.layers.Layer,
    plain: "Callable[[tf.Tensor], tf.Tensor]",
    dtype: str,
) -> "tf.Tensor":
    import tensorflow as tf

    if not training:
        return type(self).call(self, plain(inputs), training=training, mask=mask)
    scale = tf.math.rsqrt(self.moving_variance + self.epsilon) * self.gamma
    offset = self.beta - self.moving_mean * scale
    if convolution.use_bias:
        offset += convolution.bias * scale
    depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
    kernel = convolution.kernel * (tf.reshape(scale, convolution.kernel.shape[2:]) if depthwise else scale)
    sides, strides = tuple(convolution.kernel_size), tuple(convolution.strides)
    # For other depthwise gradients oneDNN has no good kernels in bfloat16: with strides they take ten times as long.
    slow = depthwise and (sides, strides) != ((3, 3), (1, 1))
    inputs, kernel = (tf.cast(value, "float32" if slow else dtype) for value in (inputs, kernel))
    if depthwise:
        outputs = tf.nn.depthwise_conv2d(inputs, kernel, (1, *strides, 1), convolution.padding.upper())
    elif sides == strides == (1, 1):  # as a matrix multiplication, without reordering the weights for each step
        rows = tf.matmul(tf.reshape(inputs, (-1, kernel.shape[2])), kernel[0, 0])
        outputs = tf.reshape(rows, (-1, *inputs.shape[1:3], kernel.shape[3]))
    else:
        outputs = tf.nn.conv2d(inputs, kernel, strides, convolution.padding.upper())
    return tf.nn.bias_add(tf.cast(outputs, dtype), tf.cast(offset, dtype))


def _update_by_kernel(
    self: keras.optimizers.Adam, gradient: "tf.Tensor", variable: keras.Variable, learning_rate: "tf.Tensor"
) -> None:
    import tensorflow as tf

    index = self._get_variable_index(variable)
    step = tf.cast(self.iterations + 1, variable.dtype)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=self._momentums[index].value.handle,
        v=self._velocities[index].value.handle,
        beta1_power=self.beta_1**step,
        beta2_power=self.beta_2**step,
        lr=tf.cast(learning_rate, variable.dtype),
        beta1=self.beta_1,
        beta2=self.beta_2,
        epsilon=self.epsilon,
        grad=gradient,
    )


def _normalize_fused(
    self: keras.layers.BatchNormalization,
    inputs: "tf.Tensor",
    training: bool | None = None,
    mask: "tf.Tensor | None" = None,
) -> "tf.Tensor":
    import tensorflow as tf

    is_map = len(inputs.shape) == 4 and self.axis in (-1, 3) and inputs.dtype == tf.float32
    if not (training and self.trainable and is_map and mask is None):
        return type(self).call(self, inputs, training=training, mask=mask)
    none = tf.zeros([0])
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs, scale=self.gamma, offset=self.beta, mean=none, variance=none, epsilon=self.epsilon
    )
    values = tf.cast(tf.size(inputs) / tf.size(mean), tf.float32)
    for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance * (values - 1) / values)):
        moving.assign(moving * self.momentum + now * (1 - self.momentum))
    return outputs
