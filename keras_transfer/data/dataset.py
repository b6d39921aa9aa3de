"""From a listing of labelled items to checked splits, whatever the items are."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol, Self, TypedDict

import numpy as np

from keras_transfer.data.listing import NO_COLUMNS, Kind, Listing, natural
from keras_transfer.data.split import Paths, Split
from keras_transfer.data.splits import SPLITS, assign, merge, position
from keras_transfer.errors import InputError
from keras_transfer.files import MISSING, write_text
from keras_transfer.inputs import Preparer

MAX_BAD = 0.05
"""More unusable files than this share of all stop the run."""
UNEVEN = 1.5
"""From this ratio of the largest to the smallest class on, classes are weighted."""
MAX_ALIKE = 0.1
"""A cluster of near-duplicates with more than this share of all items is warned of."""
FEW = 10
"""A class with fewer training items than this is warned of."""


@dataclass(frozen=True, slots=True)
class Record:
    """One file of a data set, used or left out.

    Attributes:
        file: where it lies.
        label: class index; a tuple of them where items have several labels; `None` if unknown.
        split: `"train"`, `"val"`, `"test"`, or `""` where it is left out.
        sha256: of the file's content, hexadecimal.
        problem: why it is left out, `""` if it is not.
        group: what it must stay together with, `""` if nothing.
        columns: what else the source's table says of it.
        facts: what its examination found out, such as an image's width and height.
    """

    file: str
    label: int | tuple[int, ...] | None
    split: str = ""
    sha256: str = ""
    problem: str = ""
    group: str = ""
    columns: Mapping[str, str] = field(default_factory=lambda: NO_COLUMNS, hash=False)
    facts: tuple[str | int, ...] = ()

    @property
    def path(self) -> Path:
        """Where the file lies, made when asked for: there may be a hundred thousand records."""
        return Path(self.file)


class Examined(NamedTuple):
    """What a look at one item found out.

    Attributes:
        sha256: of its content, hexadecimal.
        problem: why it cannot be used, `""` if it can.
        facts: the values of `Kind.facts`.
        note: a key of `Reader.notes`, `""` where there is nothing to remark.
    """

    sha256: str = ""
    problem: str = ""
    facts: tuple[str | int, ...] = ()
    note: str = ""


class Examination(Protocol):
    """What a look at each item of a listing found out."""

    @property
    def items(self) -> Sequence[Examined]:
        """One for each item, in order."""
        ...

    def clusters(self, indices: Sequence[int], near: bool) -> list[list[int]]:
        """Groups the same and nearly the same items among some of them.

        Args:
            indices: the items that are compared.
            near: whether nearly the same ones go together, too.

        Returns:
            A partition of positions in `indices`, in ascending order; most parts hold one.
        """
        ...


class Reader(Protocol):
    """How a modality reads its items and makes splits of them."""

    @property
    def kind(self) -> Kind:
        """How its items are called and recognised."""
        ...

    @property
    def notes(self) -> Mapping[str, str]:
        """The rest of a sentence on items with this `Examined.note`, after how many there are."""
        ...

    def examine(self, paths: Sequence[Path]) -> Examination:
        """Looks at each item once; damaged ones have a `problem`, and raise nothing."""
        ...

    def preparer(self) -> Preparer:
        """How items become inputs unless another way is chosen later."""
        ...

    def split(self, split: Split) -> Split:
        """The split with the modality's own short forms; the same one where it has none."""
        ...


@dataclass(eq=False)
class Dataset:
    """Checked items in three splits, each of which may be empty.

    Attributes:
        class_names: the classes, in the order of their indices.
        multi_label: whether an item may have several labels.
        records: every item that was listed, also those left out.
        train, val, test: the splits.
        reader: the modality's.
        warnings: what the person should know, a sentence each.
        similar: groups of `records`, by index, that are the same or nearly the same; two or more in each.
    """

    class_names: list[str]
    multi_label: bool
    records: list[Record]
    train: Split
    val: Split
    test: Split
    reader: Reader
    warnings: list[str] = field(default_factory=list)
    similar: list[list[int]] = field(default_factory=list)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(getattr(self, name))}" for name in SPLITS)
        return f"{type(self).__name__}({len(self.class_names)} classes; {sizes})"

    def prepared_by(self, preparer: Preparer) -> Self:
        """The same items, made into inputs by another preparer in all splits."""
        return replace(self, **{name: getattr(self, name).prepared_by(preparer) for name in SPLITS})

    def class_counts(self) -> np.ndarray:
        """Training items of each class, `int64 [classes]`."""
        if self.multi_label:
            return self.train.labels.sum(axis=0).astype(np.int64)
        return np.bincount(self.train.labels, minlength=len(self.class_names))

    def class_weights(self) -> dict[int, float] | None:
        """Weights under which every class counts alike in training, for `model.fit(class_weight=...)`.

        Class c of k classes weighs n / (k n_c), as scikit-learn's `"balanced"`: 1 on average over items.

        Returns:
            Weight of each class index, or `None` where the largest class is under 1.5 times the smallest, and where
            items have several labels (Keras's `class_weight` has no meaning there).
        """
        counts = self.class_counts()
        if self.multi_label or not len(counts) or counts.min() < 1 or counts.max() / counts.min() < UNEVEN:
            return None
        weights = counts.sum() / (len(counts) * counts)
        return {index: float(weight) for index, weight in enumerate(weights)}

    def labels_of(self, record: Record) -> str:
        """The names of a record's classes, several separated by `|`; `""` where they are unknown."""
        return "|".join(self.class_names[i] for i in _indices(record))

    def write_csv(self, path: str | Path) -> Path:
        """Writes a row for every item, used or left out. The CSV can be read again as a source.

        Columns: path, class (`labels`, separated by `|`, where items have several), split, sha256, problem, those of
        `Kind.facts`, group, and those that the source's table had besides.

        Args:
            path: where to; replaced atomically.

        Returns:
            The path.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        column = "labels" if self.multi_label else "class"
        heading = ["path", column, "split", *self.reader.kind.columns]
        more = [name for name in dict.fromkeys(chain.from_iterable(r.columns for r in self.records))
                if name not in heading]  # fmt: skip
        writer.writerow([*heading, *more])
        for record in self.records:
            names = self.labels_of(record)
            facts = [fact or "" for fact in record.facts] or [""] * len(self.reader.kind.facts)
            row = (record.path.absolute(), names, record.split, record.sha256, record.problem, *facts, record.group)
            writer.writerow([*row, *(record.columns.get(name, "") for name in more)])
        return write_text(path, text.getvalue())


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
    """Examines and splits what is listed; the arguments are those of `keras_transfer.load_images`.

    A split follows from an item's content and the seed alone, so adding others leaves it where it is (see
    `splits.assign` for the one exception). Near-duplicates stand on one side of the split.

    Args:
        listing: the items with their labels, and the splits that the source has of its own.
        reader: of the modality.
        val: share of items for validation, 0..1.
        test: share of items for the test, 0..1.
        seed: another seed, another split.
        allow_bad: go on though more than 5% of the items cannot be used.
        class_names: the classes in order, where the source's own will not do.
        near_duplicates: whether nearly the same items stay together, too.
        few_shot: keep at most so many items of each class to train on, and as many to validate.

    Returns:
        A `Dataset`.

    Raises:
        InputError: the source has one class or an empty one, fewer items than splits need, or too many unusable ones.
    """
    shares = _check_shares(val, test)
    if not listing.entries:
        raise InputError(f"{listing.name} holds no {listing.kind.items}. Give a folder with a folder for each class.")
    names = _class_names(listing, class_names)
    examination = reader.examine(Paths(entry.file for entry in listing.entries))
    examined = [
        item._replace(problem=entry.problem) if entry.problem and not item.problem else item
        for entry, item in zip(listing.entries, examination.items, strict=True)
    ]
    warnings = list(listing.warnings)
    _check_bad(listing, examined, allow_bad, warnings)
    _warn_of_notes(listing, examined, reader.notes, warnings)

    index = {name: i for i, name in enumerate(names)}
    records = [
        Record(
            file=entry.file,
            label=tuple(sorted(index[name] for name in entry.labels))
            if listing.multi_label
            else index[entry.labels[0]]
            if entry.labels
            else None,
            split=entry.split,
            sha256=item.sha256,
            problem=item.problem,
            group=entry.group,
            columns=entry.columns,
            facts=item.facts,
        )
        for entry, item in zip(listing.entries, examined, strict=True)
    ]
    good = [i for i, record in enumerate(records) if not record.problem]
    _check_classes(listing, names, records, shares, warnings)
    similar = examination.clusters(good, near_duplicates)
    _warn_of_likeness(similar, [records[i] for i in good], listing.kind, warnings)
    places, problems = _place([records[i] for i in good], similar, shares, seed, names, listing, warnings)
    for i, place, problem in zip(good, places, problems, strict=True):
        records[i] = replace(records[i], split=place, problem=problem)
    records = [replace(record, split="") if record.problem else record for record in records]
    if few_shot is not None:
        records = _few(records, few_shot, seed, listing)

    preparer = reader.preparer()
    splits = {name: reader.split(_split(name, records, names, listing, preparer)) for name in SPLITS}
    groups = [[good[i] for i in members] for members in similar if len(members) > 1]
    data = Dataset(names, listing.multi_label, records, reader=reader, warnings=warnings, similar=groups, **splits)
    _warn_of_classes(data, shares)
    return data


def _few(records: list[Record], few_shot: int, seed: int, listing: Listing) -> list[Record]:
    """Leaves `few_shot` items of each class in train and in val, chosen by the hash of what they hold."""
    if few_shot < 1 or listing.multi_label:
        raise InputError(f"`few_shot` must be 1 or more, with one label each. Received: few_shot={few_shot}.")
    held: Counter[tuple[str, object]] = Counter()
    left_out = set()
    for i in sorted(range(len(records)), key=lambda i: position(records[i].sha256, seed + 1)):
        place = records[i].split, records[i].label
        held[place] += 1
        if place[0] in ("train", "val") and held[place] > few_shot:
            left_out.add(i)
    why = f"left out by few_shot={few_shot}"
    return [replace(record, split="", problem=why) if i in left_out else record for i, record in enumerate(records)]


def _indices(record: Record) -> tuple[int, ...]:
    label = record.label
    return () if label is None else (label,) if isinstance(label, int) else label


def _check_shares(val: float, test: float) -> dict[str, float]:
    for name, share in (("val", val), ("test", test)):
        if not 0 <= share <= 1:
            raise InputError(f"`{name}` must be a share from 0 to 1. Received: {name}={share}")
    if val + test > 1 or (val + test == 1 and test != 1 and val != 1):
        raise InputError(f"`val` and `test` leave nothing to train on. Received: val={val}, test={test}")
    return {"test": test, "val": val, "train": 1 - val - test}


def _class_names(listing: Listing, given: Sequence[str] | None) -> list[str]:
    used = {name for entry in listing.entries for name in entry.labels}
    found = listing.class_names or sorted(used, key=natural)
    if given is None:
        return list(found)
    names = [str(name) for name in given]
    if len(set(names)) != len(names):
        raise InputError(f"`class_names` must differ from one another. Received: class_names={names}")
    if listing.numbered:
        if len(names) < len(found):
            raise InputError(f"`class_names` must name {len(found)} classes. Received: {len(names)}")
        listing.rename(dict(zip(found, names, strict=False)))
    elif unknown := sorted(used - set(names)):
        raise InputError(f"{listing.name} has classes that `class_names` has not: {', '.join(unknown[:5])}.")
    return names


def _check_bad(listing: Listing, examined: list[Examined], allow_bad: bool, warnings: list[str]) -> None:
    bad = [
        (entry.path.name[-80:], item.problem)
        for entry, item in zip(listing.entries, examined, strict=True)
        if item.problem
    ]
    if not bad:
        return
    first = "; ".join(f"{name}: {problem}" for name, problem in bad[:3]) + ("; ..." if len(bad) > 3 else "")
    missing = any(problem == MISSING for _, problem in bad)
    hint = f" {listing.missing_hint}" if missing and listing.missing_hint else ""
    if len(bad) == len(examined):
        raise InputError(f"None of the {len(bad)} files of {listing.name} can be used ({first}).{hint}")
    if len(bad) > MAX_BAD * len(examined) and not allow_bad:
        raise InputError(
            f"{len(bad)} of {len(examined)} files of {listing.name} cannot be used, over {MAX_BAD:.0%} ({first}). Mend "
            f"or remove them, or leave them out with `allow_bad=True` (--allow-bad).{hint}"
        )
    warnings.append(f"{len(bad)} of {len(examined)} files cannot be used and are left out ({first}).")


def _warn_of_notes(listing: Listing, examined: list[Examined], notes: Mapping[str, str], warnings: list[str]) -> None:
    for note, sentence in notes.items():
        files = [entry.path.name for entry, item in zip(listing.entries, examined, strict=True) if item.note == note]
        if files:
            warnings.append(f"{len(files)} of {len(examined)} files {sentence} (first: {files[0]}).")


def _check_classes(
    listing: Listing, names: list[str], records: list[Record], shares: dict[str, float], warnings: list[str]
) -> None:
    held = Counter(i for record in records for i in _indices(record) if not record.problem)
    empty = [name for i, name in enumerate(names) if not held[i]]
    if shares["train"] == 0 or not (listing.splits in (set(), {""}) or "train" in listing.splits):
        if empty:
            warnings.append(f"No {listing.kind.items} of {', '.join(empty)}.")
        return
    if empty:
        damaged = [record for record in records if names.index(empty[0]) in _indices(record)]
        why = f" ({damaged[0].path.name}: {damaged[0].problem})" if damaged else ""
        raise InputError(
            f"Class '{empty[0]}' of {listing.name} is empty: none of its {len(damaged)} files is a usable "
            f"{listing.kind.item}{why}. Add some, or remove it."
        )
    if len(names) < 2 and not listing.multi_label:
        more = listing.one_class_hint or "A classifier needs at least two."
        raise InputError(f"{listing.name} has one class only, '{names[0]}'. {more}")


def _place(
    records: list[Record],
    similar: list[list[int]],
    shares: dict[str, float],
    seed: int,
    names: list[str],
    listing: Listing,
    warnings: list[str],
) -> tuple[list[str], list[str]]:
    """The split of each sound item, and why it is left out if it is."""
    problems = [""] * len(records)
    labels = [record.label if isinstance(record.label, int) else 0 for record in records]
    keys = [record.group or record.sha256 for record in records]
    places = [record.split for record in records]
    together = merge(similar, [record.group for record in records])
    _warn_of_labels(records, listing.kind, warnings)
    given = {place for place in places if place}
    if not given:
        return assign(together, keys, labels, shares, seed, names), problems

    places = [place or "train" for place in places]
    _drop_crossing(records, similar, places, problems, listing.kind, warnings)
    wanted = {name: share for name, share in shares.items() if share > 0 and name not in {*given, "train"}}
    if "train" in given and wanted:
        said = " and ".join(f"{name} ({share:.0%})" for name, share in wanted.items())
        warnings.append(f"{listing.name} has no {' and no '.join(wanted)} split: {said} taken from train.")
        own = {i: j for j, i in enumerate(i for i, place in enumerate(places) if place == "train" and not problems[i])}
        inner = [kept for members in together if (kept := [own[i] for i in members if i in own])]
        rest = 1 - sum(wanted.values())
        if rest <= 0:
            raise InputError(f"`val` and `test` leave nothing to train on. Received: {shares}")
        part = assign(inner, [keys[i] for i in own], [labels[i] for i in own], {**wanted, "train": rest}, seed, names)
        for i, place in zip(own, part, strict=True):
            places[i] = place
    for group in sorted({r.group for r in records if r.group}):
        sides = {
            place
            for r, place, problem in zip(records, places, problems, strict=True)
            if r.group == group and not problem
        }
        if len(sides) > 1:
            warnings.append(f"Group '{group}' stands in {' and '.join(sorted(sides))}, as {listing.name} has it.")
    return places, problems


def _drop_crossing(
    records: list[Record],
    similar: list[list[int]],
    places: list[str],
    problems: list[str],
    kind: Kind,
    warnings: list[str],
) -> None:
    """Leaves out, of items that stand on two given sides, those nearer to training: the test is never altered."""
    rank = {"test": 0, "val": 1, "train": 2}
    dropped = 0
    for members in similar:
        best = min(members, key=lambda i: rank[places[i]])
        for i in members:
            if places[i] != places[best]:
                same = records[i].sha256 == records[best].sha256
                problems[i] = f"{'' if same else 'near-'}duplicate of {records[best].path.name} in {places[best]}"
                dropped += 1
    if dropped:
        warnings.append(
            f"{dropped} {kind.items} stand on two sides of the given split; copies on the training side are left out."
        )


def _warn_of_likeness(similar: list[list[int]], records: list[Record], kind: Kind, warnings: list[str]) -> None:
    largest = max(similar, key=len)
    if len(largest) > max(10, MAX_ALIKE * len(records)):
        warnings.append(
            f"{len(largest)} of {len(records)} {kind.items} are alike (as {records[largest[0]].path.name} is) "
            f"and stand on one side of the split. If they are different {kind.items}, set `near_duplicates=False`."
        )


def _warn_of_labels(records: list[Record], kind: Kind, warnings: list[str]) -> None:
    seen: dict[str, Record] = {}
    clashes = []
    for record in records:
        first = seen.setdefault(record.sha256, record)
        if first.label != record.label and first.file != record.file:  # of one file in two rows the listing speaks
            clashes.append((first, record))
    if clashes:
        first, second = clashes[0]
        warnings.append(
            f"{len(clashes)} {kind.items} stand under different labels, byte for byte the same "
            f"(first: {first.path} and {second.path})."
        )


def _split(name: str, records: list[Record], names: list[str], listing: Listing, preparer: Preparer) -> Split:
    own = [record for record in records if record.split == name]
    if listing.multi_label:
        labels = np.zeros((len(own), len(names)), np.float32)
        for row, record in zip(labels, own, strict=True):
            row[list(_indices(record))] = 1
    else:
        labels = np.array([record.label for record in own], np.int32)
    hashes = [record.sha256 for record in own]
    return Split(name, Paths(record.file for record in own), labels, hashes, names, preparer, listing.owner)


def _warn_of_classes(data: Dataset, shares: dict[str, float]) -> None:
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
