"""Rows of tables by their names, as people write them."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Protocol, TypeVar

from keras_transfer.errors import InputError

Row = TypeVar("Row")


class Corruption(Protocol):
    """A way to make items worse."""

    @property
    def words(self) -> str:
        """What it is, for the report."""
        ...

    @property
    def strengths(self) -> tuple[float, ...]:
        """By how much, the mildest first."""
        ...


Graded = TypeVar("Graded", bound=Corruption)


def find_row(name: str, rows: Mapping[str, Row], what: str) -> Row:
    """The row of a name; case, dashes and underscores do not matter.

    Args:
        name: of the row.
        rows: name -> row.
        what: what a row is, for the message.

    Raises:
        InputError: there is none of that name; the message gives the nearest ones.

    >>> find_row("MobileNetV2", {"mobilenet_v2": 224}, "backbone")
    224
    """
    plain = {_plain(known): known for known in rows}
    wanted = _plain(str(name))
    if wanted in plain:
        return rows[plain[wanted]]
    near = [plain[match] for match in get_close_matches(wanted, plain, n=3, cutoff=0.5)]
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Choose from: {', '.join(rows)}."
    raise InputError(f"There is no {what} {name!r}. {hint}")


def find_strength(name: str, strength: int, rows: Mapping[str, Graded], items: str) -> tuple[Graded, float]:
    """The row of a corruption, and what one of its strengths stands for.

    Args:
        name: of the corruption.
        strength: from 1 up.
        rows: name -> row.
        items: what is made worse, for the message.

    Raises:
        InputError: there is no such corruption or strength.
    """
    if name not in rows:
        raise InputError(f"There is no corruption {name!r} of {items}. Take one of {', '.join(rows)}.")
    strengths = rows[name].strengths
    if strength not in range(1, len(strengths) + 1):
        raise InputError(f"`strength` must be 1 to {len(strengths)}. Received: strength={strength}.")
    return rows[name], strengths[strength - 1]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
