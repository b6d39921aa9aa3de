"""Pictures that are not files (arrays, `tf.data`, TensorFlow Datasets) become files, losslessly, in a temporary folder.

Everything downstream then works on files: one way to hash, check, split and decode.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from keras_transfer.data.listing import Listing
from keras_transfer.data.parallel import ordered
from keras_transfer.data.spooled import TemporaryFolder, dataset_items, spooled_listing, stacked_labels, tfds_items
from keras_transfer.errors import InputError
from keras_transfer.inputs import Array
from keras_transfer.modalities.image.decode import EXTENSIONS, Pixels, sniff
from keras_transfer.progress import track

if TYPE_CHECKING:
    import tensorflow as tf

_SUFFIX = {
    "JPEG": ".jpg",
    **{format_: suffix for suffix, format_ in EXTENSIONS.items() if len(suffix) > 3 and format_ != "JPEG"},
}


def from_arrays(images: Sequence[ArrayLike] | Array, labels: Sequence[ArrayLike] | Array) -> Listing:
    """Spools `[n, H, W, 3]`, `[n, H, W, 1]` or `[n, H, W]` images, or a list of images of different sizes."""
    try:
        count, label_count = len(images), len(labels)
    except TypeError as error:
        raise InputError(f"Images and labels must be arrays. Received: {type(images).__name__}") from error
    if count != label_count:
        raise InputError(f"There must be a label for each image. Received: {count} images and {label_count} labels")
    shape = getattr(images, "shape", None)
    if shape is not None and len(shape) not in (3, 4):
        raise InputError(f"Images must be [n, H, W, 3], [n, H, W, 1] or [n, H, W]. Received: shape {tuple(shape)}")
    spool = _Spool()
    spool.write(((np.asarray(image), "") for image in images), count)
    return spool.listing("the arrays", np.asarray(labels))


def from_dataset(dataset: "tf.data.Dataset") -> Listing:
    """Spools a `tf.data.Dataset` of (image, label) or {"image": ..., "label": ...}, batched or not."""
    spool, labels = _Spool(), []

    def is_batch(image: Array, label: Array) -> bool:
        return image.ndim == 4 or (image.ndim == 3 and label.ndim >= 1 and image.shape[-1] not in (1, 3, 4))

    def pictures() -> Iterator[tuple[Array, str]]:
        for image, label in dataset_items(dataset, "image", is_batch):
            labels.append(label)
            yield image, ""

    spool.write(pictures(), None)
    return spool.listing("the tf.data.Dataset", stacked_labels(labels))


def from_tfds(source: str) -> Listing:
    """Spools `tfds:NAME`, `tfds:NAME:CONFIG` or `tfds:FOLDER`, keeping the bytes of its pictures as they are."""
    source_items, labels = tfds_items(source, "Image", _undecoded), []
    spool = _Spool()

    def pictures() -> Iterator[tuple[bytes, str]]:
        for content, label, split in source_items.items:
            labels.append(label)
            yield content, split

    spool.write(pictures(), source_items.total)
    listing = spool.listing(source, np.array(labels, np.int64), source_items.class_names)
    listing.warnings += source_items.warnings
    return listing


def _undecoded() -> object:
    import tensorflow_datasets as tfds

    return tfds.decode.SkipDecoding()


class _Spool:
    """Writes numbered pictures into a temporary folder."""

    def __init__(self) -> None:
        self.folder = TemporaryFolder()
        self.paths: list[Path] = []
        self.splits: list[str] = []
        self.largest, self.fractions = 0.0, False

    def write(self, pictures: Iterable[tuple[Array | bytes, str]], total: int | None) -> None:
        """Writes (picture, split) pairs; a picture is an array, or the bytes of a file."""

        def save(item: tuple[int, tuple[Array | bytes, str]]) -> tuple[Path, str]:
            number, (picture, split) = item
            stem = self.folder.path / f"{number:07d}"
            if isinstance(picture, bytes) and (format_ := sniff(picture)) in _SUFFIX:
                path = stem.with_suffix(_SUFFIX[format_])
                path.write_bytes(picture)
            else:
                path = stem.with_suffix(".png")
                Image.fromarray(self._to_uint8(picture, number)).save(path, compress_level=1)
            return path, split

        try:
            for path, split in track(
                ordered(save, enumerate(pictures)), "Writing photographs to a temporary folder", total
            ):
                self.paths.append(path)
                self.splits.append(split)
        except OSError as error:
            raise InputError(
                f"Cannot write to the temporary folder: {error.strerror or error}. Set TMPDIR to a roomier place."
            ) from error
        if self.fractions and self.largest <= 1:
            raise InputError("Images must be in 0..255. Received: floats in 0..1. Multiply them by 255.")

    def _to_uint8(self, image: ArrayLike, number: int) -> Pixels:
        image = np.asarray(image)
        if image.ndim == 3 and image.shape[-1] == 1:
            image = image[..., 0]
        if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[-1] not in (3, 4)) or not image.size:
            raise InputError(f"Image {number} must be [H, W, 3], [H, W, 1] or [H, W]. Received: shape {image.shape}")
        if image.dtype == np.uint8:
            return np.ascontiguousarray(image)
        if not (np.issubdtype(image.dtype, np.floating) or np.issubdtype(image.dtype, np.integer)):
            raise InputError(f"Images must be uint8 or float in 0..255. Received: {image.dtype}")
        if not np.isfinite(image).all() or image.min() < 0 or image.max() > 255:
            raise InputError(
                f"Images must be in 0..255. Received: image {number} from {image.min():g} to {image.max():g}"
            )
        self.largest = max(self.largest, float(image.max()))
        self.fractions = self.fractions or bool(np.issubdtype(image.dtype, np.floating))
        return np.asarray(np.rint(image), np.uint8)

    def listing(self, name: str, labels: Array, class_names: list[str] | None = None) -> Listing:
        """The spooled files with their labels."""
        return spooled_listing(name, list(map(str, self.paths)), labels, self.folder, self.splits, class_names)
