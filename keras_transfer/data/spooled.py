"""Items that are not files (arrays, `tf.data`, TensorFlow Datasets): their labels, and the folder that they go to."""

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_transfer.data.listing import SPLIT_NAMES, Entry, Listing
from keras_transfer.errors import InputError
from keras_transfer.extras import require
from keras_transfer.inputs import Array

if TYPE_CHECKING:
    import tensorflow as tf


class TemporaryFolder:
    """A temporary folder, removed when nothing refers to it any more (and without the warning of Python's own)."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="keras_transfer_"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def spooled_listing(
    name: str,
    files: Sequence[str],
    labels: Array,
    owner: TemporaryFolder,
    splits: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> Listing:
    """A listing of items that were written to a temporary folder.

    Args:
        name: the source, for sentences.
        files: one for each item.
        labels: class indices or names `[n]`, or one-hot or multi-hot rows `[n, classes]`.
        owner: the folder.
        splits: of the items, where the source has any.
        class_names: of class indices, where they are known.

    Raises:
        InputError: the labels are something else.
    """
    named, multi_label = _labels(labels)
    numbered = class_names is None and labels.dtype.kind in "iufb"
    if numbered:
        rows = labels.ndim == 2 and labels.shape[1] > 1
        count = labels.shape[1] if rows else max((int(n) for own in named for n in own), default=-1) + 1
        class_names = [str(i) for i in range(count)]
    elif class_names is not None:
        named = [tuple(class_names[int(n)] for n in own) for own in named]
    entries = [Entry(*each) for each in zip(files, named, splits or [""] * len(files), strict=True)]
    names = list(class_names) if class_names is not None else None
    return Listing(name, entries, multi_label=multi_label, class_names=names, numbered=numbered, owner=owner)


def _labels(labels: Array) -> tuple[list[tuple[str, ...]], bool]:
    """Class names of each item from indices, names, one-hot or multi-hot rows, and whether there may be several."""
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


def dataset_items(
    dataset: "tf.data.Dataset", item: str, is_batch: Callable[[Array, Array], bool]
) -> Iterator[tuple[Array, Array]]:
    """The items of a `tf.data.Dataset` of (item, label) or of dictionaries, batched or not, with their labels.

    Args:
        dataset: finite.
        item: the key of items in dictionaries, and their name in sentences.
        is_batch: whether an element and its label are several.

    Raises:
        InputError: it is infinite, or something else.
    """
    if int(dataset.cardinality()) == -1:
        raise InputError("The tf.data.Dataset is infinite. Give one without `.repeat()`.")
    for element in dataset.as_numpy_iterator():
        if isinstance(element, dict) and {item, "label"} <= set(element):
            values, label = element[item], element["label"]
        elif isinstance(element, tuple | list) and len(element) >= 2:
            values, label = element[:2]
        else:
            raise InputError(f"The tf.data.Dataset must give ({item}, label). Received: something without a label.")
        values, label = np.asarray(values), np.asarray(label)
        batched = is_batch(values, label)
        if batched and (label.ndim < 1 or len(label) != len(values)):
            raise InputError(f"A batch of {len(values)} {item}s came with labels of shape {label.shape}.")
        yield from zip(values, label, strict=True) if batched else [(values, label)]


def stacked_labels(labels: Sequence[Array]) -> Array:
    """The labels of `dataset_items` as one array.

    Raises:
        InputError: they differ in shape.
    """
    try:
        return np.stack(labels) if labels else np.zeros(0, np.int64)
    except ValueError as error:
        raise InputError("The tf.data.Dataset's labels differ in shape from one another.") from error


class TfdsItems(NamedTuple):
    """The labelled items of a TensorFlow data set: (item, class index, split), and how many there are at most."""

    items: Iterator[tuple[bytes, int, str]]
    total: int
    class_names: list[str]
    warnings: list[str]


def tfds_items(source: str, item: str, decoders: Callable[[], object] | None = None) -> TfdsItems:
    """The items of `tfds:NAME`, `tfds:NAME:CONFIG` or `tfds:FOLDER` that have one class label.

    Args:
        source: which.
        item: the kind of the feature that holds them, a name in `tfds.features`.
        decoders: what makes a decoder for that feature.

    Raises:
        InputError: it cannot be had, or has no such feature.
    """
    builder = _tfds_builder(source, prepare=True)
    import tensorflow_datasets as tfds

    features = dict(builder.info.features)
    kinds = (getattr(tfds.features, item), tfds.features.ClassLabel)
    value, label = (next((name for name, f in features.items() if isinstance(f, kind)), None) for kind in kinds)
    if value is None or label is None:
        raise InputError(f"{source} has no {item.lower()} with a class label. Its features: {', '.join(features)}")
    sides = {name: SPLIT_NAMES[name] for name in builder.info.splits if name in SPLIT_NAMES}
    chosen = sides or dict.fromkeys(builder.info.splits, "")

    def items() -> Iterator[tuple[bytes, int, str]]:
        for name, side in chosen.items():
            dataset = builder.as_dataset(split=name, decoders={value: decoders()} if decoders else None)
            for element in dataset.as_numpy_iterator():
                if element[label] >= 0:  # -1: unlabelled
                    yield element[value], int(element[label]), side if len(chosen) > 1 else ""

    unused = sorted(set(builder.info.splits) - set(chosen))
    warnings = [f"{source}: not used are {', '.join(unused)}."] * bool(unused)
    count = sum(builder.info.splits[name].num_examples for name in chosen)
    return TfdsItems(items(), count, features[label].names, warnings)


def tfds_holds(source: str, item: str) -> bool:
    """Whether the first feature of a TensorFlow data set with items is of a kind, a name in `tfds.features`.

    Raises:
        InputError: it cannot be had.
    """
    features = dict(_tfds_builder(source).info.features)
    import tensorflow_datasets as tfds

    numbers = (tfds.features.ClassLabel, tfds.features.Scalar, tfds.features.BBoxFeature)
    items = (f for f in features.values() if not isinstance(f, numbers) and type(f) is not tfds.features.Tensor)
    return isinstance(next(items, None), getattr(tfds.features, item))


def _tfds_builder(source: str, prepare: bool = False) -> Any:
    """What makes a TensorFlow data set; with `prepare` it is downloaded, if it is not there."""
    require("tensorflow_datasets", "tfds", "TensorFlow Datasets")
    import tensorflow_datasets as tfds

    name = source.removeprefix("tfds:")
    if not name:
        raise InputError("`tfds:` needs a name, such as tfds:tf_flowers.")
    try:
        if Path(name).is_dir():
            return tfds.builder_from_directory(name)
        builder = tfds.builder(name.replace(":", "/", 1))
        if prepare:
            builder.download_and_prepare()
        return builder
    except Exception as error:  # whatever a data set's own code, its downloads and its checksums raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{source} cannot be had ({type(error).__name__}: {reason[:200]}). Check the name; without a network, "
            "prepare it elsewhere and copy its folder into ~/tensorflow_datasets."
        ) from error
