"""What a text is like, whatever it says: its length, its capitals, its marks, its letters."""

import unicodedata
from collections.abc import Callable

from keras_transfer.evaluation.shift import Property


def _share(text: str, holds: Callable[[str], bool], among: Callable[[str], bool]) -> float:
    signs = [sign for sign in text if among(sign)]
    return sum(map(holds, signs)) / max(1, len(signs))


def _anything(sign: str) -> bool:
    return not sign.isspace()


def _mark(sign: str) -> bool:
    return unicodedata.category(sign)[0] in "PS"


PROPERTIES: dict[str, Property[str]] = {
    "words": Property(lambda text: float(len(text.split())), "Words", "shorter", "longer"),
    "capitals": Property(
        lambda text: _share(text, str.isupper, str.isalpha), "Capitals (share of the letters)", "less in capitals",
        "more in capitals",
    ),
    "marks": Property(
        lambda text: _share(text, _mark, _anything), "Punctuation and symbols (share of the signs)", "with fewer marks",
        "with more marks",
    ),
    "digits": Property(
        lambda text: _share(text, str.isdigit, _anything), "Digits (share of the signs)", "with fewer digits",
        "with more digits",
    ),
    "foreign": Property(
        lambda text: _share(text, lambda sign: not sign.isascii(), str.isalpha),
        "Letters beyond A to Z (share of the letters)", "less in other letters", "more in other letters",
    ),
}  # fmt: skip
