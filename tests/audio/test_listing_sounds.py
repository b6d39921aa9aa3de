"""What sources of recordings hold: folders, tables with stretches, label tracks, background, windows and groups."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sounds import chirp, encoded, melody, noise, seed_of, write

import keras_transfer as kt
from keras_transfer import InputError
from keras_transfer.data.grouping import betrayed_group
from keras_transfer.data.listing import Layout
from keras_transfer.data.stretches import parse_stretch
from keras_transfer.modalities.audio.sources import list_source, read_label_track


def table(path, columns, *rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def names(listing):
    return [entry.file.rpartition("/")[2] for entry in listing.entries]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of one second each, a file of three seconds and a damaged one."""
    place = tmp_path_factory.mktemp("sounds")
    for label in ("low", "high"):
        for i in range(12):
            write(place / label / f"{i}.wav", noise(1, seed=seed_of(label, i)))
    write(place / "low" / "long.flac", noise(3.2, seed=77))
    (place / "high" / "bad.mp3").write_bytes(b"no sound")
    return place


def test_long_recordings_are_windows_of_one_group(folder):
    listing, window = list_source(str(folder), layout=Layout(window=1.0, hop=0.5))
    own = [entry for entry in listing.entries if "long" in entry.file]
    assert window == 1.0 and len(own) == 5 and {entry.group for entry in own} == {str(folder / "low" / "long.flac")}
    assert own[1].file.endswith("long.flac#t=0.5,1.5") and len(listing.entries) == 24 + 5 + 1
    data = kt.load(folder, window=1.0, val=0.2, test=0.2)
    record = next(record for record in data.records if "bad.mp3" in record.file)
    assert record.problem.startswith("not a recording") and data.train.preparer.samples == 16000
    assert len({r.split for r in data.records if "long" in r.file}) == 1
    whole = kt.load(folder, val=0.2, test=0.2)
    assert whole.train.preparer.seconds == list_source(str(folder)).window


def test_a_table_names_stretches_folds_and_splits(tmp_path, folder):
    rows = [(f"low/{i}.wav", "low", "", "", i % 3) for i in range(12)] + [
        ("low/long.flac", "high", 0.5 * i, 0.5 * i + 0.5, 3 + i) for i in range(6)
    ]
    path = table(folder / "list.csv", ("path", "label", "start", "end", "fold"), *rows)
    listing, _ = list_source(str(path))
    assert names(listing)[-1] == "long.flac#t=2.5,3" and listing.entries[-1].group == "8"
    assert "`fold`" in listing.warnings[0] and listing.entries[4].group == "1"
    data = kt.load(path, val=0.2, test=0.2)
    assert data.class_names == ["high", "low"] and not [r for r in data.records if r.problem]
    again = kt.load(data.write_csv(tmp_path / "data.csv"))
    assert [(r.path, r.split) for r in again.records] == [(r.path, r.split) for r in data.records]
    bad = table(
        folder / "bad.csv", ("path", "label", "start", "end"), ("low/1.wav", "a", "x", 2), ("low/2.wav", "b", 3, 2)
    )
    assert all("no stretch of time" in entry.problem for entry in list_source(str(bad)).listing.entries)
    odd = table(
        folder / "odd.csv",
        ("path", "label", "start", "end"),
        ("low/1.wav", "a", "0,25", "0,5"),
        ("low/2.wav", "b", 0, 1000),
    )
    listing, _ = list_source(str(odd))
    assert names(listing) == ["1.wav#t=0.25,0.5", "2.wav#t=0,1000"]
    assert listing.warnings[0].startswith("1 of 2 stretches end after their file does, such as 2.wav#t=0,1000")
    for first, last in (("start", "duration"), ("offset", "duration"), ("start", "length_seconds")):
        lasting = table(folder / "lasts.csv", ("path", "label", first, last), ("low/long.flac", "a", 0.5, 1))
        assert names(list_source(str(lasting)).listing) == ["long.flac#t=0.5,1.5"]
    whole = table(folder / "whole.csv", ("path", "label", "duration"), ("low/1.wav", "a", 1))
    assert names(list_source(str(whole)).listing) == ["1.wav"]
    with pytest.raises(InputError, match="stretches need a start and an end"):
        list_source(str(table(folder / "half.csv", ("path", "label", "start"), ("low/1.wav", "a", 0))))


def test_several_labels_and_an_expression_for_groups(folder):
    rows = [(f"low/{i}.wav", "rain|wind" if i % 2 else "rain") for i in range(12)]
    path = table(folder / "several.csv", ("path", "labels"), *rows)
    listing, _ = list_source(str(path), layout=Layout(group_by=r"(\d)\.wav"))
    assert listing.multi_label and listing.entries[3].labels == ("rain", "wind") and listing.entries[11].group == "1"


def test_label_tracks_beside_long_recordings(tmp_path):
    write(tmp_path / "yard.wav", noise(20))
    (tmp_path / "yard.txt").write_text("1\t3\tdog\n\\\t200\t900\n4,5\t4,5\tdoor\n6\t18\train\n")
    listing, window = list_source(str(tmp_path), layout=Layout(window=5))
    assert names(listing) == [
        "yard.wav#t=1,3", "yard.wav#t=4,5", "yard.wav#t=6,11", "yard.wav#t=11,16",
    ] and window == 5  # fmt: skip
    assert [entry.labels[0] for entry in listing.entries] == ["dog", "door", "rain", "rain"]
    grouped = list_source(str(tmp_path), layout=Layout(window=5, group_by="^(y)")).listing
    assert {entry.group for entry in grouped.entries} == {"y"}
    (tmp_path / "yard.txt").write_text("1\t3\tdog\n2\t4\train\n")
    listing, _ = list_source(str(tmp_path))
    assert listing.multi_label and [entry.labels for entry in listing.entries] == [("dog",), ("dog", "rain"), ("rain",)]
    write(tmp_path / "forest.wav", noise(2))
    (warning,) = list_source(str(tmp_path)).listing.warnings
    assert warning.startswith("1 recordings of") and "(first: forest.wav)" in warning
    (tmp_path / "yard.txt").write_text("one two\n")
    with pytest.raises(InputError, match="Export it from Audacity"):
        list_source(str(tmp_path))


def test_label_tracks_in_folders_of_days(tmp_path):
    for day in ("monday", "tuesday"):
        write(tmp_path / day / "yard.wav", noise(4))
        (tmp_path / day / "yard.txt").write_text("0\t2\tdog\n2\t4\train\n")
    listing, _ = list_source(str(tmp_path))
    assert {entry.labels for entry in listing.entries} == {("dog",), ("rain",)} and not listing.warnings
    assert len({entry.group for entry in listing.entries}) == 2
    write(tmp_path / "tuesday" / "forest.wav", noise(2))  # so these are class folders with a text in each
    assert {entry.labels for entry in list_source(str(tmp_path)).listing.entries} == {("monday",), ("tuesday",)}


@given(st.binary(max_size=200))
def test_any_label_track_is_marks_or_an_input_error(content):
    try:
        marks = read_label_track(content)
    except InputError as error:
        assert "line" in str(error)
    else:
        assert all(0 <= mark.start <= mark.end and mark.label for mark in marks)


def test_a_folder_becomes_the_class_background(folder, tmp_path):
    write(tmp_path / "street" / "a.wav", noise(60, seed=5))
    data = kt.load(folder, window=1, background=tmp_path / "street", val=0.2, test=0.2, allow_bad=True)
    assert data.class_names == ["high", "low", "background"]
    own = [record for record in data.records if record.label == 2]
    assert len(own) == 15 and {record.split for record in own} == {"train", "val", "test"}
    assert any("'background' comes from 1 recording alone" in warning for warning in data.warnings)
    with pytest.raises(InputError, match="must be a folder"):
        kt.load(folder, background=tmp_path / "none")


@pytest.mark.parametrize("source", ["pizza", "made-reviews"])
def test_windows_are_refused_for_what_has_no_time(source):
    with pytest.raises(InputError, match=r"`hop` \(--hop\) needs"):
        kt.load(source, hop=0.5)


def test_names_betray_groups_and_a_column_is_proposed(tmp_path):
    esc = [
        (f"dog/{fold}-{source}-{take}.ogg", ("dog",)) for fold in (1, 2) for source in (1017, 5501) for take in "ABC"
    ]
    pattern, values = betrayed_group(esc)
    assert pattern == "([^/-]+)[-][^/-]+$" and values == {"1017": 6, "5501": 6}
    assert betrayed_group([(f"dog/{i}.wav", ("dog",)) for i in range(9)]) is None
    assert betrayed_group([(f"dog/dog_{i}.wav", ("dog",)) for i in range(9)]) is None
    for who in ("ann", "bob", "cem"):
        for digit in "01":
            for take in range(3):
                write(tmp_path / digit / f"{digit}_{who}_{take}.wav", noise(1, seed=seed_of(who, digit, take)))
    assert not list_source(str(tmp_path), to_split=False).listing.warnings
    (warning,) = list_source(str(tmp_path)).listing.warnings
    assert "flatters the score: add --group-by '([^/_]+)[_][^/_]+$'" in warning
    listing = list_source(str(tmp_path), layout=Layout(group_by="([^/_]+)[_][^/_]+$")).listing
    assert {entry.group for entry in listing.entries} == {"ann", "bob", "cem"} and not listing.warnings
    rows = [(f"{d}/{d}_{who}_{t}.wav", d, who) for d in "01" for who in ("ann", "bob") for t in range(3)]
    (warning,) = list_source(str(table(tmp_path / "l.csv", ("path", "label", "speaker"), *rows))).listing.warnings
    assert warning.endswith("add --group-by speaker.")


def test_copies_and_excerpts_stand_on_one_side(tmp_path):
    source = melody(6)
    for i in range(10):
        write(tmp_path / "a" / f"{i}.wav", noise(1, seed=i))
        write(tmp_path / "b" / f"{i}.wav", chirp(1, low=200 + 37 * i, high=1500 + 211 * i))
    write(tmp_path / "a" / "first.wav", source[:48000])
    write(tmp_path / "a" / "second.mp3", 0.5 * source[24321:72321])
    write(tmp_path / "a" / "copy.flac", noise(1, seed=4))
    data = kt.load(tmp_path, window=4, val=0.2, test=0.2)
    alike = {frozenset(data.records[i].path.name for i in members) for members in data.similar}
    assert alike == {frozenset({"first.wav", "second.mp3"}), frozenset({"4.wav", "copy.flac"})}


def test_stretches_of_the_only_recording_share_nothing(tmp_path):
    for label in "ab":
        write(tmp_path / label / "all.wav", noise(40, seed=seed_of(label)))
    data = kt.load(tmp_path, window=2.0, hop=0.5, val=0.2, test=0.2)
    sides = {name: set[tuple[str, int]]() for name in ("train", "val", "test")}
    for record in data.records:
        file, start, end = parse_stretch(record.file)
        sides[record.split] |= {(file, tenth) for tenth in range(round(10 * start), round(10 * end))}
    assert not (sides["train"] & (sides["val"] | sides["test"]) or sides["val"] & sides["test"])
    assert len(data.records) > 80 and any("comes from 1 recording alone" in warning for warning in data.warnings)


def test_windows_on_two_sides_of_a_tables_split_share_nothing(tmp_path):
    write(tmp_path / "long.wav", noise(40))
    rows = [("long.wav", "ab"[i % 2], 4 * i, 4 * i + 5, ("train", "val", "test")[i % 3]) for i in range(9)]
    listing, _ = list_source(str(table(tmp_path / "t.csv", ("path", "label", "start", "end", "split"), *rows)))
    assert [entry.split for entry in listing.entries] == ["test"] * 3
    assert "6 windows share sound" in listing.warnings[-1]
    apart = [(*row[:3], row[2] + 4, row[4]) for row in rows]
    listing, _ = list_source(str(table(tmp_path / "u.csv", ("path", "label", "start", "end", "split"), *apart)))
    assert len(listing.entries) == 9 and not listing.warnings


def test_silent_windows_are_left_out_unless_silence_is_their_class(tmp_path):
    for label in "ab":
        for i in range(6):
            sound = np.concatenate([noise(1, seed=seed_of(label, i)), np.zeros(32000)])
            write(tmp_path / "sounds" / label / f"{i}.wav", sound)
    write(tmp_path / "room" / "quiet.wav", np.concatenate([noise(1), np.zeros(80000)]))
    data = kt.load(tmp_path / "sounds", window=1.0, val=0.2, test=0.2, background=tmp_path / "room")
    silent = [record for record in data.records if record.problem]
    assert len(silent) == 24 and {record.problem for record in silent} == {
        "only silence, in a recording that has sound"
    }
    assert len(data.train) + len(data.val) + len(data.test) == 12 + 6
    assert not data.similar  # silences are no copies, else what holds some would be one group
    assert any(warning.startswith("29 of 42 sound files hold only silence") for warning in data.warnings)
    assert "different labels" not in " ".join(data.warnings)


def test_a_group_that_is_found_nowhere_is_refused_and_a_part_is_said(tmp_path, folder):
    with pytest.raises(
        InputError, match=r"finds no group in any of 26 recordings, such as .*wav.*Received: group_by='sp"
    ):
        list_source(str(folder), layout=Layout(group_by="speaker-(x)"))
    listing, _ = list_source(str(folder), layout=Layout(group_by=r"(\d)\.wav"))
    assert any(
        "in 2 of 26 recordings, such as bad.mp3: each of these stands" in warning for warning in listing.warnings
    )
    rows = [(f"low/{i}.wav", "low", "") for i in range(12)]
    with pytest.raises(InputError, match="finds no group in any of 12"):
        list_source(str(table(folder / "g.csv", ("path", "label", "who"), *rows)), layout=Layout(group_by="who"))
    write(tmp_path / "yard.wav", noise(4))
    (tmp_path / "yard.txt").write_text("0\t2\ta\n2\t4\tb\n")
    with pytest.raises(InputError, match="finds no group in any of 2 recordings"):
        list_source(str(tmp_path), layout=Layout(group_by="street"))


def test_silence_and_constants_are_left_out_and_clipping_is_said(tmp_path):
    for label in "ab":
        for i in range(10):
            write(tmp_path / label / f"{i}.wav", noise(1, seed=seed_of(label, i)))
    write(tmp_path / "a" / "silent.wav", np.zeros(16000, np.float32))
    write(tmp_path / "a" / "dc.wav", np.full(16000, 0.3, np.float32))
    write(tmp_path / "a" / "loud.wav", np.clip(9 * noise(1), -1, 1))
    (tmp_path / "b" / "empty.wav").write_bytes(b"")
    (tmp_path / "b" / "cut.wav").write_bytes(encoded(noise(1))[:9000])
    data = kt.load(tmp_path, val=0.2, test=0.2, allow_bad=True)
    problems = {record.path.name: record.problem for record in data.records if record.problem}
    assert set(problems) == {"silent.wav", "dc.wav", "empty.wav", "cut.wav"}
    assert "silence" in problems["silent.wav"] and "(DC)" in problems["dc.wav"] and "cut off" in problems["cut.wav"]
    assert any("1 of 25 sound files are clipped" in warning for warning in data.warnings)
    write(tmp_path / "a" / "loud.wav", 1e30 * noise(1), subtype="FLOAT")
    data = kt.load(tmp_path, val=0.2, test=0.2, allow_bad=True)
    assert any("1 of 25 sound files hold floats far beyond -1..1" in warning for warning in data.warnings)
    with pytest.raises(InputError, match="4 of 25 sound files"):
        kt.load(tmp_path, val=0.2, test=0.2)
