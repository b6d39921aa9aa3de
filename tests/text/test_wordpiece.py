"""BERT's tokenizer against Hugging Face's."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.errors import InputError
from keras_transfer.modalities.text.golden import golden_vectors, made_sentences, made_vocabulary
from keras_transfer.modalities.text.wordpiece import FIRST, LAST, MASK, PADDING, UNKNOWN, WordPiece, read_vocabulary

MODES = [(True, None), (True, False), (False, None), (False, True)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
Splitter = Callable[[str], list[str]]


def reference(words: WordPiece):
    """Hugging Face's tokenizer with the same vocabulary."""
    tokenizers = pytest.importorskip("tokenizers", reason="needs tokenizers (extra keras-hub)")
    ids = {entry: i for i, entry in enumerate(words.vocabulary)}
    theirs = tokenizers.Tokenizer(tokenizers.models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    theirs.normalizer = tokenizers.normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, lowercase=words.lowercase, strip_accents=words.strip_accents
    )
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return theirs


@pytest.fixture(scope="module", params=MODES, ids=str)
def pair(request):
    words = WordPiece(made_vocabulary(), *request.param)
    return words, reference(words)


def test_every_character_is_treated_as_by_tokenizers(pair):
    """Each between two letters: the words show whether it stays, becomes another, or sets apart."""
    words, theirs = pair
    codes = [*range(0xD800), *range(0xE000, 0x33480), *range(0xDFFF0, 0xE0200), *range(0x10FF00, 0x110000)]
    for start in range(0, len(codes), 4096):
        text = " ".join(f"x{chr(code)}x{code}" for code in codes[start : start + 4096])
        split = theirs.pre_tokenizer.pre_tokenize_str(theirs.normalizer.normalize_str(text))
        assert words.words(text) == [word for word, _ in split]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text(
    st.sampled_from(
        "aÀ\u0301\u0327\u302e\u1baa\ua953\u0903\u0901\U0001d15e\U0001d165\U0001d16d\u1e69\x00\ufffd 한猫🙂#[]."
    ),
    max_size=12,
)


@settings(max_examples=300)
@given(text=TEXTS)
def test_any_text_has_the_ids_of_tokenizers(pair, text):
    words, theirs = pair
    assert words.ids(text) == theirs.encode(text, add_special_tokens=False).ids


def test_sentences_have_the_ids_of_tokenizers(pair):
    words, theirs = pair
    sentences = list(made_sentences(2000, seed=1))
    ids = [words.ids(sentence) for sentence in sentences]
    assert ids == [encoding.ids for encoding in theirs.encode_batch(sentences, add_special_tokens=False)]
    known = sum(i != words.id_of(UNKNOWN) for sentence in ids for i in sentence)
    assert known > 20_000 and len({i for sentence in ids for i in sentence}) > 1000  # they are worth comparing


@pytest.mark.photos
def test_the_vocabulary_of_minilm(shared_data: Path):
    path = shared_data.parent / "weights/minilm_l6_h384/vocab.txt"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    words = WordPiece(read_vocabulary(path.read_bytes()))
    sentences = [*made_sentences(2000, seed=2), "This film was not worth the ticket, unbelievably!"]
    theirs = reference(words).encode_batch(sentences, add_special_tokens=False)
    assert [words.ids(sentence) for sentence in sentences] == [encoding.ids for encoding in theirs]
    assert [words.id_of(token) for token in (PADDING, UNKNOWN, FIRST, LAST, MASK)] == [0, 100, 101, 102, 103]


def test_special_tokens_in_a_text_are_text():
    words = WordPiece([*SPECIAL, "[", "]", "sep"])
    assert words.ids("[SEP]") == [4, 6, 5]


def test_encoding_cuts_and_pads():
    words = WordPiece([*SPECIAL, "a", "##b"])
    assert words.encode("ab ab", 8) == [2, 4, 5, 4, 5, 3, 0, 0]
    assert words.encode("ab ab", 5) == [2, 4, 5, 4, 3]
    assert words.encode("ab", 2) == words.encode("", 2) == [2, 3]
    with pytest.raises(InputError, match="length=1"):
        words.encode("a", 1)


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (["a", "[UNK]", "[PAD]"], r"3 entries lacks \[CLS\], \[SEP\]"),
        ([*SPECIAL, "a", "b", "a"], "twice: 'a'"),
        ("[PAD]", "list of words"),
        ([*SPECIAL, 7], "list of words"),
    ],
)
def test_what_is_no_vocabulary(vocabulary, message):
    with pytest.raises(InputError, match=message):
        WordPiece(vocabulary)


def test_a_missing_mask_is_named_when_it_is_needed():
    with pytest.raises(InputError, match=r"4 entries lacks \[MASK\]"):
        _ = WordPiece(SPECIAL).id_of(MASK)


def test_files_of_vocabularies():
    text = "\ufeff[PAD]\na\u2028b\n\x85\n"  # entries may hold what other readers take for a line's end
    assert read_vocabulary(text.encode()) == ["[PAD]", "a\u2028b", "\x85"]
    assert read_vocabulary(b"a\r\nb") == ["a", "b"]
    with pytest.raises(InputError, match="UTF-8"):
        read_vocabulary(b"\xff\xfea")


def test_lone_surrogates_are_removed():
    words = WordPiece([*SPECIAL, "ab"])
    assert words.ids("a\ud800b\udfff") == [4]


def test_a_tokenizer_travels_to_other_processes():
    words = WordPiece([*SPECIAL, "a"], lowercase=False, strip_accents=True)
    words.ids("a b c")
    assert pickle.loads(pickle.dumps(words)) == words


def test_a_huge_text_is_no_danger():
    words = WordPiece(made_vocabulary())
    assert words.ids("x" * 100_000) == [words.id_of(UNKNOWN)]
    assert words.ids("\u302e\u1baa" * 50_000) == [words.id_of(UNKNOWN)]
    assert len(words.ids("no " * 33_000)) >= 33_000


def test_golden_vectors_are_those_of_the_tokenizer(tmp_path: Path):
    words = WordPiece(made_vocabulary(), lowercase=False)
    texts = ["", "Zoë\n\0👩\u200d👧", "a,b"]
    heading, *rows = golden_vectors(tmp_path, words, texts, length=6).read_text().splitlines()
    assert heading == "text,ids,encoded"
    for text, row in zip(texts, rows, strict=True):
        shown, ids, encoded = row.split(",")
        assert bytes.fromhex(shown).decode() == text
        assert list(map(int, ids.split())) == words.ids(text)
        assert list(map(int, encoded.split())) == words.encode(text, 6)
    assert read_vocabulary((tmp_path / "vocab.txt").read_bytes()) == list(words.vocabulary)
    assert (tmp_path / "tokenizer.csv").read_text() == "lowercase,false\nstrip_accents,false\nlength,6\n"
