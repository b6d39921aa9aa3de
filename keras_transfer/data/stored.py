"""Items kept in the array cache as a model's inputs, so that each is prepared once a run however often it is read."""

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from keras_transfer import cache
from keras_transfer.inputs import Array, Arrays, Indices, Inputs, InputSpec, Labels, as_tuple
from keras_transfer.progress import track

_BLOCK = 64


class Items(Protocol):
    """What can be stored: the part of a `Split` by which its items become inputs."""

    @property
    def name(self) -> str: ...
    @property
    def hashes(self) -> Sequence[str]: ...
    def __len__(self) -> int: ...
    def spec(self, inputs: Inputs, /) -> InputSpec: ...
    def batches(self, inputs: Inputs, batch_size: int, /) -> Iterator[tuple[Arrays, Labels]]: ...


def input_names(spec: InputSpec) -> list[str]:
    """The names of the arrays in an entry of `cached_inputs`, one for each input."""
    return [f"input_{number}" for number in range(len(spec.tensors))]


def item_bytes(spec: InputSpec) -> int:
    """Bytes that one item takes as inputs."""
    return sum(math.prod(size or 1 for size in t.shape) * np.dtype(t.dtype).itemsize for t in spec.tensors)


def cached_inputs(split: Items, inputs: Inputs) -> cache.Arrays:
    """All items of `split` as inputs, one array `[n, ...]` for each (see `input_names`), on disk.

    Args:
        split: the items.
        inputs: what they become.

    Returns:
        The open cache entry: close it when done.
    """
    spec = split.spec(inputs)
    shapes = [[*tensor.shape] for tensor in spec.tensors]
    key = cache.cache_key(preparation=dict(spec.preparation), inputs=cache.digest(split.hashes), shapes=shapes)
    entry = cache.open_entry(key)
    if entry is not None:
        return entry
    about = {"kind": "inputs", "items": len(split), "shapes": shapes}
    with cache.new_entry(key, about) as writer:
        blocks = split.batches(spec, _BLOCK)
        for arrays, _ in track(blocks, f"Decoding {split.name}", total=-(-len(split) // _BLOCK)):
            for name, values in zip(input_names(spec), as_tuple(arrays), strict=True):
                writer.append(name, values)
    return cache.open_new(key)


class Stored:
    """What a split keeps on disk: its items as the inputs of one spec.

    Args:
        split: the items.
        spec: what they become.
    """

    def __init__(self, split: Items, spec: InputSpec) -> None:
        self.spec = spec
        self.arrays = cached_inputs(split, spec)
        self._values = [self.arrays[name] for name in input_names(spec)]
        self._read = cache.release_often(self.arrays, item_bytes(spec))

    def batches(self, labels: Labels, batch_size: int) -> Iterator[tuple[Arrays, Labels]]:
        """As `Split.batches`."""
        for start in range(0, len(labels), batch_size):
            part = [np.asarray(values[start : start + batch_size]) for values in self._values]
            yield _one_or_all(part), labels[start : start + batch_size]
            self._read(batch_size)

    def rows(self, indices: Indices) -> Arrays:
        """Some of the items, `[len(indices), ...]` for each input."""
        chosen = [np.stack([values[i] for i in indices]) for values in self._values]
        self._read(len(indices))
        return _one_or_all(chosen)


def _one_or_all(arrays: list[Array]) -> Arrays:
    return arrays[0] if len(arrays) == 1 else tuple(arrays)
