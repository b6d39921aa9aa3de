"""What a source holds: files with their class names, before any is examined."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import cast

from keras_transfer.errors import InputError
from keras_transfer.schemas import LayoutFields

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def natural(name: str) -> list[tuple[int, int, str, str]]:
    """A sorting key that puts `class10` after `class2`.

    >>> sorted(["b", "class10", "class2", "10", "9"], key=natural)
    ['9', '10', 'b', 'class2', 'class10']
    """
    key = []
    for part in re.findall(r"[0-9]+|[^0-9]+", name):
        digits = part.lstrip("0")  # not `int`: it refuses thousands of digits
        key.append((0, len(digits), digits, part) if part[0] in "0123456789" else (1, 0, part, ""))
    return key


def group_of(place: str, group_by: str) -> str:
    """The part of a file's place that a regular expression finds: its first group, or all of it; `""` for none.

    >>> group_of("zero/0_george_7.wav", r"_([a-z]+)_")
    'george'
    """
    try:
        match = re.search(group_by, place)
    except re.error as error:
        raise InputError(f"`group_by` is no regular expression ({error}). Received: group_by={group_by!r}") from error
    if match is None:
        return ""
    return (match.group(1) or "") if match.re.groups else match.group(0)


@dataclass(frozen=True)
class Kind:
    """How the files of a modality are called and recognised.

    Attributes:
        items: the plural for sentences, such as `"sentences"`.
        item: the singular.
        extensions: of file names, in lower case, with the dot.
        facts: names of what an examination measures of each file: columns of `Dataset.write_csv`.
        example: an item, or the name of its file, in commands that a person is shown.
        listed: how a source's items are called before they are known to be any.
        cells: usual names of a table's column whose cells are the items themselves; empty where items are files.
        columns_of_paths: usual names of a table's column of paths, beside `tables.PATHS`.
        stretches: whether an item may be a stretch of a file, `FILE#t=START,END`; see `data.stretches`.
    """

    items: str = "items"
    item: str = "item"
    extensions: frozenset[str] = frozenset()
    facts: tuple[str, ...] = ()
    example: str = "FILE"
    listed: str = "files"
    cells: tuple[str, ...] = ()
    columns_of_paths: tuple[str, ...] = ()
    stretches: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that `Dataset.write_csv` adds of its own."""
        return ("sha256", "problem", *self.facts, "group")


@dataclass(frozen=True)
class Layout:
    """How a source is arranged, where its user says so.

    Attributes:
        group_by: what stays on one side of a split: a table's column; of a folder `"folder"` or a regular expression.
        root: the folder in which a table's relative paths begin, in place of the table's own.
        path_column: the table's column of paths, in place of one of the names in `tables.PATHS`.
        label_column: the table's column of labels, in place of one of the names in `tables.LABELS`.
        classes_at_depth: how many levels below the folder, or below its train/ val/ test/, the class folders are.
        text_column: the table's column whose cells are the texts, in place of one of the names in `Kind.cells`.
        window: seconds of the windows that long files are cut into.
        hop: seconds from the beginning of one window to that of the next.
        background: a folder of files that become the class `background`.
        rate: samples a second of series whose files do not say it.
    """

    group_by: str | None = None
    root: str | None = None
    path_column: str | None = None
    label_column: str | None = None
    classes_at_depth: int | None = None
    text_column: str | None = None
    window: float | None = None
    hop: float | None = None
    background: str | None = None
    rate: float | None = None

    def refuse(self, names: Iterable[str], needs: str) -> None:
        """Raises `InputError` where one of these fields is said, which needs another source.

        >>> Layout(hop=0.5).refuse(["hop"], "recordings")
        Traceback (most recent call last):
        ...
        keras_transfer.errors.InputError: `hop` (--hop) needs recordings. Received: hop=0.5
        """
        for name in names:
            if (value := getattr(self, name)) is not None:
                raise InputError(f"`{name}` (--{name.replace('_', '-')}) needs {needs}. Received: {name}={value!r}")

    def said(self) -> LayoutFields:
        """What is said, by name.

        >>> Layout(root="photos").said()
        {'root': 'photos'}
        """
        return cast(LayoutFields, {name: value for name, value in asdict(self).items() if value is not None})

    def words(self) -> list[str | int]:
        """What is said, as options of the command line.

        >>> Layout(classes_at_depth=2).words()
        ['--classes-at-depth', 2]
        """
        return [
            word
            for name, value in asdict(self).items()
            if value is not None
            for word in (f"--{name.replace('_', '-')}", value)
        ]


# One for all: there may be a hundred thousand files, and few sources have other columns.
NO_COLUMNS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, not yet examined: its class names (one, or any number where there are several labels).

    One with a `problem` is listed and left out.
    """

    file: str
    labels: tuple[str, ...]
    split: str = ""
    group: str = ""
    columns: Mapping[str, str] = field(default_factory=lambda: NO_COLUMNS, hash=False)
    problem: str = ""

    @property
    def path(self) -> Path:
        """Where the file lies, made when asked for: there may be a hundred thousand entries."""
        return Path(self.file)


@dataclass
class Listing:
    """What a source holds.

    Attributes:
        name: the source, for sentences.
        kind: what its files are.
        entries: its files, in a fixed order.
        multi_label: whether an entry may have other than one label.
        class_names: in the source's own order; `None` where they are to be collected and sorted.
        numbered: the classes are only numbers, which `class_names=` may name.
        owner: keeps a temporary folder alive.
        warnings: a sentence each.
        missing_hint: a sentence for where files are missing.
        one_class_hint: a sentence for where there is one class only.
        left_out: by an item's `Examined.note` why it is left out, though it is not damaged, where it has other labels
            than those of `spared`.
        spared: class names.
    """

    name: str
    entries: list[Entry]
    kind: Kind = Kind()
    multi_label: bool = False
    class_names: list[str] | None = None
    numbered: bool = False
    owner: object = None
    warnings: list[str] = field(default_factory=list)
    missing_hint: str = ""
    one_class_hint: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)
    spared: frozenset[str] = frozenset()

    @property
    def splits(self) -> set[str]:
        """The splits that the source itself has."""
        return {entry.split for entry in self.entries if entry.split}

    def check_groups(self, group_by: str | None) -> None:
        """Remarks on entries in which `group_by` finds no group: each of these stands alone.

        Raises:
            InputError: nothing would be kept together, against what was asked for.
        """
        alone = [entry.file for entry in self.entries if not entry.group]
        if group_by is None or not alone:
            return
        if len(alone) == len(self.entries):
            raise InputError(
                f"`group_by` finds no group in any of {len(alone)} {self.kind.items}, such as {alone[0]}, so nothing "
                f"would be kept together. Received: group_by={group_by!r}"
            )
        self.warnings.append(
            f"--group-by {group_by!r} finds no group in {len(alone)} of {len(self.entries)} {self.kind.items}, such as "
            f"{Path(alone[0]).name}: each of these stands alone."
        )

    def rename(self, names: dict[str, str]) -> None:
        """Gives the classes other names."""
        self.entries = [replace(e, labels=tuple(names[label] for label in e.labels)) for e in self.entries]
