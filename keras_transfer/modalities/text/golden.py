"""Golden vectors: sentences with the ids that Python makes of them, against which other languages' twins are tested.

A folder of golden vectors holds `vocab.txt`, the tokenizer's vocabulary; `characters.txt`, what becomes of characters;
`tokenizer.csv`, lines of `key,value`: `lowercase` and `strip_accents` (`true` or `false`) and `length`; and
`sentences.csv` (a heading line, no quotes), with the columns

- `text`: the sentence, hexadecimal digits of its UTF-8 bytes;
- `ids`: its ids without special tokens, with spaces between;
- `encoded`: the `length` ids that the model takes.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_transfer.files import write_bytes, write_text
from keras_transfer.modalities.text.characters import CHARACTERS
from keras_transfer.modalities.text.wordpiece import FIRST, LAST, MASK, PADDING, UNKNOWN, VOCABULARY_FILE, WordPiece

_SCRIPTS = {
    "Latin": range(0x61, 0x7B),
    "Latin capitals": range(0x41, 0x5B),
    "Latin with accents": range(0xC0, 0x180),
    "Vietnamese": range(0x1EA0, 0x1EFA),
    "Greek": range(0x386, 0x3CF),
    "Cyrillic": range(0x400, 0x460),
    "Hebrew": range(0x5D0, 0x5EB),
    "Arabic": range(0x621, 0x64B),
    "Arabic with vowels": range(0x610, 0x670),
    "Devanagari": range(0x900, 0x970),
    "Thai": range(0xE01, 0xE5C),
    "Georgian capitals": range(0x1C90, 0x1CBB),
    "Hangul": range(0xAC00, 0xD7A4),
    "Japanese": range(0x3041, 0x3100),
    "Chinese": range(0x4E00, 0x5E00),
    "Chinese, rare": range(0x20000, 0x20400),
    "Chinese, compatible": range(0xF900, 0xFB00),
    "Adlam": range(0x1E900, 0x1E94C),
    "letters as symbols": range(0x1D400, 0x1D434),
    "full width": range(0xFF01, 0xFF5F),
    "emoji": range(0x1F600, 0x1F650),
    "marks": range(0x300, 0x370),
    "Javanese": range(0xA980, 0xA9E0),
    "musical": range(0x1D15E, 0x1D173),
}
"""What letters are drawn from; none of it need be assigned."""
# What goes wrong most easily; in escapes where an editor would compose it.
_WHOLE = (
    *("👩\u200d👩\u200d👧\u200d👦", "👍🏽", "🏳\ufe0f\u200d🌈", "🇩🇪", "❤\ufe0f", "1\ufe0f\u20e3", "☕"),
    *("can't", "e-mail", "...", "¿qué?", "«guillemets»", "naïve", "na\u0131\u0308ve", "\u0130stanbul", "ΣΊΣΥΦΟΣ"),
    *("stra\xdfe", "\ufb01ne", "\xc5", "A\u030a", "\u212b", "\u1e69", "s\u0307\u0323", "q\u0323\u0307"),
    *("\u0e44\u0e17\u0e22", "नमस्ते", "שָׁלוֹם", "مُحَمَّد", "한국어", "\u1112\u1161\u11ab", "がぎ", "か\u3099"),
    *("[SEP]", "[CLS]", "[UNK]", "##ing", "#", "$5.00", "https://example.org/?a=b&c", "x" * 100, "x" * 101, "né" * 60),
    *("\0", "\ufffd", "\x07", "\x1f", "\x85", "\u200b", "\u200e", "\u202e", "\u2028", "\u3000", "\t", "\r\n", "\xa0"),
    *("\xad", "\ue000", "\ufeff", "\U000e0041", "\u0378", "\U000323af", "\U0010ffff"),
    *("\u302e\u1baa\u302e", "\U0001d15e\u302e\U0001d16d\U0001d165", "\u302e\u0903\u1baa", "\u302e\u0901\u1baa"),
)
_MARKS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~¡§«¶·»¿\u037e\u0387‘’“”…‰‽⁂、。「」・！？।॥،؛؟־׀"
_SPACES = (*" " * 5, "", "  ", "\t", "\n", "\u00a0", "\u3000", "\u200b")


def made_vocabulary(seed: int = 0) -> list[str]:
    """A vocabulary of some two thousand entries: letters of many scripts, inside of words as well, and syllables.

    >>> len(made_vocabulary()), made_vocabulary()[4:7]
    (2772, ['[MASK]', '!', '"'])
    """
    draw = random.Random(seed)
    entries = [PADDING, UNKNOWN, FIRST, LAST, MASK, *_MARKS]
    for script in _SCRIPTS.values():
        letters = _letters(script, 40)
        syllables = ["".join(draw.choices(letters, k=draw.randint(2, 4))) for _ in range(12)]
        entries += [entry for letter in (*letters, *syllables) for entry in (letter, f"##{letter}")]
    entries += [entry for pair in ("th", "er", "an", "ing", "tion") for entry in (pair, f"##{pair}")]
    return list(dict.fromkeys(entries))


def made_sentences(count: int, seed: int = 0) -> Iterator[str]:
    """Sentences that mix scripts, punctuation, emoji, control characters and long words."""
    draw = random.Random(seed)
    names = list(_SCRIPTS)
    for _ in range(count):
        scripts = draw.sample(names, draw.randint(1, 3))
        yield "".join(_word(draw, scripts) + draw.choice(_SPACES) for _ in range(draw.randint(0, 14)))


def golden_vectors(
    folder: str | Path,
    tokenizer: WordPiece | None = None,
    sentences: Sequence[str] | None = None,
    count: int = 2000,
    seed: int = 0,
    length: int = 24,
) -> Path:
    """Writes golden vectors, in the form that this module's docstring describes.

    Args:
        folder: the place to write to.
        tokenizer: of the model; without one, one with `made_vocabulary`.
        sentences: texts; without any, `count` are made.
        count: how many are made.
        seed: of what is made.
        length: of what a model takes.

    Returns:
        `sentences.csv`.

    >>> import tempfile
    >>> index = golden_vectors(tempfile.mkdtemp(), count=8)
    >>> len(index.read_text().splitlines())
    9
    """
    folder = Path(folder)
    words = tokenizer or WordPiece(made_vocabulary())
    rows = ["text,ids,encoded"]
    for text in made_sentences(count, seed) if sentences is None else sentences:
        cells = (words.ids(text), words.encode(text, length))
        rows.append(",".join((text.encode().hex(), *(" ".join(map(str, ids)) for ids in cells))))
    settings = {"lowercase": words.lowercase, "strip_accents": words.decomposes, "length": length}
    write_bytes(folder / VOCABULARY_FILE, "".join(f"{entry}\n" for entry in words.vocabulary).encode())
    write_bytes(folder / CHARACTERS.name, CHARACTERS.read_bytes())
    write_text(folder / "tokenizer.csv", "".join(f"{key},{value}\n".lower() for key, value in settings.items()))
    return write_text(folder / "sentences.csv", "".join(f"{row}\n" for row in rows))


def _letters(script: range, most: int = 1 << 16) -> list[str]:
    """Letters of a script, evenly from its whole."""
    return list(map(chr, script[:: max(1, len(script) // most)]))


def _word(draw: random.Random, scripts: Sequence[str]) -> str:
    kind = draw.random()
    if kind < 0.12:
        return draw.choice(_WHOLE)
    if kind < 0.24:
        return draw.choice(_MARKS)
    if kind < 0.27:
        return "".join(draw.choices(_letters(_SCRIPTS[draw.choice(scripts)]), k=draw.randint(90, 110)))
    letters = [letter for script in scripts for letter in _letters(_SCRIPTS[script], draw.choice((40, 1 << 16)))]
    return "".join(draw.choices(letters, k=draw.randint(1, 8)))
