"""Which tokens of a text spoke for an answer: integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365)."""

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.inputs import Array, InputSpec, like_lengths
from keras_transfer.models import side_inputs, suffix
from keras_transfer.models.graph import cut_points, start_of
from keras_transfer.models.head import class_scores, scores_of

STEPS = 8
"""Points on the way from a text of unknown words to the text itself."""
_BATCH = 4  # texts at once, each in `STEPS` copies


def token_weights(
    model: keras.Model, ids: Array, columns: Array, spec: InputSpec, replacement: int
) -> NDArray[np.float32] | None:
    """How much each token raised the score of a class, against a text whose tokens are all unknown.

    The gradients are those at the embeddings: the first tensor of the model that is cut off the ids by weights.

    Args:
        model: a functional classifier of token ids, of any length or that of `spec`.
        ids: int32 `[n, length]`.
        columns: int `[n]`, for each text the class that is asked for.
        spec: of the ids.
        replacement: the token that stands for an unknown word.

    Returns:
        float32 `[n, length]`: over a text they sum up to about what its tokens changed of the class's score; padding
        has 0. None where the model cannot be cut above its embeddings.
    """
    import tensorflow as tf

    embedded = next((point for point in cut_points(model)[1:] if len(point.shape) == 3), None)
    if embedded is None:
        return None
    output = scores_of(model)
    below, above = keras.Model(start_of(model), embedded), suffix(model, embedded, output)
    beside = bool(side_inputs(model, embedded))
    padding = spec.tensor.padding or 0

    @tf.function(reduce_retracing=True, jit_compile=False, autograph=False)
    def explain(own: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
        first = tf.ones_like(own) * tf.range(tf.shape(own)[1])[None] == 0  # the mark before the text stays
        blank = tf.where((own == padding) | first, own, replacement)
        start, end = below(blank, training=False), below(own, training=False)
        steps = tf.reshape((tf.range(STEPS, dtype=tf.float32) + 0.5) / STEPS, (STEPS, 1, 1, 1))
        points = tf.reshape(start + steps * (end - start), tf.concat([[-1], tf.shape(end)[1:]], 0))
        with tf.GradientTape() as tape:
            tape.watch(points)
            scores = above([points, tf.tile(own, (STEPS, 1))] if beside else points, training=False)
            asked = class_scores(scores, tf.tile(chosen, [STEPS]))
        slopes = tf.reshape(tape.gradient(asked, points), tf.concat([[STEPS], tf.shape(end)], 0))
        weights = tf.reduce_sum(tf.reduce_mean(slopes, 0) * (end - start), -1)
        return tf.where(own == padding, 0.0, weights)

    weights = np.zeros(ids.shape, np.float32)
    for items, (part,) in like_lengths((ids,), spec, _BATCH):
        part = part if model.inputs[0].shape[1] is None else ids[items]
        weights[items, : part.shape[1]] = explain(part, np.asarray(columns[items], np.int32)).numpy()
    return weights
