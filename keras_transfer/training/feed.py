"""What a phase trains on: rows of arrays on disk, in an order that depends on nothing but seed and epoch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
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

    def drawn(self, batch_size: int, seed: int, first_epoch: int) -> Callable[[int], tuple[np.ndarray, ...]]:
        """A function from a step to its batch, epoch after epoch: each in an order of its own, with other views."""
        read = release_often(self.arrays, self.arrays[self.name][:1].nbytes)
        steps = self.steps(batch_size)

        @lru_cache(maxsize=2)
        def order(epoch: int) -> tuple[np.ndarray, np.ndarray]:
            return np.random.default_rng([seed, epoch]).permutation(len(self)), self._views(seed, epoch)

        def batch(step: int) -> tuple[np.ndarray, ...]:
            epoch, start = first_epoch + step // steps, step % steps * batch_size
            images, views = order(epoch)
            images = images[start : start + batch_size]
            inputs, labels, weights = self._batch(images, views[images])
            if self.transform is not None:
                inputs, labels = self.transform(inputs, labels, seed=stable_seed(seed, epoch, start))
            read(len(images))
            return np.asarray(inputs, np.float32), np.asarray(labels, np.float32), weights

        return batch

    def in_order(self, batch_size: int) -> Callable[[int], tuple[np.ndarray, ...]]:
        """A function from a step to its batch: the first view of each image, once, in order."""
        read = release_often(self.arrays, self.arrays[self.name][:1].nbytes)

        def batch(step: int) -> tuple[np.ndarray, ...]:
            images = np.arange(step * batch_size, min((step + 1) * batch_size, len(self)))
            inputs, labels, weights = self._batch(images, np.zeros_like(images))
            read(len(images))
            return np.asarray(inputs, np.float32), labels, weights

        return batch


def as_dataset(batch: Callable[[int], tuple[np.ndarray, ...]], samples: Samples, steps: int | None = None) -> Any:
    """A prefetched `tf.data.Dataset` of (inputs, labels, weights): of each step in turn, without end unless told.

    It is no `from_generator`: from its first use on glibc gives every large block of memory back at once, in the whole
    process (TensorFlow 2.21), and a training step spends its time on taking them anew.
    """
    import tensorflow as tf

    shapes = [(None, *samples.arrays[samples.name].shape[1:]), (None, samples.labels.shape[1]), (None,)]

    def read(step: Any) -> tuple[Any, ...]:
        drawn = tf.numpy_function(lambda index: batch(int(index)), [step], [tf.float32] * 3)
        return tuple(tf.ensure_shape(tensor, shape) for tensor, shape in zip(drawn, shapes, strict=True))

    indices = tf.data.Dataset.counter() if steps is None else tf.data.Dataset.range(steps)
    return without_autotune(indices.map(read).prefetch(2))
