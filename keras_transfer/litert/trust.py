"""Which files are known to come from this process: others are tried in a process that may die of them."""

import hashlib

_made: set[str] = set()


def vouch(content: bytes) -> bytes:
    """Remembers that this process made `content`, and returns it."""
    _made.add(hashlib.sha256(content).hexdigest())
    return content


def is_ours(content: bytes) -> bool:
    """Whether this process made `content`.

    >>> is_ours(b"from elsewhere"), is_ours(vouch(b"from here"))
    (False, True)
    """
    return hashlib.sha256(content).hexdigest() in _made
