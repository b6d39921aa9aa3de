"""BERT's tokenizer (Devlin et al. 2019, https://arxiv.org/abs/1810.04805, `tokenization.py`) in plain Python.

The ids are equal to those of Hugging Face `tokenizers` with `BertNormalizer`, `BertPreTokenizer` and `WordPiece`. What
happens to a character does not depend on the Unicode version of Python: it stands in `characters.txt`, which the twins
in Kotlin (`android_demo/core/.../WordPiece.kt`) and JavaScript (`web_demo/wordpiece.js`) read as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from keras_transfer.errors import InputError
from keras_transfer.modalities.text.characters import normalized

VOCABULARY_FILE, TOKENIZER_FILE = "vocab.txt", "tokenizer.json"
"""The file of its vocabulary, and that of any other tokenizer."""
UNKNOWN, FIRST, LAST, PADDING, MASK = "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"
_INSIDE = "##"  # begins a piece that does not begin a word
_LONGEST_WORD = 100  # characters; what is longer is unknown
_CACHED_WORDS = 1 << 16


def read_vocabulary(content: bytes) -> list[str]:
    """The entries of a `vocab.txt`: one a line, in the order of their ids.

    Args:
        content: of the file, UTF-8.

    Raises:
        InputError: it is not UTF-8.

    >>> read_vocabulary(b"[PAD]\\r\\n[UNK]\\nthe\\n")
    ['[PAD]', '[UNK]', 'the']
    """
    try:
        lines = content.decode("utf-8-sig").split("\n")  # not splitlines: an entry may be a separator of lines
    except UnicodeDecodeError as error:
        raise InputError(f"A vocabulary must be UTF-8 text, one entry a line: {error}.") from error
    return [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]


@dataclass(frozen=True)
class WordPiece:
    """A tokenizer of words into the longest pieces of a vocabulary.

    Text is data: `[SEP]` in a text is a bracket, three letters and a bracket, never the special token.

    Attributes:
        vocabulary: the lines of `vocab.txt`, in the order of their ids; pieces inside of words begin with `##`.
        lowercase: whether letters become lower-case.
        strip_accents: whether text is decomposed and loses its nonspacing marks; None: as `lowercase`.

    Raises:
        InputError: the vocabulary lacks `[UNK]`, `[CLS]`, `[SEP]` or `[PAD]`, or has an entry twice.

    >>> words = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ing", "cafe", "!"])
    >>> words.ids("Playing Café!"), words.ids("猫")
    ([4, 5, 6, 7], [1])
    >>> words.encode("Playing", 6)
    [2, 4, 5, 3, 0, 0]
    """

    vocabulary: Sequence[str]
    lowercase: bool = True
    strip_accents: bool | None = None

    def __post_init__(self) -> None:
        if isinstance(self.vocabulary, str) or not all(isinstance(entry, str) for entry in self.vocabulary):
            raise InputError(f"A vocabulary must be a list of words. Received: {str(self.vocabulary)[:80]!r}.")
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))
        missing = [token for token in (UNKNOWN, FIRST, LAST, PADDING) if token not in self._ids]
        if missing:
            raise InputError(
                f"The vocabulary of {len(self.vocabulary)} entries lacks {', '.join(missing)}: it is not one of BERT."
            )
        if len(self._ids) < len(self.vocabulary):
            twice = next(entry for i, entry in enumerate(self.vocabulary) if self._ids[entry] != i)
            raise InputError(f"An entry of a vocabulary must be there once. Received twice: {twice!r}.")

    def __reduce__(self) -> tuple[type["WordPiece"], tuple[Sequence[str], bool, bool | None]]:
        return WordPiece, (self.vocabulary, self.lowercase, self.strip_accents)  # without what is cached

    @property
    def decomposes(self) -> bool:
        """Whether text is decomposed and loses its nonspacing marks."""
        return self.lowercase if self.strip_accents is None else self.strip_accents

    def id_of(self, token: str) -> int:
        """The id of an entry, such as `UNKNOWN` in place of words without pieces, `FIRST` and `LAST` around a text.

        Raises:
            InputError: the vocabulary has none.
        """
        if token not in self._ids:
            raise InputError(f"The vocabulary of {len(self.vocabulary)} entries lacks {token}.")
        return self._ids[token]

    def words(self, text: str) -> list[str]:
        """The words and punctuation marks of a text, as they are looked up.

        >>> WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]"]).words("Don't, Ångström!")
        ['don', "'", 't', ',', 'angstrom', '!']
        """
        return normalized(text, self.lowercase, self.decomposes).split()

    def ids(self, text: str) -> list[int]:
        """The ids of a text, without special tokens."""
        pieces = self.pieces_of
        return [
            piece
            for word in self.words(text)
            for piece in (pieces(word) if len(word) <= _LONGEST_WORD else (self.id_of(UNKNOWN),))
        ]

    def encode(self, text: str, length: int) -> list[int]:
        """The ids of a text between `[CLS]` and `[SEP]`, cut and padded to a length.

        Raises:
            InputError: the length leaves no room for the two.
        """
        if length < 2:
            raise InputError(f"`length` must be at least 2, for {FIRST} and {LAST}. Received: length={length}.")
        ids = [self.id_of(FIRST), *self.ids(text)[: length - 2], self.id_of(LAST)]
        return ids + [self.id_of(PADDING)] * (length - len(ids))

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {entry: i for i, entry in enumerate(self.vocabulary)}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self.vocabulary))

    @cached_property
    def pieces_of(self) -> Callable[[str], tuple[int, ...]]:
        """From a word, as `words` gives it, to the ids of its pieces; words seen before are remembered."""
        return lru_cache(_CACHED_WORDS)(self._pieces)

    def _pieces(self, word: str) -> tuple[int, ...]:
        """The longest piece that the vocabulary has, then the longest of the rest; unknown where a rest has none."""
        found: list[int] = []
        start = 0
        while start < len(word):
            prefix = _INSIDE if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                piece = self._ids.get(prefix + word[start:end])
                if piece is not None:
                    break
            else:
                return (self.id_of(UNKNOWN),)
            found.append(piece)
            start = end
        return tuple(found)
