"""Near-duplicates among texts: those that share most of their pairs of words."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

ALIKE = 0.7
"""Texts are near-duplicates from this Jaccard similarity on: the share of their pairs of words that both hold.

So one of eleven words may be another. Groups of three words would let a typing error hide a copy; at a lower
similarity, sentences of one pattern ("What is the weather in Paris?") would be copies of each other.
"""
_WORD = re.compile("https?://\\S+|[\u3040-\u9fff\uac00-\ud7af]|\\w+")  # a sign each where writing has no spaces
_BANDS, _ROWS = 16, 4  # finds 0.99 of all texts with a similarity of 0.7, and 0.9999 of those with 0.8
_TEXTS, _HASHES = 1 << 14, 1 << 22  # that are worked on at a time
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5], np.uint64)  # odd
_HALF = np.uint64(32)


def near_duplicates(texts: Iterable[bytes]) -> list[list[int]]:
    """Groups texts that are nearly the same, whatever their case and punctuation.

    Candidates are texts of which four minima of random hash functions agree (MinHash with locality-sensitive
    hashing: Broder, "On the resemblance and containment of documents", 1997); then their sets are compared.

    Args:
        texts: in UTF-8.

    Returns:
        The places of texts that go together, two or more in each group.

    >>> near_duplicates([b"A fine phone, I like it.", b"a fine phone; I like it", b"Broke after two days."])
    [[0, 1]]
    """
    sets = _Sets(texts)
    random = np.random.default_rng(0)
    pairs = np.zeros((0, 2), np.int64)
    for _ in range(_BANDS):
        candidates = _candidates(sets.minima(random))
        pairs = np.unique(np.concatenate([pairs, candidates[sets.similarity(candidates) >= ALIKE]]), axis=0)
    count = len(sets)
    graph = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (count, count))
    labels = connected_components(graph, directed=False)[1]
    groups: dict[int, list[int]] = {}
    for i in np.unique(pairs).tolist():
        groups.setdefault(int(labels[i]), []).append(i)
    return list(groups.values())


class _Sets:
    """For each text the set of its pairs of words, as hashes: one behind the other, sorted."""

    def __init__(self, texts: Iterable[bytes]) -> None:
        parts, counts = [np.zeros(0, np.uint32)], [np.zeros(1, np.int64)]
        remaining = iter(texts)
        while chunk := list(islice(remaining, _TEXTS)):
            keys = np.unique(_keys([_words(text) for text in chunk]))
            parts.append(keys.astype(np.uint32))  # which leaves the text's number out
            counts.append(np.bincount((keys >> _HALF).astype(np.int64), minlength=len(chunk)))
        self.hashes: NDArray[np.uint32] = np.concatenate(parts)
        self.starts: NDArray[np.int64] = np.cumsum(np.concatenate(counts))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def minima(self, random: np.random.Generator) -> NDArray[np.uint64]:
        """What the minima of some random hash functions over each set come to: `[n]`, equal where all are."""
        factors, terms = random.integers(0, 1 << 63, (2, _ROWS), np.uint64) * np.uint64(2) + np.uint64(1)
        keys = np.zeros(len(self), np.uint64)
        for low in range(0, len(self), _TEXTS):
            starts = self.starts[low : low + _TEXTS + 1]
            hashes = self.hashes[starts[0] : starts[-1]].astype(np.uint64)
            for factor, term, mix in zip(factors, terms, _MIX, strict=True):
                least = np.minimum.reduceat((hashes * factor + term) >> _HALF, starts[:-1] - starts[0])
                keys[low : low + _TEXTS] += (least + np.uint64(1)) * mix
        return keys

    def similarity(self, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        """The Jaccard similarity of the texts of each pair, `[pairs]`."""
        sizes = np.diff(self.starts)[pairs].sum(axis=1)
        shared = [np.zeros(0, np.int64)]
        for part in _parts(sizes):
            own = pairs[part].ravel()
            counts = np.diff(self.starts)[own]
            ends = np.cumsum(counts)
            where = np.arange(ends[-1]) + np.repeat(self.starts[own] - ends + counts, counts)
            number = np.repeat(np.arange(len(own)) // 2, counts).astype(np.uint64)
            keys = np.sort((number << _HALF) | self.hashes[where])
            twice = keys[1:][keys[1:] == keys[:-1]]
            shared.append(np.bincount((twice >> _HALF).astype(np.int64), minlength=len(own) // 2))
        both = np.concatenate(shared)
        return np.asarray(both / (sizes - both))


def _words(text: bytes) -> list[int]:
    """Hashes of a text's words, and of its two ends."""
    words = _WORD.findall(text.decode(errors="replace").casefold())
    return [1, *([crc32(word.encode()) for word in words] or [crc32(text)]), 2]


def _keys(texts: list[list[int]]) -> NDArray[np.uint64]:
    """The number of each text above a hash of each of its pairs of words."""
    counts = np.array([len(words) for words in texts])
    words = np.fromiter(chain.from_iterable(texts), np.uint64, counts.sum())
    number = np.repeat(np.arange(len(texts), dtype=np.uint64), counts)
    hashes = (words[:-1] * _MIX[0] + words[1:] * _MIX[1]) >> _HALF
    whole = number[:-1] == number[1:]
    return np.asarray((number[:-1][whole] << _HALF) | hashes[whole])


def _candidates(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The first of all items of a key with each of the others, `[pairs, 2]`."""
    order = np.argsort(keys, kind="stable")
    first = np.ones(len(keys), bool)
    first[1:] = keys[order][1:] != keys[order][:-1]
    leaders = order[np.maximum.accumulate(np.where(first, np.arange(len(keys)), 0))]
    return np.stack([leaders[~first], order[~first]], axis=1)


def _parts(sizes: NDArray[np.int64]) -> Iterator[slice]:
    """Slices whose sizes add up to some `_HASHES`, or which hold one."""
    ends, start = np.cumsum(sizes), 0
    while start < len(sizes):
        end = int(np.searchsorted(ends, (ends[start - 1] if start else 0) + _HASHES))
        yield slice(start, max(end, start + 1))
        start = max(end, start + 1)
