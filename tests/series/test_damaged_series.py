"""Damaged files of series are listed, and none is used."""

import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer import InputError

DAMAGES = {
    "empty": lambda text, random: b"",
    "heading alone": lambda text, random: text.splitlines(keepends=True)[0],
    "noise": lambda text, random: random.bytes(2000),
    "a picture": lambda text, random: b"\x89PNG\r\n\x1a\n" + random.bytes(500),
    "zeros": lambda text, random: text[:300] + bytes(200) + text[500:],
    "cut in a row": lambda text, random: text[: text.rindex(b",") - 3],
    "a word": lambda text, random: text.replace(b"\n", b"\nerror,", 9).replace(b"error,", b"", 8),
    "a long gap": lambda text, random: b"".join(
        b",,\n" if 10 < i < 40 else line for i, line in enumerate(text.splitlines(keepends=True))
    ),
    "a channel less": lambda text, random: b"".join(
        line.rpartition(b",")[0] + b"\n" for line in text.splitlines(keepends=True)
    ),
    "infinite": lambda text, random: text + b"inf,inf,inf\n",
}


@pytest.fixture
def folder(tmp_path):
    """300 files of two classes, of which 60 are damaged."""
    random = np.random.default_rng(0)
    kinds = list(DAMAGES.values())
    for number in range(300):
        rows = random.normal(size=(60, 3)) + np.sin(np.arange(60) / (3 + 5 * (number % 2)))[:, None]
        text = ("x,y,z\n" + "".join(f"{a:.4f},{b:.4f},{c:.4f}\n" for a, b, c in rows)).encode()
        if number % 5 == 0:
            text = kinds[number // 5 % len(kinds)](text, random)
        path = tmp_path / "gestures" / ("up", "down")[number % 2] / f"{number:03}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return tmp_path / "gestures"


def test_sixty_of_three_hundred_are_listed_and_none_is_used(folder):
    data = kt.load(folder, allow_bad=True)
    bad = [record for record in data.records if record.problem]
    assert sorted(int(record.path.stem) for record in bad) == list(range(0, 300, 5))
    assert not any(record.split for record in bad) and sum(map(len, (data.train, data.val, data.test))) == 240
    assert all(np.isfinite(split.arrays(data.train.preparer.length)).all() for split in (data.train, data.test))
    reasons = " ".join(record.problem for record in bad)
    for words in (
        "empty file",
        "no rows below",
        "zero bytes",
        "cells, where line",
        "no channel 'z'",
        "in a row are missing",
    ):
        assert words in reasons
    with pytest.raises(InputError, match=r"60 of 300 series .* cannot be used, over 5%"):
        kt.load(folder)


def test_damaged_lines_of_a_ts_file_are_listed(tmp_path):
    random, lines = np.random.default_rng(0), []
    for number in range(40):
        line = ",".join(f"{value:.3f}" for value in random.normal(size=20)) + f":{'ab'[number % 2]}"
        lines.append(line if number % 10 else line.replace(",", ",x,", 1))
    path = tmp_path / "a.ts"
    path.write_text("@timeStamps false\n@classLabel true a b\n@data\n" + "\n".join(lines) + "\n")
    data = kt.load(path, allow_bad=True)
    assert [r.file.rpartition("=")[2] for r in data.records if r.problem] == ["1", "11", "21", "31"]
    assert "not all of its samples are numbers" in data.records[0].problem


def test_a_pair_keeps_its_test_side_whatever_lies_in_it(tmp_path):
    random = np.random.default_rng(0)
    rows = [",".join(f"{value:.3f}" for value in random.normal(size=30)) for _ in range(60)]
    head = "@timeStamps false\n@classLabel true a b\n@data\n"
    train = [f"{row}:{'ab'[i % 2]}" for i, row in enumerate(rows[:40])]
    test = [f"{row}:{'ab'[i % 2]}" for i, row in enumerate(rows[35:])]  # five are in both
    (tmp_path / "Set_TRAIN.ts").write_text(head + "\n".join(train) + "\n")
    (tmp_path / "Set_TEST.ts").write_text(head + "\n".join(test) + "\n")
    for source in (tmp_path, tmp_path / "Set_TRAIN.ts", tmp_path / "Set_TEST.ts"):
        data = kt.load(source, val=0.2)
        assert len(data.test) == 25 and len(data.train) + len(data.val) == 35
        assert [r.file for r in data.records if r.split == "test"] == [
            f"{tmp_path / 'Set_TEST.ts'}#row={i}" for i in range(1, 26)
        ]
    (tmp_path / "Other_TRAIN.ts").write_text(head + "1,2:a\n")
    with pytest.raises(InputError, match=r"several data sets"):
        kt.load(tmp_path)
    assert kt.load(tmp_path / "Set_TRAIN.ts", val=0.2).class_names == ["a", "b"]


def test_channels_that_never_change_and_other_units_are_remarked_on(tmp_path):
    random = np.random.default_rng(0)
    for number in range(40):
        path = tmp_path / "d" / ("up", "down")[number % 2] / f"{number}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = random.normal(size=(50, 2)) * (1 + 20 * (number % 2), 9.81 if number % 5 < 2 else 1)
        path.write_text("x,y,temperature\n" + "".join(f"{a:.4f},{b:.4f},21\n" for a, b in values))
    said = " ".join(kt.load(tmp_path / "d").warnings)
    assert "'temperature' never changes in any series" in said and "'y' is about 9." in said
    assert "'x' is about" not in said  # it differs with the class
