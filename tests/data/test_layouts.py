"""Folders as people arrange them: what is taken, and what is said of what is not."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up import encoded, photograph

from keras_transfer import InputError, load_images
from keras_transfer.data.listing import Layout, Listing
from keras_transfer.data.unlabelled import list_unlabelled
from keras_transfer.modalities.image import ImageReader
from keras_transfer.modalities.image.sources import list_source


def tree(root: Path, *files: str) -> Path:
    """Empty files; a name that ends in `/` is a folder."""
    for name in files:
        place = root / "photos" / name
        (place if name.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            place.touch()
    return root / "photos"


def listed(root: Path, depth: int | None = None) -> Listing:
    return list_source(root, layout=Layout(classes_at_depth=depth))


def found(listing: Listing) -> list[tuple[str, str, str]]:
    return [(os.path.relpath(e.file, listing.name), e.labels[0], e.split) for e in listing.entries]


TAKEN: dict[str, tuple[list[str], int | None, list[tuple[str, str, str]]]] = {
    "classes": (["cat/1.jpg", "dog/2.jpg"], None, [("cat/1.jpg", "cat", ""), ("dog/2.jpg", "dog", "")]),
    "folders within classes": (
        ["cat/home/1.jpg", "cat/2.jpg", "dog/a/b/3.jpg"],
        None,
        [("cat/2.jpg", "cat", ""), ("cat/home/1.jpg", "cat", ""), ("dog/a/b/3.jpg", "dog", "")],
    ),
    "a year above": (
        ["2024/cat/1.jpg", "2024/dog/2.jpg"],
        2,
        [("2024/cat/1.jpg", "cat", ""), ("2024/dog/2.jpg", "dog", "")],
    ),
    "two years above": (
        ["2023/cat/1.jpg", "2024/cat/2.jpg", "2024/dog/x/3.jpg"],
        2,
        [("2023/cat/1.jpg", "cat", ""), ("2024/cat/2.jpg", "cat", ""), ("2024/dog/x/3.jpg", "dog", "")],
    ),
    "splits above years": (
        ["test/2024/cat/1.jpg", "train/2023/cat/2.jpg", "train/2024/dog/3.jpg"],
        2,
        [
            ("train/2023/cat/2.jpg", "cat", "train"),
            ("train/2024/dog/3.jpg", "dog", "train"),
            ("test/2024/cat/1.jpg", "cat", "test"),
        ],
    ),
    "three levels": (
        ["a/b/cat/1.jpg", "a/c/dog/2.jpg"],
        3,
        [("a/b/cat/1.jpg", "cat", ""), ("a/c/dog/2.jpg", "dog", "")],
    ),
    "what systems, phones and networks add": (
        [
            "__MACOSX/cat/._1.jpg",
            ".git/x",
            "@eaDir/cat/1.jpg",
            "Thumbs.db",
            "cat/.DS_Store",
            "cat/THUMBS.DB",
            "cat/1.jpg",
            "cat/1.AAE",
            "cat/1.xmp",
            "cat/desktop.ini",
            "cat/.hidden/2.jpg",
            "cat/@eaDir/1.jpg",
            "dog/2.HEIC",
            "dog/2.MOV",
            "dog/lost+found/",
        ],
        None,
        [("cat/1.jpg", "cat", ""), ("dog/2.HEIC", "dog", "")],
    ),
    "a film that belongs to no photograph": (
        ["cat/1.jpg", "cat/2.mov", "dog/3.jpg"],
        None,
        [("cat/1.jpg", "cat", ""), ("cat/2.mov", "cat", ""), ("dog/3.jpg", "dog", "")],
    ),
}


@pytest.mark.parametrize("kind", TAKEN)
def test_a_layout_is_taken(kind: str, tmp_path: Path) -> None:
    files, depth, expected = TAKEN[kind]
    assert found(listed(tree(tmp_path, *files), depth)) == expected


ONE_CLASS = {
    "a year above": (
        ["2024/cat/1.jpg", "2024/dog/2.jpg"],
        r"2024 holds cat, dog: .* give \S+photos/2024 or add --classes-at-depth 2",
    ),
    "photos in photos": (["photos/cat/1.jpg", "photos/dog/2.jpg"], "photos holds cat, dog"),
    "many classes": ([f"x/class{i}/1.jpg" for i in range(12)], "x holds class0, class1, class2 and 9 more"),
    "two folders above": (
        ["a/b/cat/1.jpg", "a/b/dog/2.jpg"],
        r"a/b holds cat, dog.*give \S+photos/a/b or add --classes-at-depth 3",
    ),
    "a rest of a Mac's archive": (
        ["flowers/cat/1.jpg", "flowers/dog/1.jpg", "__MACOSX/flowers/cat/._1.jpg"],
        "flowers holds cat, dog",
    ),
    "splits below": (
        ["data/train/cat/1.jpg", "data/test/cat/2.jpg"],
        r"Its folder data holds test, train: give \S+photos/data",
    ),
    "a year in each split": (
        ["train/2024/cat/1.jpg", "train/2024/dog/1.jpg", "test/2024/cat/2.jpg"],
        "train/2024, test/2024 holds cat, dog: if these are the classes, add --classes-at-depth 2",
    ),
    "really one": (["cat/1.jpg", "cat/2.jpg"], "A classifier needs at least two"),
    "one, in folders of one": (["cat/x/1.jpg"], "A classifier needs at least two"),
}


@pytest.mark.parametrize("kind", ONE_CLASS)
def test_of_one_class_only_it_is_said_what_the_folders_could_be(kind: str, tmp_path: Path) -> None:
    files, reason = ONE_CLASS[kind]
    root = tree(tmp_path, *files)
    for file in root.rglob("*.jpg"):
        file.write_bytes(encoded(photograph(len(str(file)))))
    with pytest.raises(InputError, match=rf"has one class only, .*{reason}") as caught:
        load_images(root)
    assert "\n" not in str(caught.value)


WARNED = {
    "years with the same classes": (
        ["2023/cat/1.jpg", "2023/dog/2.jpg", "2024/cat/3.jpg", "2024/dog/4.jpg"],
        r"class folders of \S+photos \(2023, 2024\) hold folders of the same names \(cat, dog\).*--classes-at-depth 2",
    ),
    "splits inside the classes": (
        ["cat/train/1.jpg", "cat/test/2.jpg", "dog/train/3.jpg", "dog/test/4.jpg"],
        "test, train stand inside the class folders .* not used as splits: put them above, as in test/cat",
    ),
    "files beside": (["cat/1.jpg", "dog/2.jpg", "readme.txt", "labels.csv"], "2 files beside the class folders"),
    "files beside, in a split": (
        ["train/cat/1.jpg", "train/dog/2.jpg", "train/3.jpg"],
        "1 files beside the class folders",
    ),
}


@pytest.mark.parametrize("kind", WARNED)
def test_a_doubtful_layout_is_warned_of(kind: str, tmp_path: Path) -> None:
    files, reason = WARNED[kind]
    (warning,) = listed(tree(tmp_path, *files)).warnings
    assert re.search(reason, warning), warning


@pytest.mark.parametrize(
    "files",
    [
        ["cat/home/1.jpg", "cat/street/2.jpg", "dog/farm/3.jpg", "dog/wood/4.jpg"],
        ["cat/2023/1.jpg", "cat/2.jpg", "dog/2023/3.jpg"],
        ["cat/all/1.jpg", "dog/all/2.jpg"],
        ["cat/1.jpg", "dog/2.jpg"],
    ],
)
def test_a_sound_layout_is_not(files: list[str], tmp_path: Path) -> None:
    assert listed(tree(tmp_path, *files)).warnings == []


REFUSED = {
    "too deep": (
        ["cat/1.jpg", "dog/2.jpg"],
        2,
        "no folders 2 levels down. Its folders go 1 down: --classes-at-depth 1",
    ),
    "no such depth": (["cat/1.jpg", "dog/2.jpg"], 0, "`classes_at_depth` must be 1 or more"),
    "pictures without folders": (
        ["1.jpg", "2.HEIC", "notes.md"],
        None,
        "holds no folders but 2 photographs. Put each class into",
    ),
    "pictures and a table": (
        ["1.jpg", "2.jpg", "labels.csv"],
        None,
        r"2 photographs. If labels.csv lists them, give \S+labels.csv",
    ),
    "nothing": (["x.docx"], None, "holds no folders. Give a folder with a folder for each class, or a CSV"),
    "splits and more": (
        ["train/cat/1.jpg", "test/cat/2.jpg", "old/cat/3.jpg"],
        None,
        "holds the splits test, train and also old",
    ),
    "a class unknown to train": (["train/cat/1.jpg", "test/dog/2.jpg"], None, "'dog' .* has no folder in train/"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_layout_is_refused_with_advice(kind: str, tmp_path: Path) -> None:
    files, depth, reason = REFUSED[kind]
    with pytest.raises(InputError, match=reason) as caught:
        listed(tree(tmp_path, *files), depth)
    assert "\n" not in str(caught.value)


def test_depth_needs_a_folder(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("path,label\na,b\n")
    with pytest.raises(InputError, match=r"`classes_at_depth` \(--classes-at-depth\) needs a folder"):
        listed(tmp_path / "table.csv", 2)
    with pytest.raises(InputError, match="needs a folder"):
        list_source("digits", layout=Layout(classes_at_depth=1))


def test_links_to_folders_are_followed_and_never_in_a_circle(tmp_path: Path) -> None:
    root = tree(tmp_path, "cat/1.jpg", "dog/2.jpg")
    (root / "bird").symlink_to(root / "cat")
    (root / "dog" / "round").symlink_to(root)
    (root / "dog" / "itself").symlink_to("itself")
    (root / "dog" / "gone").symlink_to(tmp_path / "nowhere")
    files = [name for name, _, _ in found(listed(root))]
    assert files.count("bird/1.jpg") == 1 and {"dog/2.jpg", "dog/gone", "dog/itself"} <= set(files)
    assert len(files) < 12


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, r"Class 'dog' of .* is empty: none of its 0 files is a usable photograph\. Add"),
        ({"1.heic": b"\0\0\0\x18ftypheic", "notes.txt": b"hello"}, r"none of its 2 files .*\(1.heic: .*\)"),
        ({"1.jpg": b""}, r"none of its 1 files .*\(1.jpg: empty file\)"),
    ],
)
def test_a_class_without_usable_photographs(folder: Callable[..., Path], files: dict[str, bytes], reason: str) -> None:
    root = folder(cat=60, dog=0, bird=20)
    for name, content in files.items():
        (root / "dog" / name).write_bytes(content)
    with pytest.raises(InputError, match=reason):
        load_images(root)


def test_photographs_of_two_years_are_split_and_written_by_class(folder: Callable[..., Path], tmp_path: Path) -> None:
    root = folder(**{"2023/cat": 20, "2023/dog": 20, "2024/cat": 20, "2024/dog": 20})
    data = load_images(root, classes_at_depth=2)
    assert data.class_names == ["cat", "dog"] and len(data.records) == 80 and data.class_counts().min() > 20
    again = load_images(data.write_csv(tmp_path / "data.csv"))
    assert again.records == data.records
    by_year = load_images(root, classes_at_depth=2, group_by=r"^\d+", val=0.5, test=0)
    assert {record.group for record in by_year.records} == {"2023", "2024"}


def test_listing_asks_nothing_of_single_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and kinds come with a folder's content: a hundred thousand files are listed by as many calls as folders."""
    root = tree(tmp_path, *(f"{name}/{i}.jpg" for name in ("cat", "dog") for i in range(500)))
    calls: dict[str, int] = {}
    for name in ("stat", "lstat", "scandir", "listdir"):
        function = getattr(os, name)

        def counted(*args: object, name: str = name, function: Callable = function, **more: object) -> object:
            calls[name] = calls.get(name, 0) + 1
            return function(*args, **more)

        monkeypatch.setattr(os, name, counted)
    assert len(listed(root).entries) == 1000
    assert calls["scandir"] < 10 and sum(calls.values()) < 40


def test_photographs_without_labels_are_found_alike(folder: Callable[..., Path]) -> None:
    root = folder(**{"a/b": 3, "__MACOSX": 2, ".thumbs": 2})
    (root / "a" / "b" / "scan.tif").write_bytes(encoded(photograph(50), "TIFF"))
    split, problems = list_unlabelled(root, ImageReader())
    assert len(split) == 4 and not problems
