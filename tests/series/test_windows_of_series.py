"""Windows of long recordings: never over a border, never on two sides of a split."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_transfer as kt
from keras_transfer import InputError
from keras_transfer.data.listing import Layout
from keras_transfer.modalities import held_out, modality_of, open_modality
from keras_transfer.modalities.series.sources import list_source, windows_of
from keras_transfer.modalities.series.spool import parse_row_name
from keras_transfer.modalities.series.windows import Recording, cut_recordings

SERIES = open_modality("series")


def write_table(path, blocks, *, time=True, channels=2, seed=0):
    """A long table of blocks (label, group, rows)."""
    random, lines, row = np.random.default_rng(seed), [], 0
    for label, group, rows in blocks:
        for _ in range(rows):
            values = ",".join(f"{value:.4f}" for value in random.normal(size=channels))
            lines.append((f"{row / 50:.2f}," if time else "") + f"{values},{label},{group}")
            row += 1
    heading = ("time," if time else "") + ",".join(f"acc{i}" for i in range(channels)) + ",activity,subject"
    path.write_text("\n".join([heading, *lines]) + "\n")
    return path


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("stu"), st.integers(1, 60)), min_size=1, max_size=12),
    st.integers(2, 20),
    st.integers(1, 25),
    st.booleans(),
)
def test_windows_span_no_border_and_share_no_sample_with_another_group(blocks, window, hop, grouped):
    recordings, start = [], 0
    for label, group, rows in blocks:
        key = group if grouped else f"{start}"
        name = lambda a, b: f"#row={a + 1:.0f}-{b:.0f}"  # noqa: E731
        recordings.append(Recording(start, start + rows, (label,), name, key, grouped=grouped))
        start += rows
    entries, _ = cut_recordings(recordings, window, hop)
    owner = {}
    for entry in entries:
        first, last = (int(part) for part in entry.file.removeprefix("#row=").split("-"))
        assert window / 2 <= last - first + 1 <= window
        inside = [r for r in recordings if r.start < first and last <= r.end]
        assert len(inside) == 1 and inside[0].labels == entry.labels
        for row in range(first, last + 1):
            assert owner.setdefault(row, entry.group) == entry.group


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([4, 8, 16]))
def test_no_row_of_a_table_is_on_two_sides(tmp_path_factory, seed, hop):
    random = np.random.default_rng(seed)
    blocks = [(label, f"s{i}", int(random.integers(40, 90))) for i in range(4) for label in ("walk", "run")]
    table = write_table(tmp_path_factory.mktemp("t") / "long.csv", blocks, time=False, seed=seed)
    data = SERIES.load_items(table, layout=Layout(window=16, hop=hop), val=0.2, test=0.2)
    sides = {}
    for record in data.records:
        _, first, last = parse_row_name(record.file)
        for row in range(first, last + 1):
            assert sides.setdefault(row, record.split) == record.split
    assert set(sides.values()) == {"train", "val", "test"}


def test_a_long_table_by_seconds_and_by_group(tmp_path):
    table = write_table(tmp_path / "imu.csv", [(a, s, 200) for s in ("ann", "bob", "cy", "di") for a in ("up", "down")])
    assert modality_of(table).name == "series"
    found = list_source(table, None, Layout(window=1, hop=0.5))
    assert found.rate == 50 and found.window == 1 and found.channels == ("acc0", "acc1")
    assert [e.file.partition("#")[2] for e in found.listing.entries[:2]] == ["row=1-50", "row=26-75"]
    assert any("add --group-by subject" in warning for warning in found.listing.warnings)
    data = kt.load(table, window=1, group_by="subject", val=0.25, test=0.25)
    assert not any("--group-by" in warning for warning in data.warnings) and data.train.preparer.length == 50
    groups = {name: {r.group for r in data.records if r.split == name} for name in ("train", "val", "test")}
    assert sum(map(len, groups.values())) == 4 and data.train.preparer.settings["windows"]
    again = kt.load(data.write_csv(tmp_path / "data.csv"))
    assert [r.sha256 for r in again.records] == [r.sha256 for r in data.records]
    assert all(record.group and not record.columns for record in data.records)


def test_without_a_rate_windows_are_in_samples(tmp_path):
    table = write_table(tmp_path / "imu.csv", [(a, "s", 300) for a in ("up", "down") * 3], time=False)
    assert list_source(table, None, Layout(window=100)).listing.entries[0].file.endswith("#row=1-100")
    assert list_source(table, None, Layout(window=1, rate=100)).listing.entries[0].file.endswith("#row=1-100")
    with pytest.raises(InputError, match="in samples, for no rate is known"):
        list_source(table, None, Layout(window=1))
    assert {e.file.partition("#")[2] for e in list_source(table).listing.entries} >= {"row=1-300", "row=301-600"}


def test_gaps_in_time_and_time_that_begins_anew_are_borders(tmp_path):
    path = tmp_path / "t.csv"
    times = [*np.arange(40), *np.arange(100, 140), *np.arange(0, 40)]
    path.write_text("t,x,label\n" + "".join(f"{t},{i},{'ab'[i % 120 >= 60]}\n" for i, t in enumerate(times)))
    found = list_source(path, None, Layout(window=10))
    spans = [parse_row_name(e.file)[1:] for e in found.listing.entries]
    assert (31, 40) in spans and (41, 50) in spans and (51, 60) in spans and (71, 80) in spans and (81, 90) in spans
    assert any("1 gaps of over 10 samples" in w for w in found.listing.warnings)
    assert any("1 times the time stamps go back" in w for w in found.listing.warnings)
    random = np.random.default_rng(0).permutation(120)
    path.write_text("time,x,label\n" + "".join(f"{t},{i},{'ab'[i >= 60]}\n" for i, t in enumerate(random)))
    with pytest.raises(InputError, match="sort it by time"):
        list_source(path)


def test_a_class_of_one_recording_is_divided_first(tmp_path):
    table = write_table(tmp_path / "one.csv", [("up", "s", 1000), ("down", "s", 1000)], time=False)
    data = kt.load(table, window=20, hop=5)
    assert sum("comes from 1 recording alone" in warning for warning in data.warnings) == 2
    assert {len({r.group for r in data.records if r.label == label}) for label in (0, 1)} == {10}


def test_files_of_class_folders_are_cut_into_windows(tmp_path):
    random = np.random.default_rng(0)
    for label in ("up", "down"):
        (tmp_path / "d" / label).mkdir(parents=True)
        for i in range(4):
            rows = random.normal(size=(230, 1))
            text = "time,x\n" + "".join(f"{k / 100},{v[0]:.5f}\n" for k, v in enumerate(rows))
            (tmp_path / "d" / label / f"{i}.csv").write_text(text)
    data = kt.load(tmp_path / "d", window=0.5)
    assert data.train.preparer.length == 50 and data.train.preparer.rate == 100
    assert len(data.records) == 8 * 5 and {r.group for r in data.records} == {
        str(p) for p in (tmp_path / "d").rglob("*.csv")
    }
    file = str(tmp_path / "d" / "up" / "0.csv")
    assert windows_of(file, 0.5, None, 0.25)[:2] == [f"{file}#t=0,0.5", f"{file}#t=0.25,0.75"]
    assert windows_of(file, 3, None) == [file] == windows_of(file, 4, None)
    whole = kt.load(tmp_path / "d")
    assert len(whole.records) == 8 and whole.train.preparer.length == 230


def test_what_a_long_table_lacks_is_said(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("t,x,y\n0,1,2\n1,2,3\n2,4,4\n")
    with pytest.raises(InputError, match="needs a column of labels"):
        SERIES.load_items(path)
    path.write_text("t,x,mood\n" + "".join(f"{i},{i},{'ab'[i % 40 >= 20]}\n" for i in range(200)))
    assert any("`mood` of t.csv is read as the label" in w for w in list_source(path).listing.warnings)
    with pytest.raises(InputError, match="no column 'who'"):
        SERIES.load_items(path, layout=Layout(group_by="who"))
    with pytest.raises(InputError, match="lies within rows of one label"):
        SERIES.load_items(path, layout=Layout(window=100))


def test_bad_cells_and_rows_count_as_missing(tmp_path):
    path = write_table(tmp_path / "t.csv", [(a, "s", 100) for a in ("up", "down") * 4], time=False)
    lines = path.read_text().splitlines()
    lines[10], lines[20] = "oops", lines[20].replace(lines[20].split(",")[0], "?!")
    path.write_text("\n".join(lines) + "\n")
    data = kt.load(path, window=50)
    assert any("1 rows of t.csv have another number of cells" in w for w in data.warnings)
    assert any("1 cells of t.csv hold no numbers" in w for w in data.warnings)


def test_labels_and_groups_may_be_numbers_and_a_rate_may_be_said(tmp_path):
    table = tmp_path / "t.csv"
    random = np.random.default_rng(0)
    rows = [f"{random.normal():.4f},{i // 100 % 2},{i // 400}" for i in range(1600)]
    table.write_text("\n".join(["x,label,subject", *rows]) + "\n")
    data = kt.load(table, window=0.5, rate=100, group_by="subject", val=0.25, test=0.25)
    assert data.train.preparer.channels == ("x",) and data.train.preparer.length == 50
    assert np.isfinite(data.train.arrays(50)).all() and data.class_names == ["0", "1"]
    held = held_out(str(table), "all", preparation=data.train.preparer.settings).prepared_by(data.train.preparer)
    assert len(held) == 32 and held.arrays(50).shape == (32, 50, 1)
    assert set(data.train.hashes) <= set(held.hashes)
    for label in ("up", "down"):
        (tmp_path / "d" / label).mkdir(parents=True)
        for i in range(4):
            (tmp_path / "d" / label / f"{i}.csv").write_text("x\n" + "".join(f"{v}\n" for v in random.normal(size=300)))
    data = kt.load(tmp_path / "d", window=0.5, rate=100)
    held = held_out(str(tmp_path / "d"), "all", preparation=data.train.preparer.settings)
    assert len(held) == len(data.records) == 48 and set(data.train.hashes) <= set(held.hashes)
    assert held.prepared_by(data.train.preparer).arrays(50).shape == (48, 50, 1)
