"""What a phase trains on: rows of arrays on disk, in an order that depends on seed and epoch alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_transfer.cache import Arrays as CacheEntry
from keras_transfer.cache import release_often
from keras_transfer.data.parallel import without_autotune
from keras_transfer.inputs import Array, Arrays, as_tuple, rounded_length

if TYPE_CHECKING:
    import tensorflow as tf

_SORTED = 32  # batches that items are sorted in by length

Batch: TypeAlias = tuple[Arrays, NDArray[np.float32], NDArray[np.float32]]
"""The inputs of some items, their targets and their sample weights."""
ReadBatch: TypeAlias = Callable[[int], Batch]
"""From the number of a step to its batch."""


class Transform(Protocol):
    """What changes each training batch, such as a `keras_transfer.inputs.Augmenter`."""

    def __call__(self, arrays: Arrays, labels: Array, /, seed: int) -> tuple[Arrays, Array]:
        """Other inputs and targets, the same for the same seed."""
        ...


def stable_seed(*parts: int) -> int:
    """One seed below 2**31 from several numbers, the same on every machine.

    >>> stable_seed(0, 1, 2) == stable_seed(0, 1, 2) != stable_seed(0, 2, 1)
    True
    """
    return int(np.random.SeedSequence(parts).generate_state(1)[0]) & 0x7FFFFFFF


def fed_dtype(dtype: str) -> str:
    """The dtype in which values are given to a network's input: floats as `float32`, which Keras casts.

    >>> fed_dtype("float16"), fed_dtype("int32")
    ('float32', 'int32')
    """
    return "float32" if "float" in dtype else dtype


def of_like_length(items: Array, lengths: Array, batch_size: int, random: np.random.Generator) -> Array:
    """Shuffled items in an order whose batches hold items of like length, the batches themselves shuffled.

    Only within some tens of batches are items sorted, so that batches differ from epoch to epoch.

    Args:
        items: `[n]`.
        lengths: of each, `[n]`.
        batch_size: items a batch; the last batch, if smaller, stays the last.
        random: by which batches are shuffled.

    >>> of_like_length(np.arange(4), np.array([9, 1, 8, 2]), 2, np.random.default_rng(0)).reshape(2, 2).tolist()
    [[1, 3], [2, 0]]
    """
    whole = len(items) - len(items) % batch_size
    ordered = [
        start + np.argsort(lengths[start : min(whole, start + _SORTED * batch_size)], kind="stable")
        for start in range(0, whole, _SORTED * batch_size)
    ]
    if not ordered:
        return items
    batches = np.concatenate(ordered).reshape(-1, batch_size)
    chosen: Array = items[np.concatenate([random.permutation(batches).ravel(), np.arange(whole, len(items))])]
    return chosen


@dataclass(frozen=True)
class Samples:
    """The items of one split as a phase's inputs.

    Args:
        arrays: the open cache entry that holds them.
        names: its arrays, one for each input of the network: `[n_items * views, ...]`, the views of an item in
            successive rows.
        labels: targets, float32 `[n_items, outputs]`, or `[n_items * views, outputs]` where views are mixed.
        views: views of each item.
        weights: sample weights, float32 `[n_items]`, or None.
        transform: changes each training batch; None for nothing.
        dtypes: of the network's inputs; `float32` unless stated.
        lengths: how long each row is, int `[n_items * views]`, where rows are filled up with padding. Then batches are
            of rows of like length, and cut to the longest.
        open_ended: for each input whether its rows are so long, and can be cut; none of them by default.
        groups: of the items, int `[n_items]`, those of one group being alike; None where that is not known.
    """

    arrays: CacheEntry
    names: tuple[str, ...]
    labels: NDArray[np.float32]
    views: int = 1
    weights: NDArray[np.float32] | None = None
    transform: Transform | None = None
    dtypes: Sequence[str] = ()
    lengths: NDArray[np.int64] | None = None
    open_ended: Sequence[bool] = ()
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.arrays[self.names[0]]) // self.views

    def steps(self, batch_size: int) -> int:
        """Batches in an epoch."""
        return -(-len(self) // batch_size)

    @property
    def fed(self) -> list[str]:
        """The dtype of each input."""
        return [fed_dtype(dtype) for dtype in self.dtypes or ["float32"] * len(self.names)]

    def _batch(self, items: Array, views: Array) -> tuple[Arrays, Array, NDArray[np.float32]]:
        rows = items * self.views + views
        per_view = len(self.labels) != len(self)
        weights = np.ones(len(items), np.float32) if self.weights is None else self.weights[items]
        inputs = tuple(self.arrays[name][rows] for name in self.names)
        if self.lengths is not None:
            whole = next(values.shape[1] for values, cut in zip(inputs, self.open_ended, strict=True) if cut)
            end = rounded_length(self.lengths[rows], whole)
            inputs = tuple(v[:, :end] if cut else v for v, cut in zip(inputs, self.open_ended, strict=True))
        return inputs if len(inputs) > 1 else inputs[0], self.labels[rows if per_view else items], weights

    def _as_fed(self, inputs: Arrays) -> Arrays:
        cast = tuple(np.asarray(values, dtype) for values, dtype in zip(as_tuple(inputs), self.fed, strict=True))
        return cast if len(cast) > 1 else cast[0]

    def _views(self, seed: int, epoch: int) -> Array:
        """The view of each item in an epoch: all of them in turn, in an order of its own, before any again."""
        turn, step = divmod(epoch, self.views)
        every = np.tile(np.arange(self.views), (len(self), 1))
        return np.random.default_rng([seed, turn, self.views]).permuted(every, axis=1)[:, step]

    def _reader(self) -> Callable[[int], None]:
        return release_often(self.arrays, sum(self.arrays[name][:1].nbytes for name in self.names))

    def drawn(self, batch_size: int, seed: int, first_epoch: int) -> ReadBatch:
        """A function from a step to its batch, epoch after epoch: each in an order of its own, with other views."""
        note_read = self._reader()
        steps = self.steps(batch_size)

        @lru_cache(maxsize=2)
        def order(epoch: int) -> tuple[Array, Array]:
            random, views = np.random.default_rng([seed, epoch]), self._views(seed, epoch)
            items = random.permutation(len(self))
            if self.lengths is not None:
                items = of_like_length(items, self.lengths[items * self.views + views[items]], batch_size, random)
            return items, views

        def batch(step: int) -> Batch:
            epoch, start = first_epoch + step // steps, step % steps * batch_size
            items, views = order(epoch)
            items = items[start : start + batch_size]
            inputs, labels, weights = self._batch(items, views[items])
            if self.transform is not None:
                inputs, labels = self.transform(inputs, labels, seed=stable_seed(seed, epoch, start))
            note_read(len(items))
            return self._as_fed(inputs), np.asarray(labels, np.float32), weights

        return batch

    def in_order(self, batch_size: int) -> ReadBatch:
        """A function from a step to its batch: the first view of each item, once, in order."""
        note_read = self._reader()

        def batch(step: int) -> Batch:
            items = np.arange(step * batch_size, min((step + 1) * batch_size, len(self)))
            inputs, labels, weights = self._batch(items, np.zeros_like(items))
            note_read(len(items))
            return self._as_fed(inputs), labels, weights

        return batch


def as_dataset(batch: ReadBatch, samples: Samples, steps: int | None = None) -> "tf.data.Dataset":
    """A prefetched `tf.data.Dataset` of (inputs, targets, weights) of each step in turn.

    It is no `from_generator`: from its first use on glibc gives every large block of memory back at once, in the whole
    process (TensorFlow 2.21), and a training step spends its time on getting them anew.

    Args:
        batch: from `samples.drawn` or `samples.in_order`.
        samples: what it reads.
        steps: how many steps; None for no end.

    Returns:
        The dataset; its inputs are one tensor, or a tuple in the order of `samples.names`.
    """
    import tensorflow as tf

    cuts = samples.open_ended or [False] * len(samples.names)
    arrays = [samples.arrays[name] for name in samples.names]
    shapes: list[tuple[int | None, ...]] = [
        (None, *((None, *array.shape[2:]) if cut else array.shape[1:])) for array, cut in zip(arrays, cuts, strict=True)
    ]
    shapes += [(None, samples.labels.shape[1]), (None,)]

    def flat(step: Array) -> list[Array]:
        inputs, labels, weights = batch(int(step))
        return [*as_tuple(inputs), labels, weights]

    def read(step: "tf.Tensor") -> tuple["tf.Tensor | tuple[tf.Tensor, ...]", "tf.Tensor", "tf.Tensor"]:
        tensors = tf.numpy_function(flat, [step], [*samples.fed, tf.float32, tf.float32])
        *inputs, labels, weights = (tf.ensure_shape(t, shape) for t, shape in zip(tensors, shapes, strict=True))
        return tuple(inputs) if len(inputs) > 1 else inputs[0], labels, weights

    indices = tf.data.Dataset.counter() if steps is None else tf.data.Dataset.range(steps)
    return without_autotune(indices.map(read).prefetch(2))
