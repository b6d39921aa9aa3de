"""Ways in which texts get worse, as they do where people type in a hurry."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class TextCorruption:
    """A way to make texts worse.

    Attributes:
        words: what it is, for the report.
        strengths: the share of words (of punctuation marks) that it changes, the mildest first.
        change: from the text, the share and a source of chance to the worse text.
    """

    words: str
    strengths: tuple[float, ...]
    change: Callable[[str, float, np.random.Generator], str]


def typos(text: str, share: float, random: np.random.Generator) -> str:
    """In a share of the words of four letters and more one letter is missing, doubled, wrong, or swapped with the next.

    >>> typos("delicious food", 1.0, np.random.default_rng(0))
    'deliccious fod'
    """

    def wrong(match: "re.Match[str]") -> str:
        word = match[0]
        if random.random() >= share:
            return word
        place, kind = int(random.integers(1, len(word) - 1)), int(random.integers(4))
        other = _LETTERS[int(random.integers(len(_LETTERS)))]
        middle = ("", 2 * word[place], other, word[place + 1] + word[place])[kind]
        return word[:place] + middle + word[place + 1 + (kind == 3) :]

    return re.sub(r"[^\W\d_]{4,}", wrong, text)


def capitals(text: str, share: float, random: np.random.Generator) -> str:
    """A share of the words is written in capital letters.

    >>> capitals("so good", 1.0, np.random.default_rng(0))
    'SO GOOD'
    """
    return re.sub(r"\w+", lambda match: match[0].upper() if random.random() < share else match[0], text)


def no_punctuation(text: str, share: float, random: np.random.Generator) -> str:
    """A share of the punctuation marks is missing.

    >>> no_punctuation("Good, not great!", 1.0, np.random.default_rng(0))
    'Good not great'
    """
    return re.sub(r"[^\w\s]", lambda match: "" if random.random() < share else match[0], text)


def no_words(text: str, share: float, random: np.random.Generator) -> str:
    """A share of the words is missing; one is always left."""
    words = text.split()
    kept = [word for word in words if random.random() >= share]
    return " ".join(kept or words[:1])


CORRUPTIONS: Mapping[str, TextCorruption] = {
    "typos": TextCorruption("typing errors", (0.05, 0.1, 0.2, 0.3, 0.5), typos),
    "capitals": TextCorruption("capital letters", (0.1, 0.25, 0.5, 0.75, 1.0), capitals),
    "no_punctuation": TextCorruption("missing punctuation", (0.2, 0.4, 0.6, 0.8, 1.0), no_punctuation),
    "no_words": TextCorruption("missing words", (0.05, 0.1, 0.2, 0.3, 0.5), no_words),
}
"""Name -> what makes texts worse. Studied by Belinkov & Bisk 2018 (https://arxiv.org/abs/1711.02173) and others."""
