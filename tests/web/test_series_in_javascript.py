"""What the browser makes of measurements against Python."""

import base64
import subprocess
from pathlib import Path

import numpy as np
import pytest
from serving import HERE

from keras_transfer.litert.flatbuffer import TensorInfo
from keras_transfer.modalities.series.golden import golden_vectors
from keras_transfer.modalities.series.items import read_csv
from keras_transfer.modalities.series.preparer import SeriesPreparer

TEXTS = {
    "heading": "t,x,y\n0,1,2\n1,3,4.25\n",
    "order": "y;x\r\n2;1\r\n-1e-3;0.1\r\n",
    "decimal commas": 'y;x\n"2,5";1\n0,1;7\n',
    "blanks": "# a device\n1 2\n0.3   4e5\n",
    "no heading": "1,2\n3.14159265358979,4\n",
    "trailing marks": "1\t2\t\n3\t4\t\n\n",
    "other names": "time,ax,ay\n0,1,2\n1,3,4\n",
}


def say(node: str, *arguments: str) -> str:
    call = [node, str(HERE / "compare.js"), *arguments]
    return subprocess.run(call, capture_output=True, text=True, check=True, timeout=120).stdout.strip()


@pytest.mark.parametrize("normalization", [(), ((9.81, 0.3), (-1e-3, 70.0))], ids=["raw", "normalized"])
@pytest.mark.parametrize("tensor", [("uint8", 0.0123, 131), ("uint8", 0.5, 0), ("uint8", 7e-5, 255), ("float32",)])
def test_every_byte_of_the_input_is_pythons(
    node: str, tmp_path: Path, tensor: tuple[str, float, int], normalization: tuple[tuple[float, float], ...]
) -> None:
    dtype, *quantization = tensor
    scale, zero_point = (np.float32(quantization[0]), quantization[1]) if quantization else (None, None)
    info = TensorInfo(0, "", (), dtype, *(((float(scale),), (zero_point,)) if quantization else ()))
    index = golden_vectors(tmp_path, info, None, normalization)
    assert say(node, "series", str(tmp_path)) == "1 series"
    (tmp_path / "series_000.input").write_bytes(bytes(len((tmp_path / "series_000.input").read_bytes())))
    assert say(node, "series", str(tmp_path)).startswith("series_000")
    assert index.name == "series.csv"


def test_a_series_is_normalized_by_itself_as_in_python(node: str, tmp_path: Path) -> None:
    series = (np.random.default_rng(0).normal(size=(64, 3)) * [1, 1e-3, 1e-6] + [0, 9.81, 0]).astype(np.float32)
    (tmp_path / "a.samples").write_bytes(series.tobytes())
    found = np.frombuffer(base64.b64decode(say(node, "window", str(tmp_path / "a.samples"), "3")), "<f4")
    expected = SeriesPreparer(normalization="window").normalized(series)
    np.testing.assert_allclose(found.reshape(-1, 3), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_csv_is_read_as_in_python(node: str, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text, "utf-8", newline="")
    found = np.frombuffer(base64.b64decode(say(node, "csv", str(tmp_path / "a.csv"), "x", "y")), "<f4").reshape(-1, 2)
    own = read_csv(text.encode())
    order = [own.channels.index(name) for name in ("x", "y")] if "x" in own.channels else [0, 1]
    np.testing.assert_array_equal(found, own.values[:, order])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("x,y\n1,2\n3,\n", "line 3 has no number for y"),
        ("x,y\n1,2\n3\n", "line 3 has no number for y"),
        ("a,b,c\n1,2,3\n", "the model takes x, y; the file has a, b, c"),
        ("1,2,3\n", "the model takes x, y; the file has column 1, column 2, column 3"),
    ],
)
def test_what_is_wrong_is_said(node: str, tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "a.csv").write_text(text, "utf-8")
    assert say(node, "csv", str(tmp_path / "a.csv"), "x", "y") == why
