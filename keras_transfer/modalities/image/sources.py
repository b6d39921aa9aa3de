"""Sources of labelled photographs, each of which becomes a list of files with class names."""

from dataclasses import replace

from keras_transfer.data.listing import Kind, Layout, Listing
from keras_transfer.data.sources import items_and_labels, list_files
from keras_transfer.modalities.image.decode import EXTENSIONS
from keras_transfer.modalities.image.embedded import is_embedded, load_embedded

KIND = Kind(
    "photographs",
    "photograph",
    frozenset(EXTENSIONS),
    ("width", "height", "format"),
    "PHOTO.jpg",
    columns_of_paths=("image", "imagepath", "imagefile", "imagefilename"),
)


def list_source(source: object, labels: object = None, layout: Layout | None = None) -> Listing:
    """Lists the files of any source that `load_images` takes.

    Args:
        source: see `load_images`.
        labels: for arrays only.
        layout: how a folder or a table is arranged, where the user says so.

    Returns:
        A listing.

    Raises:
        InputError: the source is missing or of no known kind, or `layout` does not fit it.
    """
    listing = list_files(None if _is_made(source) else source, labels, layout, KIND)
    return listing if listing is not None else replace(_spool(source, labels), kind=KIND)


def _is_made(source: object) -> bool:
    return isinstance(source, str) and (source.startswith("tfds:") or is_embedded(source))


def _spool(source: object, labels: object) -> Listing:
    """What is no file yet: TensorFlow Datasets, data sets that are made, arrays, `tf.data`."""
    from keras_transfer.modalities.image.spool import from_arrays, from_dataset, from_tfds

    if isinstance(source, str):
        if source.startswith("tfds:"):
            return from_tfds(source)
        images, names, note = load_embedded(source)
        listing = from_arrays(images, names)
        listing.warnings.append(note)
        return listing
    if hasattr(source, "element_spec") and labels is None:
        return from_dataset(source)
    takes = "a folder, a .csv, a .parquet, 'tfds:NAME', arrays (images, labels) or a tf.data.Dataset"
    source, labels = items_and_labels(source, labels, "arrays", takes)
    return from_arrays(source, labels)  # type: ignore[arg-type]  # which it checks
