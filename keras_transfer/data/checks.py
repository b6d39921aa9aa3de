"""What a person must know of a data set before it is split: errors, and warnings in sentences."""

from collections import Counter
from collections.abc import Mapping, Sequence

from keras_transfer.data.dataset import UNEVEN, Dataset, Examined, Record
from keras_transfer.data.listing import Kind, Listing
from keras_transfer.errors import InputError
from keras_transfer.files import MISSING

MAX_BAD = 0.05
"""More unusable files than this share of all stop the run."""
MAX_ALIKE = 0.1
"""A cluster of near-duplicates with more than this share of all items is warned of."""
FEW = 10
"""A class with fewer training items than this is warned of."""


def check_shares(val: float, test: float) -> dict[str, float]:
    """The share of each split; raises `InputError` where they leave nothing to train on."""
    for name, share in (("val", val), ("test", test)):
        if not 0 <= share <= 1:
            raise InputError(f"`{name}` must be a share from 0 to 1. Received: {name}={share}")
    if val + test > 1 or (val + test == 1 and test != 1 and val != 1):
        raise InputError(f"`val` and `test` leave nothing to train on. Received: val={val}, test={test}")
    return {"test": test, "val": val, "train": 1 - val - test}


def check_problems(listing: Listing, records: Sequence[Record], allow_bad: bool, warnings: list[str]) -> None:
    """Warns of items that cannot be used; raises `InputError` where they are all, or too many."""
    bad = [(record.path.name[-80:], record.problem) for record in records if record.problem]
    if not bad:
        return
    first = "; ".join(f"{name}: {problem}" for name, problem in bad[:3]) + ("; ..." if len(bad) > 3 else "")
    listed = listing.kind.listed
    missing = any(problem == MISSING for _, problem in bad)
    hint = f" {listing.missing_hint}" if missing and listing.missing_hint else ""
    if len(bad) == len(records):
        raise InputError(f"None of the {len(bad)} {listed} of {listing.name} can be used ({first}).{hint}")
    if len(bad) > MAX_BAD * len(records) and not allow_bad:
        raise InputError(
            f"{len(bad)} of {len(records)} {listed} of {listing.name} cannot be used, over {MAX_BAD:.0%} ({first}). "
            f"Repair or remove them, or leave them out with `allow_bad=True` (--allow-bad).{hint}"
        )
    warnings.append(f"{len(bad)} of {len(records)} {listed} cannot be used and are left out ({first}).")


def warn_of_notes(
    listing: Listing, examined: Sequence[Examined], notes: Mapping[str, str], warnings: list[str]
) -> None:
    """Says once what is remarkable in items that can be used."""
    for note, sentence in notes.items():
        files = [entry.path.name for entry, item in zip(listing.entries, examined, strict=True) if item.note == note]
        if files:
            warnings.append(f"{len(files)} of {len(examined)} {listing.kind.listed} {sentence} (first: {files[0]}).")


def check_classes(
    listing: Listing, names: Sequence[str], records: Sequence[Record], shares: Mapping[str, float], warnings: list[str]
) -> None:
    """Raises `InputError` for an empty class, or a single one; where nothing trains, empty ones are only warned of."""
    counts = Counter(i for record in records for i in record.labels if not record.problem)
    empty = [name for i, name in enumerate(names) if not counts[i]]
    if shares["train"] == 0 or not (listing.splits in (set(), {""}) or "train" in listing.splits):
        if empty:
            warnings.append(f"No {listing.kind.items} of {', '.join(empty)}.")
        return
    if empty:
        damaged = [record for record in records if names.index(empty[0]) in record.labels]
        why = f" ({damaged[0].path.name}: {damaged[0].problem})" if damaged else ""
        raise InputError(
            f"Class '{empty[0]}' of {listing.name} is empty: none of its {len(damaged)} {listing.kind.listed} is a "
            f"usable {listing.kind.item}{why}. Add some, or remove it."
        )
    if len(names) < 2 and not listing.multi_label:
        hint = listing.one_class_hint or "A classifier needs at least two."
        raise InputError(f"{listing.name} has one class only, '{names[0]}'. {hint}")


def warn_of_clusters(
    similar: Sequence[Sequence[int]], records: Sequence[Record], kind: Kind, warnings: list[str]
) -> None:
    """Warns where many items seem to be nearly the same."""
    largest = max(similar, key=len)
    if len(largest) > max(10, MAX_ALIKE * len(records)):
        warnings.append(
            f"{len(largest)} of {len(records)} {kind.items} are alike (as {records[largest[0]].path.name} is) "
            f"and stand on one side of the split. If they are different {kind.items}, set `near_duplicates=False`."
        )


def warn_of_labels(
    records: Sequence[Record], similar: Sequence[Sequence[int]], kind: Kind, warnings: list[str]
) -> None:
    """Warns where copies have different labels."""
    clashes = []
    for members in similar:
        seen: dict[str, Record] = {}
        for record in (records[i] for i in members):
            first = seen.setdefault(record.sha256, record)
            if first.label != record.label and first.file != record.file:  # the listing reports one file in two rows
                clashes.append((first, record))
    if clashes:
        first, second = clashes[0]
        warnings.append(
            f"{len(clashes)} {kind.items} stand under different labels, byte for byte the same "
            f"(first: {first.path} and {second.path})."
        )


def warn_of_groups(records: Sequence[Record], listing: Listing, warnings: list[str]) -> None:
    """Warns where the source's own split divides a group."""
    for group in sorted({record.group for record in records if record.group}):
        sides = {record.split for record in records if record.group == group and not record.problem}
        if len(sides) > 1:
            warnings.append(f"Group '{group}' is in {' and '.join(sorted(sides))}: {listing.name} has it so.")


def check_training_classes(data: Dataset) -> None:
    """Raises `InputError` where a class has nothing to train on; warns of small, uneven and absent classes."""
    kind, counts = data.reader.kind, data.class_counts()
    if not len(data.train):
        return
    if not data.multi_label and counts.min() == 0:
        missing = [name for name, count in zip(data.class_names, counts, strict=True) if not count]
        raise InputError(f"Class '{missing[0]}' has no {kind.item} to train on. Add some to its training side.")
    tiny = [f"{name} ({count})" for name, count in zip(data.class_names, counts, strict=True) if count < FEW]
    if tiny:
        data.warnings.append(f"Under {FEW} {kind.items} to train on: {', '.join(tiny[:10])}.")
    if counts.min() and counts.max() / counts.min() >= UNEVEN and not data.multi_label:
        data.warnings.append(
            f"Classes are uneven: {counts.min()} to {counts.max()} training {kind.items}. Their weights even that out."
        )
    for name in ("val", "test"):
        split = getattr(data, name)
        if len(split) and not data.multi_label:
            absent = sorted(set(range(len(data.class_names))) - set(split.labels.tolist()))
            if absent:
                data.warnings.append(f"No {kind.item} of {', '.join(data.class_names[i] for i in absent)} in {name}.")
