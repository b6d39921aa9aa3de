"""`load_images`: from anything that holds labelled photographs to checked splits."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Unpack

from keras_transfer.data.dataset import Dataset
from keras_transfer.data.listing import Kind, Layout
from keras_transfer.data.loading import LoadOptions, load_listing
from keras_transfer.data.split import Split
from keras_transfer.geometry import LEGACY, Geometry
from keras_transfer.inputs import Json
from keras_transfer.modalities.image.examine import NOTES, ImageExamination, examine
from keras_transfer.modalities.image.preparer import ImagePreparer, ImageSplit
from keras_transfer.modalities.image.sources import KIND, list_source
from keras_transfer.recipe import check_geometry


@dataclass(frozen=True)
class ImageReader:
    """Reads photographs: see `keras_transfer.data.dataset.Reader`.

    Attributes:
        geometry: how they are fitted to a model's input unless another is chosen later.
    """

    geometry: Geometry = LEGACY
    kind: Kind = KIND
    notes: Mapping[str, str] = field(default_factory=lambda: NOTES)

    def examine(self, paths: Sequence[Path]) -> ImageExamination:
        """Looks at each file once; see `examine.examine`."""
        return examine(paths)

    def preparer(self) -> ImagePreparer:
        """Decodes and fits by the geometry."""
        return ImagePreparer(self.geometry)

    def split(self, split: Split) -> ImageSplit:
        """The split as an `ImageSplit`."""
        return ImageSplit(**{part.name: getattr(split, part.name) for part in fields(split)})


def load_images(
    source: object,
    *,
    labels: object = None,
    group_by: str | None = None,
    root: str | Path | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    classes_at_depth: int | None = None,
    geometry: str | Mapping[str, Json] | Geometry = LEGACY,
    **options: Unpack[LoadOptions],
) -> Dataset:
    """Finds, checks and splits labelled photographs.

    Every file is looked at once: what cannot be used (truncated, empty, a wrong extension, over 100 megapixels, no
    picture) is left out and listed with the reason in `records`. Near-duplicates stand on one side of the split.
    A photograph's split follows from its content and the seed alone, so adding others leaves it where it is (see
    `splits.assign` for the one exception).

    A source that has splits of its own keeps them: `train/` `val/` `test/` folders (also `training`, `valid`,
    `validation`, `testing`), a `split` column, the splits of TensorFlow Datasets. A split that is missing is split
    off from training in the shares asked for. Where its splits share a picture, the training split's copy is left out.

    Args:
        source: a folder with a folder for each class, or with `train/` `val/` `test/` of such; a `.csv` or `.parquet`
            with a column of paths (`path`, `file`, `filename`, `filepath` or `image`) and one of labels (`label`,
            `class`, `category` or `target`; or `labels`, separated by `|`), maybe one called `split`, in any case;
            `"digits"`, scikit-learn's handwritten digits; `"tfds:NAME"`, `"tfds:NAME:CONFIG"` or `"tfds:FOLDER"`;
            images as an array `[n, H, W, 3]`, `[n, H, W, 1]` or `[n, H, W]` in 0..255 with `labels=`, or the pair
            `(images, labels)`; a `tf.data.Dataset` of (image, label), batched or not.
        labels: for arrays only: class indices or names `[n]`, or one-hot or multi-hot `[n, classes]`.
        group_by: a column of the CSV or Parquet whose equal values stay on one side; `"folder"`: the folder of a file;
            or a regular expression on the path, whose first group (or whole match) is what stays together.
        root: the folder in which relative paths of a table begin; by default the table's own.
        path_column: the table's column of paths, where its name is another or two could be it.
        label_column: the table's column of labels, likewise.
        classes_at_depth: how many levels below the folder, or below its `train/` `val/` `test/`, the class folders are,
            1 or more; folders of one name are one class. By default 1.
        geometry: how photographs are fitted to a model's input: see `decode_image`.
        **options: `val`, `test`, `seed` and others; see `keras_transfer.data.loading.load_listing`.

    Returns:
        A `Dataset` whose splits are `ImageSplit`s.

    Raises:
        InputError: the source is missing or of no known kind, has one class or an empty one, fewer items than splits
            need, or more than 5% unusable files.

    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    >>> load_images(images, labels=["cat", "dog"] * 10, val=0.2, test=0.2)
    Dataset(2 classes; train ..., val ..., test ...)
    """
    where = os.fspath(root) if root is not None else None
    layout = Layout(group_by, where, path_column, label_column, classes_at_depth)
    return load_listing(list_source(source, labels, layout), ImageReader(check_geometry(geometry)), **options)
