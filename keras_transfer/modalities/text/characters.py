"""What BERT's tokenizer makes of single characters, as `characters.txt` says it.

The tables are those of Hugging Face `tokenizers`, which belong to several versions of Unicode, and to none that Python,
Java or JavaScript have. So nobody asks the platform: all read the same file.
"""

import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

CHARACTERS = Path(__file__).with_name("characters.txt")
"""The tables; its first lines say how they are read."""
_CAPITAL_I_WITH_DOT = 0x130  # the only letter whose lower case is two characters
_SYLLABLES, _LEADING, _VOWELS, _TRAILING = range(0xAC00, 0xD7A4), 0x1100, 0x1161, 0x11A7  # Unicode 3.12, Hangul


def normalized(text: str, lowercase: bool, decomposes: bool) -> str:
    """A text as words and punctuation marks with spaces between.

    Args:
        text: anything; lone surrogates are removed, as control characters are.
        lowercase: whether letters become lower-case.
        decomposes: whether text is decomposed (NFD) and loses its nonspacing marks.

    >>> normalized("Été, 北京!", True, True).split()
    ['ete', ',', '北', '京', '!']
    """
    if decomposes and not text.isascii():
        text = _tables().in_order(text)
    return text.translate(_outcomes(lowercase, decomposes))


@cache
def _outcomes(lowercase: bool, decomposes: bool) -> "_Outcomes":
    return _Outcomes(_tables(), lowercase, decomposes)


class _Outcomes(dict[int, str]):
    """What each code point becomes, worked out when it first comes."""

    def __init__(self, tables: "_Tables", lowercase: bool, decomposes: bool) -> None:
        super().__init__()
        self.tables, self.lowercase, self.decomposes = tables, lowercase, decomposes

    def __missing__(self, code: int) -> str:
        outcome = self[code] = self._outcome(code)
        return outcome

    def _outcome(self, code: int) -> str:
        tables = self.tables
        if any(code in codes for codes in tables.removed):
            return ""
        if code in tables.spaces:
            return " "
        text = tables.decomposed(code) if self.decomposes else chr(code)
        if self.lowercase:
            text = "".join(tables.lower.get(ord(character), character) for character in text)
        text = "".join(f" {character} " if ord(character) in tables.punctuation else character for character in text)
        return f" {text} " if any(code in codes for codes in tables.chinese) else text


@dataclass(frozen=True)
class _Tables:
    """The lines of `characters.txt`."""

    removed: tuple[range, ...]
    spaces: frozenset[int]
    chinese: tuple[range, ...]
    punctuation: frozenset[int]
    lower: dict[int, str]
    marks: frozenset[int]
    bounds: frozenset[int]
    classes: dict[str, int]
    decompositions: dict[int, str]

    def decomposed(self, code: int) -> str:
        """The canonical decomposition of a character without its nonspacing marks."""
        if code in self.marks:
            return ""
        if code in _SYLLABLES:
            syllable, trailing = divmod(code - _SYLLABLES.start, 28)
            leading, vowel = divmod(syllable, 21)
            return chr(_LEADING + leading) + chr(_VOWELS + vowel) + (chr(_TRAILING + trailing) if trailing else "")
        return self.decompositions.get(code, chr(code))

    def in_order(self, text: str) -> str:
        """A text whose combining characters that stay, which are rare, are in canonical order."""
        if self._combining.isdisjoint(text):
            return text
        return self._run.sub(
            lambda run: "".join(sorted((c for c in run[0] if c in self.classes), key=self.classes.__getitem__)),
            text.translate(self._composed),
        )

    @cached_property
    def _composed(self) -> dict[int, str]:
        """Those decompositions that have a combining character that stays."""
        return {code: text for code, text in self.decompositions.items() if not self.classes.keys().isdisjoint(text)}

    @cached_property
    def _combining(self) -> frozenset[str]:
        return frozenset((*self.classes, *map(chr, self._composed)))

    @cached_property
    def _run(self) -> re.Pattern[str]:
        """Characters that are reordered, and those between them that do not stay."""
        codes = (*map(ord, self.classes), *(self.marks - self.bounds))
        ranges = (*self.removed, *(range(code, code + 1) for code in codes))
        return re.compile("[" + "".join(f"\\U{r.start:08x}-\\U{r.stop - 1:08x}" for r in ranges) + "]+")


@cache
def _tables() -> _Tables:
    lines = [line for line in CHARACTERS.read_text("ascii").splitlines() if not line.startswith("#")]
    tables = {name: list(map(_entry, items)) for name, *items in map(str.split, lines)}

    def codes(name: str) -> dict[int, str]:
        return {code: value for codes, value in tables[name] for code in codes}

    return _Tables(
        removed=tuple(codes for codes, _ in tables["removed"]),
        spaces=frozenset(codes("spaces")),
        chinese=tuple(codes for codes, _ in tables["chinese"]),
        punctuation=frozenset(codes("punctuation")),
        lower={code: chr(code + int(distance, 16)) for code, distance in codes("lower").items()}
        | {_CAPITAL_I_WITH_DOT: "i\u0307"},
        marks=frozenset(codes("marks")),
        bounds=frozenset(codes("bounds")),
        classes={chr(code): int(order, 16) for code, order in codes("classes").items()},
        decompositions={
            code: "".join(chr(int(part, 16)) for part in parts.split("+"))
            for code, parts in codes("decomposed").items()
        },
    )


def _entry(item: str) -> tuple[range, str]:
    """Code points, and the value that they share.

    >>> _entry("100-104/2:1"), _entry("20")
    ((range(256, 261, 2), '1'), (range(32, 33), ''))
    """
    codes, _, value = item.partition(":")
    ends, _, step = codes.partition("/")
    first, _, last = ends.partition("-")
    return range(int(first, 16), int(last or first, 16) + 1, int(step or 1)), value
