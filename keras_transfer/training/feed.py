"""What a phase trains on: rows of arrays on disk, in an order that depends on nothing but seed and epoch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_transfer.cache import Arrays, release_often
from keras_transfer.data.parallel import without_autotune
from keras_transfer.training.features import stable_seed


@dataclass(frozen=True)
class Samples:
    """The images of one split as a phase's inputs.

    Args:
        arrays: the open cache entry that holds them.
        name: which of its arrays; `[images * views, ...]`, the views of an image side by side.
        labels: float32 `[images, classes]`, or `[images * views, classes]` where views are mixed.
        views: views an image.
        weights: float32 `[images]` sample weights, or None.
        transform: `(inputs, labels, seed) -> (inputs, labels)` applied to each training batch, or None.
    """

    arrays: Arrays
    name: str
    labels: np.ndarray
    views: int = 1
    weights: np.ndarray | None = None
    transform: Callable[..., tuple[Any, Any]] | None = None

    def __len__(self) -> int:
        return len(self.arrays[self.name]) // self.views

    def steps(self, batch_size: int) -> int:
        """Batches an epoch."""
        return -(-len(self) // batch_size)

    def _batch(self, images: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, ...]:
        rows = images * self.views + views
        per_view = len(self.labels) != len(self)
        weights = np.ones(len(images), np.float32) if self.weights is None else self.weights[images]
        return self.arrays[self.name][rows], self.labels[rows if per_view else images], weights

    def _views(self, seed: int, epoch: int) -> np.ndarray:
        """The view of each image in an epoch: all of them in turn, in an order of its own, before any again."""
        turn, step = divmod(epoch, self.views)
        every = np.tile(np.arange(self.views), (len(self), 1))
        return np.random.default_rng([seed, turn, self.views]).permuted(every, axis=1)[:, step]

    def epochs(self, batch_size: int, seed: int, first_epoch: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Batches of epoch after epoch without end: each with its own order, and of each image another view."""
        read = release_often(self.arrays, self.arrays[self.name][:1].nbytes)
        epoch = first_epoch
        while True:
            chance = np.random.default_rng([seed, epoch])
            order = chance.permutation(len(self))
            views = self._views(seed, epoch)
            for start in range(0, len(self), batch_size):
                images = order[start : start + batch_size]
                inputs, labels, weights = self._batch(images, views[images])
                if self.transform is not None:
                    inputs, labels = self.transform(inputs, labels, seed=stable_seed(seed, epoch, start))
                yield np.asarray(inputs, np.float32), np.asarray(labels, np.float32), weights
                read(len(images))
            epoch += 1

    def in_order(self, batch_size: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Batches of the first view of each image, once, in order."""
        read = release_often(self.arrays, self.arrays[self.name][:1].nbytes)
        for start in range(0, len(self), batch_size):
            images = np.arange(start, min(start + batch_size, len(self)))
            inputs, labels, weights = self._batch(images, np.zeros_like(images))
            yield np.asarray(inputs, np.float32), labels, weights
            read(len(images))


def as_dataset(
    batches: Callable[[], Iterator[tuple[np.ndarray, ...]]], samples: Samples, steps: int | None = None
) -> Any:
    """A prefetched `tf.data.Dataset` of (inputs, labels, weights) over `batches`."""
    import tensorflow as tf

    shapes = [(None, *samples.arrays[samples.name].shape[1:]), (None, samples.labels.shape[1]), (None,)]
    dataset = tf.data.Dataset.from_generator(
        batches, output_signature=tuple(tf.TensorSpec(shape, tf.float32) for shape in shapes)
    )
    if steps is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    return without_autotune(dataset.prefetch(2))
