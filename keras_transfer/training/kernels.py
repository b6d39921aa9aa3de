"""What Keras composes of many operations, by TensorFlow's kernels for the whole of it: the same numbers, sooner."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import keras


@contextmanager
def quick_kernels(model: keras.Model) -> Iterator[None]:
    """While the context is open, `model.fit` on one device computes the same in less time.

    - Adam and AdamW update a variable by TensorFlow's kernel, in place of Keras's dozen operations.
    - BatchNorm that learns normalizes by TensorFlow's fused kernel.

    Nothing stays behind: the model saves, loads and converts as ever.

    Args:
        model: a compiled model whose optimizer is built.

    >>> import keras_transfer as kt, numpy as np
    >>> model = kt.build_classifier("mobilenet_v2", 3, image_size=32, alpha=0.35, weights="none")
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> with quick_kernels(model):
    ...     history = model.fit(np.zeros([4, 32, 32, 3]), np.zeros(4), verbose=0)
    """
    replaced: list[tuple[Any, str]] = []

    def replace(owner: Any, name: str, function: Callable[..., Any]) -> None:
        setattr(owner, name, MethodType(function, owner))
        replaced.append((owner, name))

    for optimizer in getattr(model.optimizer, "optimizers", [model.optimizer]):
        if isinstance(optimizer, keras.optimizers.Adam) and not optimizer.amsgrad:
            replace(optimizer, "update_step", _update_by_kernel)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization) and layer.scale and layer.center and not layer.renorm:
            replace(layer, "call", _normalize_fused)
    try:
        yield
    finally:
        for owner, name in replaced:
            delattr(owner, name)


def _update_by_kernel(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
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


def _normalize_fused(self: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
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
