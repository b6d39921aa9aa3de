"""Examines texts: lengths, encodings, what cannot be used; and those that are the same or nearly so."""

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_transfer.data.dataset import Examined, Record
from keras_transfer.data.reader import ReaderBase
from keras_transfer.data.split import Paths
from keras_transfer.data.splits import merge
from keras_transfer.errors import InputError
from keras_transfer.inputs import Json
from keras_transfer.modalities.text.items import KIND, read_text
from keras_transfer.progress import track

LONG = 100_000
"""Texts of more characters are remarked on."""
NOTES = {
    "html": "hold HTML, such as &amp; or <br />, which is read as it stands",
    "cp1252": "are not in UTF-8 and are read as Windows-1252: if letters look wrong, save them as UTF-8",
    "long": f"have over {LONG:,} characters, of which a model reads the first ones",
}
"""What is said once of texts that can be used, by the key that `Examined.note` holds."""

_HTML = re.compile(rb"&(?:#[0-9]{1,6}|#x[0-9a-f]{1,5}|[a-z]{2,8});|</?(?:br|p|b|i|a|div|span|strong)\b[^<>]*>", re.I)


@dataclass(frozen=True)
class TextExamination:
    """See `keras_transfer.data.dataset.Examination`; `files` are what `load_text` reads."""

    items: list[Examined]
    files: Sequence[str]

    def clusters(self, indices: Sequence[int], near: bool) -> list[list[int]]:
        """Groups the same texts and, if `near`, those that share most of their pairs of words."""
        hashes = [self.items[i].sha256 for i in indices]
        groups: list[list[int]] = []
        if near:
            from keras_transfer.modalities.text.duplicates import near_duplicates  # and with it SciPy's graphs

            first = list({digest: place for place, digest in enumerate(hashes)}.values())  # of the same texts one
            texts = (read_text(self.files[indices[place]])[0] for place in first)
            alike = near_duplicates(track(texts, "Comparing texts", total=len(first)))
            groups = [[first[i] for i in members] for members in alike]
        return merge(groups, hashes)


@dataclass(frozen=True)
class TextReader(ReaderBase):
    """Reads texts: see `keras_transfer.data.dataset.Reader`."""

    def examine(self, paths: Sequence[Path]) -> TextExamination:
        """Looks at each file or `TABLE#ROW` once; what cannot be used has a `problem`."""
        files = Paths(paths).files
        return TextExamination([examine_text(name) for name in track(files, "Examining texts", len(files))], files)


def examine_text(source: str) -> Examined:
    """Reads, hashes and measures one text.

    >>> examine_text("no/such.txt").problem
    'no such file'
    """
    sha256 = ""
    try:
        content, encoding = read_text(source)
        sha256 = hashlib.sha256(content).hexdigest()
        if b"\0" in content:
            raise InputError("zero bytes, as no text has")
        if not content.strip():
            raise InputError("an empty text")
    except InputError as error:
        return Examined(sha256=sha256, problem=str(error))
    text = content.decode()
    if not text.strip():
        return Examined(sha256=sha256, problem="an empty text")
    html = (b"&" in content or b"<" in content) and _HTML.search(content) is not None
    note = "html" if html else "long" if len(text) > LONG else ""
    if encoding == "cp1252" and "#" not in source:  # of a table it is said once
        note = "cp1252"
    return Examined(sha256, "", (len(text), len(text.split()), sys.intern(encoding)), note)


def summarize(records: Sequence[Record]) -> dict[str, Json]:
    """Entries of `inspection.json` on the texts in use.

    Returns:
        `characters` and `words`: smallest, quartiles, the 99th percentile and the largest, all None without texts;
        `encodings`: how many texts came in which.
    """
    measured = [record.facts for record in records if record.facts]
    levels = {"smallest": 0, "lower": 25, "median": 50, "upper": 75, "high": 99, "largest": 100}
    summary: dict[str, Json] = {}
    for place, name in enumerate(KIND.facts[:2]):
        sizes = [int(facts[place]) for facts in measured]
        summary[name] = {key: float(np.percentile(sizes, q)) if sizes else None for key, q in levels.items()}
    return {**summary, "encodings": dict(Counter(str(facts[2]) for facts in measured))}
