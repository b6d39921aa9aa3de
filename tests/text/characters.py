"""Makes keras_transfer/modalities/text/characters.txt of what Hugging Face's `tokenizers` does to each code point.

python tests/text/characters.py
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from unicodedata import combining

from tokenizers.normalizers import NFD, BertNormalizer, Normalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

CODES = [*range(0xD800), *range(0xE000, 0x110000)]
SURROGATES = range(0xD800, 0xE000)
HANGUL = range(0xAC00, 0xD7A4)  # decomposed by arithmetic
TARGET = Path(__file__).parents[2] / "keras_transfer/modalities/text/characters.txt"
HEADING = """\
# What BERT's tokenizer does to characters: the tables of Hugging Face tokenizers 0.23.3, written by
# tests/text/characters.py. Numbers are hexadecimal. A-B is a range, A-B/2 every second code point of it, and after a
# colon stands the value of each.
# removed, spaces (what becomes one), chinese (set apart), punctuation (set apart)
# lower: the distance to the lower-case letter
# marks: nonspacing; bounds: those of them with combining class 0, over which nothing is reordered
# classes: the canonical combining class of a character that stays
# decomposed: the canonical decomposition without its nonspacing marks (Hangul syllables: by arithmetic)
"""


def main() -> None:
    TARGET.write_text(HEADING + "".join(f"{name} {' '.join(items)}\n" for name, items in tables().items()), "utf-8")


def tables() -> dict[str, Iterable[str]]:
    """The lines of the file."""
    cleaned = _images(_normalizer(clean_text=True))
    stripped = _images(_normalizer(strip_accents=True))
    lowered = _images(_normalizer(lowercase=True))
    del lowered[0x130]  # the only one that becomes two: readers know it
    marks = [code for code in stripped if not stripped[code]]
    split = BertPreTokenizer().pre_tokenize_str
    classes = {code: combining(chr(code)) for code in CODES if _is_reordered(chr(code))}
    moving = {*classes, *(code for code in marks if NFD().normalize_str(chr(code)) != chr(code))}
    return {
        "removed": _ranges({code: "" for code in (*SURROGATES, *cleaned) if not cleaned.get(code)}),
        "spaces": _ranges({0x20: "", **{code: "" for code in cleaned if cleaned[code]}}),
        "chinese": _ranges(dict.fromkeys(_images(_normalizer(handle_chinese_chars=True)), "")),
        "punctuation": _ranges({code: "" for code in CODES if len(split(f"a{chr(code)}a")) == 3}),
        "lower": _ranges({code: f"{ord(lowered[code]) - code:x}" for code in lowered}),
        "marks": _ranges(dict.fromkeys(marks, "")),
        "bounds": _ranges({code: "" for code in marks if code not in moving}),
        "classes": _ranges({code: f"{classes[code]:x}" for code in classes if code not in stripped}),
        "decomposed": _ranges(
            {
                code: "+".join(f"{ord(character):x}" for character in text)
                for code, text in stripped.items()
                if text and code not in HANGUL
            }
        ),
    }


def _normalizer(**on: bool) -> Normalizer:
    off = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    return BertNormalizer(**off | on)


def _images(normalizer: Normalizer) -> dict[int, str]:
    """What becomes of the code points that do not stay as they are."""
    images = ((code, normalizer.normalize_str(chr(code))) for code in CODES)
    return {code: image for code, image in images if image != chr(code)}


def _is_reordered(character: str) -> bool:
    """Whether `tokenizers` knows its combining class: newer characters stay in their places."""
    order, normalize = combining(character), NFD().normalize_str
    if order > 1:
        return normalize(character + "\u0334") == "\u0334" + character  # whose class is 1
    return order == 1 and normalize("\u0301" + character) == character + "\u0301"


def _ranges(values: dict[int, str]) -> Iterator[str]:
    """Code points with their values; neighbours, and every second one, of one value together."""
    codes = sorted(values)
    while codes:
        first, count, step = codes[0], 1, 1
        for tried in (1, 2):
            length = 1
            while length < len(codes) and _continues(codes, length, tried, values):
                length += 1
            if length > count:
                count, step = length, tried
        last = codes[count - 1]
        shown = f"{first:x}" if count == 1 else f"{first:x}-{last:x}" + ("/2" if step == 2 else "")
        yield shown + (values[first] and ":" + values[first])
        del codes[:count]


def _continues(codes: list[int], length: int, step: int, values: dict[int, str]) -> bool:
    return codes[length] == codes[0] + length * step and values[codes[length]] == values[codes[0]]


if __name__ == "__main__":
    main()
