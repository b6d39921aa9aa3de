"""Parts of a data set that are left out in turn: stratified, and with like items on one side."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.labels import class_indices
from keras_transfer.data.split import Paths, Split
from keras_transfer.data.splits import merge
from keras_transfer.errors import InputError
from keras_transfer.inputs import Labels

if TYPE_CHECKING:
    from keras_transfer.data.dataset import Dataset

SplitT = TypeVar("SplitT", bound=Split)


def joined(splits: Sequence[SplitT], name: str = "all") -> SplitT:
    """One split of all items of several, in their order."""
    return replace(
        splits[0].take([]),
        name=name,
        paths=Paths(path for split in splits for path in split.paths),
        labels=np.concatenate([split.labels for split in splits]),
        hashes=[digest for split in splits for digest in split.hashes],
        _owner=tuple(split._owner for split in splits),
    )


def item_groups(data: "Dataset", split: Split) -> NDArray[np.int64]:
    """Which items must stay together: near-duplicates, and those of one group (`group_by`).

    Args:
        data: from a modality's `load`.
        split: items of `data`.

    Returns:
        `int64 [n]`: equal numbers stay together.
    """
    alone = set(range(len(data.records))) - {i for members in data.similar for i in members}
    parts = merge([*data.similar, *([i] for i in sorted(alone))], [record.group for record in data.records])
    parts.sort(key=lambda members: len(members) == 1)  # families first: folds are drawn by these numbers
    family = {data.records[i].path: number for number, members in enumerate(parts) for i in members}
    return np.array([family[path] for path in split.paths], np.int64)


def stratified_folds(
    labels: Labels, groups: NDArray[np.int64], folds: int, seed: int = 0
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Cuts items into parts of about one size and one mix of classes, no group in two of them.

    Args:
        labels: int `[n]`, or 0/1 `[n, classes]` (the first that holds counts).
        groups: int `[n]`, from `item_groups`.
        folds: how many parts, two or more.
        seed: of the choice.

    Returns:
        For each part the indices of the rest and of the part, both `int64`.

    Raises:
        InputError: there are fewer groups, or fewer items of each class, than parts.

    >>> [part.tolist() for _, part in stratified_folds(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3]), 2)]
    [[1, 2], [0, 3]]
    """
    from sklearn.model_selection import StratifiedGroupKFold

    strata = class_indices(labels)
    most = min(len(np.unique(groups)), int(np.bincount(strata).max(initial=0)))
    if not 2 <= folds <= most:
        raise InputError(
            f"`folds` must lie between 2 and the number of items of a class and of groups of like ones, {most} "
            f"here. Received: folds={folds}."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer items than folds
        cuts = list(StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(strata, strata, groups))
    if any(len(part) == 0 or len(rest) == 0 for rest, part in cuts):
        raise InputError(f"The groups of like items are too large for {folds} parts. Use fewer folds.")
    return cuts
