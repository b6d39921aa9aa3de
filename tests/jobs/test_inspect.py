"""`inspect`: what was planted in a data set is found, shown and mended in the CSV."""

import csv
import json
import urllib.error
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_transfer.jobs.inspect import inspect_data
from keras_transfer.modalities.image import load_images
from keras_transfer.recipe import make_recipe


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path_factory.getbasetemp() / "inspect-cache"))


def scene(number: int, channel: int) -> Image.Image:
    """A picture with large shapes of its own, mostly of one colour."""
    random = np.random.default_rng(number)
    coarse = Image.fromarray(random.integers(0, 90, (9, 9, 3)).astype(np.uint8)).resize((96, 96))
    pixels = np.array(coarse)
    pixels[..., channel] = np.clip(pixels[..., channel].astype(int) + 160, 0, 255)
    return Image.fromarray(pixels)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    for side, start, count in (("train", 0, 24), ("test", 500, 8)):
        for channel, name in enumerate(("red", "green", "blue")):
            (folder / side / name).mkdir(parents=True)
            for number in range(start, start + count):
                scene(1000 * channel + number, channel).save(folder / side / name / f"{number}.png")
    (folder / "train" / "red" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    scene(2007, 2).save(folder / "train" / "green" / "wrong.png")  # blue among the green, and a copy of train/blue/7
    scene(2905, 2).save(folder / "train" / "green" / "also.png")  # blue among the green
    ImageOps.mirror(scene(500, 0)).save(folder / "train" / "red" / "leak.jpg", quality=90)
    return folder


def test_what_was_planted_is_found(photographs: Path, tmp_path: Path, audit: Callable[..., list[str]]) -> None:
    told = make_recipe(data=str(photographs), backbone="mobilenet", alpha=0.25, image_size=32, weights="none")
    found = inspect_data(told, tmp_path / "out")
    assert found == json.loads((tmp_path / "out" / "inspection.json").read_text())
    assert [row["file"] for row in found["broken"]] == ["red/3.png"]
    clash = [group for group in found["groups"] if group["clash"]]
    assert [sorted(row["file"] for row in group["images"]) for group in clash] == [["blue/7.png", "green/wrong.png"]]
    leak = [group for group in found["groups"] if group["leak"]]
    assert [sorted(row["file"] for row in group["images"]) for group in leak] == [["red/500.png", "red/leak.jpg"]]
    page = (tmp_path / "out" / "inspection.html").read_text()
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert audit(tmp_path / "out" / "inspection.html") == []
    with (tmp_path / "out" / "corrected.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 32 - 1 + 3 - 1  # without the broken file and the copy across splits
    mended = {Path(row["path"]).name: (row["given"], row["class"]) for row in rows if row["given"]}
    assert mended["also.png"] == mended["wrong.png"] == ("green", "blue")
    assert len(mended) == found["suspect_count"] <= 10
    again = load_images(tmp_path / "out" / "corrected.csv")
    assert len(again.test) == 24


def test_without_a_network_the_bundled_backbone_judges(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(url: str, timeout: float) -> None:
        raise urllib.error.URLError(OSError(-3, "Temporary failure in name resolution"))

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("keras.src.backend.config.keras_home", lambda: str(tmp_path))
    found = inspect_data(make_recipe(data=str(photographs), image_size=96), tmp_path / "out")
    assert (found["backbone"], found["weights"]) == ("mobilenet_v2", "bundled")
    assert [row["file"] for row in found["broken"]] == ["red/3.png"] and found["leaks"] == found["clashes"] == 1
    assert "green/also.png" in {row["file"] for row in found["suspects"]} and found["suspect_count"] <= 5
    note = "pretrained weights of mobilenet_v2 cannot be downloaded (Temporary failure in name resolution)"
    assert sum(note in warning for warning in found["warnings"]) == capsys.readouterr().err.count(note) == 1


@pytest.mark.photos
@pytest.mark.slow
def test_label_errors_planted_in_photographs_are_found(shared_data: Path, shared_weights: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    files = sorted((shared_data / "flowers5").rglob("*.jpg")) or sorted((shared_data / "flowers5").rglob("*.*"))
    names = sorted({file.parent.name for file in files})
    wrong = set(random.choice(len(files), len(files) // 20, replace=False).tolist())
    lines = ["path,class"]
    for number, file in enumerate(files):
        others = [name for name in names if name != file.parent.name]
        lines.append(f"{file},{random.choice(others) if number in wrong else file.parent.name}")
    (tmp_path / "planted.csv").write_text("\n".join(lines) + "\n")
    weights = shared_weights / "mobilenet_0.25_128_imagenet_notop.weights.h5"
    told = make_recipe(
        data=str(tmp_path / "planted.csv"), backbone="mobilenet", alpha=0.25, image_size=128, weights=str(weights)
    )
    inspect_data(told, tmp_path / "out")
    with (tmp_path / "out" / "corrected.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    planted = np.array([(row["given"] or row["class"]) != Path(row["path"]).parent.name for row in rows])
    order = np.argsort([-float(row["suspicion"]) for row in rows])
    found = planted[order[: int(0.08 * len(rows))]].sum()
    assert found >= 0.6 * planted.sum()
    print(f"{found} of {planted.sum()} planted label errors are in the 8% most suspect")
