"""A modality of two inputs made for tests: sentences of a few words, as token ids and a padding mask."""

from dataclasses import dataclass

import keras
import numpy as np

from keras_transfer.data.listing import Kind
from keras_transfer.errors import InputError
from keras_transfer.files import read_file
from keras_transfer.inputs import InputSpec, TensorSpec
from keras_transfer.modalities import Modality, NoAugmenter

VOCABULARY = ("[PAD]", "[UNK]", "good", "fine", "bad", "poor", "the", "a", "soup", "tea", "was", "is")
MEANINGS = {"token_ids": "indices of words", "padding_mask": "1 for words, 0 for padding"}


@dataclass(frozen=True)
class DropWords:
    """Replaces a share of the words by `[UNK]`."""

    share: float
    mixes = False
    settings = property(lambda self: {"share": self.share})

    def __call__(self, arrays, labels, /, seed):
        tokens, mask = arrays
        dropped = np.random.default_rng(seed).random(tokens.shape) < self.share
        return (np.where(dropped & (mask > 0), 1, tokens).astype(tokens.dtype), mask), labels


@dataclass(frozen=True)
class WordsPreparer:
    length: int = 8
    modality: str = "words"
    settings = property(lambda self: {"length": self.length})
    load = staticmethod(read_file)
    adapt = staticmethod(lambda values, spec: values)

    def augmenter(self, strength, per_class, classes):
        return DropWords(0.2) if strength == "light" else NoAugmenter()

    def spec(self, inputs):
        tensors = [TensorSpec(t.name, (self.length,), "int32", 0, None, MEANINGS[t.name]) for t in inputs]
        return InputSpec("words", tuple(tensors), self.settings)

    def prepare(self, content, spec=None):
        words = content.decode().split()[: self.length]
        if not words:
            raise InputError("a sentence has words")
        ids = [VOCABULARY.index(word) if word in VOCABULARY else 1 for word in words]
        padding = [0] * (self.length - len(ids))
        return np.array(ids + padding, np.int32), np.array([1] * len(ids) + padding, np.int32)


class Words(Modality):
    name = "words"
    kind = Kind("sentences", "sentence", frozenset({".words"}), facts=("words",))

    def preparer(self, preparation):
        return WordsPreparer(**preparation)

    def facts(self, preparer, content):
        return (int(preparer.prepare(content)[1].sum()),)

    def build(self, recipe, dataset):
        return small_transformer(len(dataset.class_names))


def small_transformer(classes, blocks=2, length=8, width=16):
    """Embedding, transformer blocks that attend to words alone, and the mean over words below a dense head."""
    tokens = keras.Input((length,), dtype="int32", name="token_ids")
    mask = keras.Input((length,), dtype="int32", name="padding_mask")
    x = keras.layers.Embedding(len(VOCABULARY), width, name="embedding")(tokens)
    for block in range(blocks):
        attention = keras.layers.MultiHeadAttention(2, width // 2, name=f"block{block}_attention")
        attended = attention(x, x, attention_mask=keras.ops.cast(mask, "bool")[:, None])
        x = keras.layers.LayerNormalization(name=f"block{block}_norm")(keras.layers.Add()([x, attended]))
        x = keras.layers.Dense(width, activation="gelu", name=f"block{block}_dense")(x)
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x, mask=mask)
    x = keras.layers.Dense(classes, name="logits")(x)
    return keras.Model([tokens, mask], keras.layers.Activation("softmax", name="predictions")(x), name="words")


MODALITY = Words()
