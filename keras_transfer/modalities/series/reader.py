"""Examines series: lengths, channels and rates, what cannot be used; and those that are the same or overlap."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.dataset import Examined, Record
from keras_transfer.data.parallel import ordered
from keras_transfer.data.reader import ReaderBase
from keras_transfer.data.split import Paths
from keras_transfer.data.splits import merge
from keras_transfer.errors import InputError
from keras_transfer.inputs import Json
from keras_transfer.modalities.series.items import LONGEST, Values, unpack
from keras_transfer.modalities.series.overlaps import overlapping
from keras_transfer.modalities.series.preparer import SeriesPreparer
from keras_transfer.progress import track

NOTES = {
    "unsorted": "have rows that are not in the order of their time stamps, which is mended",
    "repeated": "have time stamps that stand there twice: the first row of each is used",
    "uneven": "have uneven time stamps: samples between them are interpolated at an even rate",
    "missing": "lack single samples, which are interpolated",
    "rate": "have another sample rate than the others, and are resampled",
    "constant": "hold a channel that never changes",
}
"""What is said once of series that can be used, by the key that `Examined.note` holds."""


@dataclass(frozen=True)
class SeriesExamination:
    """See `keras_transfer.data.dataset.Examination`; facts are length in samples, channels and rate (0 if unknown)."""

    items: list[Examined]
    files: Sequence[str]
    prepares: SeriesPreparer

    def clusters(self, indices: Sequence[int], near: bool) -> list[list[int]]:
        """Groups series of the same content and, if `near`, those that share a stretch, as overlapping windows do."""
        groups = (
            overlapping(len(indices), lambda i: self._read(indices[i])) if near else [[i] for i in range(len(indices))]
        )
        return merge(groups, [self.items[i].sha256 for i in indices])

    def _read(self, index: int) -> Values:
        try:
            return self.prepares.series(self.prepares.load(self.files[index])).values
        except InputError:  # it has vanished
            return np.zeros((0, 1), np.float32)


@dataclass(frozen=True)
class SeriesReader(ReaderBase):
    """Reads series: see `keras_transfer.data.dataset.Reader`."""

    prepares: SeriesPreparer

    def examine(self, paths: Sequence[Path]) -> SeriesExamination:
        """Looks at each series once; what cannot be used has a `problem`, and raises nothing.

        Args:
            paths: what `spool.load_series` reads.
        """
        files = Paths(paths).files
        items = track(ordered(self._examine, files), "Examining series", total=len(files))
        return SeriesExamination(list(items), files, self.prepares)

    def _examine(self, source: str) -> Examined:
        sha256 = ""
        try:
            content = self.prepares.load(source)
            sha256 = hashlib.sha256(content).hexdigest()
            raw = unpack(content)
            values = self.prepares.series(content).values
            if len(values) > LONGEST:
                raise InputError(f"{len(values):,} samples, over {LONGEST:,}: cut it with --window")
        except InputError as error:
            return Examined(sha256=sha256, problem=str(error))
        note = raw.note
        if not note and np.isnan(raw.values).any():
            note = "missing"
        if not note and raw.rate and self.prepares.rate and abs(raw.rate - self.prepares.rate) > 0.01 * raw.rate:
            note = "rate"
        if not note and len(values) > 1 and (values.max(axis=0) == values.min(axis=0)).any():
            note = "constant"
        return Examined(sha256, "", (len(raw.values), raw.values.shape[1], raw.rate or 0), note)


def lengths_of(records: Sequence[Record]) -> NDArray[np.int64]:
    """The lengths of the series in use, in samples."""
    return np.array([int(record.facts[0]) for record in records if record.facts], np.int64)


def summarize(records: Sequence[Record]) -> dict[str, Json]:
    """Entries of `inspection.json` on the series in use.

    Returns:
        `lengths` in samples: the smallest, the median and the largest, None without series; `channels` and `rates` (in
        Hz): how many have which.
    """
    lengths = lengths_of(records)
    figures = (lengths.min(), np.median(lengths), lengths.max()) if len(lengths) else (None,) * 3
    facts = [record.facts for record in records if record.facts]
    return {
        "lengths": {
            name: None if v is None else float(v)
            for name, v in zip(("smallest", "median", "largest"), figures, strict=True)
        },
        "channels": dict(Counter(str(own[1]) for own in facts)),
        "rates": dict(Counter(f"{float(own[2]):g}" if own[2] else "unknown" for own in facts)),
    }
