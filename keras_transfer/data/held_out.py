"""Which items of a data set a model is scored on."""

from keras_transfer.data.dataset import Reader
from keras_transfer.data.folds import joined
from keras_transfer.data.listing import Listing
from keras_transfer.data.loading import load_listing
from keras_transfer.data.split import Split
from keras_transfer.data.splits import SPLITS
from keras_transfer.errors import InputError
from keras_transfer.progress import say


def held_out(listing: Listing, reader: Reader, split: str | None = None, *, allow_bad: bool = False) -> Split:
    """The part of a data set to evaluate on.

    Args:
        listing: the items, with the splits that their source has of its own.
        reader: of their modality.
        split: `"train"`, `"val"` or `"test"` of a source that has splits of its own, or `"all"`. By default its test
            split, and all items of a source without splits.
        allow_bad: go on though more than 5% of the items cannot be used.

    Returns:
        The split; its `name` says which it is.

    Raises:
        InputError: `split` is none of these, the source has no such split, or its items cannot be used.
    """
    if split not in (None, "all", *SPLITS):
        raise InputError(f"`split` must be 'train', 'val', 'test' or 'all'. Received: split={split!r}.")
    own = set(SPLITS) if listing.name.startswith("tfds:") else listing.splits
    if not own and split not in (None, "all"):
        raise InputError(f"{listing.name} has no splits of its own, so there is no {split} split. Use the split 'all'.")
    data = load_listing(listing, reader, val=0, test=0 if own else 1, allow_bad=allow_bad)
    for warning in data.warnings:
        say(f"Warning: {warning}")
    parts: dict[str, Split] = {name: getattr(data, name) for name in SPLITS if len(getattr(data, name))}
    if not own or split == "all":
        return joined(list(parts.values()), "all")
    chosen = split or "test"
    if chosen not in parts:
        there = " and ".join(parts)
        raise InputError(f"{listing.name} has no {chosen} split, only {there}. Choose one of these, or 'all'.")
    return parts[chosen]
