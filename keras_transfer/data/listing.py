"""What a source of photographs holds: files with their class names, before any is looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


# One for all: there may be a hundred thousand files, and few sources say more of them.
NO_COLUMNS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, not yet looked at: its class names (one, or any number where there are several labels)."""

    path: Path
    labels: tuple[str, ...]
    split: str = ""
    group: str = ""
    columns: Mapping[str, str] = field(default_factory=lambda: NO_COLUMNS, hash=False)


@dataclass
class Listing:
    """What a source holds.

    Attributes:
        name: the source, for sentences.
        entries: its files, in a fixed order.
        multi_label: whether an entry may have other than one label.
        class_names: in the source's own order; `None` where they are to be collected and sorted.
        numbered: the classes are only numbers, which `class_names=` may name.
        owner: keeps a temporary folder alive.
        warnings: a sentence each.
    """

    name: str
    entries: list[Entry]
    multi_label: bool = False
    class_names: list[str] | None = None
    numbered: bool = False
    owner: Any = None
    warnings: list[str] = field(default_factory=list)

    @property
    def splits(self) -> set[str]:
        """The splits that the source itself has."""
        return {entry.split for entry in self.entries if entry.split}

    def rename(self, names: dict[str, str]) -> None:
        """Gives the classes other names."""
        self.entries = [replace(e, labels=tuple(names[label] for label in e.labels)) for e in self.entries]
