"""Which photographs of a data set a model is scored on."""

from typing import Any

from keras_transfer.data import Split
from keras_transfer.data.dataset import load_listing
from keras_transfer.data.folds import joined
from keras_transfer.data.listing import Layout
from keras_transfer.data.splits import SPLITS
from keras_transfer.errors import InputError
from keras_transfer.modalities.image.dataset import ImageReader
from keras_transfer.modalities.image.sources import list_source
from keras_transfer.progress import say


def held_out(source: Any, split: str | None = None, *, allow_bad: bool = False, layout: Layout | None = None) -> Split:
    """The part of a data set to evaluate on.

    Args:
        source: what `load_images` takes.
        split: `"train"`, `"val"` or `"test"` of a source that has splits of its own, or `"all"`. By default its test
            split, and all photographs of a source without splits.
        allow_bad: go on though more than 5% of the files cannot be used.
        layout: how a folder or a table is arranged, where that is said.

    Returns:
        The split; its `name` says which it is.

    Raises:
        InputError: `split` is none of these or the source has no such split, or `load_images` refuses the source.
    """
    if split not in (None, "all", *SPLITS):
        raise InputError(f"`split` must be 'train', 'val', 'test' or 'all'. Received: split={split!r}.")
    listing = list_source(source, layout=layout)
    own = set(SPLITS) if str(source).startswith("tfds:") else listing.splits
    if not own and split not in (None, "all"):
        raise InputError(f"{source} has no splits of its own, so there is no {split} split. Use the split 'all'.")
    data = load_listing(listing, ImageReader(), val=0, test=0 if own else 1, allow_bad=allow_bad)
    for warning in data.warnings:
        say(f"Warning: {warning}")
    parts = {name: getattr(data, name) for name in SPLITS if len(getattr(data, name))}
    if not own or split == "all":
        return joined(list(parts.values()), "all")
    chosen = split or "test"
    if chosen not in parts:
        raise InputError(f"{source} has no {chosen} split, only {' and '.join(parts)}. Choose one of these, or 'all'.")
    return parts[chosen]
