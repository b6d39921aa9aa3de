"""Tables as spreadsheets, pandas and people write them."""

import csv
import io
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_up import encoded, photograph

from keras_transfer import InputError, load_images
from keras_transfer.data import table_files
from keras_transfer.data.listing import Layout, Listing
from keras_transfer.modalities.image.sources import list_source

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`photos/cat/0.jpg` to `photos/dog/29.jpg`, beside which tables are written."""
    root = tmp_path_factory.mktemp("pictures")
    for i in range(30):
        place = root / "photos" / ("cat" if i % 2 else "dog") / f"{i}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(encoded(photograph(i)))
    return root


def listed(path: Path, text: str | bytes, **layout: str | None) -> Listing:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list_source(path, layout=Layout(**layout))  # type: ignore[arg-type]


def names_and_labels(listing: Listing) -> list[tuple[str, str]]:
    root = Path(listing.name).parent
    return [(entry.path.relative_to(root).as_posix(), "|".join(entry.labels)) for entry in listing.entries]


PLAIN = [("a.jpg", "cat"), ("b.jpg", "dog")]
READ: dict[str, tuple[str | bytes, dict[str, str], list[tuple[str, str]]]] = {
    **{
        f"{path} and {label}": (f"{path},{label}\na.jpg,cat\nb.jpg,dog\n", {}, PLAIN)
        for path, label in (
            ("path", "label"), ("filename", "class"), ("file", "category"), ("image", "target"), ("filepath", "label"),
            ("Filename", "CLASS"), ("File Name", "Class Name"), ("image_path", "label"), ("IMAGE-FILE", "Category"),
        )
    },
    "label first": ("class,filename\ncat,a.jpg\ndog,b.jpg\n", {}, PLAIN),
    "named columns": ("photo,breed\na.jpg,cat\nb.jpg,dog\n", {"path_column": "photo", "label_column": "breed"}, PLAIN),
    "named in another case": ("Photo,BREED\na.jpg,cat\nb.jpg,dog\n", {"path_column": "photo", "label_column": "breed"},
                              PLAIN),
    "a name wins over an alias": ("path,class,label\na.jpg,9,cat\nb.jpg,8,dog\n", {"label_column": "label"}, PLAIN),
    "the exact of two cases": ("path,Class,class\na.jpg,9,cat\nb.jpg,8,dog\n", {"label_column": "class"}, PLAIN),
    "semicolons": ("path;label\na.jpg;cat\nb.jpg;dog\n", {}, PLAIN),
    "tabs": ("path\tlabel\na.jpg\tcat\nb.jpg\tdog\n", {}, PLAIN),
    "bars": ("path|label\na.jpg|cat\nb.jpg|dog\n", {}, PLAIN),
    "Excel's own first line": ("sep=;\r\npath;label\r\na.jpg;cat\r\nb.jpg;dog\r\n", {}, PLAIN),
    "UTF-8 with a mark": ("\ufeffpath;label\r\na.jpg;cat\r\nb.jpg;dog\r\n", {}, PLAIN),
    "Excel's Unicode text": ("path\tlabel\r\na.jpg\tcat\r\nb.jpg\tdög\r\n".encode("utf-16"), {},
                             [PLAIN[0], ("b.jpg", "dög")]),
    "UTF-16, big-endian": (b"\xfe\xff" + "path,label\na.jpg,cat\nb.jpg,dog\n".encode("utf-16-be"), {}, PLAIN),
    "UTF-16 without a mark": ("path,label\na.jpg,cat\nb.jpg,dog\n".encode("utf-16-be"), {}, PLAIN),
    "Windows-1252": ("path,label\na.jpg,gr\xfcn \x80\n".encode("latin-1"), {}, [("a.jpg", "grün €")]),
    "UTF-8 with a byte of Windows-1252": ("path,label\na.jpg,żółty\nb.jpg,".encode() + b"gr\xfcn\n", {},
                                          [("a.jpg", "żółty"), ("b.jpg", "grün")]),
    "UTF-32": ("path,label\na.jpg,cat\nb.jpg,dog\n".encode("utf-32"), {}, PLAIN),
    "an old Mac's lines": ("path,label\ra.jpg,cat\rb.jpg,dog\r", {}, PLAIN),
    "pandas's index": (",filename,class\n0,a.jpg,cat\n1,b.jpg,dog\n", {}, PLAIN),
    "two columns without a name": (",,path,label\n1,x,a.jpg,cat\n2,y,b.jpg,dog\n", {}, PLAIN),
    "empty cells at the end": ("path,label,,\na.jpg,cat,,\nb.jpg,dog\n", {}, PLAIN),
    "blank lines": ("\n;\npath;label\n\na.jpg;cat\n ;\nb.jpg;dog\n\n", {}, PLAIN),
    "spaces around cells": (" path , label \n a.jpg , cat \n b.jpg , dog \n", {}, PLAIN),
    "quotes": ('"path","label"\n"a.jpg","cat"\n"b.jpg","dog"\n', {}, PLAIN),
    "a comma in a path": ('path,label\n"a, b.jpg",cat\n', {}, [("a, b.jpg", "cat")]),
    "a comma in a path, semicolons between": ("path;label\na, b.jpg;cat\n", {}, [("a, b.jpg", "cat")]),
    "more commas than semicolons": ("path;label;x,y,z\na,b,c.jpg;cat;1,2,3\n", {}, [("a,b,c.jpg", "cat")]),
    "a semicolon in a label": ("path,label\na.jpg,cat; tabby\n", {}, [("a.jpg", "cat; tabby")]),
    "a quote in a path": ('path,label\n"5"" lens.jpg",cat\n6" lens.jpg,dog\n', {},
                          [('5" lens.jpg', "cat"), ('6" lens.jpg', "dog")]),
    "a line break in a label": ('path,label\n"a.jpg","cat\nor dog"\n', {}, [("a.jpg", "cat\nor dog")]),
    "a line break in a heading": ('path,"label","not\r\nused"\na.jpg,cat,1\n', {}, [("a.jpg", "cat")]),
    "backslashes": ("path,label\nsome\\where\\a.jpg,cat\n", {}, [("some/where/a.jpg", "cat")]),
    "dots in paths": ("path,label\n./a.jpg,cat\nb//c/./d.jpg,dog\n", {}, [("a.jpg", "cat"), ("b/c/d.jpg", "dog")]),
    "numbers": ("path,label\na.jpg,0\nb.jpg,1\n", {}, [("a.jpg", "0"), ("b.jpg", "1")]),
    "numbers as pandas writes them": ("path,label\na.jpg,0.0\nb.jpg,1.0\n", {}, [("a.jpg", "0"), ("b.jpg", "1")]),
    "numbers with leading zeros": ("path,label\na.jpg,007\nb.jpg,7\n", {}, [("a.jpg", "007"), ("b.jpg", "7")]),
    "versions": ("path,label\na.jpg,1.0\nb.jpg,v2.0\n", {}, [("a.jpg", "1.0"), ("b.jpg", "v2.0")]),
    "several labels": ("Path;Labels\na.jpg;wet|dark\nb.jpg;\n", {}, [("a.jpg", "wet|dark"), ("b.jpg", "")]),
    "a root": ("path,label\n0.jpg,cat\n", {"root": "photos/cat"}, [("photos/cat/0.jpg", "cat")]),
    "the same row twice": ("path,label\na.jpg,cat\na.jpg,cat\nb.jpg,dog\n", {}, PLAIN),
}  # fmt: skip


@pytest.mark.parametrize("kind", READ)
def test_a_table_is_read(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, layout, expected = READ[kind]
    monkeypatch.chdir(tmp_path)
    if "root" in layout:
        layout = layout | {"root": str(tmp_path / layout["root"])}
    assert names_and_labels(listed(tmp_path / "table.csv", text, **layout)) == expected


REFUSED: dict[str, tuple[str | bytes, dict[str, str], str]] = {
    "two columns could be the path": ("path,filename,label\na,b,c\n", {}, "`path` and `filename`.*--path-column"),
    "two columns could be the label": ("path,class,category\na,b,c\n", {}, "`class` and `category`.*--label-column"),
    "a column in two cases": ("Path,PATH,label\na,b,c\n", {}, "`Path` and `PATH`.*--path-column"),
    "a named column in two cases": ("Photo,PHOTO,label\na,b,c\n", {"path_column": "photo"}, "`Photo` and `PHOTO`"),
    "no such path column": ("a,label\na,b\n", {"path_column": "photo"}, "no column 'photo'. Its columns: a, label"),
    "no such group": ("path,label\na,b\n", {"group_by": "owner"}, "no column 'owner' to group by"),
    "one column": ("path\na.jpg\n", {}, "needs a column of labels .*--label-column. Its columns: path"),
    "one column of labels": ("label\na.jpg\n", {}, "needs a column of paths"),
    "neither": ("a;b\n1;2\n", {}, "needs a column of paths .* and a column of labels .* Its columns: a, b"),
    "no heading": ("a.jpg,cat\nb.jpg,dog\n", {}, "has no heading: its first line is a photograph"),
    "a heading only": ("path;label\n", {}, "no rows"),
    "nothing": (b"", {}, "no rows"),
    "a mark only": (b"\xff\xfe", {}, "no rows"),
    "separators only": (";;;\n;;\n", {}, "needs a column of paths"),
    "an unquoted comma": ("path,label\na, b.jpg,cat\n", {}, "line 2: 3 cells under 2 headings: put cells .* in quotes"),
    "a short row": ("path,label,owner\na.jpg,cat\n", {}, "line 2: 2 cells under 3 headings"),
    "a short row after Excel's line": ("sep=,\npath,label\na.jpg\n", {}, "line 3: 1 cells"),
    "half of UTF-16": ("path,label\na.jpg,cat\n".encode("utf-16")[:-1], {}, "not UTF-16"),
    "a zero byte": (b"path,label\na.jpg,cat\nb\0.jpg,dog\n", {}, "line 3: a zero byte"),
    "an open quote": ('path,label\n"a.jpg,cat\n', {}, "not a sound CSV"),
    "an empty path": ("path,label\na.jpg,cat\n,dog\n", {}, "line 3: there is no path"),
    "an endless label": ("path,label\na.jpg," + "1" * 5000 + "\n", {}, "line 2: a label of over 1000 characters"),
    "a split of no name": ("path,label,Split\na.jpg,cat,sometimes\n", {}, "line 2: `split` must be"),
    "measured values": ("path,target\n" + "".join(f"{i}.jpg,{i / 7:.4f}\n" for i in range(30)), {}, "measured values"),
    "a picture": (encoded(photograph(0)), {}, "zero byte"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_bad_table_is_one_sentence(kind: str, tmp_path: Path) -> None:
    text, layout, reason = REFUSED[kind]
    with pytest.raises(InputError, match=reason) as caught:
        listed(tmp_path / "table.csv", text, **layout)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"path,label\n" + b"a" * 5_000_000, "over 1000000 characters in one line"),
        (b'path,label\n"' + b"a\n" * 2_000_000, "field larger"),
        (b",".join(b"c%d" % i for i in range(100_000)) + b"\n", "columns|needs a column"),
        (b"path,label," + b",".join(b"c%d" % i for i in range(100_000)) + b"\n", "100002 columns, over the limit"),
        (b";" * 900_000 + b"\n", "needs a column"),
        (b"\0" * 5_000_000, "over 1000000|zero byte"),
    ],
)
def test_malicious_tables_are_refused_in_little_memory(text: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(text)
    del text
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=reason) as caught:
            list_source(path)
        assert tracemalloc.get_traced_memory()[1] < 120 << 20
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 1500


def test_too_many_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "MAX_ROWS", 10)
    with pytest.raises(InputError, match="over 10 rows"):
        listed(tmp_path / "table.csv", "path,label\n" + "a.jpg,cat\n" * 12)


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\\"), max_size=12).map(
    lambda text: text.strip()
)
PATHS = CELLS.filter(lambda text: text and "/" not in text and text.strip(".") and text.isprintable())


@settings(max_examples=150)
@given(
    rows=st.lists(st.tuples(PATHS, CELLS, CELLS), min_size=1, max_size=6, unique_by=lambda row: row[0]),
    delimiter=st.sampled_from(",;\t|"),
    ending=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    order=st.permutations([0, 1, 2]),
    heading=st.sampled_from(
        [("path", "label", "note"), ("FILENAME", "Class", "a;b,c\td|e"), ("File Name", "category", "")]
    ),
)
@example(
    [("a,b;c\td|e.jpg", 'x"y\nz;', ",;\t|")],
    ";",
    "\n",
    "utf-16",
    csv.QUOTE_MINIMAL,
    [2, 1, 0],
    ("path", "label", "note"),
)
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], delimiter: str, ending: str,
    encoding: str, quoting: int, order: list[int], heading: tuple[str, str, str],
) -> None:  # fmt: skip
    path = tmp_path_factory.getbasetemp() / "written.csv"
    rows = [(place, f"class {label}".strip(), note) for place, label, note in rows]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=ending, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([[row[i] for i in order] for row in (heading, *rows)])
    listing = listed(path, text.getvalue().encode(encoding))
    assert [(entry.path.name, entry.labels[0]) for entry in listing.entries] == [
        (place, label) for place, label, _ in rows
    ]
    if heading[2]:
        assert [entry.columns[heading[2]] for entry in listing.entries] == [note for _, _, note in rows]


@settings(max_examples=200)
@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xfe", b"\xfe\xff", b"path;label\n", b"sep=\n", b'"']))
def test_no_bytes_crash_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.csv"
    path.write_bytes(start + content)
    try:
        assert list_source(path).entries
    except InputError as error:
        assert "\n" not in str(error)


# With photographs


def rows(count: int = 30) -> str:
    return "".join(f"photos/{'cat' if i % 2 else 'dog'}/{i}.jpg;{'cat' if i % 2 else 'dog'}\n" for i in range(count))


def warned(path: Path, text: str, **options: object) -> list[str]:
    path.write_text(text, newline="")
    return load_images(path, **options).warnings  # type: ignore[arg-type]


def test_missing_files_are_listed_like_damaged_ones(pictures: Path, tmp_path: Path) -> None:
    table = pictures / "table.csv"
    table.write_text("File;Class\n" + rows() + "photos/cat/gone.jpg;cat\n")
    data = load_images(table)
    gone = next(record for record in data.records if record.path.name == "gone.jpg")
    assert (gone.problem, gone.split, gone.sha256) == ("no such file", "", "")
    assert "1 of 31 files cannot be used and are left out (gone.jpg: no such file)." in data.warnings
    written = data.write_csv(tmp_path / "data.csv").read_text().splitlines()
    assert len(written) == 32 and "gone.jpg,cat,,,no such file" in written[-1]
    table.write_text("File;Class\n" + rows() + "x.jpg;cat\ny.jpg;dog\n")
    with pytest.raises(InputError, match=r"2 of 32 files .* cannot be used, over 5%.*Paths of table.csv begin in"):
        load_images(table)
    assert len(load_images(table, allow_bad=True).records) == 32


def test_where_paths_begin(pictures: Path, tmp_path: Path) -> None:
    table = tmp_path / "elsewhere.csv"
    table.write_text("path,class\n" + rows().replace(";", ","))
    with pytest.raises(InputError, match=rf"None of the 30 files.*begin in {tmp_path}; `root` .--root. names another"):
        load_images(table)
    assert not any(record.problem for record in load_images(table, root=pictures).records)


def test_windows_paths_and_names_with_backslashes(pictures: Path) -> None:
    odd = pictures / "photos" / "a\\b.jpg"
    odd.write_bytes(encoded(photograph(99)))
    text = "path;class\n" + rows().replace("/", "\\") + "photos/a\\b.jpg;cat\n"
    (pictures / "windows.csv").write_text(text)
    data = load_images(pictures / "windows.csv")
    odd.unlink()
    assert not any(record.problem for record in data.records) and data.records[-1].path == odd


def test_rows_without_a_label_are_left_out(pictures: Path) -> None:
    table = pictures / "table.csv"
    table.write_text("path;class\n" + rows().replace("0.jpg;dog", "0.jpg;", 1))
    data = load_images(table)
    (left_out,) = (record for record in data.records if record.problem)
    assert (left_out.problem, left_out.label, left_out.split) == ("no label in the table", None, "")
    assert data.class_names == ["cat", "dog"]
    again = load_images(data.write_csv(pictures / "again.csv"))
    assert again.records == data.records


def test_rows_that_repeat_or_contradict_each_other_are_spoken_of(pictures: Path) -> None:
    table = pictures / "table.csv"
    same = warned(table, "path;class\n" + rows() + rows(3))
    assert [w for w in same if "row" in w] == [
        "3 rows give a photograph the label that an earlier row gives it: it is used once."
    ]
    clash = warned(table, "path;class\n" + rows() + "photos/dog/0.jpg;cat\n")
    assert [w for w in clash if "different labels" in w] == [
        "1 photographs stand in several rows with different labels (first: photos/dog/0.jpg, 'dog' and 'cat'). Where "
        "photographs have several labels, put them into one row of a column `labels`, separated by '|'."
    ]
    piped = warned(table, "path;class\n" + rows().replace(";cat", ";cat|tabby"))
    assert any("1 labels of" in w and "column `labels`" in w for w in piped)


def test_groups_and_splits_in_any_case(pictures: Path) -> None:
    ends = [f"{i // 6},{'Test' if i < 6 else 'TRAIN'}" for i in range(30)]
    lines = rows().replace(";", ",").splitlines()
    text = "\n".join(["Image,CLASS,Owner,SPLIT", *(f"{line},{end}" for line, end in zip(lines, ends, strict=True))])
    (pictures / "table.csv").write_text(text)
    data = load_images(pictures / "table.csv", group_by="owner", val=0)
    assert (len(data.test), len(data.train)) == (6, 24)
    assert [record.group for record in data.records[:7]] == ["0"] * 6 + ["1"]
    assert data.records[0].columns == {"Owner": "0"}


def test_our_own_table_is_read_again_whatever_columns_it_was_given(pictures: Path) -> None:
    text = "photo,Image,label,breed,labels,Path\n" + "".join(
        f"photos/{'cat' if i % 2 else 'dog'}/{i}.jpg,id{i},x,{'cat' if i % 2 else 'dog'},y,z\n" for i in range(30)
    )
    (pictures / "table.csv").write_text(text)
    data = load_images(pictures / "table.csv", path_column="photo", label_column="breed")
    assert data.class_names == ["cat", "dog"] and data.records[3].columns["Image"] == "id3"
    again = load_images(data.write_csv(pictures / "again.csv"))
    assert again.records == [
        type(record)(**{f: getattr(record, f) for f in record.__slots__}) for record in data.records
    ]


def test_parquet_is_read_like_csv(pictures: Path) -> None:
    half = range(30)
    columns = {
        "FileName": [f"photos\\{'cat' if i % 2 else 'dog'}\\{i}.jpg" for i in half],
        "category": pyarrow.array(["cat" if i % 2 else "dog" for i in half]).dictionary_encode(),
        "thumbnail": [b"\x00" * 10] * 30,
        "size": [{"w": 1, "h": 2}] * 30,
        "age": [float(i) for i in half],
    }
    parquet.write_table(pyarrow.table(columns), pictures / "table.parquet")
    data = load_images(pictures / "table.parquet")
    assert data.class_names == ["cat", "dog"] and not any(record.problem for record in data.records)
    assert data.records[3].columns == {"age": "3"}
    columns["file"] = columns["FileName"]
    parquet.write_table(pyarrow.table(columns), pictures / "table.parquet")
    with pytest.raises(InputError, match=r"`FileName` and `file`.*--path-column"):
        list_source(pictures / "table.parquet")


PARQUET: dict[str, tuple[dict[str, object], list[tuple[str, str]] | str]] = {
    "floats": ({"path": ["a", "b"], "label": [0.0, 1.0]}, [("a", "0"), ("b", "1")]),
    "lists": ({"path": ["a", "b"], "class": [["x", "y"], []]}, [("a", "x|y"), ("b", "")]),
    "nothing for a label": ({"path": ["a", "b"], "class": ["x", None]}, [("a", "x"), ("b", "")]),
    "no number for a label": ({"path": ["a", "b"], "class": [1.0, float("nan")]}, [("a", "1"), ("b", "")]),
    "the pictures themselves": ({"image": [{"bytes": b"1"}], "label": [1]}, "`image` .* the items themselves"),
    "bytes": ({"image": [b"123"], "label": [1]}, "`image` .* the items themselves"),
    "no rows": ({"path": pyarrow.array([], pyarrow.string()), "label": pyarrow.array([], pyarrow.int64())}, "no rows"),
    "too many columns": ({f"c{i}": ["1"] for i in range(1001)}, "1001 columns, over the limits"),
}  # fmt: skip


@pytest.mark.parametrize("kind", PARQUET)
def test_kinds_of_parquet(kind: str, tmp_path: Path) -> None:
    columns, expected = PARQUET[kind]
    parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            list_source(tmp_path / "table.parquet")
    else:
        assert names_and_labels(list_source(tmp_path / "table.parquet")) == expected


def test_a_parquet_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {"path": ["a.jpg"] * 100_000, "label": ["x" * 100] * 100_000}
    parquet.write_table(pyarrow.table(columns), tmp_path / "table.parquet")
    monkeypatch.setattr(table_files, "MAX_ROWS", 1000)
    with pytest.raises(InputError, match="100000 rows"):
        list_source(tmp_path / "table.parquet")
    monkeypatch.setattr(table_files, "MAX_ROWS", 10**6)
    monkeypatch.setattr(table_files, "MAX_PARQUET", 100)
    with pytest.raises(InputError, match="unpacks to over"):
        list_source(tmp_path / "table.parquet")


@pytest.mark.parametrize("suffix", [".txt", ".TSV", ".CSV"])
def test_other_endings_of_tables(suffix: str, tmp_path: Path) -> None:
    assert len(listed(tmp_path / f"table{suffix}", "path\tlabel\na\tb\n").entries) == 1


def test_a_spreadsheet_is_named(tmp_path: Path) -> None:
    (tmp_path / "table.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"is a spreadsheet\. Save it as CSV"):
        list_source(tmp_path / "table.xlsx")


def test_options_of_tables_need_a_table(pictures: Path) -> None:
    for name in ("root", "path_column", "label_column"):
        with pytest.raises(InputError, match=rf"`{name}` \(--{name.replace('_', '-')}\) needs a table"):
            list_source(pictures / "photos", layout=Layout(**{name: "x"}))


def test_reading_100_000_rows_asks_the_file_system_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "table.csv").write_text("path,label\n" + "".join(f"a/{i}.jpg,{i % 9}\n" for i in range(1000)))
    asked = []
    for name in ("stat", "lstat", "scandir", "listdir"):
        function = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, function=function, **k: (asked.append(a), function(*a, **k))[1])
    assert len(list_source(tmp_path / "table.csv").entries) == 1000
    assert len(asked) < 10
