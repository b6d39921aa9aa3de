"""A reader of files that are duplicates only where their content is the same: what a modality can start with."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keras_transfer.data.dataset import Examined
from keras_transfer.data.listing import Kind
from keras_transfer.data.parallel import ordered
from keras_transfer.data.split import Split
from keras_transfer.data.splits import merge
from keras_transfer.errors import InputError
from keras_transfer.inputs import Preparer
from keras_transfer.progress import track

NO_NOTES: Mapping[str, str] = {}


@dataclass(frozen=True)
class Examination:
    """See `keras_transfer.data.dataset.Examination`: items are duplicates where their content is the same."""

    items: list[Examined]

    def clusters(self, indices: Sequence[int], near: bool) -> list[list[int]]:
        """Groups items of the same content; `near` changes nothing."""
        return merge([[i] for i in range(len(indices))], [self.items[i].sha256 for i in indices])


@dataclass(frozen=True)
class ReaderBase:
    """What readers of items that stay as they are share; see `keras_transfer.data.dataset.Reader`.

    Attributes:
        prepares: how items become inputs.
        kind: how the items are called and recognised.
        notes: what may be said of an item beside its facts -> the sentence about it.
    """

    prepares: Preparer
    kind: Kind
    notes: Mapping[str, str] = field(default_factory=lambda: NO_NOTES)

    def preparer(self) -> Preparer:
        """The preparer."""
        return self.prepares

    def split(self, split: Split) -> Split:
        """The split as it is."""
        return split


@dataclass(frozen=True)
class FileReader(ReaderBase):
    """A `keras_transfer.data.dataset.Reader` of one file for each item.

    Attributes:
        measure: the values of `kind.facts`, from an item's content; raises `InputError` where it is damaged.
    """

    measure: Callable[[bytes], tuple[str | float, ...]] = field(kw_only=True)

    def examine(self, paths: Sequence[Path]) -> Examination:
        """Loads, hashes and measures each file once, in parallel, with a progress bar."""
        examined = ordered(self._examine, paths)
        return Examination(list(track(examined, f"Examining {self.kind.items}", total=len(paths))))

    def _examine(self, path: Path) -> Examined:
        sha256 = ""
        try:
            content = self.prepares.load(str(path))
            sha256 = hashlib.sha256(content).hexdigest()
            return Examined(sha256, "", self.measure(content))
        except InputError as error:
            return Examined(sha256, str(error))
