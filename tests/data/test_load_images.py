import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_up import encoded, photograph
from PIL import ImageOps

from keras_transfer import InputError, load_images
from keras_transfer.data import Dataset


def where(data: Dataset) -> dict[str, str]:
    return {f"{record.path.parent.name}/{record.path.name}": record.split for record in data.records}


def save(path: Path, seed: int, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(photograph(seed), **options))  # type: ignore[arg-type]
    return path


def test_a_folder_a_class(folder: Callable[..., Path]) -> None:
    data = load_images(folder(cat=40, dog=40))
    assert data.class_names == ["cat", "dog"] and not data.multi_label
    assert len(data.train) + len(data.val) + len(data.test) == 80
    assert min(len(data.train), len(data.val), len(data.test)) >= 2
    for split in (data.train, data.val, data.test):
        assert split.labels.dtype == np.int32
        assert [data.class_names[i] for i in split.labels] == [path.parent.name for path in split.paths]
    assert repr(data).startswith("Dataset(2 classes; train ")


def test_adding_photographs_leaves_the_old_ones_in_their_splits(folder: Callable[..., Path]) -> None:
    root = folder(cat=40, dog=40)
    before = where(load_images(root))
    for i in range(30):
        save(root / "cat" / f"new{i}.jpg", 5000 + i)
    after = where(load_images(root))
    assert {name: after[name] for name in before} == before


def test_given_splits_are_kept(folder: Callable[..., Path]) -> None:
    root = folder(
        **{"train/cat": 6, "train/dog": 6, "valid/cat": 2, "valid/dog": 2, "Testing/cat": 3, "Testing/dog": 3}
    )
    data = load_images(root)
    assert (len(data.train), len(data.val), len(data.test)) == (12, 4, 6)
    assert {path.parts[-3] for path in data.test.paths} == {"Testing"}


def test_validation_is_taken_from_train_where_there_is_none(folder: Callable[..., Path]) -> None:
    root = folder(**{"train/cat": 60, "train/dog": 60, "test/cat": 10, "test/dog": 10})
    data = load_images(root)
    assert len(data.test) == 20 and len(data.train) + len(data.val) == 120 and 6 <= len(data.val) <= 30
    assert any("no val split" in warning for warning in data.warnings)
    assert len(load_images(root, val=0).val) == 0


def test_a_test_is_taken_from_train_where_there_is_none(folder: Callable[..., Path]) -> None:
    data = load_images(folder(**{"train/cat": 40, "train/dog": 40, "val/cat": 5, "val/dog": 5}))
    assert len(data.val) == 10 and len(data.test) >= 2
    assert any("no test split" in warning for warning in data.warnings)


def test_copies_on_the_training_side_of_a_given_split_are_left_out(folder: Callable[..., Path]) -> None:
    root = folder(**{"train/cat": 10, "train/dog": 10, "val/cat": 4, "val/dog": 4, "test/cat": 4, "test/dog": 4})
    test = root / "test" / "cat" / "0000.jpg"
    (root / "train" / "cat" / "copy.jpg").write_bytes(test.read_bytes())
    (root / "val" / "cat" / "copy.jpg").write_bytes(test.read_bytes())
    (root / "test" / "cat" / "again.jpg").write_bytes(test.read_bytes())
    mirrored = ImageOps.mirror(photograph(777))
    save(root / "val" / "dog" / "one.jpg", 777)
    (root / "train" / "dog" / "mirrored.jpg").write_bytes(encoded(mirrored))
    data = load_images(root)
    problems = {"/".join(r.path.parts[-3:]): r.problem for r in data.records if r.problem}
    assert problems == {
        "train/cat/copy.jpg": "duplicate of 0000.jpg in test",
        "val/cat/copy.jpg": "duplicate of 0000.jpg in test",
        "train/dog/mirrored.jpg": "near-duplicate of one.jpg in val",
    }
    assert len(data.test) == 9
    assert any("3 photographs stand on two sides" in warning for warning in data.warnings)


def test_near_duplicates_share_a_side(folder: Callable[..., Path]) -> None:
    root = folder(cat=20, dog=20)
    for i in range(60):
        image = photograph(9000 + i, (200, 160))
        place = root / ("cat" if i % 2 else "dog")
        (place / f"{i}_a.jpg").write_bytes(encoded(image))
        (place / f"{i}_b.jpg").write_bytes(encoded(ImageOps.mirror(image).resize((120, 96)), quality=60))
    sides = where(load_images(root))
    for i in range(60):
        name = f"{'cat' if i % 2 else 'dog'}/{i}_"
        assert sides[f"{name}a.jpg"] == sides[f"{name}b.jpg"]
    apart = where(load_images(root, near_duplicates=False))
    assert any(apart[name] != apart[name.replace("_a", "_b")] for name in apart if "_a" in name)


def test_groups_share_a_side(folder: Callable[..., Path]) -> None:
    root = folder(**{f"cat/visit{i}": 3 for i in range(12)}, **{f"dog/visit{i}": 3 for i in range(12, 24)})
    for group_by in ("folder", r"visit\d+", r"visit(\d+)"):
        data = load_images(root, group_by=group_by)
        sides: dict[str, set[str]] = {}
        for record in data.records:
            assert record.group
            sides.setdefault(record.group, set()).add(record.split)
        assert len(sides) == 24 and all(len(found) == 1 for found in sides.values())
    with pytest.raises(InputError, match="regular expression"):
        load_images(root, group_by="(")


def test_problems_are_listed_with_their_reason(folder: Callable[..., Path]) -> None:
    root = folder(cat=60, dog=60)
    cat = root / "cat"
    good = encoded(photograph(1))
    (cat / "png.jpg").write_bytes(encoded(photograph(8000), "PNG"))
    (cat / "empty.jpg").write_bytes(b"")
    (cat / "short.jpg").write_bytes(good[: len(good) // 2])
    (cat / "notes.txt").write_bytes(b"not a picture")
    (cat / "broken.jpg").symlink_to(root / "nowhere.jpg")
    (cat / ".DS_Store").write_bytes(b"x")
    (cat / "Thumbs.db").write_bytes(b"x")
    (cat / "loop").symlink_to(root)
    data = load_images(root)
    problems = {record.path.name: record.problem for record in data.records if record.problem}
    assert problems == {
        "png.jpg": "mislabelled extension: .jpg holds a PNG",
        "empty.jpg": "empty file",
        "short.jpg": "truncated",
        "notes.txt": "not an image: neither name nor content is JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC",
        "broken.jpg": "no such file",
    }
    assert any("5 of" in warning for warning in data.warnings)


def test_a_pipe_in_a_folder_does_not_hang(folder: Callable[..., Path]) -> None:
    root = folder(cat=30, dog=30)
    os.mkfifo(root / "cat" / "pipe.jpg")
    assert [r.problem for r in load_images(root).records if r.problem] == ["not a regular file"]


def test_the_csv_gives_the_same_data_again(folder: Callable[..., Path], tmp_path: Path) -> None:
    root = folder(**{"train/cat": 20, "train/dog": 20, "val/cat": 4, "val/dog": 4, "test/cat": 4, "test/dog": 4})
    (root / "train" / "cat" / 'a "quoted", name.jpg').write_bytes((root / "test/cat/0000.jpg").read_bytes())
    (root / "train" / "cat" / "empty.jpg").write_bytes(b"")
    data = load_images(root, group_by=r"\d+")
    table = data.write_csv(tmp_path / "data.csv")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "class", "split", "sha256", "problem", "width", "height", "format", "group"]
    assert len(rows) == 58 and sum(row["split"] == "" for row in rows) == 2
    again = load_images(table)
    assert again.records == data.records and again.class_names == data.class_names
    assert np.array_equal(again.train.labels, data.train.labels)


def test_identical_pictures_under_two_labels_are_warned_of(folder: Callable[..., Path]) -> None:
    root = folder(cat=30, dog=30)
    (root / "dog" / "x.jpg").write_bytes((root / "cat" / "0000.jpg").read_bytes())
    data = load_images(root)
    assert any("different labels" in warning for warning in data.warnings)
    assert len({r.split for r in data.records if r.sha256 == data.records[0].sha256}) == 1


def test_uneven_and_tiny_classes(folder: Callable[..., Path]) -> None:
    data = load_images(folder(cat=60, dog=20), val=0, test=0)
    assert data.class_counts().tolist() == [60, 20]
    weights = data.class_weights()
    assert weights is not None and weights == pytest.approx({0: 80 / 120, 1: 2.0})
    assert any("uneven" in warning for warning in data.warnings)
    even = load_images(folder("even", cat=8, dog=7), val=0, test=0)
    assert even.class_weights() is None
    assert any("Under 10" in warning for warning in even.warnings)


def test_everything_may_be_for_the_test(folder: Callable[..., Path]) -> None:
    root = folder(cat=3, dog=2)
    data = load_images(root, val=0, test=1, class_names=["bird", "dog", "cat"])
    assert len(data.test) == 5 and len(data.train) == 0 and data.class_names == ["bird", "dog", "cat"]
    assert data.test.labels.tolist() == [2, 2, 2, 1, 1]
    assert data.train.pixels(8).shape == (0, 8, 8, 3) and data.class_weights() is None
    only_test = load_images(folder("given", **{"test/cat": 2, "test/dog": 2}))
    assert len(only_test.test) == 4 and len(only_test.train) == 0


def test_class_folders_are_sorted_as_a_person_would(folder: Callable[..., Path]) -> None:
    assert load_images(folder(c10=4, c9=4, c1=4), val=0, test=0).class_names == ["c1", "c9", "c10"]


@pytest.mark.parametrize(
    ("classes", "options", "reason"),
    [
        ({"cat": 20}, {}, "one class only"),
        ({"cat": 20, "dog": 0}, {}, "'dog' of .* is empty"),
        ({"cat": 20, "dog": 2}, {}, "fewer items than splits need"),
        ({"cat": 20, "dog": 20}, {"val": 0.6, "test": 0.6}, "nothing to train on"),
        ({"cat": 20, "dog": 20}, {"val": -1}, "`val` must be"),
        ({"cat": 20, "dog": 20}, {"class_names": ["cat"]}, "dog"),
        ({"cat": 20, "dog": 20}, {"class_names": ["cat", "dog", "dog"]}, "differ"),
        ({"cat": 20, "dog": 20}, {"class_names": ["cat", "dog", "bird"]}, "'bird' of .* is empty"),
        ({"cat": 20, "dog": 20}, {"labels": [1, 2]}, "`labels` goes with"),
        ({"train/cat": 9, "train/dog": 9, "test/bird": 3}, {}, "'bird' .* no folder in train"),
        ({"train/cat": 9, "test/cat": 9, "other/cat": 3}, {}, "other"),
        ({"val/cat": 9, "validation/cat": 9}, {}, "two folders for one split"),
    ],
)
def test_bad_input_is_one_sentence(folder: Callable[..., Path], classes: dict, options: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        load_images(folder(**classes), **options)
    assert "\n" not in str(caught.value)


def test_sources_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "file.zip").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "flat").mkdir()
    save(tmp_path / "flat" / "a.jpg", 1)
    for source, reason in (
        (tmp_path / "none", "does not exist"),
        (tmp_path / "file.zip", "no folder"),
        (tmp_path / "empty", "holds no folders"),
        (tmp_path / "flat", "holds no folders"),
        (12, "Give a folder"),
    ):
        with pytest.raises(InputError, match=reason):
            load_images(source)


def test_a_folder_of_nothing_but_rubbish(folder: Callable[..., Path]) -> None:
    root = folder(cat=0, dog=0)
    for name in ("cat", "dog"):
        (root / name / "a.jpg").write_bytes(b"rubbish")
    with pytest.raises(InputError, match="None of the 2 files"):
        load_images(root, allow_bad=True)


@pytest.mark.photos
def test_food10_and_flowers5(shared_data: Path) -> None:
    food = load_images(shared_data / "food10")
    assert len(food.test) == 500 and len(food.train) + len(food.val) == 1500 and 150 < len(food.val) < 300
    flowers = load_images(shared_data / "flowers5")
    assert len(flowers.records) == 2000 and not any(record.problem for record in flowers.records)
    assert abs(len(flowers.test) / 2000 - 0.15) < 0.03 and abs(len(flowers.val) / 2000 - 0.15) < 0.03
