"""Series that come as lines through a pipe."""

import io

import pytest

from keras_transfer.modalities import open_modality
from keras_transfer.modalities.series.items import unpack
from keras_transfer.modalities.series.live import line_windows
from keras_transfer.modalities.series.preparer import open_preparer

PREPARER = open_preparer({"length": 8, "channels": ["x", "y"], "rate": 4.0})


def windows(text, hop=None):
    found = line_windows(io.BufferedReader(io.BytesIO(text.encode())), PREPARER, hop)
    return None if found is None else [(a, b, unpack(c).values[:, 0].tolist()) for a, b, c in found]


def test_windows_come_as_soon_as_they_are_full():
    lines = "".join(f"{i},{-i}\n" for i in range(12))
    assert windows(lines, 1) == [(0, 2, list(range(8))), (1, 3, list(range(4, 12)))]
    assert [span[:2] for span in windows(lines)] == [(0, 2), (0.5, 2.5), (1, 3)]
    assert windows(lines, 9)[1] == (2, 3, [8, 9, 10, 11])  # half a window is left
    assert windows("1,2\n3,4\n") == [(0, 0.5, [1, 3])]


def test_headings_other_columns_and_broken_lines():
    text = "time,y,x\n" + "".join(f"{i},0,{i}\n" for i in range(4)) + "hello\n4,0\n" + "4,0,4\n5,0,5\n6,0,6\n7,0,7\n"
    assert windows(text) == [(0, 2, list(range(8)))]


@pytest.mark.parametrize("text", ["", "a.csv\nb.csv\n", "1,2,3\n", "x,z\n1,2\n"])
def test_what_is_something_else_is_left_alone(text):
    assert windows(text) is None


def test_a_csv_on_standard_input_is_a_series():
    series = open_modality("series")
    assert series.is_item(b"x,y,z\n1,2,3\n4,5,6\n") and not series.is_item(b"a.csv\nb.csv\n")
