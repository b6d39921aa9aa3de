"""Decoded photographs kept in the array cache, so that each is decoded once a run however often it is read."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from keras_transfer import cache
from keras_transfer.data.decode import Size, check_size
from keras_transfer.data.split import Split
from keras_transfer.geometry import Geometry
from keras_transfer.progress import track

_BLOCK = 64


def cached_pixels(split: Split, image_size: Size) -> cache.Arrays:
    """All images of `split`, decoded and resized, as one array `pixels` uint8 `[n, H, W, channels]` on disk.

    Args:
        split: the images.
        image_size: (height, width) or (height, width, channels).

    Returns:
        The open cache entry: close it when done.
    """
    shape = check_size(image_size)
    key = cache.cache_key(geometry=split.geometry.to_dict(), pixels=cache.digest(split.hashes), size=list(shape))
    found = cache.open_entry(key)
    if found is not None:
        return found
    about = {"kind": "pixels", "images": len(split), "size": list(shape)}
    with cache.new_entry(key, about) as writer:
        blocks = split.batches(shape, _BLOCK)
        for pixels, _ in track(blocks, f"Decoding {split.name}", total=-(-len(split) // _BLOCK)):
            writer.append("pixels", pixels)
    return cache.open_new(key)


class StoredSplit:
    """A `Split` whose images at one size are read from the cache; everything else is the split's own.

    Args:
        split: the images.
        image_size: the size that is kept: (height, width) or (height, width, channels).
    """

    def __init__(self, split: Split, image_size: Size) -> None:
        self._split, self._size = split, check_size(image_size)
        self._arrays = cached_pixels(split, self._size)
        self._read = cache.release_often(self._arrays, self._arrays["pixels"][:1].nbytes)

    def __len__(self) -> int:
        return len(self._split)

    @property
    def name(self) -> str:
        """The split's name."""
        return self._split.name

    @property
    def labels(self) -> np.ndarray:
        """See `Split.labels`."""
        return self._split.labels

    @property
    def class_names(self) -> Sequence[str]:
        """See `Split.class_names`."""
        return self._split.class_names

    @property
    def geometry(self) -> Geometry:
        """See `Split.geometry`."""
        return self._split.geometry

    def fitted(self, geometry: Geometry) -> Split:
        """The split with another geometry, of which nothing is kept."""
        return self._split.fitted(geometry)

    @property
    def paths(self) -> Sequence[Path]:
        """See `Split.paths`."""
        return self._split.paths

    @property
    def hashes(self) -> Sequence[str]:
        """See `Split.hashes`."""
        return self._split.hashes

    def batches(self, image_size: Size, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """As `Split.batches`, from the cache where the size is the one kept."""
        if check_size(image_size) != self._size:
            yield from self._split.batches(image_size, batch_size)
            return
        pixels = self._arrays["pixels"]
        for start in range(0, len(self), batch_size):
            yield np.asarray(pixels[start : start + batch_size]), self.labels[start : start + batch_size]
            self._read(batch_size)

    def pictures(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Some of the images, `uint8 [len(indices), H, W, channels]`."""
        found = np.stack([self._arrays["pixels"][i] for i in indices])
        self._read(len(found))
        return found

    def close(self) -> None:
        """Lets go of the cache entry."""
        self._arrays.close()
