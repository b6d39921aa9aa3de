"""One side of a data set: photographs that are read when they are wanted."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from keras_transfer.data.decode import Size, check_size, decode, read
from keras_transfer.data.parallel import ordered, without_autotune, workers
from keras_transfer.errors import InputError
from keras_transfer.geometry import LEGACY, Geometry
from keras_transfer.progress import say, track

if TYPE_CHECKING:
    import tensorflow as tf


def dealt(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """An order in which the first `count` hold every class in its share, for any `count`.

    Args:
        labels: int `[n]`, or 0/1 `[n, classes]` (the first that holds counts).
        random: by which it is drawn.

    Returns:
        The indices of `labels`, `int64 [n]`: each class's first come first.

    >>> sorted(dealt(np.array([0, 0, 0, 0, 1, 2]), np.random.default_rng(0))[:3].tolist())[1:]
    [4, 5]
    """
    shuffled = random.permutation(len(labels))
    strata = labels[shuffled].argmax(axis=1) if labels.ndim == 2 else labels[shuffled]
    # The k-th of a class's n photographs comes at (k + 1/2) / n of the way, but each class's first comes first.
    turn = np.zeros(len(labels))
    for label in np.unique(strata):
        own = np.flatnonzero(strata == label)
        turn[own] = (np.arange(len(own)) + 0.5) / len(own)
        turn[own[0]] = 0
    order: np.ndarray = shuffled[np.argsort(turn, kind="stable")]
    return order


_LOOKED_AT, _LARGEST = 50, 512  # pictures that tell of the size of all, and its longest side


def common_size(split: Any) -> tuple[int, int] | None:
    """The size of the pictures of a split, for a model that takes any; None where they differ or are photographs.

    Args:
        split: a `Split`, of which pictures from all over are looked at; or anything without `paths`.

    Returns:
        `(height, width)` of 512 pixels at most.
    """
    paths = getattr(split, "paths", ())
    found: set[tuple[int, int]] = set()
    for i in np.unique(np.linspace(0, len(paths) - 1, min(_LOOKED_AT, len(paths))).astype(int)):
        height, width = decode(read(paths[int(i)])).pixels.shape[:2]
        found.add((height, width))
        if len(found) > 1 or max(height, width) > _LARGEST:
            return None
    if not found:
        return None
    [(height, width)] = found
    say(f"Note: the model takes any size, and gets that of the pictures: {height} x {width}.")
    return height, width


class Paths(Sequence[Path]):
    """Paths of files, kept as text: `Path` objects take several times the memory, and there may be a hundred thousand.

    >>> Paths(["a/b.jpg", Path("c.jpg")])[-1].name
    'c.jpg'
    """

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self._files: list[str] = paths._files if isinstance(paths, Paths) else [os.fspath(path) for path in paths]

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
    """Photographs and their labels, in a fixed order; nothing is decoded before it is asked for.

    Attributes:
        name: `"train"`, `"val"` or `"test"`.
        paths: the files.
        labels: `int32 [n]` class indices, or `float32 [n, classes]` of 0 and 1 where a picture has several labels.
        hashes: SHA-256 of each file, in hexadecimal, as found when it was examined.
        class_names: the classes, in the order of their indices.
        geometry: how photographs are fitted to the size that is asked for.
    """

    name: str
    paths: Paths
    labels: np.ndarray
    hashes: list[str]
    class_names: list[str]
    geometry: Geometry = LEGACY
    # Keeps a temporary folder of spooled pictures alive for as long as anything may read from it.
    _owner: Any = None
    # The split that this is a part of, and where its photographs stand in it: see `part`.
    whole: "tuple[Split, np.ndarray] | None" = None

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"Split({self.name!r}, {len(self)} photographs, {len(self.class_names)} classes)"

    @property
    def multi_label(self) -> bool:
        """Whether a photograph may have several labels."""
        return self.labels.ndim == 2

    def fitted(self, geometry: Geometry) -> "Split":
        """The same photographs, decoded with this geometry."""
        whole = self.whole and (self.whole[0].fitted(geometry), self.whole[1])
        return replace(self, geometry=geometry, whole=whole)

    def take(self, indices: Sequence[int] | np.ndarray) -> "Split":
        """The photographs at these indices, in this order."""
        where = np.asarray(indices, dtype=np.int64)
        return Split(
            self.name,
            self.paths.take(where),
            self.labels[where],
            [self.hashes[i] for i in where],
            self.class_names,
            self.geometry,
            self._owner,
        )

    def part(self, indices: Sequence[int] | np.ndarray) -> "Split":
        """As `take`; frozen features of it are looked up among those of the whole, so that many parts cost one pass."""
        return replace(self.take(indices), whole=(self, np.asarray(indices, dtype=np.int64)))

    def stratified(self, count: int, seed: int = 0) -> "Split":
        """A random part in which every class has its share, such as for calibration.

        Photographs are dealt class by class, so that any `count` of at least the number of classes holds all of them.

        Args:
            count: how many photographs; all of them where there are fewer.
            seed: another seed, another choice.

        Returns:
            A split of `min(count, len(self))` photographs in random order.
        """
        if count < 1:
            raise InputError(f"`count` must be at least 1. Received: count={count}")
        random = np.random.default_rng(seed)
        return self.take(random.permutation(dealt(self.labels, random)[:count]))

    def read(self, index: int, image_size: Size) -> np.ndarray:
        """Decodes one photograph to `uint8 [H, W, channels]`; refuses one that is no longer what was examined."""
        path = self.paths[index]
        try:
            content = read(path)
            if hashlib.sha256(content).hexdigest() != self.hashes[index]:
                raise InputError("the file was changed while it was in use")
            return decode(content, image_size, self.geometry).pixels
        except InputError as error:
            raise InputError(f"{path}: {error}. Put it back, or start a new run.") from error

    def pixels(self, image_size: Size) -> np.ndarray:
        """Decodes all photographs, in parallel and with a progress bar.

        Args:
            image_size: `(height, width)`, or one number for a square; `(height, width, 1)` for one channel.

        Returns:
            `uint8 [n, H, W, channels]` in 0..255, RGB or one channel (see `luma`), in the order of `paths`.

        Raises:
            InputError: a file vanished or changed since it was examined.
        """
        result = np.empty((len(self), *check_size(image_size)), np.uint8)
        decoded = ordered(lambda i: self.read(i, image_size), range(len(self)))
        for i, picture in enumerate(track(decoded, f"Decoding {self.name}", total=len(self))):
            result[i] = picture
        return result

    def batches(self, image_size: Size, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (`uint8 [b, H, W, channels]`, labels) in order, decoding ahead within bounds; the last may be smaller.

        Args:
            image_size: as for `pixels`.
            batch_size: photographs a batch.

        Raises:
            InputError: a file vanished or changed since it was examined.
        """
        if batch_size < 1:
            raise InputError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}")
        check_size(image_size)
        waiting: list[np.ndarray] = []
        done = 0
        for picture in ordered(lambda i: self.read(i, image_size), range(len(self)), max(batch_size, 4 * workers())):
            waiting.append(picture)
            if len(waiting) == batch_size or done + len(waiting) == len(self):
                yield np.stack(waiting), self.labels[done : done + len(waiting)]
                done += len(waiting)
                waiting = []

    def dataset(
        self,
        image_size: Size,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int = 0,
        augment: Callable[[Any, Any, Any], tuple[Any, Any]] | None = None,
    ) -> "tf.data.Dataset":
        """Batches for `model.fit`, `model.evaluate` and `model.predict`.

        Args:
            image_size: as for `pixels`.
            batch_size: photographs a batch.
            shuffle: another order every epoch, the same ones for the same seed.
            seed: of the order and of the augmentation.
            augment: an `Augmenter`, or any function of TensorFlow tensors `(images, labels, seed)`, images being `uint8
                [b, H, W, channels]`, that gives images and labels.

        Returns:
            A `tf.data.Dataset` of (`float32 [b, H, W, channels]` in 0..255, labels) of known length, prefetched.
        """
        import tensorflow as tf

        shape = check_size(image_size)

        def load(index: np.ndarray) -> np.ndarray:
            return self.read(int(index), shape)

        def picture(index: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
            pixels = tf.numpy_function(load, [index], tf.uint8, stateful=False)
            return tf.ensure_shape(pixels, shape), tf.gather(labels, index)

        labels = tf.constant(self.labels)
        indices = tf.data.Dataset.range(len(self))
        if shuffle and len(self):
            indices = indices.shuffle(len(self), seed=seed, reshuffle_each_iteration=True)
        batches = indices.map(picture, num_parallel_calls=workers()).batch(batch_size)
        if augment is not None:
            seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
            batches = tf.data.Dataset.zip(batches, seeds).map(
                lambda batch, drawn: augment(batch[0], batch[1], tf.cast(drawn % 2**31, tf.int32))
            )
        return without_autotune(batches.map(lambda images, y: (tf.cast(images, tf.float32), y)).prefetch(2))
