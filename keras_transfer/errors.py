"""How the package fails: what a user can mend is an `InputError`, a proof that did not hold a `GateError`."""

from collections.abc import Mapping
from difflib import get_close_matches


class KerasTransferError(Exception):
    """Base of the package's own errors; `exit_code` is what the command ends with."""

    exit_code = 1


class InputError(KerasTransferError, ValueError):
    """The call or the input is wrong. The message is one sentence: what, where, what to do."""

    exit_code = 2


class GateError(KerasTransferError):
    """The work is done and written, but a gate failed (an accuracy drop, a target that refuses the file)."""

    exit_code = 3


class WorkerError(KerasTransferError):
    """Another worker of a training on several machines has stopped; nothing is wrong with this one."""


def in_one_line(error: Exception, limit: int = 400) -> str:
    """What an error says, on one line of at most `limit` letters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[:limit] + "..."


def check_options(function: str, options: Mapping[str, object], kind: type) -> None:
    """Raises `TypeError`, as Python does, for keywords that a `TypedDict` of options does not have.

    >>> from typing import TypedDict
    >>> class Options(TypedDict, total=False):
    ...     batch_size: int
    >>> check_options("evaluate", {"batchsize": 32}, Options)
    Traceback (most recent call last):
    ...
    TypeError: evaluate() got an unexpected keyword argument 'batchsize'. Did you mean 'batch_size'?
    """
    known = sorted(kind.__annotations__)
    for name in options:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f" Did you mean {close[0]!r}?" if close else f" It has {', '.join(known)}."
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}.{hint}")
