"""The log of predictions: written whole, bounded, and read as something that anyone may have made."""

import json
import os
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.errors import InputError
from keras_transfer.operations.log import (
    MAX_LINE,
    Entry,
    LogWriter,
    items_of,
    line_of,
    parse_line,
    read_logs,
    sketches_of,
    unsketched,
    write_parquet,
)

MODEL = "0123456789abcdef"
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
numbers = st.floats(-1e6, 1e6)
entries = st.builds(
    Entry,
    st.just(MODEL),
    st.lists(st.tuples(texts, st.floats(0, 1)), min_size=1, max_size=4).map(tuple),
    time=st.none() | st.integers(0, 4_000_000_000_000),
    score=st.none() | numbers,
    ms=st.none() | st.floats(0, 1e6),
    measures=st.dictionaries(st.sampled_from(["brightness", "sharpness"]), numbers),
    fingerprint=st.none() | st.just("00ff00ff"),
    item=st.none() | st.just(f"{MODEL}.jpg"),
    label=st.none() | texts,
)


@given(entries)
def test_what_is_written_is_read(entry):
    read = parse_line(line_of(entry).encode())
    assert (read.time, read.item, read.label, len(read.top)) == (entry.time, entry.item, entry.label, len(entry.top))
    for (name, value), (wanted, exact) in zip(read.top, entry.top, strict=True):
        assert name == wanted and value == pytest.approx(exact, abs=6e-5)
    assert read.score == (None if entry.score is None else pytest.approx(entry.score, abs=6e-4))
    assert line_of(read) == line_of(parse_line(line_of(read).encode()))


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_bytes_are_an_entry_or_refused(content):
    with suppress(ValueError):
        parse_line(content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["time", "model", "top", "score", "ms", "measures", "fingerprint", "sketch", "scale", "item", "label"]


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_any_value_of_a_field_is_an_entry_or_refused(fields):
    try:
        entry = parse_line(json.dumps({"model": MODEL, "top": [["cat", 0.5]], **fields}).encode())
    except ValueError:
        return
    assert all(np.isfinite(value) for value in (entry.score, entry.ms, *entry.measures.values()) if value is not None)
    assert entry.item is None or "/" not in entry.item


@pytest.mark.parametrize(
    "line",
    [
        b'{"model":"0123456789abcdef","top":[["cat",NaN]]}',
        b'{"model":"0123456789abcdef","top":[["cat",1e999]]}',
        b'{"model":"0123456789abcdef","top":[["cat",true]]}',
        b'{"model":"0123456789abcdef","top":[["cat",0.5]],"item":"../../etc/passwd"}',
        b'{"model":"0123456789abcdef","top":[["cat",0.5]],"time":"2026-13-45T99:00:00Z"}',
        b'{"model":"0123456789abcdef","top":[["cat",0.5]],"sketch":[1,2],"scale":0}',
        b'{"model":"../x","top":[["cat",0.5]]}',
        b'{"model":"0123456789abcdef","top":' + b"[" * 8000,
        b'{"model":"0123456789abcdef","top":[["cat",0.5]],"score":' + b"1" * 5000 + b"}",
        b"{" + b" " * MAX_LINE + b"}",
        b"\xff\xfe",
    ],
)
def test_hostile_lines_are_refused(line):
    with pytest.raises(ValueError):
        parse_line(line)


def entry(number: int, **fields) -> Entry:
    return Entry(MODEL, (("cat", 0.5),), time=number, **fields)


def test_a_torn_line_is_skipped_and_counted(tmp_path):
    path = tmp_path / "log.jsonl"
    with LogWriter(path, sync=True) as log:
        log.write(entry(1))
        log.write(entry(2))
    path.write_bytes(path.read_bytes()[:-9])  # the power failed
    with LogWriter(path) as log:
        log.write(entry(3))
    path.write_bytes(b"x" * 50_000 + b"\n\n" + path.read_bytes())
    found = read_logs([path])
    assert ([one.time for one in found.entries], found.skipped) == ([1, 3], 2)
    assert path.stat().st_mode & 0o077 == 0


def test_a_log_is_bounded_with_what_it_keeps(tmp_path):
    path = tmp_path / "log.jsonl"
    with LogWriter(path, max_bytes=2000) as log:
        for number in range(200):
            log.write(entry(number, item=log.keep(b"%d" % number, ".txt")))
    kept = read_logs([path]).entries
    assert sum(file.stat().st_size for file in tmp_path.glob("log.jsonl*")) <= 4000
    assert [one.time for one in kept] == list(range(200 - len(kept), 200)) and 10 < len(kept) < 50
    assert {file.name for file in items_of(path).iterdir()} == {one.item for one in kept}
    assert [one.time for one in read_logs([tmp_path], most=5).entries] == [195, 196, 197, 198, 199]


def test_kept_items_are_bounded(tmp_path):
    path = tmp_path / "log.jsonl"
    for number in range(30):  # each time by a new process, say
        with LogWriter(path, max_kept=5000) as log:
            log.write(entry(number, item=log.keep(bytes([number]) * 1000, ".jpg")))
    assert 5000 < sum(file.stat().st_size for file in items_of(path).iterdir()) <= 14_000
    assert {file.name for file in items_of(path).iterdir()} == {one.item for one in read_logs([path]).entries}


def test_two_writers_and_no_file_are_refused(tmp_path):
    with LogWriter(tmp_path / "log.jsonl"), pytest.raises(InputError, match="Another process"):
        LogWriter(tmp_path / "log.jsonl")
    with pytest.raises(InputError, match="Cannot read"):
        read_logs([tmp_path / "absent.jsonl"])
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(InputError, match="no regular file"):
        read_logs([tmp_path])


def test_distances_of_sketches_are_about_those_of_features():
    rows = np.random.default_rng(0).normal(size=(40, 1280)) * 1e-3
    numbers, scales = zip(*sketches_of(rows), strict=True)
    short = unsketched(numbers, scales)
    assert np.abs(numbers).max() <= 127 and np.abs(numbers).max(axis=1).min() >= 63
    ratios = np.linalg.norm(short[:20] - short[20:], axis=1) / np.linalg.norm(rows[:20] - rows[20:], axis=1)
    assert abs(ratios.mean() - 1) < 0.1 and ratios.std() < 0.2


@settings(max_examples=30, deadline=None)
@given(st.lists(entries, min_size=1, max_size=5))
def test_a_table_is_read_as_the_lines_are(tmp_path_factory, written):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    folder = tmp_path_factory.mktemp("log")
    write_parquet(written, folder / "log.parquet")
    lines = [parse_line(line_of(entry).encode()) for entry in written]
    found = read_logs([folder])
    assert found.skipped == 0 and len(found.entries) == len(lines)
    assert all(entry in found.entries for entry in lines)


def test_rows_that_make_no_sense_are_skipped_and_other_files_refused(tmp_path):
    pyarrow, parquet = (pytest.importorskip(name, exc_type=ImportError) for name in ("pyarrow", "pyarrow.parquet"))
    columns = {
        "model": [MODEL, "no hash", MODEL, None],
        "labels": [["cat"], ["cat"], ["cat", "dog"], ["cat"]],
        "probabilities": [[0.5], [0.5], [0.5], [0.5]],
        "measure_brightness": [0.25, None, None, None],
        "other": [b"bytes", b"", b"", b""],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    found = read_logs([tmp_path / "a.parquet"])
    assert found.skipped == 3 and found.entries[0].measures == {"brightness": 0.25}
    for content in (b"", b"PAR1 no table PAR1", (tmp_path / "a.parquet").read_bytes()[:-20]):
        (tmp_path / "b.parquet").write_bytes(content)
        with pytest.raises(InputError, match="no sound Parquet file"):
            read_logs([tmp_path / "b.parquet"])
