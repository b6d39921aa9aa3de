"""From a listing of labelled items to checked splits, whatever the items are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

import numpy as np

from keras_transfer.data import checks
from keras_transfer.data.dataset import Dataset, Examined, Reader, Record
from keras_transfer.data.listing import Kind, Listing, natural
from keras_transfer.data.split import Paths, Split
from keras_transfer.data.splits import SPLITS, assign, merge, position
from keras_transfer.errors import InputError
from keras_transfer.inputs import Preparer


class LoadOptions(TypedDict, total=False):
    """Options of `load_listing`, which explains them."""

    val: float
    test: float
    seed: int
    allow_bad: bool
    class_names: Sequence[str] | None
    near_duplicates: bool
    few_shot: int | None


def load_listing(
    listing: Listing,
    reader: Reader,
    *,
    val: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    allow_bad: bool = False,
    class_names: Sequence[str] | None = None,
    near_duplicates: bool = True,
    few_shot: int | None = None,
) -> Dataset:
    """Examines and splits what is listed.

    An item's split follows from its content and the seed alone: adding others leaves it there (but: `splits.assign`).

    Args:
        listing: the items with their labels, and the splits that the source has of its own.
        reader: of the modality.
        val: share of items for validation, 0..1.
        test: share of items for the test, 0..1. With `val=0, test=1` all are for the test.
        seed: another seed, another split.
        allow_bad: go on though more than 5% of the items cannot be used.
        class_names: the classes in order, where the source's own names or order will not do.
        near_duplicates: keep similar items in one split; `False`: only those that are equal byte for byte.
        few_shot: use at most so many items of each class to train on, and as many to validate; of a smaller number all
            are among those of a larger one. The test stays whole.

    Returns:
        A `Dataset`.

    Raises:
        InputError: the source has one class or an empty one, fewer items than splits need, or too many unusable ones.
    """
    shares = checks.check_shares(val, test)
    if not listing.entries:
        raise InputError(f"{listing.name} holds no {listing.kind.items}. Give a folder with a folder for each class.")
    names = _class_names(listing, class_names)
    examination = reader.examine(Paths(entry.file for entry in listing.entries))
    records = _records(listing, names, examination.items)
    warnings = list(listing.warnings)
    checks.check_problems(listing, records, allow_bad, warnings)
    checks.warn_of_notes(listing, examination.items, reader.notes, warnings)
    records = _without(listing, records, examination.items)
    checks.check_classes(listing, names, records, shares, warnings)
    good = [i for i, record in enumerate(records) if not record.problem]
    similar = examination.clusters(good, near_duplicates)
    checks.warn_of_clusters(similar, [records[i] for i in good], listing.kind, warnings)
    placed = _place([records[i] for i in good], similar, shares, seed, names, listing, warnings)
    for i, record in zip(good, placed, strict=True):
        records[i] = record
    records = [replace(record, split="") if record.problem else record for record in records]
    if few_shot is not None:
        records = _few(records, few_shot, seed, listing)
    preparer = reader.preparer()
    splits = {name: reader.split(_split(name, records, names, listing, preparer)) for name in SPLITS}
    groups = [[good[i] for i in members] for members in similar if len(members) > 1]
    data = Dataset(names, listing.multi_label, records, reader=reader, warnings=warnings, similar=groups, **splits)
    checks.check_training_classes(data)
    return data


def _without(listing: Listing, records: Sequence[Record], examined: Sequence[Examined]) -> list[Record]:
    """The records, with a problem where an item is of no use for its labels; see `Listing.left_out`."""
    return [
        replace(record, problem=listing.left_out.get(item.note, ""))
        if not record.problem and not listing.spared.issuperset(entry.labels)
        else record
        for record, entry, item in zip(records, listing.entries, examined, strict=True)
    ]


def _class_names(listing: Listing, wanted: Sequence[str] | None) -> list[str]:
    used = {name for entry in listing.entries for name in entry.labels}
    known = listing.class_names or sorted(used, key=natural)
    if wanted is None:
        return list(known)
    names = [str(name) for name in wanted]
    if len(set(names)) != len(names):
        raise InputError(f"`class_names` must differ from one another. Received: class_names={names}")
    if listing.numbered:
        if len(names) < len(known):
            raise InputError(f"`class_names` must name {len(known)} classes. Received: {len(names)}")
        listing.rename(dict(zip(known, names, strict=False)))
    elif unknown := sorted(used - set(names)):
        raise InputError(f"{listing.name} has classes that `class_names` has not: {', '.join(unknown[:5])}.")
    return names


def _records(listing: Listing, names: Sequence[str], examined: Sequence[Examined]) -> list[Record]:
    """One for each entry; the listing's own problems come after those of the items."""
    index = {name: i for i, name in enumerate(names)}
    records = []
    for entry, item in zip(listing.entries, examined, strict=True):
        labels = tuple(index[name] for name in entry.labels)
        label = tuple(sorted(labels)) if listing.multi_label else labels[0] if labels else None
        problem, columns = item.problem or entry.problem, entry.columns
        records.append(Record(entry.file, label, entry.split, item.sha256, problem, entry.group, columns, item.facts))
    return records


def _place(
    records: list[Record],
    similar: list[list[int]],
    shares: dict[str, float],
    seed: int,
    names: list[str],
    listing: Listing,
    warnings: list[str],
) -> list[Record]:
    """The sound items with their splits, or with the reason why they are left out."""
    checks.warn_of_labels(records, similar, listing.kind, warnings)
    labels = [record.label if isinstance(record.label, int) else 0 for record in records]
    keys = [record.group or record.sha256 for record in records]
    together = merge(similar, [record.group for record in records])
    own = {record.split for record in records if record.split}
    if not own:
        places = assign(together, keys, labels, shares, seed, names)
        return [replace(record, split=place) for record, place in zip(records, places, strict=True)]
    records = [replace(record, split=record.split or "train") for record in records]
    records = _drop_crossing(records, similar, listing.kind, warnings)
    missing = {name: share for name, share in shares.items() if share > 0 and name not in {*own, "train"}}
    if "train" in own and missing:
        parts = " and ".join(f"{name} ({share:.0%})" for name, share in missing.items())
        warnings.append(f"{listing.name} has no {' and no '.join(missing)} split: {parts} split off from train.")
        rest = 1 - sum(missing.values())
        if rest <= 0:
            raise InputError(f"`val` and `test` leave nothing to train on. Received: {shares}")
        train = [i for i, record in enumerate(records) if record.split == "train" and not record.problem]
        position_of = {i: place for place, i in enumerate(train)}
        inner = [kept for members in together if (kept := [position_of[i] for i in members if i in position_of])]
        shares = {**missing, "train": rest}
        places = assign(inner, [keys[i] for i in train], [labels[i] for i in train], shares, seed, names)
        for i, place in zip(train, places, strict=True):
            records[i] = replace(records[i], split=place)
    checks.warn_of_groups(records, listing, warnings)
    return records


def _drop_crossing(records: list[Record], similar: list[list[int]], kind: Kind, warnings: list[str]) -> list[Record]:
    """Of items that stand on two sides of the source's own split, leaves out those nearer to training.

    So the test split is never altered.
    """
    rank = {"test": 0, "val": 1, "train": 2}
    dropped: dict[int, str] = {}
    for members in similar:
        best = records[min(members, key=lambda i: rank[records[i].split])]
        for i in members:
            if records[i].split != best.split:
                same = records[i].sha256 == best.sha256
                dropped[i] = f"{'' if same else 'near-'}duplicate of {best.path.name} in {best.split}"
    if dropped:
        warnings.append(
            f"{len(dropped)} {kind.items} stand on two sides of the data's own split; copies on the training side are "
            "left out."
        )
    return [replace(record, problem=dropped.get(i, "")) for i, record in enumerate(records)]


def _few(records: list[Record], few_shot: int, seed: int, listing: Listing) -> list[Record]:
    """Leaves `few_shot` items of each class in train and in val, chosen by the hash of what they hold."""
    if few_shot < 1 or listing.multi_label:
        raise InputError(f"`few_shot` must be 1 or more, with one label each. Received: few_shot={few_shot}.")
    counts: Counter[tuple[str, object]] = Counter()
    left_out = set()
    for i in sorted(range(len(records)), key=lambda i: position(records[i].sha256, seed + 1)):
        place = records[i].split, records[i].label
        counts[place] += 1
        if place[0] in ("train", "val") and counts[place] > few_shot:
            left_out.add(i)
    why = f"left out by few_shot={few_shot}"
    return [replace(record, split="", problem=why) if i in left_out else record for i, record in enumerate(records)]


def _split(name: str, records: list[Record], names: list[str], listing: Listing, preparer: Preparer) -> Split:
    own = [record for record in records if record.split == name]
    if listing.multi_label:
        labels = np.zeros((len(own), len(names)), np.float32)
        for row, record in zip(labels, own, strict=True):
            row[list(record.labels)] = 1
    else:
        labels = np.array([record.label for record in own], np.int32)
    hashes = [record.sha256 for record in own]
    return Split(name, Paths(record.file for record in own), labels, hashes, names, preparer, listing.owner)
