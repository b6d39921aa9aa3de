"""A data set: records of all its items, and three splits of those that can be used."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.listing import NO_COLUMNS, Kind
from keras_transfer.data.split import Split
from keras_transfer.data.splits import SPLITS
from keras_transfer.files import write_text
from keras_transfer.inputs import Preparer

UNEVEN = 1.5
"""From this ratio of the largest to the smallest class on, classes are weighted."""


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
        facts: the values of `Kind.facts`, such as width and height.
    """

    file: str
    label: int | tuple[int, ...] | None
    split: str = ""
    sha256: str = ""
    problem: str = ""
    group: str = ""
    columns: Mapping[str, str] = field(default_factory=lambda: NO_COLUMNS, hash=False)
    facts: tuple[str | float, ...] = ()

    @property
    def path(self) -> Path:
        """Where the file lies, made when asked for: there may be a hundred thousand records."""
        return Path(self.file)

    @property
    def labels(self) -> tuple[int, ...]:
        """All its class indices; none where they are unknown."""
        return () if self.label is None else (self.label,) if isinstance(self.label, int) else self.label


class Examined(NamedTuple):
    """The result of examining one item.

    Attributes:
        sha256: of its content, hexadecimal.
        problem: why it cannot be used, `""` if it can.
        facts: the values of `Kind.facts`.
        note: a key of `Reader.notes`, `""` where there is nothing to remark.
    """

    sha256: str = ""
    problem: str = ""
    facts: tuple[str | float, ...] = ()
    note: str = ""


class Examination(Protocol):
    """The result of examining some items."""

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

    def class_counts(self) -> NDArray[np.int64]:
        """Training items of each class, `int64 [classes]`."""
        if self.multi_label:
            return np.asarray(self.train.labels.sum(axis=0), np.int64)
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

    def records_of(self, split: Split) -> list[Record]:
        """The records of a split's items, in the split's order."""
        records = {record.path: record for record in self.records if record.split}
        return [records[path] for path in split.paths]

    def labels_of(self, record: Record) -> str:
        """The names of a record's classes, several separated by `|`; `""` where they are unknown."""
        return "|".join(self.class_names[i] for i in record.labels)

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
        columns = dict.fromkeys(chain.from_iterable(record.columns for record in self.records))
        others = [name for name in columns if name not in heading]
        writer.writerow([*heading, *others])
        for record in self.records:
            names = self.labels_of(record)
            facts = [fact or "" for fact in record.facts] or [""] * len(self.reader.kind.facts)
            row = (record.path.absolute(), names, record.split, record.sha256, record.problem, *facts, record.group)
            writer.writerow([*row, *(record.columns.get(name, "") for name in others)])
        return write_text(path, text.getvalue())
