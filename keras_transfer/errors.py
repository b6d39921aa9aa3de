"""How the package fails: what a user can mend is an `InputError`, a proof that did not hold a `GateError`."""


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
