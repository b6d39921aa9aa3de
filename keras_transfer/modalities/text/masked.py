"""Continued pretraining on texts without labels: guessing masked tokens (Devlin et al. 2019; Gururangan et al. 2020).

https://arxiv.org/abs/1810.04805, https://arxiv.org/abs/2004.10964.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from keras_transfer.data.split import Split
from keras_transfer.errors import InputError
from keras_transfer.inputs import Array, InputSpec, item_lengths, like_lengths, only
from keras_transfer.modalities.text.builder import LAST
from keras_transfer.modalities.text.preparer import TextPreparer
from keras_transfer.models import cut_points, model_inputs
from keras_transfer.models.graph import start_of
from keras_transfer.progress import say

if TYPE_CHECKING:
    import tensorflow as tf

Step: TypeAlias = "Callable[[Array, Array, Array], tuple[tf.Tensor, tf.Tensor]]"

_MASKED = 0.15  # of the tokens are guessed; of these
_SHOWN, _OTHER = 0.1, 0.1  # are shown as they are, or as another token; the rest as the mask
_BATCH = 32


class MaskedRow(TypedDict):
    """One epoch: the mean cross-entropy of the masked tokens, and the share that was guessed."""

    epoch: int
    loss: float
    accuracy: float


def pretrain_masked(
    model: keras.Model,
    splits: Sequence[Split],
    *,
    epochs: int = 3,
    learning_rate: float = 5e-5,
    seed: int = 0,
) -> list[MaskedRow]:
    """Trains the encoder of a classifier, in place, to guess masked tokens of texts, whatever their labels.

    What guesses is a dense layer and the table of the words itself; it is thrown away afterwards.

    Args:
        model: from `build_text_classifier`, on an encoder.
        splits: the texts.
        epochs: passes over them.
        learning_rate: AdamW's, of the encoder; what guesses begins at random and trains twenty times as fast.
        seed: of order and masks.

    Returns:
        The figures of each epoch.

    Raises:
        InputError: the model is no encoder of texts, or its tokenizer has no token to mask with.
    """
    preparer = splits[0].preparer
    assert isinstance(preparer, TextPreparer)
    spec, mask = splits[0].spec(model_inputs(model)), preparer.tokens_of.mask
    words = next(
        (layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)
         and layer.input_dim >= preparer.tokens_of.size),
        None,
    )  # fmt: skip
    features = [cut for cut in cut_points(model) if len(cut.shape) == 3]
    if mask is None or words is None or not features or any(layer.name == LAST for layer in model.layers):
        raise InputError(f"Only encoders of texts guess masked tokens. Received: {preparer.tokenizer}, {model.name}.")
    model.trainable = True
    step = _step(keras.Model(start_of(model), features[-1]), words, learning_rate)
    ids = np.concatenate([only(split.arrays(spec.tensors)) for split in splits])
    random, rows = np.random.default_rng(seed), list[MaskedRow]()
    for epoch in range(1, epochs + 1):
        batches = list(like_lengths((ids,), spec, _BATCH))
        sums, count = np.zeros(2), 0
        for number in random.permutation(len(batches)):
            (own,) = batches[number][1]
            shown, chosen = masked(own, spec, mask, preparer.tokens_of.size, random)
            sums += [float(value) for value in step(shown, own, chosen)]
            count += int(chosen.sum())
        rows.append({"epoch": epoch, "loss": sums[0] / count, "accuracy": sums[1] / count})
        say(f"pretraining {epoch}  loss {rows[-1]['loss']:.3f}  masked tokens guessed {rows[-1]['accuracy']:.1%}")
    return rows


def masked(
    ids: Array, spec: InputSpec, mask: int, size: int, random: np.random.Generator
) -> tuple[Array, NDArray[np.bool_]]:
    """Texts with tokens masked, int32 `[n, length]`, and which tokens are to be guessed: at least one of each text.

    >>> from keras_transfer.inputs import TensorSpec
    >>> spec = InputSpec("text", (TensorSpec("ids", (6,), "int32", padding=0),))
    >>> shown, chosen = masked(np.array([[2, 7, 8, 9, 3, 0]]), spec, 4, 10, np.random.default_rng(0))
    >>> chosen[0, [0, 4, 5]].any(), bool(chosen.any())
    (np.False_, True)
    """
    assert spec.padded is not None and spec.padded.padding is not None
    ends = item_lengths(ids, spec.padded.padding)[:, None] - 1
    places = np.arange(ids.shape[1])
    inside = (places > 0) & (places < np.maximum(ends, 2))
    chances = np.where(inside, random.random(ids.shape), 2.0)
    chosen = (chances < _MASKED) | (chances == chances.min(axis=1, keepdims=True))
    fate = random.random(ids.shape)
    other = random.integers(0, size, ids.shape)
    shown = np.where(fate < _SHOWN, ids, np.where(fate < _SHOWN + _OTHER, other, mask))
    return np.where(chosen, shown, ids).astype(np.int32), chosen


def _step(below: keras.Model, words: keras.layers.Embedding, learning_rate: float) -> Step:
    """The training step of an encoder, and of a new layer that guesses by the table of the words.

    Returns:
        The function from the tokens shown, the true ones and which of them were chosen (`[n, length]`) to the sum of
        the losses and how many guesses are right.
    """
    import tensorflow as tf

    guess = keras.Sequential([keras.layers.Dense(words.output_dim, "gelu"), keras.layers.LayerNormalization()])
    guess.build((None, below.output.shape[-1]))
    slow = keras.optimizers.AdamW(learning_rate, weight_decay=0.01, global_clipnorm=1.0)
    fast = keras.optimizers.AdamW(20 * learning_rate, weight_decay=0.01, global_clipnorm=1.0)
    encoder, head = below.trainable_variables, guess.trainable_variables
    slow.build(encoder)
    fast.build(head)

    @tf.function(reduce_retracing=True, jit_compile=False, autograph=False)
    def step(shown: tf.Tensor, ids: tf.Tensor, chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            hidden = guess(tf.boolean_mask(below(shown, training=True), chosen))
            scores = tf.matmul(hidden, words.embeddings.value, transpose_b=True)
            wanted = tf.boolean_mask(ids, chosen)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, scores)
            loss = tf.reduce_mean(losses)
        slopes = tape.gradient(loss, [variable.value for variable in (*encoder, *head)])
        slow.apply(slopes[: len(encoder)], encoder)
        fast.apply(slopes[len(encoder) :], head)
        right = tf.equal(tf.argmax(scores, -1, tf.int32), wanted)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.float32))

    typed: Step = step
    return typed
