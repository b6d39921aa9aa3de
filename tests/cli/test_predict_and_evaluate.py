"""`predict` and `evaluate` on a real `.keras` file and a `.tflite` of the same model."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_transfer.cli.predict import _expand
from keras_transfer.errors import InputError
from keras_transfer.modalities import open_modality

NAMES = ["red", "green"]


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "keras_transfer.cli", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=300)


def answer(*arguments: object) -> Any:
    done = command(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `model.keras`, `model.tflite`, `labels.txt` and `pictures/` of two colours, one of them damaged."""
    import keras

    from keras_transfer.litert import convert

    folder = tmp_path_factory.mktemp("place")
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
    model.layers[-1].set_weights([np.array([[4.0, -4], [-4, 4], [0, 0]]), np.zeros(2)])
    model.save(folder / "model.keras")
    (folder / "model.tflite").write_bytes(convert(model, ["float32"])["float32"])
    (folder / "labels.txt").write_text("red\ngreen\n")
    for i, name in enumerate(NAMES):
        (folder / "pictures" / name).mkdir(parents=True)
        for j in range(3):
            pixels = np.random.default_rng(j).integers(0, 100, (20, 30, 3), dtype=np.uint8)
            pixels[..., i] += 100 + 10 * j
            Image.fromarray(pixels).save(folder / "pictures" / name / f"[b]{j}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


def test_predict_answers_alike(place: Path) -> None:
    files = (place / "pictures", place / "broken.jpg")
    ours, theirs = (answer("predict", place / name, *files, "--top-k", 1) for name in ("model.keras", "model.tflite"))
    assert [row["path"] for row in ours] == [row["path"] for row in theirs]
    assert [row["label"] for row in ours] == [row["label"] for row in theirs] == ["green"] * 3 + ["red"] * 3 + [""]
    assert ours[-1]["problem"] == theirs[-1]["problem"] != ""
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["confidence"] == pytest.approx(other["confidence"], abs=1e-5)
        assert len(mine["top"]) == (not mine["problem"])


def test_predict_prints_a_table(place: Path) -> None:
    done = command("predict", place / "model.tflite", place / "broken.jpg", f"{place}/pictures/red/*.png")
    assert done.returncode == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if line[0] == "│"]
    assert [Path(row[0]).name for row in rows] == ["broken.jpg", "[b]0.png", "[b]1.png", "[b]2.png"]
    assert [row[1] for row in rows] == ["unreadable", "red", "red", "red"]


def test_predict_with_nothing_readable_ends_with_2(place: Path) -> None:
    done = command("predict", place / "model.tflite", place / "broken.jpg", place / "absent.png", "--json")
    assert done.returncode == 2
    assert [bool(row["problem"]) for row in json.loads(done.stdout)] == [True, True]
    assert done.stderr.count("\n") == 1
    assert "None of 2 files" in done.stderr
    assert command("predict", place / "labels.txt", place / "broken.jpg").returncode == 2


def test_predict_prints_lines_as_they_come(place: Path) -> None:
    files = (place / "pictures", place / "broken.jpg")
    expected = answer("predict", place / "model.tflite", *files)
    done = command("predict", place / "model.tflite", *files, "--jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line) for line in done.stdout.splitlines()] == expected
    done = command("predict", place / "model.tflite", *files, "--csv")
    assert (done.returncode, done.stderr) == (0, "")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [row["path"] for row in rows] == [one["path"] for one in expected]
    assert [row["labels"] for row in rows] == [one["label"] for one in expected]
    assert [row["problem"] for row in rows] == [one["problem"] for one in expected]
    pairs = [[row["class_1"], float(row["probability_1"])] for row in rows[:-1]]
    assert pairs == [one["top"][0] for one in expected[:-1]]
    assert set(rows[0]) == {"path", "labels", "class_1", "probability_1", "class_2", "probability_2", "problem"}
    assert command("predict", place / "model.tflite", *files, "--csv", "--json").returncode == 2


@pytest.mark.parametrize("form", ["picture", "lines", "zero bytes"])
def test_predict_reads_standard_input(place: Path, form: str) -> None:
    pictures = sorted((place / "pictures" / "red").iterdir())
    given, expected = {
        "picture": (pictures[0].read_bytes(), ["-"]),
        "lines": ("\r\n".join(map(str, pictures)).encode() + b"\n", list(map(str, pictures))),
        "zero bytes": (b"".join(bytes(path) + b"\0" for path in pictures), list(map(str, pictures))),
    }[form]
    words = [sys.executable, "-m", "keras_transfer.cli", "predict", str(place / "model.tflite"), "-", "--json"]
    done = subprocess.run(words, input=given, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["path"] for one in found] == expected
    assert {one["label"] for one in found} == {"red"}


def test_predict_with_nothing_to_predict(place: Path) -> None:
    for words, given in ((["-"], ""), (["-"], "x" * 5000), ([], "")):
        call = [sys.executable, "-m", "keras_transfer.cli", "predict", str(place / "model.tflite"), *words]
        done = subprocess.run(call, input=given, capture_output=True, text=True, timeout=300)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr


def test_predict_with_a_camera(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from keras_transfer.cli import predict
    from keras_transfer.modalities.image import camera

    taken = (place / "pictures" / "green" / "[b]0.png").read_bytes()
    monkeypatch.setattr(camera, "camera_frame", lambda number: taken)
    predict.command(place / "model.tflite", camera=1, json=True)
    [found] = json.loads(capsys.readouterr().out)
    assert (found["path"], found["label"]) == ("camera 1", "green")


def test_a_missing_camera_is_one_sentence(place: Path) -> None:
    done = command("predict", place / "model.tflite", "--camera", 63)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Camera 63 gives no picture" in done.stderr or "pip install 'opencv-python-headless" in done.stderr


def test_evaluate_answers_alike_and_says_on_what(place: Path) -> None:
    ours, theirs = (answer("evaluate", place / f"model.{kind}", place / "pictures") for kind in ("keras", "tflite"))
    for scores in (ours, theirs):
        assert (scores["split"], scores["images"], scores["accuracy"]) == ("all", 6, 1)
        assert scores["confusion_matrix"] == [[3, 0], [0, 3]]
    assert ours["log_loss"] == pytest.approx(theirs["log_loss"], abs=1e-5)
    done = command("evaluate", place / "model.tflite", place / "pictures")
    assert "on all items of" in done.stdout
    assert "balanced_accuracy" in done.stdout
    done = command("evaluate", place / "model.tflite", place / "pictures", "--split", "test")
    assert done.returncode == 2
    assert "no splits of its own" in done.stderr


IMAGE = open_modality("image")


def test_what_files_stand_for(place: Path, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("b.JPG", "a.txt", "deep/er/c.webp", "odd[1].png"):
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in _expand([str(tmp_path)], IMAGE)]
    assert found == ["b.JPG", "deep/er/c.webp", "odd[1].png"]
    assert list(_expand([f"{tmp_path}/odd[1].png", "absent.png"], IMAGE)) == [
        tmp_path / "odd[1].png",
        Path("absent.png"),
    ]
    assert list(_expand([f"{tmp_path}/**/*.webp"], IMAGE)) == [tmp_path / "deep" / "er" / "c.webp"]
    for name, said in [(f"{tmp_path}/*.gif", "No file matches"), (f"{tmp_path}/deep/er", "holds no photographs")]:
        (tmp_path / "deep" / "er" / "c.webp").unlink(missing_ok=True)
        with pytest.raises(InputError, match=said):
            list(_expand([name], IMAGE))


def test_predict_logs_and_keeps_to_itself(place: Path, tmp_path: Path) -> None:
    from keras_transfer.operations.log import items_of, model_hash, read_logs

    log, pictures = tmp_path / "log.jsonl", place / "pictures"
    answered = answer("predict", place / "model.keras", pictures, place / "broken.jpg", "--log", log)
    assert answered[-1]["problem"]
    assert command("predict", place / "model.tflite", pictures, "--log", log).returncode == 0
    options = ("--log", log, "--log-items", "--log-sketch", "--log-sync")
    assert command("predict", place / "model.keras", pictures, *options).returncode == 0
    plain, file, kept = (read_logs([log]).entries[start : start + 6] for start in (0, 6, 12))
    assert [entry.top[0][0] for entry in plain] == [row["label"] for row in answered[:-1]]
    assert {entry.model for entry in file} == {model_hash(place / "model.tflite")}
    assert len({entry.fingerprint for entry in plain}) == 6
    assert [entry.fingerprint for entry in file] == [entry.fingerprint for entry in plain]
    assert set(plain[0].measures) == {"brightness", "contrast", "sharpness"}
    assert all(entry.sketch is None and entry.item is None for entry in (*plain, *file))
    assert not any(str(place) in line for line in log.read_text().splitlines())
    assert all(entry.sketch is not None for entry in kept)
    assert {file.name for file in items_of(log).iterdir()} == {entry.item for entry in kept}
    for wrong in (["--log-items"], ["--log", log, "--hop", "1"], ["--log", log, "--log-sketch"]):
        done = command("predict", place / "model.tflite", pictures, *wrong)
        assert done.returncode == 2 and "--log" in done.stderr
