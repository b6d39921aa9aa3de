"""Which places of a picture a class depends on: Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391)."""

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.inputs import Array
from keras_transfer.models import stages
from keras_transfer.models.graph import start_of
from keras_transfer.models.head import class_scores, scores_of

_LEAST_SIDE = 4  # a coarser map says nothing about places
_BATCH = 8


def grad_cam(model: keras.Model, pixels: Array, columns: Array) -> NDArray[np.float32] | None:
    """How much each place contributed to a class, from the last stage whose map is at least 4 by 4.

    Args:
        model: a functional classifier on pixels in 0..255.
        pixels: `uint8 [n, H, W, 3]`.
        columns: int `[n]`, for each picture the class that is asked for.

    Returns:
        `float32 [n, h, w]` in 0..1, 1 being the picture's strongest place (all 0 where none contributes);
        None where the model has no such map.

    >>> inputs = keras.Input((16, 16, 3))
    >>> x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    >>> x = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    >>> model = keras.Model(inputs, keras.layers.Activation("softmax")(x))
    >>> grad_cam(model, np.zeros((1, 16, 16, 3), np.uint8), np.array([1])).shape
    (1, 8, 8)
    """
    import tensorflow as tf

    tensor = _last_map(model)
    if tensor is None:
        return None
    below, above = keras.Model(start_of(model), tensor), keras.Model(tensor, scores_of(model))

    @tf.function(reduce_retracing=True, jit_compile=False, autograph=False)
    def explain(images: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
        maps = below(tf.cast(images, tf.float32), training=False)
        with tf.GradientTape() as tape:
            tape.watch(maps)
            asked = class_scores(above(maps, training=False), chosen)
        slopes = tape.gradient(asked, maps)
        weights = tf.reduce_mean(slopes, axis=[1, 2], keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1))

    parts = [
        explain(pixels[i : i + _BATCH], np.asarray(columns[i : i + _BATCH], np.int32)).numpy()
        for i in range(0, len(pixels), _BATCH)
    ]
    if not parts:
        return None
    maps: NDArray[np.float32] = np.concatenate(parts).astype(np.float32)
    strongest = maps.max(axis=(1, 2), keepdims=True)
    relative: NDArray[np.float32] = np.divide(maps, strongest, out=np.zeros_like(maps), where=strongest > 0)
    return relative


def _last_map(model: keras.Model) -> "keras.KerasTensor | None":
    last = None
    for stage in stages(model):
        shape = stage.output.shape
        if len(shape) == 4 and None not in shape[1:] and min(shape[1:3]) >= _LEAST_SIDE:
            last = stage.output
    return last
