"""Series that share a stretch of the same samples, as overlapping windows of one recording do."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.splits import merge
from keras_transfer.modalities.series.items import Values

BLOCK = 12
"""Samples of all channels that must be the same, bit for bit."""
_SHARED = 8  # other series in which a block stands, from which on it says nothing: an idle sensor's value, say


def overlapping(count: int, read: Callable[[int], Values]) -> list[list[int]]:
    """Groups series of which one begins with samples that stand in another.

    Args:
        count: how many there are.
        read: the samples `[time, channels]` of each.

    >>> wave = np.random.default_rng(0).normal(size=(90, 1)).astype(np.float32)
    >>> overlapping(3, lambda i: wave[30 * i : 30 * i + 45] if i < 2 else -wave)
    [[0, 1], [2]]
    """
    heads = np.zeros(count, np.uint64)
    for i in range(count):
        block = read(i)[:BLOCK]
        if len(block) == BLOCK and 2 * len(np.unique(block, axis=0)) >= BLOCK:  # no idle sensor, no switch
            (heads[i],) = _hashes(block)
    known = np.unique(heads[heads != 0])
    owners: dict[int, list[int]] = {}
    for i, head in enumerate(heads.tolist()):
        if head:
            owners.setdefault(head, []).append(i)
    pairs = []
    for i in range(count if len(known) else 0):
        values = read(i)
        if len(values) >= BLOCK:
            hashes = _hashes(values)
            places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
            for head in np.unique(hashes[known[places] == hashes]).tolist():
                pairs += [(i, other) for other in owners[head] if other != i and len(owners[head]) <= _SHARED]
    return merge([[i] for i in range(count)] + [list(pair) for pair in pairs], [""] * count)


def _hashes(values: Values) -> NDArray[np.uint64]:
    """A number for each block of samples, from its first one on."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    odd = np.uint64(0x9E3779B97F4A7C15)
    rows = np.zeros(len(bits), np.uint64)
    for column in bits.T:
        rows = (rows ^ column) * odd
        rows ^= rows >> np.uint64(29)
    blocks = np.zeros(len(rows) - BLOCK + 1, np.uint64)
    for place in range(BLOCK):
        blocks = blocks * odd + rows[place : len(rows) - BLOCK + 1 + place]
    return np.asarray(blocks | np.uint64(1))
