"""`load_images`: from anything that holds labelled photographs to checked splits."""

import csv
import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data.decode import MISSING, check_geometry
from keras_transfer.data.duplicates import SMALLEST, clusters
from keras_transfer.data.examine import NOTES, Examined, examine
from keras_transfer.data.listing import NO_COLUMNS, WRITTEN, Layout, Listing, natural
from keras_transfer.data.sources import list_source
from keras_transfer.data.split import Paths, Split
from keras_transfer.data.splits import SPLITS, assign, merge, position
from keras_transfer.errors import InputError
from keras_transfer.files import write_text
from keras_transfer.geometry import LEGACY, Geometry

MAX_BAD = 0.05
"""More unusable files than this share of all stop the run."""
UNEVEN = 1.5
"""From this ratio of the largest to the smallest class on, classes are weighted."""
MAX_ALIKE = 0.1
"""A cluster of near-duplicates with more than this share of all photographs is warned of."""
FEW = 10
"""A class with fewer training photographs than this is warned of."""


@dataclass(frozen=True, slots=True)
class Record:
    """One file of a data set, used or left out.

    Attributes:
        file: where it lies.
        label: class index; a tuple of them where pictures have several labels; `None` if unknown.
        split: `"train"`, `"val"`, `"test"`, or `""` where it is left out.
        sha256: of the file's content, hexadecimal.
        problem: why it is left out, `""` if it is not.
        width: pixels, as seen upright.
        height: pixels, as seen upright.
        format: `"JPEG"`, `"PNG"`, `"WEBP"`, `"BMP"`, `"GIF"`, `"TIFF"`, `"AVIF"`, `"HEIC"`, or `""`.
        group: what it must stay together with, `""` if nothing.
        columns: what else the source's table says of it.
    """

    file: str
    label: int | tuple[int, ...] | None
    split: str = ""
    sha256: str = ""
    problem: str = ""
    width: int = 0
    height: int = 0
    format: str = ""
    group: str = ""
    columns: Mapping[str, str] = field(default_factory=lambda: NO_COLUMNS, hash=False)

    @property
    def path(self) -> Path:
        """Where the file lies, made when asked for: there may be a hundred thousand records."""
        return Path(self.file)


@dataclass(eq=False)
class ImageData:
    """Checked photographs in three splits, each of which may be empty.

    Attributes:
        class_names: the classes, in the order of their indices.
        multi_label: whether a photograph may have several labels.
        records: every file that was found, also those left out.
        train, val, test: the splits.
        warnings: what the person should know, a sentence each.
        similar: groups of `records`, by index, that are the same or nearly the same picture; two or more in each.
    """

    class_names: list[str]
    multi_label: bool
    records: list[Record]
    train: Split
    val: Split
    test: Split
    warnings: list[str] = field(default_factory=list)
    similar: list[list[int]] = field(default_factory=list)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(getattr(self, name))}" for name in SPLITS)
        return f"ImageData({len(self.class_names)} classes; {sizes})"

    def fitted(self, geometry: str | Mapping[str, Any] | Geometry) -> "ImageData":
        """The same photographs, decoded with this geometry in all splits.

        Args:
            geometry: a `Geometry`, `"crop"`, `"squash"`, `"letterbox"`, or a mapping of fields.

        Raises:
            InputError: there is no such geometry.
        """
        told = check_geometry(geometry)
        return replace(self, **{name: getattr(self, name).fitted(told) for name in SPLITS})

    def class_counts(self) -> np.ndarray:
        """Training photographs of each class, `int64 [classes]`."""
        if self.multi_label:
            return self.train.labels.sum(axis=0).astype(np.int64)
        return np.bincount(self.train.labels, minlength=len(self.class_names))

    def class_weights(self) -> dict[int, float] | None:
        """Weights under which every class counts alike in training, for `model.fit(class_weight=...)`.

        Class c of k classes weighs n / (k n_c), as scikit-learn's `"balanced"`: 1 on average over photographs.

        Returns:
            Weight of each class index, or `None` where the largest class is under 1.5 times the smallest, and where
            photographs have several labels (Keras's `class_weight` has no meaning there).
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
        """Writes a row for every file, used or left out. The CSV can be given to `load_images` again.

        Columns: path, class (`labels`, separated by `|`, where pictures have several), split, sha256, problem, width,
        height, format, group, and those that the source's table had besides.

        Args:
            path: where to; replaced atomically.

        Returns:
            The path.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        column = "labels" if self.multi_label else "class"
        heading = ["path", column, "split", *WRITTEN]
        more = [name for name in dict.fromkeys(chain.from_iterable(r.columns for r in self.records))
                if name not in heading]  # fmt: skip
        writer.writerow([*heading, *more])
        for record in self.records:
            names = self.labels_of(record)
            size = (record.width or "", record.height or "")
            row = (record.path.absolute(), names, record.split, record.sha256, record.problem, *size)
            writer.writerow([*row, record.format, record.group, *(record.columns.get(name, "") for name in more)])
        return write_text(path, text.getvalue())


def load_images(
    source: Any,
    *,
    labels: Any = None,
    val: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    group_by: str | None = None,
    root: str | Path | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    classes_at_depth: int | None = None,
    allow_bad: bool = False,
    class_names: Sequence[str] | None = None,
    near_duplicates: bool = True,
    few_shot: int | None = None,
    geometry: str | Mapping[str, Any] | Geometry = LEGACY,
) -> ImageData:
    """Finds, checks and splits labelled photographs.

    Every file is looked at once: what cannot be used (truncated, empty, a wrong extension, over 100 megapixels, no
    picture) is left out and listed with the reason in `records`. Near-duplicates stand on one side of the split.
    A photograph's split follows from its content and the seed alone, so adding others leaves it where it is (see
    `splits.assign` for the one exception).

    A source that has splits of its own keeps them: `train/` `val/` `test/` folders (also `training`, `valid`,
    `validation`, `testing`), a `split` column, the splits of TensorFlow Datasets. A split that is missing is taken from
    its training side in the shares asked for. Where its sides share a picture, the training side's copy is left out.

    Args:
        source: a folder with a folder for each class, or with `train/` `val/` `test/` of such; a `.csv` or `.parquet`
            with a column of paths (`path`, `file`, `filename`, `filepath` or `image`) and one of labels (`label`,
            `class`, `category` or `target`; or `labels`, separated by `|`), maybe one called `split`, in any case;
            `"digits"`, scikit-learn's handwritten digits; `"tfds:NAME"`, `"tfds:NAME:CONFIG"` or `"tfds:FOLDER"`;
            images as an array `[n, H, W, 3]`, `[n, H, W, 1]` or `[n, H, W]` in 0..255 with `labels=`, or the pair
            `(images, labels)`; a `tf.data.Dataset` of (image, label), batched or not.
        labels: for arrays only: class indices or names `[n]`, or one-hot or multi-hot `[n, classes]`.
        val: share of photographs for validation, 0..1.
        test: share of photographs for the test, 0..1. With `val=0, test=1` all are for the test.
        seed: another seed, another split.
        group_by: a column of the CSV or Parquet whose equal values stay on one side; `"folder"`: the folder of a file;
            or a regular expression on the path, whose first group (or whole match) is what stays together.
        root: the folder in which relative paths of a table begin; by default the table's own.
        path_column: the table's column of paths, where its name is another or two could be it.
        label_column: the table's column of labels, likewise.
        classes_at_depth: how many levels below the folder, or below its `train/` `val/` `test/`, the class folders are,
            1 or more; folders of one name are one class. By default 1.
        allow_bad: go on though more than 5% of the files cannot be used.
        class_names: the classes in order, where the source's own names or order will not do.
        near_duplicates: `False` keeps together only what is byte for byte the same: for pictures that look alike by
            their nature, such as one machine part in one place.
        few_shot: keep at most so many photographs of each class to train on, and as many to validate; a smaller number
            keeps some of the same ones. The rest of them are not used; the test stays whole.
        geometry: how photographs are fitted to a model's input: see `decode_image`.

    Returns:
        An `ImageData`.

    Raises:
        InputError: the source is missing or of no known kind, has one class or an empty one, fewer images than splits
            need, or more than 5% unusable files.

    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    >>> load_images(images, labels=["cat", "dog"] * 10, val=0.2, test=0.2)
    ImageData(2 classes; train ..., val ..., test ...)
    """
    where = os.fspath(root) if root is not None else None
    layout = Layout(group_by, where, path_column, label_column, classes_at_depth)
    told = check_geometry(geometry)
    data = load_listing(
        list_source(source, labels, layout),
        val=val,
        test=test,
        seed=seed,
        allow_bad=allow_bad,
        class_names=class_names,
        near_duplicates=near_duplicates,
        few_shot=few_shot,
    )
    return data.fitted(told)


def load_listing(
    listing: Listing,
    *,
    val: float,
    test: float,
    seed: int = 0,
    allow_bad: bool = False,
    class_names: Sequence[str] | None = None,
    near_duplicates: bool = True,
    few_shot: int | None = None,
) -> ImageData:
    """As `load_images`, of a source that is listed already."""
    shares = _check_shares(val, test)
    if not listing.entries:
        raise InputError(f"{listing.name} holds no photographs. Give a folder with a folder for each class.")
    names = _class_names(listing, class_names)
    looked, thumbnails = examine(Paths(entry.file for entry in listing.entries))
    examined = [
        found._replace(problem=entry.problem) if entry.problem and not found.problem else found
        for entry, found in zip(listing.entries, looked, strict=True)
    ]
    warnings = list(listing.warnings)
    _check_bad(listing, examined, allow_bad, warnings)
    _warn_of_notes(listing, examined, warnings)

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
            sha256=found.sha256,
            problem=found.problem,
            width=found.width,
            height=found.height,
            format=found.format,
            group=entry.group,
            columns=entry.columns,
        )
        for entry, found in zip(listing.entries, examined, strict=True)
    ]
    good = [i for i, record in enumerate(records) if not record.problem]
    _check_classes(listing, names, records, shares, warnings)
    large = np.array([near_duplicates and min(records[i].width, records[i].height) >= SMALLEST for i in good])
    similar = clusters(thumbnails[good], [records[i].sha256 for i in good], large)
    _warn_of_likeness(similar, [records[i] for i in good], warnings)
    places, problems = _place([records[i] for i in good], similar, shares, seed, names, listing, warnings)
    for i, place, problem in zip(good, places, problems, strict=True):
        records[i] = replace(records[i], split=place, problem=problem)
    records = [replace(record, split="") if record.problem else record for record in records]
    if few_shot is not None:
        records = _few(records, few_shot, seed, listing.multi_label)

    splits = {name: _split(name, records, names, listing) for name in SPLITS}
    groups = [[good[i] for i in members] for members in similar if len(members) > 1]
    data = ImageData(names, listing.multi_label, records, warnings=warnings, similar=groups, **splits)
    _warn_of_classes(data, shares)
    return data


def _few(records: list[Record], few_shot: int, seed: int, multi_label: bool) -> list[Record]:
    """Leaves `few_shot` photographs of each class in train and in val, chosen by the hash of what they hold."""
    if few_shot < 1 or multi_label:
        raise InputError(
            f"`few_shot` must be 1 or more, and photographs have one label each. Received: few_shot={few_shot}."
        )
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
        (entry.path.name[-80:], found.problem)
        for entry, found in zip(listing.entries, examined, strict=True)
        if found.problem
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


def _warn_of_notes(listing: Listing, examined: list[Examined], warnings: list[str]) -> None:
    for note, sentence in NOTES.items():
        files = [entry.path.name for entry, found in zip(listing.entries, examined, strict=True) if found.note == note]
        if files:
            warnings.append(f"{len(files)} of {len(examined)} files {sentence} (first: {files[0]}).")


def _check_classes(
    listing: Listing, names: list[str], records: list[Record], shares: dict[str, float], warnings: list[str]
) -> None:
    held = Counter(i for record in records for i in _indices(record) if not record.problem)
    empty = [name for i, name in enumerate(names) if not held[i]]
    if shares["train"] == 0 or not (listing.splits in (set(), {""}) or "train" in listing.splits):
        if empty:
            warnings.append(f"No photographs of {', '.join(empty)}.")
        return
    if empty:
        damaged = [record for record in records if names.index(empty[0]) in _indices(record)]
        why = f" ({damaged[0].path.name}: {damaged[0].problem})" if damaged else ""
        raise InputError(
            f"Class '{empty[0]}' of {listing.name} is empty: none of its {len(damaged)} files is a usable "
            f"photograph{why}. Add some, or remove it."
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
    """The split of each sound photograph, and why it is left out if it is."""
    problems = [""] * len(records)
    labels = [record.label if isinstance(record.label, int) else 0 for record in records]
    keys = [record.group or record.sha256 for record in records]
    places = [record.split for record in records]
    together = merge(similar, [record.group for record in records])
    _warn_of_labels(records, names, warnings)
    given = {place for place in places if place}
    if not given:
        return assign(together, keys, labels, shares, seed, names), problems

    places = [place or "train" for place in places]
    _drop_crossing(records, similar, places, problems, warnings)
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
    records: list[Record], similar: list[list[int]], places: list[str], problems: list[str], warnings: list[str]
) -> None:
    """Leaves out, of pictures that stand on two given sides, those nearer to training: the test is never altered."""
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
            f"{dropped} photographs stand on two sides of the given split; copies on the training side are left out."
        )


def _warn_of_likeness(similar: list[list[int]], records: list[Record], warnings: list[str]) -> None:
    largest = max(similar, key=len)
    if len(largest) > max(10, MAX_ALIKE * len(records)):
        warnings.append(
            f"{len(largest)} of {len(records)} photographs look alike (as {records[largest[0]].path.name} does) "
            "and stand on one side of the split. If they are different pictures, set `near_duplicates=False`."
        )


def _warn_of_labels(records: list[Record], names: list[str], warnings: list[str]) -> None:
    seen: dict[str, Record] = {}
    clashes = []
    for record in records:
        first = seen.setdefault(record.sha256, record)
        if first.label != record.label and first.file != record.file:  # of one file in two rows the listing speaks
            clashes.append((first, record))
    if clashes:
        first, second = clashes[0]
        warnings.append(
            f"{len(clashes)} pictures stand under different labels, byte for byte the same (first: {first.path} and "
            f"{second.path})."
        )


def _split(name: str, records: list[Record], names: list[str], listing: Listing) -> Split:
    own = [record for record in records if record.split == name]
    if listing.multi_label:
        labels = np.zeros((len(own), len(names)), np.float32)
        for row, record in zip(labels, own, strict=True):
            row[list(_indices(record))] = 1
    else:
        labels = np.array([record.label for record in own], np.int32)
    return Split(name, Paths(r.file for r in own), labels, [r.sha256 for r in own], names, _owner=listing.owner)


def _warn_of_classes(data: ImageData, shares: dict[str, float]) -> None:
    counts = data.class_counts()
    if not len(data.train):
        return
    if not data.multi_label and counts.min() == 0:
        missing = [name for name, count in zip(data.class_names, counts, strict=True) if not count]
        raise InputError(f"Class '{missing[0]}' has no photograph to train on. Add some to its training side.")
    tiny = [f"{name} ({count})" for name, count in zip(data.class_names, counts, strict=True) if count < FEW]
    if tiny:
        data.warnings.append(f"Under {FEW} photographs to train on: {', '.join(tiny[:10])}.")
    if counts.min() and counts.max() / counts.min() >= UNEVEN and not data.multi_label:
        data.warnings.append(
            f"Classes are uneven: {counts.min()} to {counts.max()} training photographs. Their weights even that out."
        )
    for name in ("val", "test"):
        split = getattr(data, name)
        if len(split) and not data.multi_label:
            absent = sorted(set(range(len(data.class_names))) - set(split.labels.tolist()))
            if absent:
                data.warnings.append(f"No photograph of {', '.join(data.class_names[i] for i in absent)} in {name}.")
