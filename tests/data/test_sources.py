from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import encoded, photograph

from keras_transfer import InputError, load_images
from keras_transfer.data.listing import natural
from keras_transfer.modalities.image.sources import list_source


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    for i in range(30):
        (root / f"{i}.jpg").write_bytes(encoded(photograph(i)))
    return root


def table(root: Path, text: str, name: str = "table.csv", encoding: str = "utf-8") -> Path:
    (root / name).write_bytes(text.encode(encoding))
    return root / name


def rows(count: int = 30, mark: str = ",") -> str:
    return "".join(f"{i}.jpg{mark}{'cat' if i % 2 else 'dog'}{mark}owner {i // 3}\n" for i in range(count))


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv(pictures: Path, mark: str, encoding: str, end: str) -> None:
    text = (mark.join(("path", "label", "owner")) + "\n" + rows(mark=mark)).replace("\n", end)
    data = load_images(table(pictures, text, encoding=encoding), val=0.2, test=0.2)
    assert data.class_names == ["cat", "dog"] and len(data.records) == 30
    assert [data.class_names[r.label] for r in data.records[:2]] == ["dog", "cat"]  # type: ignore[index]


def test_group_by_a_column(pictures: Path) -> None:
    path = table(pictures, "path,class,owner\n" + rows())
    data = load_images(path, group_by="owner")
    sides: dict[str, set[str]] = {}
    for record in data.records:
        sides.setdefault(record.group, set()).add(record.split)
    assert len(sides) == 10 and all(len(found) == 1 for found in sides.values())
    with pytest.raises(InputError, match="no column 'nobody'"):
        load_images(path, group_by="nobody")


def test_a_split_column(pictures: Path) -> None:
    text = "path,label,split\n" + "".join(
        f"{i}.jpg,{'cat' if i % 2 else 'dog'},{'Test' if i < 6 else 'validation' if i < 12 else 'train'}\n"
        for i in range(30)
    )
    data = load_images(table(pictures, text))
    assert (len(data.train), len(data.val), len(data.test)) == (18, 6, 6)


def test_several_labels(pictures: Path, tmp_path: Path) -> None:
    text = "path,labels\n" + "".join(f"{i}.jpg,{'|'.join(['wet', 'dark', 'old'][: i % 4])}\n" for i in range(30))
    data = load_images(table(pictures, text), val=0.2, test=0.2)
    assert data.multi_label and data.class_names == ["dark", "old", "wet"]
    assert data.train.labels.dtype == np.float32 and data.train.labels.shape == (len(data.train), 3)
    everything = np.concatenate([data.train.labels, data.val.labels, data.test.labels])
    assert everything.sum() == sum(i % 4 for i in range(30)) and set(np.unique(everything)) == {0, 1}
    assert data.class_weights() is None
    again = load_images(data.write_csv(tmp_path / "again.csv"))
    assert again.records == data.records and again.multi_label


def test_parquet(pictures: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    columns = {"path": [f"{i}.jpg" for i in range(30)], "label": [i % 2 for i in range(30)]}
    parquet.write_table(pyarrow.table(columns), pictures / "table.parquet")
    data = load_images(pictures / "table.parquet")
    assert data.class_names == ["0", "1"] and len(data.records) == 30
    (pictures / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="not a sound Parquet"):
        load_images(pictures / "bad.parquet")


def test_a_missing_file_is_a_listed_problem(pictures: Path) -> None:
    text = "path,label\n" + "".join(f"{i}.jpg,{'cat' if i % 2 else 'dog'}\n" for i in range(30)) + "gone.jpg,cat\n"
    data = load_images(table(pictures, text))
    assert [(r.path.name, r.problem) for r in data.records if r.problem] == [("gone.jpg", "no such file")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no rows"),
        ("path,label\n", "no rows"),
        ("place,label\na,b\n", "needs a column of paths"),
        ("path,size\na,b\n", "needs a column of labels"),
        ("path,label\na\n", "line 2: 1 cells"),
        ("path,label\na,b,c\n", "line 2: 3 cells"),
        ("path,label\n,b\n", "line 2: there is no path"),
        ("path,label,split\na,b,sometimes\n", "train, val or test"),
        ('path,label\n"a,b\n', "not a sound CSV"),
        ("path,path\na,b\n", "twice"),
    ],
)
def test_bad_csv_is_one_sentence(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        list_source(table(tmp_path, text))


def test_a_csv_in_another_encoding(tmp_path: Path) -> None:
    listing = list_source(table(tmp_path, "path,label\na.jpg,gr\xfcn\nb.jpg,blau\n", encoding="latin-1"))
    assert [entry.labels for entry in listing.entries] == [("gr\xfcn",), ("blau",)]
    assert any("Windows-1252" in warning for warning in listing.warnings)


@settings(max_examples=200)
@given(
    content=st.one_of(st.binary(max_size=200), st.text(alphabet='path,label\n\r"|;\t\0a', max_size=80).map(str.encode))
)
def test_no_csv_crashes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"path,label\n" + content)
    try:
        listing = list_source(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert listing.entries and all(bool(entry.labels) != bool(entry.problem) for entry in listing.entries)


NAMES = st.text(
    st.characters(blacklist_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], blacklist_characters="\0"), min_size=1
)


@settings(max_examples=100)
@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=9, unique=True))
def test_any_names_survive_a_csv(tmp_path_factory: pytest.TempPathFactory, names: list[tuple[str, str]]) -> None:
    import csv

    path = tmp_path_factory.getbasetemp() / "names.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label"), *((name, "l" + label) for name, label in names)])
    entries = list_source(path).entries
    assert [(entry.path, entry.labels[0]) for entry in entries] == [
        (path.parent / name.replace("\\", "/"), "l" + label) for name, label in names
    ]


def test_natural_order_of_thousands_of_digits() -> None:
    assert sorted(["1" * 6000, "2", "0" * 6000 + "3"], key=natural) == ["2", "0" * 6000 + "3", "1" * 6000]


@given(st.permutations(["b", "B", "c10", "c9", "c09", "10", "9", "ä", "", "x1y2", "x1y10"]))
def test_natural_order_does_not_depend_on_the_order_before(names: list[str]) -> None:
    expected = ["", "9", "10", "B", "b", "c09", "c9", "c10", "x1y2", "x1y10", "ä"]
    assert sorted(names, key=natural) == expected
