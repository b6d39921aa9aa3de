"""Tokens as a person reads them: words again, with what each token weighs."""

import numpy as np
from numpy.typing import NDArray

from keras_transfer.inputs import Array
from keras_transfer.modalities.text.preparer import TextPreparer, text_of
from keras_transfer.schemas import Mark

_INSIDE = "##"  # WordPiece: not the beginning of a word
_SPACES = ("\u2581", "\u0120")  # SentencePiece and byte-level BPE: a space before
_LIMIT = 200  # characters


def marks(ids: Array, weights: NDArray[np.float32], preparer: TextPreparer) -> list[Mark]:
    """A text in pieces, the beginning of it, and how much each spoke for an answer, the strongest of all being 1 or -1.

    Args:
        ids: int32 `[length]`, between the tokenizer's marks.
        weights: of each token, float32 `[length]`.
        preparer: whose tokens they are.
    """
    tokens = text_of(ids, preparer)[1:-1]
    weights = weights[1 : len(tokens) + 1]
    strongest = float(np.abs(weights).max(initial=0.0)) or 1.0
    shown: list[Mark] = []
    length = 0
    spaced = any(token.startswith(_SPACES) for token in tokens)
    for token, weight in zip(tokens, weights, strict=True):
        if spaced:
            piece = token.replace("\u2581", " ").replace("\u0120", " ")
        else:
            piece = token.removeprefix(_INSIDE) if token.startswith(_INSIDE) else f" {token}"
        length += len(piece)
        if length > _LIMIT:
            shown.append({"piece": "\u2026", "weight": 0.0})
            break
        shown.append({"piece": piece if shown else piece.lstrip(), "weight": round(float(weight) / strongest, 3)})
    return shown
