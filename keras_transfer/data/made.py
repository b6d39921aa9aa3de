"""Data sets that a program makes, wherever a source is named: `NAME`, or `NAME:COUNT`."""

import os

from keras_transfer.errors import InputError


def is_made(source: object, name: str) -> bool:
    """Whether a source names a made data set; a file or folder of that name comes first."""
    if not isinstance(source, str) or source.partition(":")[0] != name:
        return False
    return not os.path.lexists(source)


def made_count(source: str, usual: int, fewest: int, most: int) -> int:
    """How many items a source's name asks for.

    Args:
        source: `NAME` or `NAME:COUNT`.
        usual: how many where it says none.
        fewest: that there may be.
        most: that there may be.

    Raises:
        InputError: what stands behind the colon is no number of these.

    >>> made_count("made-sounds:400", 320, 40, 20_000)
    400
    """
    name, _, said = source.partition(":")
    if said and (not said.isascii() or not said.isdigit() or not fewest <= int(said[:9]) <= most):
        raise InputError(
            f"{name} takes how many, from {fewest} to {most}, as in {name}:400. Received: {source[:80]!r}."
        )
    return int(said) if said else usual
