"""One side of a data set: items that are read when they are wanted."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.labels import class_indices
from keras_transfer.data.parallel import ordered, without_autotune, workers
from keras_transfer.data.stored import Stored
from keras_transfer.errors import InputError
from keras_transfer.inputs import (
    Arrays,
    Augmenter,
    Indices,
    Inputs,
    InputSpec,
    Labels,
    Preparer,
    Strength,
    as_tuple,
    stacked,
)
from keras_transfer.progress import track

if TYPE_CHECKING:
    import tensorflow as tf

Tensors: TypeAlias = "tf.Tensor | tuple[tf.Tensor, ...]"


def stratified_order(labels: Labels, random: np.random.Generator) -> NDArray[np.int64]:
    """An order in which the first `count` hold every class in its share, for any `count`.

    Args:
        labels: int `[n]`, or 0/1 `[n, classes]` (the first that holds counts).
        random: by which it is drawn.

    Returns:
        The indices of `labels`, `int64 [n]`: each class's first come first.

    >>> sorted(stratified_order(np.array([0, 0, 0, 0, 1, 2]), np.random.default_rng(0))[:3].tolist())[1:]
    [4, 5]
    """
    shuffled = random.permutation(len(labels))
    strata = class_indices(labels[shuffled])
    # The k-th of a class's n items comes at (k + 1/2) / n of the way, but each class's first comes first.
    turn = np.zeros(len(labels))
    for label in np.unique(strata):
        own = np.flatnonzero(strata == label)
        turn[own] = (np.arange(len(own)) + 0.5) / len(own)
        turn[own[0]] = 0
    order: NDArray[np.int64] = shuffled[np.argsort(turn, kind="stable")]
    return order


class Paths(Sequence[Path]):
    """Paths of files, kept as text: `Path` objects take several times the memory, and there may be a hundred thousand.

    >>> Paths(["a/b.jpg", Path("c.jpg")])[-1].name
    'c.jpg'
    """

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self._files: list[str] = paths._files if isinstance(paths, Paths) else [os.fspath(path) for path in paths]

    @property
    def files(self) -> Sequence[str]:
        """The paths as text."""
        return self._files

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> Path: ...

    @overload
    def __getitem__(self, index: slice) -> "Paths": ...

    def __getitem__(self, index: int | slice) -> "Path | Paths":
        return Paths(self._files[index]) if isinstance(index, slice) else Path(self._files[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Paths) and self._files == other._files

    def take(self, indices: Iterable[int]) -> "Paths":
        """Those at `indices`, in this order."""
        return Paths(self._files[i] for i in indices)


@dataclass(frozen=True, eq=False)
class Split:
    """Items and their labels, in a fixed order; nothing is read before it is asked for.

    Attributes:
        name: `"train"`, `"val"` or `"test"`.
        paths: where the items lie.
        labels: `int32 [n]` class indices, or `float32 [n, classes]` of 0 and 1 where an item has several labels.
        hashes: SHA-256 of each item's content, in hexadecimal, from its examination.
        class_names: the classes, in the order of their indices.
        preparer: how an item becomes a model's inputs.
    """

    name: str
    paths: Paths
    labels: Labels
    hashes: list[str]
    class_names: list[str]
    preparer: Preparer
    # Keeps a temporary folder of spooled items alive for as long as anything may read from it.
    _owner: object = None
    # The split that this is a part of, and where its items stand in it: see `part`.
    whole: "tuple[Split, NDArray[np.int64]] | None" = None
    _stored: Stored | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self)} items, {len(self.class_names)} classes)"

    @property
    def multi_label(self) -> bool:
        """Whether an item may have several labels."""
        return self.labels.ndim == 2

    def prepared_by(self, preparer: Preparer) -> Self:
        """The same items, made into inputs by another preparer."""
        whole = self.whole and (self.whole[0].prepared_by(preparer), self.whole[1])
        return replace(self, preparer=preparer, whole=whole, _stored=None)

    def stored(self, inputs: Inputs) -> Self:
        """The same items, made into these inputs once and kept in the array cache; `close` it when done."""
        return replace(self, _stored=Stored(self, self.spec(inputs)))

    def close(self) -> None:
        """Closes what `stored` opened."""
        if self._stored is not None:
            self._stored.arrays.close()

    def common_shape(self) -> tuple[int, ...] | None:
        """The shape that suits these items, for a model that takes any; None where the modality knows of none."""
        return None

    def take(self, indices: Indices) -> Self:
        """The items at these indices, in this order."""
        where = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            paths=self.paths.take(where),
            labels=self.labels[where],
            hashes=[self.hashes[i] for i in where],
            whole=None,
            _stored=None,
        )

    def part(self, indices: Indices) -> Self:
        """As `take`; frozen features of it are looked up among those of the whole, so that many parts cost one pass."""
        return replace(self.take(indices), whole=(self, np.asarray(indices, dtype=np.int64)))

    def stratified(self, count: int, seed: int = 0) -> Self:
        """A random part in which every class has its share, such as for calibration.

        Items are drawn class by class, so that any `count` of at least the number of classes holds all of them.

        Args:
            count: how many items; all of them where there are fewer.
            seed: another seed, another choice.

        Returns:
            A split of `min(count, len(self))` items in random order.
        """
        if count < 1:
            raise InputError(f"`count` must be at least 1. Received: count={count}")
        random = np.random.default_rng(seed)
        return self.take(random.permutation(stratified_order(self.labels, random)[:count]))

    def augmenter(self, strength: Strength, items: int | None = None) -> Augmenter:
        """The augmentation of a strength for so many training items; this split's unless another number is given.

        Raises:
            InputError: an unknown strength.
        """
        classes = len(self.class_names)
        return self.preparer.augmenter(strength, (len(self) if items is None else items) / classes, classes)

    def spec(self, inputs: Inputs) -> InputSpec:
        """What items become for `inputs`; see `Preparer.spec`."""
        return inputs if isinstance(inputs, InputSpec) else self.preparer.spec(inputs)

    def read(self, index: int, inputs: Inputs) -> Arrays:
        """One item as a model's inputs, without the batch axis; refuses one that has changed since it was examined."""
        path = self.paths[index]
        try:
            content = self.preparer.load(str(path))
            if hashlib.sha256(content).hexdigest() != self.hashes[index]:
                raise InputError("the file was changed while it was in use")
            return self.preparer.prepare(content, self.spec(inputs))
        except InputError as error:
            raise InputError(f"{path}: {error}. Put it back, or start a new run.") from error

    def arrays(self, inputs: Inputs) -> Arrays:
        """All items as a model's inputs, made in parallel and with a progress bar.

        Args:
            inputs: an `InputSpec`, or what `Preparer.spec` takes.

        Returns:
            `[n, ...]` for each input, in the order of `paths`.

        Raises:
            InputError: an item vanished or changed since it was examined.
        """
        spec = self.spec(inputs)
        shapes = [(len(self), *(size or 0 for size in tensor.shape)) for tensor in spec.tensors]
        whole = tuple(np.empty(shape, tensor.dtype) for shape, tensor in zip(shapes, spec.tensors, strict=True))
        items = ordered(lambda i: self.read(i, spec), range(len(self)))
        for i, item in enumerate(track(items, f"Preparing {self.name}", total=len(self))):
            for array, values in zip(whole, as_tuple(item), strict=True):
                array[i] = values
        return whole if len(whole) > 1 else whole[0]

    def rows(self, indices: Indices) -> Arrays:
        """Some of the items of a split that is `stored`: `[len(indices), ...]` for each input.

        Raises:
            InputError: nothing is stored.
        """
        if self._stored is None:
            raise InputError("`rows` are of a split that is stored: call `split.stored(inputs)` first.")
        return self._stored.rows(indices)

    def batches(self, inputs: Inputs, batch_size: int) -> Iterator[tuple[Arrays, Labels]]:
        """Yields (inputs `[b, ...]`, labels) in order, reading ahead within bounds; the last batch may be smaller.

        Args:
            inputs: as for `arrays`.
            batch_size: items a batch.

        Raises:
            InputError: an item vanished or changed since it was examined.
        """
        if batch_size < 1:
            raise InputError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}")
        spec = self.spec(inputs)
        if self._stored is not None and self._stored.spec.holds_same(spec):
            yield from self._stored.batches(self.labels, batch_size)
            return
        waiting: list[Arrays] = []
        done = 0
        for item in ordered(lambda i: self.read(i, spec), range(len(self)), max(batch_size, 4 * workers())):
            waiting.append(item)
            if len(waiting) == batch_size or done + len(waiting) == len(self):
                yield stacked(waiting), self.labels[done : done + len(waiting)]
                done += len(waiting)
                waiting = []

    def dataset(
        self,
        inputs: Inputs,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int = 0,
        augment: "Callable[[Tensors, tf.Tensor, tf.Tensor], tuple[Tensors, tf.Tensor]] | None" = None,
    ) -> "tf.data.Dataset":
        """Batches for `model.fit`, `model.evaluate` and `model.predict`.

        Args:
            inputs: as for `arrays`.
            batch_size: items a batch.
            shuffle: another order every epoch, the same ones for the same seed.
            seed: of the order and of the augmentation.
            augment: an `Augmenter`, or any function of TensorFlow tensors `(inputs, labels, seed)`, inputs being as
                `batches` has them, that gives inputs and labels.

        Returns:
            A `tf.data.Dataset` of (inputs `[b, ...]`, labels) of known length, prefetched. Inputs are one tensor, or a
            tuple of several, in the item's own range: bytes and floats as `float32`, others in their own dtype.
        """
        import tensorflow as tf

        spec = self.spec(inputs)
        dtypes = [tensor.dtype for tensor in spec.tensors]

        def load(index: NDArray[np.int64]) -> list[NDArray[np.generic]]:
            return list(as_tuple(self.read(int(index), spec)))

        def item(index: "tf.Tensor") -> "tuple[Tensors, tf.Tensor]":
            values = tf.numpy_function(load, [index], dtypes, stateful=False)
            shaped = [tf.ensure_shape(each, tensor.shape) for each, tensor in zip(values, spec.tensors, strict=True)]
            return tuple(shaped) if len(shaped) > 1 else shaped[0], tf.gather(labels, index)

        def finish(values: "Tensors", targets: "tf.Tensor") -> "tuple[Tensors, tf.Tensor]":
            each = values if isinstance(values, tuple) else (values,)
            cast = [tf.cast(one, _network_dtype(dtype)) for one, dtype in zip(each, dtypes, strict=True)]
            return tuple(cast) if len(cast) > 1 else cast[0], targets

        labels = tf.constant(self.labels)
        indices = tf.data.Dataset.range(len(self))
        if shuffle and len(self):
            indices = indices.shuffle(len(self), seed=seed, reshuffle_each_iteration=True)
        batches = indices.map(item, num_parallel_calls=workers()).batch(batch_size)
        if augment is not None:
            seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
            batches = tf.data.Dataset.zip(batches, seeds).map(
                lambda batch, drawn: augment(batch[0], batch[1], tf.cast(drawn % 2**31, tf.int32))
            )
        return without_autotune(batches.map(finish).prefetch(2))


def _network_dtype(dtype: str) -> str:
    """In which a network gets values: bytes and floats as `float32`."""
    return "float32" if dtype == "uint8" or "float" in dtype else dtype
