"""What files of series hold: CSV of one each, .ts, .arff, .npz, tables with a row for each series."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import keras_transfer as kt
from keras_transfer import InputError
from keras_transfer.modalities import modality_of, open_modality
from keras_transfer.modalities.series.archives import read_arff, read_npz, read_ts
from keras_transfer.modalities.series.items import Series, at_rate, fill_gaps, on_grid, pack, read_csv, unpack
from keras_transfer.modalities.series.loading import load_series, open_spool
from keras_transfer.modalities.series.preparer import open_preparer
from keras_transfer.modalities.series.sources import list_source

SAMPLES = st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=20)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_series_or_refused(content):
    try:
        series = unpack(content)
    except InputError:
        return
    assert series.values.ndim == 2 and series.values.dtype == np.float32
    assert series.values.shape[1] == len(series.channels) >= 1


@given(st.text(max_size=200))
def test_any_ts_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("ts") / "a.ts"
    path.write_text("@classLabel true a b\n@data\n" + text, encoding="utf-8", errors="replace")
    for read, name in ((read_ts, "a.ts"), (read_arff, "a.arff")):
        try:
            spool = read(path.rename(path.with_name(name)))
        except InputError:
            continue
        finally:
            path = path.with_name(name)
        assert len(spool.labels) == len(spool) and spool.ends[-1] == len(spool.values)


@given(SAMPLES, st.sampled_from([",", ";", "\t", "|"]), st.booleans())
def test_a_csv_is_read_as_it_was_written(samples, mark, heading):
    rows = [f"{value:.9g}{mark}{-value:.9g}" for value in samples]
    text = "\n".join([f"x{mark}y"] * heading + rows)
    series = read_csv(text.encode())
    assert series.channels == (("x", "y") if heading else ("channel 1", "channel 2"))
    assert np.array_equal(series.values, np.array([samples, np.negative(samples)], np.float32).T)
    assert unpack(pack(series)).values.tobytes() == series.values.tobytes()


def test_decimal_commas_missing_cells_and_columns_of_words():
    series = read_csv("\ufeffindex;x;note\n0;1,5;rest\n1;?;rest\n2;2,5;rest\n".encode())
    assert series.channels == ("x",) and series.values[:, 0].tolist()[::2] == [1.5, 2.5]
    assert np.isnan(series.values[1, 0]) and fill_gaps(series.values)[1, 0] == 2


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"x,y\n1,2\n3\n", "line 3: 1 cells"),
        (b"x\n1\nabc\n2\n", "'abc' in x is no number"),
        (b"x,y\n", "no rows below the heading"),
        (b"name,place\na,b\n", "no column of numbers"),
        (b"x\n1\n2\0\n", "zero bytes"),
        (b"", "an empty file"),
        (b"time,x\n0,1\n0,2\n", "one time stamp"),
        (b"time,x\n0,1\n,2\n", "no time stamp"),
        (b"t,x\n0,1\n1,2\n2,2\n99999999,3\n", "with gaps"),
    ],
)
def test_damage_is_said(content, why):
    with pytest.raises(InputError, match=why):
        unpack(content)


def test_time_stamps_are_sorted_and_made_even():
    for text, rate, note in (
        ("t,x\n0,0\n1,1\n2,2\n", 1.0, ""),
        ("time (ms),x\n0,0\n20,1\n10,2\n", 100.0, "unsorted"),
        ("timestamp,x\n0,0\n1,1\n1,9\n2,2\n", 1.0, "repeated"),
        ("date,x\n2024-01-01 00:00:00,0\n2024-01-01 00:00:02,1\n", 0.5, ""),
        ("timestamp,x\n1700000000000,0\n1700000000020,1\n1700000000040,2\n", 50.0, ""),
    ):
        series = read_csv(text.encode())
        assert (series.rate, series.note) == (rate, note) and series.channels == ("x",), text
    values, rate, note = on_grid(np.array([0.0, 1, 2, 30, 31, 32]), np.arange(6.0)[:, None])
    assert rate == 1 and note == "uneven" and len(values) == 33 and np.isnan(values[3:30]).all()
    with pytest.raises(InputError, match="27 samples in a row are missing"):
        fill_gaps(values.astype(np.float32))


@given(SAMPLES, st.sampled_from([25.0, 50.0, 100.0, 130.0]))
def test_another_rate_keeps_length_in_time_and_range(samples, wanted):
    values = np.array(samples, np.float32)[:, None]
    other = at_rate(values, 50.0, wanted)
    assert len(other) == max(1, round(len(values) * wanted / 50)) and other.dtype == np.float32
    room = 1e-3 + 1e-6 * np.abs(values).max()
    assert values.min() - room <= other.min() and other.max() <= values.max() + room


def test_ts_files_of_unequal_length_with_missing_samples_and_time_stamps(tmp_path):
    path = tmp_path / "a.ts"
    path.write_text(
        "# words\n@problemName a\n@timeStamps false\n@classLabel true walk run\n@data\n"
        "1,2,3:4,5,6:walk\n1,?:2,3:run\n1,2:3:run\n1,x:2,3:run\n1,2,3:walk\n\n1,2:3,4:\n"
    )
    spool = read_ts(path)
    assert spool.labels == ["walk", "run", "run", "run", "walk", ""] and spool.channels == ("channel 1", "channel 2")
    assert [len(spool.series(i).values) for i in (1, 2)] == [3, 2] and np.isnan(spool.series(2).values[1, 0])
    assert set(spool.problems) == {3, 4, 5}
    path.write_text("@timeStamps true\n@classLabel true a\n@data\n(0,1.5),(1,2.5):(0,3),(1,4):a\n")
    assert read_ts(path).values.tolist() == [[1.5, 3], [2.5, 4]]
    for text, why in (
        ("@targetLabel true\n@data\n1,2:3\n", "measured values"),
        ("hello\n", "before @data"),
        ("@data\n1:a\n", "no line '@classLabel true'"),
        ("@classLabel true a\n@data\n", "nothing below @data"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=why):
            read_ts(path)


def test_what_a_folder_is_instead_is_said(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x,y\n1,2\n3,4\n")
    with pytest.raises(InputError, match=r"no folders but 2 series\. Put each class into a folder"):
        open_modality("series").load_items(tmp_path)
    (tmp_path / "Set").mkdir()
    (tmp_path / "Set" / "Set_TRAIN.ts").write_text("@classLabel true a\n@data\n1,2:a\n")
    with pytest.raises(InputError, match="give one of these files"):
        open_modality("series").load_items(tmp_path)


def test_arff_and_npz(tmp_path):
    path = tmp_path / "a.arff"
    path.write_text("% c\n@relation a\n@attribute t0 numeric\n@attribute class {a,b}\n@data\n1,2,a\n3,?,b\n")
    assert read_arff(path).labels == ["a", "b"] and read_arff(path).values[:3, 0].tolist() == [1, 2, 3]
    path.write_text("@attribute d relational\n@attribute class {a,b}\n@data\n'1,2\\n3,4',a\n")
    assert read_arff(path).values.tolist() == [[1, 3], [2, 4]]
    archive = tmp_path / "a.npz"
    np.savez(archive, X_train=np.zeros((3, 9, 2)), y_train=[0, 1, 0], X_test=np.ones((2, 9, 2)), y_test=[1, 0])
    spool = read_npz(archive)
    assert spool.splits == ["train"] * 3 + ["test"] * 2 and len(spool.series(5).values) == 9
    np.savez(archive, X=np.zeros((3, 2, 9)), y=["a", "b", "a"])
    assert read_npz(archive).series(1).values.shape == (9, 2) and "second axis" in read_npz(archive).warnings[0]
    for arrays, why in (({"Z": [1]}, "needs an array X"), ({"X": np.zeros((2, 3)), "y": [1]}, "one of the labels")):
        np.savez(archive, **arrays)
        with pytest.raises(InputError, match=why):
            read_npz(archive)
    archive.write_bytes(b"PK\3\4 damaged")
    with pytest.raises(InputError, match=r"no sound \.npz"):
        read_npz(archive)


def test_a_row_for_each_series_with_and_without_a_heading(tmp_path):
    random, table = np.random.default_rng(0), tmp_path / "ecg.csv"
    rows = random.normal(size=(40, 30))
    lines = [",".join([str(i % 2), *(f"{v:.4f}" for v in row)]) for i, row in enumerate(rows)]
    table.write_text("\n".join(lines) + "\n")
    data = kt.load(table)
    assert modality_of(table).name == "series" and data.class_names == ["0", "1"] and len(data.records) == 40
    assert any("no heading: each row is read as a series, the first column" in w for w in data.warnings)
    series = open_modality("series")
    assert series.items_in(table) == [f"{table}#row={i}" for i in range(1, 41)]
    heading = ",".join(["label", *(f"x_{i}" for i in range(15)), *(f"y_{i}" for i in range(15))])
    table.write_text("\n".join([heading, *lines]) + "\n")
    with pytest.raises(InputError, match="no table with a row for each series"):
        open_spool(str(table))  # 15 columns of a channel are too few to be samples of one
    heading = ",".join(["label", *(f"x_{i}" for i in range(24)), *(f"y_{i}" for i in range(24))])
    more = [line + "," + ",".join(["1"] * 18) for line in lines]
    table.write_text("\n".join([heading, *more]) + "\n")
    assert open_spool(str(table)).series(1).values.shape == (24, 2) and kt.load(table).reader.prepares.channels == (
        "x",
        "y",
    )


@pytest.mark.parametrize("first", ["label", "kind"])
def test_a_row_for_each_series_has_the_label_that_is_named(tmp_path, first):
    random, table = np.random.default_rng(0), tmp_path / "ecg.csv"
    rows = [
        [f"p{i % 5}", "ab"[i % 2], "cd"[i // 2 % 2], *(f"{value:.4f}" for value in random.normal(size=30))]
        for i in range(40)
    ]
    heading = ["who", first, "mood", *(f"x_{i}" for i in range(30))]
    table.write_text("\n".join(map(",".join, [heading, *rows])) + "\n")
    for column, own in ((first, ["a", "b"]), ("mood", ["c", "d"])):
        data = kt.load(table, label_column=column, group_by="who")
        assert data.class_names == own and len(data.records) == 40 and data.train.preparer.channels == ("x",)
        other = "mood" if column == first else first
        assert {(r.group, *r.columns) for r in data.records} == {(f"p{i}", other) for i in range(5)}
    np.savez(tmp_path / "a.npz", X=np.zeros((4, 9, 1)), y=list("abab"))
    with pytest.raises(InputError, match=r"--label-column\) needs a table"):
        kt.load(tmp_path / "a.npz", label_column="kind")


def test_a_pair_of_tables_without_headings(tmp_path):
    random = np.random.default_rng(0)
    for side, count in (("TRAIN", 30), ("TEST", 12)):
        rows = [[str(i % 2 + 1), *(f"{value:.4f}" for value in random.normal(size=40))] for i in range(count)]
        (tmp_path / f"Set_{side}.tsv").write_text("\n".join("\t".join(row) for row in rows) + "\n")
    (tmp_path / "README.md").write_text("About the set.")
    for source in (tmp_path, tmp_path / "Set_TRAIN.tsv"):
        assert modality_of(source).name == "series"
        data = kt.load(source, val=0.2)
        assert len(data.test) == 12 and len(data.train) + len(data.val) == 30 and data.class_names == ["1", "2"]


def test_rows_of_unequal_length_end_where_their_samples_end(tmp_path):
    table = tmp_path / "ecg.tsv"
    full = "\t".join(["1", *map(str, range(30))])
    short = "\t".join(["2", *map(str, range(10)), *["NaN"] * 20])
    table.write_text("\n".join([full, short] * 3) + "\n")
    spool = open_spool(str(table))
    assert [len(spool.series(i).values) for i in (1, 2)] == [30, 10]
    assert [entry.labels for entry in list_source(table).listing.entries] == [("1",), ("2",)] * 3


def test_names_of_items_are_read_again_and_wrong_ones_refused(tmp_path):
    path = tmp_path / "a.ts"
    path.write_text("@classLabel true a\n@data\n1,2,3:a\n")
    assert unpack(load_series(f"{path}#row=1")).values[:, 0].tolist() == [1, 2, 3]
    for name, why in (
        (f"{path}#row=2", "no series 2"),
        (f"{path}#row=0", "no series 0"),
        (str(tmp_path / "b.ts#row=1"), "no such file"),
        (str(tmp_path / "gone.csv"), "no such file"),
    ):
        with pytest.raises(InputError, match=why):
            load_series(name)


def test_channels_are_found_by_name_and_rates_are_made_the_same():
    preparer = open_preparer({"length": 4, "channels": ["y", "x"], "rate": 1.0, "fill": "edge"})
    spec = preparer.spec(4)
    assert preparer.prepare(b"x,y\n1,2\n3,4\n", spec).tolist() == [[2, 1], [4, 3], [4, 3], [4, 3]]
    half = pack(Series(np.array([[0, 0], [2, 2]], np.float32), ("x", "y"), 0.5))
    assert preparer.prepare(half, spec).shape == (4, 2) and preparer.prepare(half, spec)[-1].tolist() == [2, 2]
    for fill, last in (("mean", [3, 2]), ("zero", [0, 0])):
        other = open_preparer({**preparer.settings, "fill": fill})
        assert other.prepare(b"x,y\n1,2\n3,4\n", spec).tolist() == [[2, 1], [4, 3], last, last]
    with pytest.raises(InputError, match="no channel 'y'"):
        preparer.prepare(b"x,z\n1,2\n3,4\n", spec)
    for wrong in ({"length": 0}, {"channels": "xy"}, {"rate": -1}, {"fill": "best"}, {"size": 3}):
        with pytest.raises(InputError, match="no settings of series"):
            open_preparer(wrong)


def test_arrays_in_memory(tmp_path):
    random = np.random.default_rng(0)
    X, y = random.normal(size=(20, 16, 2)).astype(np.float32), ["a", "b"] * 10
    data = kt.load((X, y))
    assert data.reader.kind.items == "series" and data.train.arrays(16).shape[1:] == (16, 2)
    unequal = [random.normal(size=(5 + i, 2)) for i in range(20)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = kt.load(unequal, labels=y)
    assert data.train.preparer.length == 24 and len(data.records) == 20
    with pytest.raises(InputError, match="a label for each series"):
        kt.load(unequal, labels=y[:3])


def test_a_column_t_of_temperatures_is_a_channel():
    assert read_csv(b"T,x\n20.5,1\n20.1,2\n20.4,3\n20.2,4\n").channels == ("T", "x")
    assert read_csv(b"T,x\n0,1\n1,2\n2,3\n").channels == ("x",)


def test_long_tables_in_parquet(tmp_path):
    import pyarrow
    import pyarrow.parquet

    random, path = np.random.default_rng(0), tmp_path / "imu.parquet"
    columns = {
        "timestamp": np.arange(800) / 50,
        "x": random.normal(size=800).astype(np.float32),
        "activity": ["rest" if i // 100 % 2 else "walk" for i in range(800)],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    data = kt.load(path, window=0.5)
    assert data.train.preparer.rate == 50 and data.train.preparer.length == 25 and len(data.records) == 32
    first = unpack(load_series(data.records[0].file)).values[:, 0]
    assert np.allclose(first, columns["x"][:25])
