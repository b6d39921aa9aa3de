"""How a text becomes a model's input: token ids between the tokenizer's marks, cut and filled up to a length."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, Protocol

import numpy as np

from keras_transfer.errors import InputError, in_one_line
from keras_transfer.extras import require
from keras_transfer.inputs import (
    Array,
    Arrays,
    Augmenter,
    Inputs,
    InputSpec,
    Json,
    Strength,
    TensorSpec,
    item_lengths,
    one_tensor,
    open_asset,
)
from keras_transfer.modalities.text.augmentation import build_augmenter
from keras_transfer.modalities.text.items import load_text
from keras_transfer.modalities.text.wordpiece import FIRST, LAST, MASK, UNKNOWN, WordPiece, read_vocabulary

if TYPE_CHECKING:
    from tokenizers import Encoding
    from tokenizers import Tokenizer as HuggingFaceTokenizer

_WORD = re.compile(r"\w+|[!?]")
LENGTH = 128
"""Tokens of a text where nobody has said how many."""
IDS = "ids"
"""What MediaPipe calls token ids; beside them it gives these, with their largest values and meanings:"""
_BESIDE = {"segment_ids": (0, "0: all is one text"), "mask": (1, "1 for tokens, 0 for what fills up")}


class Tokenizer(Protocol):
    """What cuts texts into tokens."""

    @property
    def size(self) -> int:
        """How many tokens it knows."""
        ...

    @property
    def replacement(self) -> int:
        """The token that stands for a word that is left out."""
        ...

    @property
    def mask(self) -> int | None:
        """The token that stands for a word to guess, where there is one."""
        ...

    def encode(self, text: str, length: int | None = None) -> list[int]:
        """The ids of a text with the marks around it, of `length` at most."""
        ...

    def pieces(self, ids: Array) -> list[str]:
        """Tokens as they are written."""
        ...


@dataclass(frozen=True)
class TextPreparer:
    """From the bytes of a text to `int32 [length]` token ids; see `keras_transfer.inputs.Preparer`.

    Attributes:
        tokenizer: `"wordpiece"` (BERT's, by `vocab.txt`), `"tokenizers"` (any, by `tokenizer.json`), `"words"` (whole
            words and pairs of them, by `words.txt`), or empty: then texts can be listed and read, but not prepared.
        assets: the tokenizer's file and its SHA-256; see `keras_transfer.inputs.keep_asset`.
        length: tokens of a text, those around it included; what is longer is cut. None: 128, or `longest` if less.
        longest: the most that the encoder takes.
        padding: the token that fills texts up.
        lowercase: see `WordPiece`.
        strip_accents: see `WordPiece`.
    """

    tokenizer: str = ""
    assets: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    longest: int = 512
    padding: int = 0
    lowercase: bool = True
    strip_accents: bool | None = None
    modality: str = "text"

    @cached_property
    def settings(self) -> dict[str, Json]:
        """What it was made with."""
        if not self.tokenizer:
            return {}
        own: dict[str, Json] = {"tokenizer": self.tokenizer, "assets": dict(self.assets), "length": self.tokens}
        own |= {"longest": self.longest, "padding": self.padding}
        if self.tokenizer == "wordpiece":
            own |= {"lowercase": self.lowercase, "strip_accents": self.strip_accents}
        return own

    @property
    def tokens(self) -> int:
        """How many tokens a text becomes."""
        return self.length if self.length is not None else min(LENGTH, self.longest)

    @cached_property
    def tokens_of(self) -> Tokenizer:
        """What cuts the texts.

        Raises:
            InputError: there is no tokenizer, or its file is missing.
        """
        if not self.tokenizer:
            raise InputError(
                "These texts have no tokenizer yet: name the encoder, such as "
                'keras_transfer.load(source, preparation={"backbone": "minilm"})'
            )
        (digest,) = self.assets.values()
        if self.tokenizer == "words":
            return _words(digest)
        if self.tokenizer == "wordpiece":
            return _WordPieceTokenizer(_wordpiece(digest, self.lowercase, self.strip_accents))
        return _HuggingFace(digest)

    def spec(self, inputs: Inputs) -> InputSpec:
        """What texts become for a model's input tensors, or for so many tokens; see `Preparer.spec`."""
        if isinstance(inputs, InputSpec):
            return inputs
        tensors = [] if isinstance(inputs, int) else [part for part in inputs if isinstance(part, TensorSpec)]
        if [tensor.name for tensor in tensors] == [IDS, *_BESIDE]:
            return with_segments(self.spec(tensors[:1]))
        tensor, length = one_tensor(inputs, "ids", "texts"), self.tokens
        if len(tensor.shape) != 1:
            raise InputError(f"A model for texts takes a row of token ids. Received: {inputs}.")
        if tensor.shape[0] is not None:
            length = tensor.shape[0]
        ids = TensorSpec(tensor.name, (length,), "int32", 0, self.tokens_of.size - 1, "token ids", self.padding)
        return InputSpec(self.modality, (ids,), {**self.settings, "length": length})

    def load(self, source: str) -> bytes:
        """The bytes of a text, in UTF-8."""
        return load_text(source)

    def prepare(self, content: bytes, spec: InputSpec) -> Arrays:
        """The token ids of one text, `int32 [length]`; of a spec `with_segments` also segment ids and the mask."""
        (length,) = spec.tensors[0].shape
        ids = np.full(length or self.tokens, self.padding, np.int32)
        found = self.encode(content, len(ids))
        ids[: len(found)] = found
        return ids if len(spec.tensors) == 1 else (ids, np.zeros_like(ids), (ids != self.padding).astype(np.int32))

    def encode(self, content: bytes, length: int | None = None) -> list[int]:
        """The token ids of one text, as many as it has, or `length` at most.

        Raises:
            InputError: it is empty, or no text in UTF-8.
        """
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"no text in UTF-8 ({error.reason})") from error
        if not text.strip() or "\0" in text:
            raise InputError("an empty text" if not text.strip() else "zero bytes, as no text has")
        return self.tokens_of.encode(text, length)

    def adapt(self, values: Array, spec: InputSpec) -> Array:
        """Texts `int32 [n, length]` cut or filled up to the length of a spec."""
        (length,) = spec.tensor.shape
        short = values[:, :length]
        return np.pad(short, ((0, 0), (0, (length or 0) - short.shape[1])), constant_values=self.padding)

    def augmenter(self, strength: Strength, per_class: float | None, classes: int) -> Augmenter:
        """See `build_augmenter`."""
        return build_augmenter(strength, self.padding, self.tokens_of.replacement if self.tokenizer else 0)


class _WordPieceTokenizer:
    def __init__(self, words: WordPiece) -> None:
        self._words = words
        self.size = len(words.vocabulary)
        self.replacement = words.id_of(UNKNOWN)
        self.mask = words.id_of(MASK) if MASK in words.vocabulary else None

    def encode(self, text: str, length: int | None = None) -> list[int]:
        ids = self._words.ids(text)
        if length is not None:
            ids = ids[: max(0, length - 2)]
        return [self._words.id_of(FIRST), *ids, self._words.id_of(LAST)][:length]

    def pieces(self, ids: Array) -> list[str]:
        return [self._words.vocabulary[i] for i in ids]


class _HuggingFace:
    def __init__(self, digest: str) -> None:
        self._tokenizer = _hugging_face(digest)
        self.size = int(self._tokenizer.get_vocab_size())
        unknown = (self._tokenizer.token_to_id(token) for token in ("<mask>", "[MASK]", "<unk>", "[UNK]"))
        self.replacement = next((token for token in unknown if token is not None), 0)
        masks = (self._tokenizer.token_to_id(token) for token in ("<mask>", "[MASK]"))
        self.mask = next((token for token in masks if token is not None), None)

    def encode(self, text: str, length: int | None = None) -> list[int]:
        whole: Encoding = self._tokenizer.encode(text)
        ids = list(whole.ids)
        if length is None or len(ids) <= length:
            return ids
        # Special tokens at the end stay: cut before them.
        marks = next((n for n, mark in enumerate(reversed(whole.special_tokens_mask)) if not mark), 0)
        return [*ids[: length - marks], *ids[len(ids) - marks :]][:length]

    def pieces(self, ids: Array) -> list[str]:
        return [self._tokenizer.id_to_token(int(i)) or "" for i in ids]


class _Words:
    """Whole words and pairs of them: `grams`. Those that the vocabulary lacks are left out; 0 fills up."""

    replacement, mask = 0, None

    def __init__(self, content: bytes) -> None:
        self._words = content.decode().splitlines()
        self._ids = {word: number for number, word in enumerate(self._words, start=1)}
        self.size = len(self._words) + 1

    def encode(self, text: str, length: int | None = None) -> list[int]:
        return [self._ids[gram] for gram in grams(text) if gram in self._ids][:length]

    def pieces(self, ids: Array) -> list[str]:
        return [self._words[i - 1] if i else "" for i in ids]


def grams(text: str) -> list[str]:
    """The words of a text in lower case, question and exclamation marks, and each pair of neighbours, as they come.

    >>> grams("Not good!")
    ['not', 'not good', 'good', 'good !', '!']
    """
    words = _WORD.findall(text.lower())
    pairs = [f"{first} {second}" for first, second in pairwise(words)]
    return [gram for both in zip_longest(words, pairs) for gram in both if gram is not None]


@lru_cache(4)
def _words(digest: str) -> _Words:
    return _Words(open_asset(digest))


@lru_cache(8)
def _wordpiece(digest: str, lowercase: bool, strip_accents: bool | None) -> WordPiece:
    return WordPiece(read_vocabulary(open_asset(digest)), lowercase, strip_accents)


@lru_cache(4)
def _hugging_face(digest: str) -> "HuggingFaceTokenizer":
    require("tokenizers", "text", "This encoder's tokenizer")
    from tokenizers import Tokenizer as Library

    try:
        tokenizer = Library.from_buffer(open_asset(digest))
    except InputError:
        raise
    except Exception as error:  # the library raises plain exceptions
        raise InputError(f"tokenizer.json is damaged: {in_one_line(error)}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def open_preparer(preparation: Mapping[str, Json]) -> TextPreparer:
    """A preparer with these settings; see `keras_transfer.inputs.open_preparer`.

    Args:
        preparation: `TextPreparer.settings`; or `backbone`, an encoder whose tokenizer is taken (see `find_preset`),
            and if wanted `length`.

    Raises:
        InputError: a setting is unknown or wrong, or the tokenizer cannot be had.
    """
    fields = dict(preparation)
    if backbone := fields.pop("backbone", None):
        from keras_transfer.modalities.text.presets import find_preset, tokenizer_settings

        preset = find_preset(str(backbone))
        fields = {**tokenizer_settings(preset), **fields}
    try:
        preparer = TextPreparer(**fields)  # type: ignore[arg-type]  # checked by what follows
        check_length(preparer.tokens, preparer.longest)
        assets = list(preparer.assets.items())
    except (TypeError, AttributeError) as error:
        raise InputError(
            f"These are no settings of a tokenizer ({error}). Received: {str(preparation)[:200]}"
        ) from error
    if preparer.tokenizer not in ("", "wordpiece", "tokenizers", "words") or len(assets) != bool(preparer.tokenizer):
        raise InputError(
            f"`tokenizer` must be wordpiece, tokenizers or words, with its file. Received: {str(fields)[:200]}"
        )
    if backbone:
        try:
            _ = preparer.tokens_of
        except InputError as error:
            raise InputError(f"{preset.folder}: {error}") from error
    return preparer


def with_segments(inputs: InputSpec) -> InputSpec:
    """The inputs of a file for MediaPipe's `TextClassifier`, which gives segment ids and a mask beside token ids.

    Args:
        inputs: of a classifier that takes token ids alone.

    Raises:
        InputError: MediaPipe's tokenizer would make other ids.
    """
    preparer = open_preparer(inputs.preparation)
    if preparer.tokenizer != "wordpiece":
        raise InputError("MediaPipe cuts texts by BERT's WordPiece; this encoder has another tokenizer.")
    if not preparer.lowercase:
        raise InputError("MediaPipe makes every text lower-case; this encoder tells capitals from small letters.")
    if preparer.padding:
        raise InputError(f"MediaPipe fills texts up with token 0; this encoder with {preparer.padding}.")
    (vocabulary,) = map(open_asset, preparer.assets.values())
    if b"\r" in vocabulary or vocabulary.startswith(b"\xef\xbb\xbf"):
        raise InputError("MediaPipe wants a vocabulary without byte order mark, its lines ending in a line feed alone.")
    ids = replace(inputs.tensors[0], name=IDS)
    beside = (
        replace(ids, name=name, high=high, meaning=words, padding=None) for name, (high, words) in _BESIDE.items()
    )
    return replace(inputs, tensors=(ids, *beside))


def open_wordpiece(inputs: InputSpec) -> WordPiece | None:
    """BERT's tokenizer where it makes a file's inputs; None where another does."""
    preparer = open_preparer(inputs.preparation)
    if preparer.tokenizer != "wordpiece":
        return None
    (digest,) = preparer.assets.values()
    return _wordpiece(digest, preparer.lowercase, preparer.strip_accents)


def check_length(length: int, longest: int) -> None:
    """Raises `InputError` where a text of so many tokens does not fit an encoder."""
    if isinstance(length, bool) or not isinstance(length, int) or not 4 <= length <= longest:
        raise InputError(f"The sequence length must be 4 to {longest} tokens. Received: {length!r}.")


def text_of(ids: Array, preparer: TextPreparer) -> list[str]:
    """The tokens of an item without its padding, as they are written."""
    (length,) = item_lengths(ids[None], preparer.padding)
    return preparer.tokens_of.pieces(ids[:length])
