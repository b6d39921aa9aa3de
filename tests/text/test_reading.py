"""How texts are found, read, examined and compared."""

import csv
import hashlib
import io
import json
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keras_transfer import InputError, load
from keras_transfer.data.listing import Layout, Listing
from keras_transfer.data.loading import load_listing
from keras_transfer.modalities.text.duplicates import near_duplicates
from keras_transfer.modalities.text.items import KIND, decode_text, excerpt, load_text
from keras_transfer.modalities.text.reader import NOTES, TextReader, summarize
from keras_transfer.modalities.text.sources import list_source, recognizes

GOOD, BAD = "I like it, really.", 'It "broke"\nafter a day.'
PLAIN = [(GOOD, "good"), (BAD, "bad")]


def table(columns: tuple[str, ...], *rows: tuple[str, ...], delimiter: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue()


def read(listing: Listing) -> list[tuple[str, str]]:
    return [(load_text(entry.file).decode(), "|".join(entry.labels)) for entry in listing.entries if not entry.problem]


def loaded(source: object, **options: Any) -> Any:
    layout = {name: options.pop(name) for name in Layout.__dataclass_fields__ if name in options}
    listing = list_source(source, options.pop("labels", None), Layout(**layout))
    return load_listing(listing, TextReader(None, KIND, NOTES), **options)  # type: ignore[arg-type]  # nothing is prepared


SWAPPED = [(label, text) for text, label in PLAIN]
SENTENCES = [(f"This is the {word} sentence of them all.", "ab"[i % 2]) for i, word in enumerate(
    ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"])]  # fmt: skip
TABLES: dict[str, tuple[str | bytes, dict[str, str], list[tuple[str, str]]]] = {
    **{
        f"{text} and {label}": (table((text, label), *PLAIN), {}, PLAIN)
        for text, label in (
            ("text", "label"), ("Sentence", "CLASS"), ("REVIEW", "Category"), ("tweet", "target"), ("Body", "label"),
            ("content", "class name"), ("comment", "label"), ("message", "label"),
        )
    },
    "label first": (table(("label", "text"), *SWAPPED), {}, PLAIN),
    "semicolons": (table(("text", "label"), *PLAIN, delimiter=";"), {}, PLAIN),
    "tabs": (table(("text", "label"), *PLAIN, delimiter="\t"), {}, PLAIN),
    "an id": (table(("id", "text", "label"), ("a1", *PLAIN[0]), ("b2", *PLAIN[1])), {}, PLAIN),
    "Excel's CSV": ("sep=;\r\ntext;label\r\nIt is good.;good\r\n", {}, [("It is good.", "good")]),
    "UTF-8 with a mark": (table(("text", "label"), *PLAIN).encode("utf-8-sig"), {}, PLAIN),
    "Excel's Unicode text": (table(("text", "label"), *PLAIN, delimiter="\t").encode("utf-16"), {}, PLAIN),
    "UTF-16 without a mark": (table(("text", "label"), *PLAIN).encode("utf-16-be"), {}, PLAIN),
    "Windows-1252": ("text,label\nDéjà vu – 5 €,b\n".encode("cp1252"), {}, [("Déjà vu – 5 €", "b")]),
    "named columns": (table(("said", "mood"), *PLAIN), {"text_column": "said", "label_column": "mood"}, PLAIN),
    "a column named like a number": (table(("a/b#%", "label"), *PLAIN), {"text_column": "a/b#%"}, PLAIN),
    "a name wins over an alias": (table(("text", "body", "label"), ("x", *PLAIN[0]), ("y", *PLAIN[1])),
                                  {"text_column": "body"}, PLAIN),
    "no usual names": (table(("nr", "said", "mood"), *((str(i), *row) for i, row in enumerate(SENTENCES))), {},
                       SENTENCES),
    "columns that are nearly empty": (
        table(("v1", "v2", "", "x"), *((label, text, f"and some words {i}" if i < 2 else "", "yn"[i] if i < 2 else "")
                                       for i, (text, label) in enumerate(SENTENCES))), {}, SENTENCES),
    "likely names": (
        table(("lang", "Review_Text", "title", "mood_sentiment", "seen"),
              *(("en" if i < 4 else "de", text, f"One title of number {i}", label, "xyz"[i % 3])
                for i, (text, label) in enumerate(SENTENCES))), {}, SENTENCES),
    "several labels": (table(("text", "labels"), (GOOD, "good|new"), (BAD, "")), {}, [(GOOD, "good|new"), (BAD, "")]),
    "spaces are kept": ("text,label\n  It is.  , good\n", {}, [("  It is.  ", "good")]),
    "other writing": ("text,label\n好吃，下次还来。,好\nשלום עולם,b\n👩‍👩‍👧 ok,c\n", {},
                      [("好吃，下次还来。", "好"), ("שלום עולם", "b"), ("👩‍👩‍👧 ok", "c")]),
}  # fmt: skip


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_is_read(kind: str, tmp_path: Path) -> None:
    content, layout, expected = TABLES[kind]
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert read(list_source(path, layout=Layout(**layout))) == expected  # type: ignore[arg-type]
    assert recognizes(path) or layout


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_other_tables_are_read_like_csv(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"table{suffix}"
    rows = [{"id": i, "text": text, "label": label, "stars": 2.0} for i, (text, label) in enumerate(PLAIN)]
    if suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    else:
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), path)
    listing = list_source(path)
    assert read(listing) == PLAIN and recognizes(path)
    assert listing.entries[0].file == f"{path}#1" and listing.entries[1].columns == {"id": "1", "stars": "2"}


REFUSED: dict[str, tuple[str, dict[str, str], str]] = {
    "two texts": (table(("text", "body", "label"), ("a", "b", "c")), {}, "`text` and `body`.*--text-column"),
    "no text": (table(("nr", "label"), ("1", "a")), {}, "needs a column of texts .*--text-column. Its columns: nr, l"),
    "no label": (table(("text",), (GOOD,)), {}, "needs a column of labels .*--label-column"),
    "no such column": (table(("text", "label"), *PLAIN), {"text_column": "said"}, "no column 'said'"),
    "two columns of prose": (table(("a", "b", "label"), *((t, t, lab) for t, lab in SENTENCES)), {},
                             "`a` and `b`, and each could be the text: say which with --text-column"),
    "two columns of few values": (table(("text", "mood", "tone"), *((t, lab, lab) for t, lab in SENTENCES)), {},
                                  "`mood` and `tone`, and each could be the label: say which with --label-column"),
    "no heading": ("\n".join(f"{label}\t{text}" for text, label in SENTENCES), {}, "has no heading"),
    "no heading, either": (table(*((text, label) for text, label in SENTENCES)), {}, "has no heading"),
    "a folder's option": (table(("text", "label"), *PLAIN), {"classes_at_depth": "2"}, "needs a folder"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_could_be_meant_twice_is_refused(kind: str, tmp_path: Path) -> None:
    content, layout, reason = REFUSED[kind]
    (tmp_path / "table.csv").write_text(content)
    with pytest.raises(InputError, match=reason) as caught:
        list_source(tmp_path / "table.csv", layout=Layout(**layout))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_column_without_a_usual_name_is_said_and_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(table(("nr", "said", "mood"), *((str(i), *row) for i, row in enumerate(SENTENCES))))
    listing = list_source(path)
    assert any("`said` is read as the text, `mood` as the label" in warning for warning in listing.warnings)
    assert listing.entries[2].file == f"{path}#3:said"


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@settings(max_examples=150)
@given(
    st.lists(TEXTS, min_size=1, max_size=8),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@example(['a"b\r\n', "\r", ' "', "\u2028\x85", "\ufeff"], "\t", "\r\n", "utf-8", csv.QUOTE_MINIMAL)
def test_what_csv_writes_comes_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], delimiter: str, ending: str, encoding: str, quoting: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "texts.csv"
    text = io.StringIO()
    rows = [("text", "label"), *((each, "x") for each in texts)]
    csv.writer(text, delimiter=delimiter, lineterminator=ending, quoting=quoting).writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    assert read(list_source(path)) == [(each, "x") for each in texts]
    assert all(entry.problem == "" for entry in list_source(path).entries)


@settings(max_examples=200)
@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xfe", b"text,label\n", b'text;label\n"', b'{"text":']))
def test_no_bytes_crash_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes) -> None:
    for suffix in (".csv", ".jsonl", ".txt"):
        path = tmp_path_factory.getbasetemp() / f"bytes{suffix}"
        path.write_bytes(start + content)
        recognizes(path)
        try:
            listing = list_source(path)
        except InputError as error:
            assert "\n" not in str(error)
        else:
            assert len(TextReader(None, KIND).examine([entry.path for entry in listing.entries]).items)  # type: ignore
    with suppress(InputError):  # half of UTF-16
        decode_text(content)


@pytest.mark.parametrize("broken", ["{t},{lab},more", "{t}", '"{t},{lab}', '"{t}" said,{lab}', "{t}\0,{lab}"])
def test_broken_rows_are_listed_and_none_is_lost(broken: str, tmp_path: Path) -> None:
    rows = [(f"This is sentence {i} of them.", "ab"[i // 3 % 2]) for i in range(100)]
    lines = [broken.format(t=t, lab=lab) if i % 10 == 7 else f'"{t}",{lab}' if i % 3 else f"{t},{lab}"
             for i, (t, lab) in enumerate(rows)]  # fmt: skip
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    data = loaded(path, allow_bad=True)
    problems = {record.file: record.problem for record in data.records if record.problem}
    assert set(problems) == {f"{path}#{i + 1}" for i in range(7, 100, 10)}
    assert all(f"line {int(name.split('#')[1]) + 1}: " in problem for name, problem in problems.items())
    assert [load_text(r.file).decode() for r in data.records if not r.problem] == [
        text for i, (text, _) in enumerate(rows) if i % 10 != 7
    ]
    with pytest.raises(InputError, match=r"10 of 100 texts .*over 5%"):
        loaded(path)


def test_texts_that_cannot_be_used_are_listed(tmp_path: Path) -> None:
    long = "word " * 20_000
    rows = [*SENTENCES, ("  ", "a"), ("", "b"), (GOOD, ""), (long, "a"), ("Fish &amp; chips<br />", "b")]
    (tmp_path / "table.csv").write_text(table(("text", "label"), *rows))
    data = loaded(tmp_path / "table.csv", allow_bad=True, val=0, test=0.2)
    assert [r.problem for r in data.records[8:]] == ["an empty text"] * 2 + ["no label in the table", "", ""]
    assert data.records[11].facts == (100_000, 20_000, "utf-8")
    assert any("1 of 13 texts hold HTML" in w for w in data.warnings)
    written = data.write_csv(tmp_path / "data.csv").read_text()
    assert "chips" not in written and "first" not in written and "table.csv#13" in written
    again = loaded(tmp_path / "data.csv", allow_bad=True, val=0)
    assert [(r.file, r.split, r.sha256) for r in again.records] == [(r.file, r.split, r.sha256) for r in data.records]
    assert recognizes(tmp_path / "data.csv")


def test_texts_beside_the_text_are_not_kept(tmp_path: Path) -> None:
    rows = [(text, f"A title with the number {i}", str(i), label) for i, (text, label) in enumerate(SENTENCES)]
    (tmp_path / "table.csv").write_text(table(("text", "title", "nr", "label"), *rows))
    assert [entry.columns for entry in list_source(tmp_path / "table.csv").entries[:2]] == [{"nr": "0"}, {"nr": "1"}]


def test_splits_groups_and_classes(tmp_path: Path) -> None:
    rows = [(f"Sentence number {i} is here.", "ab"[i % 2], f"author {i // 4}", "test" if i < 8 else "train")
            for i in range(40)]  # fmt: skip
    (tmp_path / "table.csv").write_text(table(("text", "label", "who", "split"), *rows))
    data = loaded(tmp_path / "table.csv", group_by="who", val=0.2)
    assert len(data.test) == 8 and len(data.val) % 4 == 0 and len(data.val) + len(data.train) == 32
    (tmp_path / "one.csv").write_text(table(("text", "label"), *((text, "a") for text, *_ in rows)))
    with pytest.raises(InputError, match="one class only, 'a'"):
        loaded(tmp_path / "one.csv")


def test_class_folders_as_keras_has_them(tmp_path: Path) -> None:
    for side in ("train", "test"):
        for name in ("pos", "neg", *["unsup"] * (side == "train")):
            (tmp_path / side / name).mkdir(parents=True)
            for i in range(12):
                text = f"The {side} film number {i} was {name}. Ünïcode"
                encoding = ("utf-8", "utf-8-sig", "utf-16", "cp1252")[i % 4]
                (tmp_path / side / name / f"{i}_7.txt").write_bytes(text.encode(encoding))
    assert recognizes(tmp_path)
    data = loaded(tmp_path, val=0.2, near_duplicates=False)
    assert data.class_names == ["neg", "pos", "unsup"] and len(data.test) == 24
    assert {load_text(str(path)).decode()[-7:] for path in data.train.paths} == {"Ünïcode"}
    summary = summarize([record for record in data.records if record.split])
    assert summary["encodings"] == {"utf-8": 15, "utf-8-sig": 15, "utf-16": 15, "cp1252": 15}
    assert summary["words"]["median"] == 8  # type: ignore[index,call-overload]
    assert any("15 of 60" in warning and "Windows-1252" in warning for warning in data.warnings)


def test_lists_arrays_and_tf_data(tmp_path: Path) -> None:
    import tensorflow as tf

    texts, labels = [f"This is text {i}\n" for i in range(20)], [i % 2 for i in range(20)]
    dataset = tf.data.Dataset.from_tensor_slices((texts, labels))
    for source in ((texts, labels), (np.array(texts), np.array(labels)), dataset, dataset.batch(7)):
        assert recognizes(source)
        data = loaded(source, near_duplicates=False, class_names=["no", "yes"])
        assert read(list_source(source))[3] == (texts[3], "1") and data.class_names == ["no", "yes"]
    assert recognizes(["", *texts]) and not recognizes([str(tmp_path), "."])
    assert recognizes(texts) and loaded(texts, labels=labels, near_duplicates=False).class_names == ["0", "1"]
    with pytest.raises(InputError, match="20 texts and 3 labels"):
        loaded((texts, [1, 2, 3]))
    with pytest.raises(InputError, match=r"must be strings\. Received: int as text 0"):
        loaded(([1, 2], [0, 1]))
    with pytest.raises(InputError, match="list without `labels`"):
        loaded(texts)


def test_tensorflow_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    tfds = pytest.importorskip("tensorflow_datasets")
    # TensorFlow Datasets 4.9.10 imports this backport in order to write, and does not ask for it.
    for module in ("importlib.resources", "importlib.resources.abc"):
        monkeypatch.setitem(sys.modules, module.replace(".", "_", 1), import_module(module))
    texts = [f"Das Stück {i} war gut." for i in range(30)]
    features = {"label": tfds.features.ClassLabel(names=["no", "yes"]), "text": tfds.features.Text()}
    tfds.dataset_builders.store_as_tfds_dataset(
        name="plays",
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={
            side: tf.data.Dataset.from_tensor_slices({"text": texts[a:b], "label": [i % 2 for i in range(a, b)]})
            for side, a, b in (("train", 0, 24), ("test", 24, 30))
        },
        data_dir=tmp_path,
        disable_shuffling=True,
    )
    source = f"tfds:{tmp_path / 'plays' / '1.0.0'}"
    data = loaded(source, near_duplicates=False)
    assert recognizes(source) and not recognizes("tfds:no_such_set")
    assert data.class_names == ["no", "yes"] and data.test.labels.tolist() == [0, 1] * 3
    assert [load_text(record.file).decode() for record in data.records] == texts


def test_other_sources_are_not_of_texts(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for i in range(5):
        (tmp_path / "photos" / f"{i}.jpg").write_bytes(b"")
    (tmp_path / "photos" / "LICENSE.txt").write_text("One may use them.")
    for name, content in {
        "photos.csv": "path,label,comment\na.jpg,cat,It is a cat in a tree.\nb.jpg,dog,This is a dog.\n",
        "named.csv": "photo,breed,note\na.jpg,cat,It is a cat in a tree.\nb.jpg,dog,This is a dog.\n",
        "figures.csv": "x,y,label\n1.5,2.5,a\n2.5,3.5,b\n",
        "broken.jsonl": "{]",
    }.items():
        (tmp_path / name).write_text(content)
    for source in (*tmp_path.iterdir(), None, 3, "nowhere", [1, 2], (np.zeros((2, 4)), [0, 1]), "pizza", []):
        assert not recognizes(source), source


NEAR = [
    ("It is a very good phone and I like it.", "it is a very good phone, and I like it!", True),
    ("It is a very good phone and I like it.", "It is a very bad phone and I hate it.", False),
    ("好吃，下次还来。", "好吃 下次还来", True),
    ("好吃，下次还来。", "不好吃，不来了。", False),
    ("!!!", "???", False),
    ("Good phone", "good phone.", True),
]


@pytest.mark.parametrize(("one", "other", "alike"), NEAR)
def test_near_duplicates(one: str, other: str, alike: bool) -> None:
    groups = near_duplicates([one.encode(), b"Something else that has nothing to do with it.", other.encode()])
    assert groups == ([[0, 2]] if alike else [])


def test_near_duplicates_stand_on_one_side(tmp_path: Path) -> None:
    rows = [(f"{text} {'Really' * (i % 3 == 0)}", label) for i in range(12) for text, label in SENTENCES]
    rows += [(f"Word{i} stands alone with word{i + 1}, {i}.", "ab"[i % 2]) for i in range(30)]
    data = loaded((*map(list, zip(*rows, strict=True)),), val=0.2, test=0.2)
    assert len(data.similar) == 8 and all(len(group) == 12 for group in data.similar)
    assert all(len({data.records[i].split for i in group}) == 1 for group in data.similar)


@pytest.mark.parametrize(
    ("content", "text", "encoding"),
    [
        (b"", "", "utf-8"),
        (b"plain", "plain", "utf-8"),
        (b"it holds % and PK", "it holds % and PK", "utf-8"),
        ("Größe".encode(), "Größe", "utf-8"),
        ("Größe".encode("utf-8-sig"), "Größe", "utf-8-sig"),
        ("Größe".encode("cp1252"), "Größe", "cp1252"),
        ("Größe und mehr".encode("utf-16"), "Größe und mehr", "utf-16"),
        ("Größe und mehr".encode("utf-16-be"), "Größe und mehr", "utf-16-be"),
        ("żółty i ".encode() + "Größe".encode("cp1252"), "żółty i Größe", "utf-8"),
        ("日本語".encode(), "日本語", "utf-8"),
    ],
)
def test_encodings_are_detected(content: bytes, text: str, encoding: str) -> None:
    assert decode_text(content) == (text, encoding)


@given(st.text(max_size=900), st.integers(2, 300))
def test_an_excerpt_is_one_short_safe_line(text: str, limit: int) -> None:
    line = excerpt(text, limit)
    assert len(line) <= limit and line == " ".join(line.split())
    assert not any(ord(sign) < 32 or "\u202a" <= sign <= "\u202e" for sign in line)
    short = " ".join(text.split())
    assert excerpt(line, limit) == line and (line == short or len(short) >= len(line.rstrip("…")))


def test_a_changed_table_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(table(("text", "label"), *PLAIN))
    assert load_text(f"{path}#1").decode() == GOOD
    path.write_text(table(("text", "label"), ("Something else", "a")))
    assert load_text(f"{path}#1") == b"Something else"
    for name, reason in ((f"{path}#2", "no row 2, only 1"), (f"{path}x.csv#1", "no such file")):
        with pytest.raises(InputError, match=reason):
            load_text(name)


@pytest.mark.parametrize("content", [b"%PDF-1.7 abc", b"{\\rtf1 abc}", b"PK\3\4abc", b"a\0b", b"", b" \n\t "])
def test_what_is_no_text_has_a_problem(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    (item,) = TextReader(None, KIND).examine([tmp_path / "a.txt"]).items  # type: ignore[arg-type]
    assert item.problem and not item.facts


def test_the_same_bytes_are_hashed_that_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(" A text\r\n".encode("utf-16"))
    (item,) = TextReader(None, KIND).examine([tmp_path / "a.txt"]).items  # type: ignore[arg-type]
    assert item.sha256 == hashlib.sha256(load_text(str(tmp_path / "a.txt"))).hexdigest()


def test_made_reviews_are_asked_for_by_number() -> None:
    data = load("made-reviews:90", val=0.2, test=0.2)
    assert data.class_names == ["negative", "neutral", "positive"]
    assert sum(len(split) for split in (data.train, data.val, data.test)) <= 90
    for bad in ("made-reviews:many", "made-reviews:3", "made-reviews:-90", "made-reviews:" + "9" * 5000):
        with pytest.raises(InputError, match="takes how many"):
            load(bad)


@pytest.mark.parametrize("options", [{"text_column": "label"}, {"label_column": "text"}])
def test_a_column_is_not_text_and_label_as_well(tmp_path: Path, options: dict[str, str]) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text(table(("text", "label"), *PLAIN))
    with pytest.raises(InputError, match="cannot be the text and its label as well"):
        load(path, **options)
