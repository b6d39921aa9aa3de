"""Examines recordings: lengths, sample rates, what cannot be used; and those that are the same or overlap."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_transfer.data.dataset import Examined, Record
from keras_transfer.data.parallel import ordered
from keras_transfer.data.reader import ReaderBase
from keras_transfer.data.split import Paths
from keras_transfer.data.splits import merge
from keras_transfer.data.stretches import parse_stretch, whole_file
from keras_transfer.errors import InputError
from keras_transfer.inputs import Json
from keras_transfer.modalities.audio.items import Samples, decode, examine_sound, load_sound
from keras_transfer.modalities.audio.overlaps import Landmarks, at_rate, landmarks, overlapping
from keras_transfer.progress import track

SILENT = 1e-4
"""The largest sample of a silent recording: -80 dB of full scale, three steps of 16 bits."""
CLIPPED = 0.01
"""Share of the samples at full scale, from which on a recording is remarked on."""
BEYOND = 4.0
"""The largest sample of floats from which on they are no sound within -1..1 with a few peaks beyond."""
NOTES = {
    "silent": "hold only silence, as windows of longer recordings do: left out, unless of a class such as `background`",
    "beyond": "hold floats far beyond -1..1, which are clipped there: divide them, by 32768 say",
    "clipped": f"are clipped: over {CLIPPED:.0%} of their samples are at full scale, so they were recorded too loud",
}
"""What is said once of recordings that can be used, by the key that `Examined.note` holds."""


@dataclass(frozen=True)
class AudioExamination:
    """See `keras_transfer.data.dataset.Examination`.

    Attributes:
        items: one for each recording; facts are seconds, sample rate and channels.
        files: what `load_sound` reads.
        samples: a hash of each one's samples, the same in whatever format they are kept; empty of silence, which is
            no copy of another silence.
        marks: what overlapping excerpts are found by.
    """

    items: list[Examined]
    files: Sequence[str]
    samples: list[str]
    marks: list[Landmarks]

    def clusters(self, indices: Sequence[int], near: bool) -> list[list[int]]:
        """Groups recordings of the same samples and, if `near`, excerpts that overlap."""
        groups = [[i] for i in range(len(indices))]
        if near:
            marks = [self.marks[i] for i in indices]
            groups = overlapping(marks, [whole_file(self.files[i]) for i in indices], lambda i: self._read(indices[i]))
        return merge(groups, [self.samples[i] for i in indices])

    def _read(self, index: int) -> Samples:
        try:
            return at_rate(*decode(load_sound(self.files[index])))
        except InputError:  # it has vanished
            return np.zeros(0, np.float32)


@dataclass(frozen=True)
class AudioReader(ReaderBase):
    """Reads recordings: see `keras_transfer.data.dataset.Reader`."""

    def examine(self, paths: Sequence[Path]) -> AudioExamination:
        """Looks at each file or `FILE#t=START,END` once, in parallel; what cannot be used has a `problem`."""
        files = Paths(paths).files
        looks = list(track(ordered(_examine, files), "Examining recordings", total=len(files)))
        items, samples, marks = zip(*looks, strict=True) if looks else ((), (), ())
        return AudioExamination(list(items), files, list(samples), list(marks))


def _examine(source: str) -> tuple[Examined, str, Landmarks]:
    sha256 = ""
    try:
        content = load_sound(source)
        sha256 = hashlib.sha256(content).hexdigest()
        samples, facts = examine_sound(content)
        note = _note(samples)
        if note == "silent" and parse_stretch(source) is None:
            constant = abs(float(samples.mean())) > SILENT
            raise InputError("a constant voltage (DC), and no sound" if constant else "only silence, below -80 dB")
    except InputError as error:
        return Examined(sha256=sha256, problem=str(error)), "", landmarks(np.zeros(0, np.float32))
    whole = np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2")
    digest = hashlib.sha256(whole.tobytes() + facts.sample_rate.to_bytes(4, "little")).hexdigest()
    digest = "" if note == "silent" else digest
    measured = (round(facts.seconds, 3), facts.sample_rate, facts.channels)
    return Examined(sha256, "", measured, note), digest, landmarks(at_rate(samples, facts.sample_rate))


def _note(samples: Samples) -> str:
    if np.abs(samples - samples.mean()).max() <= SILENT:
        return "silent"
    if np.abs(samples).max() > BEYOND:
        return "beyond"
    return "clipped" if (np.abs(samples) >= 0.999).mean() > CLIPPED else ""


def summarize(records: Sequence[Record]) -> dict[str, Json]:
    """Entries of `inspection.json` on the recordings in use.

    Returns:
        `lengths` in seconds: the smallest, the median, the largest and the sum, None without recordings;
        `sample_rates` and `channels`: how many have which.
    """
    measured = [record.facts for record in records if record.facts]
    seconds = np.array([float(facts[0]) for facts in measured])
    figures = (seconds.min(), np.median(seconds), seconds.max(), seconds.sum()) if len(seconds) else (None,) * 4
    names = ("smallest", "median", "largest", "sum")
    return {
        "lengths": {name: None if v is None else float(v) for name, v in zip(names, figures, strict=True)},
        "sample_rates": dict(Counter(str(facts[1]) for facts in measured)),
        "channels": dict(Counter(str(facts[2]) for facts in measured)),
    }
