"""Encoders of the BERT family as one flat functional graph of plain Keras layers, on token ids of any length.

Devlin et al. 2019, https://arxiv.org/abs/1810.04805; and what differs in DistilBERT (https://arxiv.org/abs/1910.01108),
RoBERTa (https://arxiv.org/abs/1907.11692), ALBERT (https://arxiv.org/abs/1909.11942) and ELECTRA
(https://arxiv.org/abs/2003.10555). KerasHub has them too, but as nested models of layers of its own, which need
KerasHub (and tensorflow-text, 6 s to import) wherever the model is loaded.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras

IDS = "ids"
_NEVER = -50.0  # added to the score of padding: its share is nothing, and ranges of eight bits still tell scores apart


@dataclass(frozen=True)
class EncoderShape:
    """The measures of an encoder.

    Attributes:
        vocabulary: number of tokens.
        width: features of each token.
        blocks: how many transformer blocks.
        heads: attention heads of each; they divide `width`.
        inner: width of the dense layer inside a block.
        positions: rows of the table of positions.
        embedding: width of the embeddings, where it is not that of the blocks.
        tanh_gelu: whether GELU is computed by its approximation with tanh.
        epsilon: of the layer normalizations.
        padding: the token that fills texts up.
        first_position: the row of the first token; above 0 padding has a row of its own (RoBERTa).
        shared: whether all blocks share their weights (ALBERT).
        dropout: rate in training.
    """

    vocabulary: int
    width: int
    blocks: int
    heads: int
    inner: int
    positions: int
    embedding: int
    tanh_gelu: bool = False
    epsilon: float = 1e-12
    padding: int = 0
    first_position: int = 0
    shared: bool = False
    dropout: float = 0.1

    @property
    def longest(self) -> int:
        """The most tokens of a text."""
        return self.positions - self.first_position


def build_encoder(shape: EncoderShape, name: str = "encoder") -> keras.Model:
    """An encoder with random weights.

    Args:
        shape: its measures.
        name: of the model.

    Returns:
        A functional model from `ids`, int32 `[n, length]`, filled up with `shape.padding`, to features of each token,
        float32 `[n, length, width]`.

    >>> build_encoder(EncoderShape(100, 16, 2, 2, 32, 64, 16)).output_shape
    (None, None, 16)
    """
    ops, layers = keras.ops, keras.layers
    ids = keras.Input((None,), dtype="int32", name=IDS)
    words = layers.Embedding(shape.vocabulary, shape.embedding, _initial(), name="words")(ids)
    places = layers.Embedding(shape.positions, shape.embedding, _initial(), name="places")(_positions(ids, shape))
    x = layers.LayerNormalization(epsilon=shape.epsilon, name="embeddings_norm")(layers.Add()([words, places]))
    x = _dropout(shape, "embeddings_dropout")(x)
    if shape.embedding != shape.width:
        x = _dense(shape.width, "projection")(x)
    scores = ops.expand_dims(ops.expand_dims(ops.cast(ops.equal(ids, shape.padding), "float32"), 1), 1) * _NEVER
    names = ["block"] if shape.shared else [f"block{number}" for number in range(shape.blocks)]
    blocks = [_block(shape, name) for name in names]
    for number in range(shape.blocks):
        x = blocks[number % len(blocks)](x, scores)
    return keras.Model(ids, x, name=name)


def padding_mask(ids: keras.KerasTensor, padding: int) -> keras.KerasTensor:
    """Which tokens are no padding, bool `[n, length]`."""
    return keras.ops.not_equal(ids, padding)


def _positions(ids: keras.KerasTensor, shape: EncoderShape) -> keras.KerasTensor:
    ops = keras.ops
    if not shape.first_position:
        return ops.cumsum(ops.ones_like(ids), axis=1) - 1
    words = ops.cast(padding_mask(ids, shape.padding), "int32")
    return ops.cumsum(words, axis=1) * words + (shape.first_position - 1)


def _block(shape: EncoderShape, name: str) -> Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]:
    """The layers of a block, as a function of the tokens' features and what is added to the scores of each token."""
    ops, layers = keras.ops, keras.layers
    size = shape.width // shape.heads
    query, key, value, attention = (
        _dense(shape.width, f"{name}_{part}") for part in ("query", "key", "value", "attention")
    )
    inner, outer = _dense(shape.inner, f"{name}_inner"), _dense(shape.width, f"{name}_outer")
    drops = [_dropout(shape, f"{name}_{part}_dropout") for part in ("attention", "outer")]
    norms = [
        layers.LayerNormalization(epsilon=shape.epsilon, name=f"{name}_{part}_norm") for part in ("attention", "outer")
    ]

    def heads(x: keras.KerasTensor, order: tuple[int, int, int]) -> keras.KerasTensor:
        return layers.Permute(order)(layers.Reshape((-1, shape.heads, size))(x))

    def call(x: keras.KerasTensor, scores: keras.KerasTensor) -> keras.KerasTensor:
        alike = ops.matmul(heads(query(x), (2, 1, 3)) * size**-0.5, heads(key(x), (2, 3, 1)))
        shares = layers.Softmax()(alike + scores)
        mixed = layers.Permute((2, 1, 3))(ops.matmul(shares, heads(value(x), (2, 1, 3))))
        mixed = attention(layers.Reshape((-1, shape.width))(mixed))
        x = norms[0](layers.Add()([x, drops[0](mixed)]))
        changed = outer(ops.gelu(inner(x), approximate=shape.tanh_gelu))
        return norms[1](layers.Add()([x, drops[1](changed)]))

    return call


def _dropout(shape: EncoderShape, name: str) -> keras.layers.Dropout:
    return keras.layers.Dropout(shape.dropout, name=name)


def _dense(units: int, name: str) -> keras.layers.Dense:
    return keras.layers.Dense(units, kernel_initializer=_initial(), name=name)


def _initial() -> keras.initializers.Initializer:
    return keras.initializers.TruncatedNormal(stddev=0.02)
