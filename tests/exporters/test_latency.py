"""`benchmark`: what it says of a file, not how fast this machine is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from keras_transfer.errors import InputError
from keras_transfer.exporters import benchmark
from keras_transfer.litert import convert


@pytest.fixture(scope="module")
def files(classifier, train_split, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("timed")
    made = convert(classifier, ["float32", "int8"], calibration=train_split.images)
    for name, content in made.items():
        (folder / f"{name}.tflite").write_bytes(content)
    return {name: folder / f"{name}.tflite" for name in made}


def test_files_side_by_side(files):
    rows = benchmark(list(files.values()), threads=[1, 2], delegates=["xnnpack", "none"], seconds=0.2, operators=True)
    expected = [(str(file), delegate, n) for file in files.values() for delegate in ("xnnpack", "none") for n in (1, 2)]
    assert [(row["file"], row["delegate"], row["threads"]) for row in rows] == expected
    assert rows[0]["ratio"] == 1
    for row in rows:
        assert row["bytes"] == Path(row["file"]).stat().st_size
        assert 0 < row["median_ms"] <= row["p95_ms"]
        assert row["first_ms"] > 0 and row["load_ms"] > 0 and row["ratio"] > 0
        assert row["runs"] >= 10 and row["warm_up"] >= 2
        assert 0 < row["added_mb"] < row["peak_mb"] < 1000
        assert (row["operators"] is None) == (row["delegate"] == "none")


def test_operators_are_those_of_the_file(files):
    for name, kernel in (("float32", "F32"), ("int8", "Q")):
        [row] = benchmark([files[name]], seconds=0.1, operators=True)
        found = [operator["op"] for operator in row["operators"]]
        convolution = next(i for i, op in enumerate(found) if "Convolution" in op or "IGEMM" in op)
        mean = next(i for i, op in enumerate(found) if "mean" in op.lower())
        softmax = next(i for i, op in enumerate(found) if "softmax" in op.lower())
        assert convolution < mean < softmax
        assert kernel in found[convolution]
        assert sum(operator["share"] for operator in row["operators"]) == pytest.approx(1, abs=0.01)
        assert all(operator["ms"] >= 0 for operator in row["operators"])


@pytest.mark.parametrize(
    "options, said",
    [
        ({"delegates": ["/nowhere/libedgetpu.so.1"]}, "libedgetpu"),
        ({"threads": [0]}, "`threads`"),
        ({"seconds": 0}, "`seconds`"),
    ],
)
def test_wrong_arguments(files, options, said):
    with pytest.raises(InputError, match=said):
        benchmark([files["int8"]], **{"seconds": 0.1, **options})


def test_what_is_no_file(files, tmp_path):
    (tmp_path / "bad.tflite").write_bytes(files["int8"].read_bytes()[:900])
    for path in (tmp_path / "bad.tflite", tmp_path / "absent.tflite"):
        with pytest.raises(InputError, match=path.name):
            benchmark([files["int8"], path], seconds=0.1)
    (tmp_path / "own.keras").touch()
    wrong = {"own.keras": r"export .*own\.keras --data DATA", ".": "no run that recommends"}
    for name, said in wrong.items():
        with pytest.raises(InputError, match=said):
            benchmark([tmp_path / name])
    with pytest.raises(InputError, match="nothing to time"):
        benchmark([])


def test_command(files):
    call = [sys.executable, "-m", "keras_transfer.cli", "benchmark", str(files["int8"]), "--seconds", "0.2"]
    done = subprocess.run([*call, "--json"], capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stderr) == (0, "")
    [row] = json.loads(done.stdout)
    assert row["delegate"] == "xnnpack" and "operators" not in row
    done = subprocess.run([*call, "--operators"], capture_output=True, text=True, timeout=200)
    assert "not of a phone" in done.stdout and "Convolution" in done.stdout
