"""Pictures that are not files (arrays, `tf.data`, TensorFlow Datasets) become files, losslessly, in a temporary folder.

Everything downstream then works on files: one way to hash, check, split and decode.
"""

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from keras_transfer.data.listing import SPLIT_NAMES, Entry, Listing
from keras_transfer.data.parallel import ordered
from keras_transfer.errors import InputError
from keras_transfer.extras import require
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
    if int(dataset.cardinality()) == -1:
        raise InputError("The tf.data.Dataset is infinite. Give one without `.repeat()`.")
    spool, labels = _Spool(), []

    def pictures() -> Iterable[tuple[Array, str]]:
        for element in dataset.as_numpy_iterator():
            if isinstance(element, dict) and {"image", "label"} <= set(element):
                image, label = element["image"], element["label"]
            elif isinstance(element, tuple | list) and len(element) >= 2:
                image, label = element[:2]
            else:
                raise InputError("The tf.data.Dataset must give (image, label). Received: something without a label.")
            image, label = np.asarray(image), np.asarray(label)
            batched = image.ndim == 4 or (image.ndim == 3 and label.ndim >= 1 and image.shape[-1] not in (1, 3, 4))
            if batched and (label.ndim < 1 or len(label) != len(image)):
                raise InputError(f"A batch of {len(image)} images came with labels of shape {label.shape}.")
            for one, own in zip(image, label, strict=True) if batched else [(image, label)]:
                labels.append(own)
                yield one, ""

    spool.write(pictures(), None)
    try:
        stacked = np.stack(labels) if labels else np.zeros(0, np.int64)
    except ValueError as error:
        raise InputError("The tf.data.Dataset's labels differ in shape from one another.") from error
    return spool.listing("the tf.data.Dataset", stacked)


class _Folder:
    """A temporary folder, removed when nothing refers to it any more (and without the warning of Python's own)."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="keras_transfer_"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class _Spool:
    """Writes numbered pictures into a temporary folder."""

    def __init__(self) -> None:
        self.folder = _Folder()
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
        named, multi_label = _labels(labels)
        numbered = class_names is None and labels.dtype.kind in "iufb"
        if numbered:
            count = (
                labels.shape[1]
                if labels.ndim == 2 and labels.shape[1] > 1
                else max((int(n) for own in named for n in own), default=-1) + 1
            )
            class_names = [str(i) for i in range(count)]
        elif class_names is not None:
            named = [tuple(class_names[int(n)] for n in own) for own in named]
        entries = [Entry(str(p), own, split) for p, own, split in zip(self.paths, named, self.splits, strict=True)]
        return Listing(
            name, entries, multi_label=multi_label, class_names=class_names, numbered=numbered, owner=self.folder
        )


def _labels(labels: Array) -> tuple[list[tuple[str, ...]], bool]:
    """Class names of each picture from indices, names, one-hot or multi-hot rows, and whether there may be several."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind in "OSU":
        if labels.ndim != 1:
            raise InputError(f"Labels that are names must be [n]. Received: shape {labels.shape}")
        return [(one.decode() if isinstance(one, bytes) else str(one),) for one in labels.tolist()], False
    if labels.dtype.kind not in "iufb":
        raise InputError(f"Labels must be numbers or names. Received: {labels.dtype}")
    if labels.ndim == 1:
        if len(labels) and ((labels != np.floor(labels)).any() or labels.min() < 0):
            raise InputError("Labels must be class indices 0, 1, 2, ... Received: negative or fractional ones.")
        return [(str(int(one)),) for one in labels], False
    if labels.ndim != 2 or not np.isin(labels, (0, 1)).all():
        raise InputError(
            f"Labels must be indices or names [n], or 0 and 1 [n, classes]. Received: shape {labels.shape}, "
            "or other values than 0 and 1."
        )
    multi_label = bool((labels.sum(axis=1) != 1).any())
    return [tuple(str(i) for i in np.flatnonzero(row)) for row in labels], multi_label


def from_tfds(source: str) -> Listing:
    """Spools `tfds:NAME`, `tfds:NAME:CONFIG` or `tfds:FOLDER`, keeping the bytes of its pictures as they are."""
    require("tensorflow_datasets", "tfds", "TensorFlow Datasets")
    import tensorflow_datasets as tfds

    name = source.removeprefix("tfds:")
    if not name:
        raise InputError("`tfds:` needs a name, such as tfds:tf_flowers.")
    try:
        if Path(name).is_dir():
            builder = tfds.builder_from_directory(name)
        else:
            builder = tfds.builder(name.replace(":", "/", 1))
            builder.download_and_prepare()
    except Exception as error:  # whatever a data set's own code, its downloads and its checksums raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{source} cannot be had ({type(error).__name__}: {reason[:200]}). Check the name; without a network, "
            "prepare it elsewhere and copy its folder into ~/tensorflow_datasets."
        ) from error
    features = dict(builder.info.features)
    image = next((key for key, feature in features.items() if isinstance(feature, tfds.features.Image)), None)
    label = next((key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)), None)
    if image is None or label is None:
        raise InputError(f"{source} has no image with a class label. Its features: {', '.join(features)}")
    sides = {name: SPLIT_NAMES[name] for name in builder.info.splits if name in SPLIT_NAMES}
    chosen = sides or dict.fromkeys(builder.info.splits, "")
    spool, labels = _Spool(), []

    def pictures() -> Iterator[tuple[bytes, str]]:
        for name, side in chosen.items():
            dataset = builder.as_dataset(split=name, decoders={image: tfds.decode.SkipDecoding()})
            for element in dataset.as_numpy_iterator():
                if element[label] >= 0:  # -1: unlabelled
                    labels.append(int(element[label]))
                    yield element[image], side if len(chosen) > 1 else ""

    spool.write(pictures(), sum(builder.info.splits[name].num_examples for name in chosen))
    listing = spool.listing(source, np.array(labels, np.int64), features[label].names)
    if unused := sorted(set(builder.info.splits) - set(chosen)):
        listing.warnings.append(f"{source}: not used are {', '.join(unused)}.")
    return listing
