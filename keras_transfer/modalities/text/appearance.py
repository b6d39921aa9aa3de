"""What a text is like, whatever it says: its length, its capitals, its marks, its letters."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from keras_transfer.evaluation.shift import LEVEL, how_much, property_gap
from keras_transfer.schemas import PropertyDifference


class Property(NamedTuple):
    """A row of the table: how a text is measured, its title, and the words for lower and higher values."""

    measure: Callable[[str], float]
    title: str
    lower: str
    higher: str


def _share(text: str, holds: Callable[[str], bool], among: Callable[[str], bool]) -> float:
    signs = [sign for sign in text if among(sign)]
    return sum(map(holds, signs)) / max(1, len(signs))


def _anything(sign: str) -> bool:
    return not sign.isspace()


def _mark(sign: str) -> bool:
    return unicodedata.category(sign)[0] in "PS"


PROPERTIES: dict[str, Property] = {
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


def appearance(text: str) -> dict[str, float]:
    """A figure for each of `PROPERTIES`.

    >>> appearance("GOOD tea!")["capitals"] > appearance("good tea!")["capitals"]
    True
    """
    return {name: row.measure(text) for name, row in PROPERTIES.items()}


def differences(ours: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]]) -> list[PropertyDifference]:
    """In which properties two sets of texts differ, the largest difference first.

    Args:
        ours: of each text of the run its `appearance`.
        theirs: the same of the new texts.

    >>> row = differences([appearance("so good")] * 20, [appearance("SO GOOD")] * 20)[0]
    >>> row["property"], row["words"]
    ('capitals', 'much more in capitals')
    """
    rows: list[PropertyDifference] = []
    for name, kind in PROPERTIES.items():
        first, second = (np.array([figures[name] for figures in side], np.float64) for side in (ours, theirs))
        size, p_value = property_gap(first, second)
        strength = how_much(size) if p_value < LEVEL / len(PROPERTIES) else ""
        rows.append(
            {
                "property": name,
                "title": kind.title,
                "ours": float(np.median(first)),
                "theirs": float(np.median(second)),
                "size": float(np.clip(size, -99, 99)),
                "p_value": p_value,
                "words": strength and f"{strength} {kind.lower if size < 0 else kind.higher}",
                "augmentation": {},
            }
        )
    return sorted(rows, key=lambda row: (row["words"] == "", -abs(row["size"])))
