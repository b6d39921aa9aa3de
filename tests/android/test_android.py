"""The app around a model, and the checks of `android_demo/verify.py`."""

import csv
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from app_folder import check_app
from PIL import Image

from keras_transfer.exporters import android_app
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.geometry import LEGACY, MODES
from keras_transfer.inputs import TensorSpec
from keras_transfer.litert import convert, open_litert, read_labels
from keras_transfer.litert.labels import write_labels
from keras_transfer.modalities.image import ImagePreparer, decode_image, load_images
from keras_transfer.modalities.image.targets import android

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "android_demo"
NAMES = ["crème brûlée", "sushi"]


@pytest.fixture(scope="module")
def verify():
    spec = importlib.util.spec_from_file_location("verify", DEMO / "verify.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def content() -> bytes:
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((24, 20, 3))
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, strides=4)(keras.layers.Rescaling(1 / 255)(image)))
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))
    return write_labels(convert(model, ["float32"])["float32"], NAMES)


def kit_of(content: bytes, split) -> Kit:
    inputs = ImagePreparer(MODES["letterbox"]).spec((TensorSpec("image", (24, 20, 3)),))
    return Kit("model_float32", content, NAMES, {"test_accuracy": 0.75, "images": len(split)}, split, inputs)


def photographs(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    for i in range(count):
        pixels = random.integers(0, 256, (30 + i, 60, 3), np.uint8)
        path = folder / NAMES[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(pixels).save(path)


def test_the_folder_is_the_app_with_the_model_labels_and_golden_vectors(tmp_path, content):
    photographs(tmp_path / "data", 20)
    split = load_images(tmp_path / "data", val=0.0, test=1.0).test
    out = tmp_path / "android"
    files = android.write(kit_of(content, split), out)
    assert check_app(files, out) == {"model.tflite", "labels.txt", "geometry.json"}
    assert {"app/build.gradle.kts", "core/src/main/kotlin/kerastransfer/core/Picture.kt"} <= {
        path.relative_to(out).as_posix() for path in files
    }
    model = (out / android_app.ASSETS / "model.tflite").read_bytes()
    assert model == content and read_labels(model) == NAMES
    assert (out / android_app.ASSETS / "labels.txt").read_text("utf-8") == "crème brûlée\nsushi\n"
    assert json.loads((out / android_app.ASSETS / "geometry.json").read_text("utf-8")) == MODES["letterbox"].to_dict()
    with (out / android_app.GOLDEN / "cases.csv").open() as rows:
        cases = list(csv.DictReader(rows))
    assert {(case["mode"], case["interpolation"]) for case in cases} == {("letterbox", "mediapipe")}
    assert len(cases) == 8 and {case["orientation"] for case in cases} == set("12345678")
    scores = open_litert(content).predict(
        np.frombuffer((out / android_app.GOLDEN / "case_003.pixels").read_bytes(), np.uint8).reshape(1, 24, 20, 3)
    )
    assert (out / android_app.GOLDEN / "case_003.scores").read_bytes() == scores.tobytes()
    text = (out / "README.txt").read_text("utf-8")
    assert (
        "uint8 [1, 24, 20, 3] in, float32 [1, 2] out" in text
        and "75.0% of 20 test pictures" in text
        and "8 of the test pictures" in text
    )


def test_a_split_without_files_gives_its_pixels(tmp_path, content):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 24, 20, 3), np.uint8)
    split = SimpleNamespace(batches=lambda size, count: iter([(pixels[:count], None)]))
    split_of_three = type("Three", (), {"batches": staticmethod(split.batches), "__len__": lambda self: 3})()
    android.write(kit_of(content, split_of_three), tmp_path)
    assert (tmp_path / android_app.GOLDEN / "case_000.pixels").read_bytes() == pixels[0].tobytes()
    assert len((tmp_path / android_app.GOLDEN / "cases.csv").read_text().splitlines()) == 4


def test_the_wheel_carries_the_app():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    carried = {source: place for source, place in wheel["force-include"].items() if source.startswith("android_demo/")}
    assert carried == {f"android_demo/{part}": f"keras_transfer/demos/android_demo/{part}" for part in android_app.APP}


def test_the_gradle_files_name_what_is_verified(verify):
    versions = verify.read_versions()
    assert {"kotlin", "junit", "litert", "agp", "minSdk", "targetSdk", "applicationId"} <= versions.keys()
    with verify.JARS.open() as rows:
        jars = {row["coordinates"].format(**versions): row["sha256"] for row in csv.DictReader(rows)}
    assert f"junit:junit:{versions['junit']}" in jars
    assert all(len(sha) == 64 for sha in jars.values())


def test_a_jar_of_another_content_is_refused_and_removed(verify, tmp_path):
    versions = verify.read_versions()
    with verify.JARS.open() as rows:
        for row in csv.DictReader(rows):
            _, artifact, version, kind = verify._split(row["coordinates"].format(**versions))
            (tmp_path / f"{artifact}-{version}.{kind}").write_bytes(b"forged")
    before = len(list(tmp_path.iterdir()))
    with pytest.raises(verify.Failed, match="SHA-256"):
        verify.fetch(tmp_path, versions)
    assert len(list(tmp_path.iterdir())) == before - 1


def test_the_decoders_reduction_is_pillows():
    """`reduction` in Picture.kt, whose figures CoreTest.kt holds, follows what `decode_image` asks of Pillow."""
    crop, squash = LEGACY, MODES["squash"]
    for width, height, expected, geometry in (
        (4000, 3000, 8, crop),
        (4000, 1500, 4, crop),
        (740, 740, 2, crop),
        (730, 730, 1, crop),
        (650, 650, 2, squash),
    ):
        least = geometry.least_side(160, 160)
        image = Image.new("RGB", (width, height))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG")
        with Image.open(buffer) as reopened:
            reopened.draft(None, (least, least))
            assert -(-width // expected) == reopened.size[0]
        assert decode_image(buffer.getvalue(), 160).shape == (160, 160, 3)


@pytest.mark.slow
def test_verify(verify, tmp_path):
    """Compiles, tests and packs the app; with `ANDROID_CHECKS=required` a missing tool is a failure."""
    missing = sorted({package for tool, package in verify.TOOLS.items() if shutil.which(tool) is None})
    if missing and os.environ.get("ANDROID_CHECKS") != "required":
        pytest.skip(f"needs Debian's {' '.join(missing)}")
    photographs = sorted((ROOT.parent / "shared/data/photos1000").glob("*.jpg"))[:56]
    call = [sys.executable, DEMO / "verify.py", *(["--photographs", *photographs] if photographs else [])]
    done = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, timeout=580)
    if done.returncode == 2 and os.environ.get("ANDROID_CHECKS") != "required":
        pytest.skip(done.stderr.strip()[-500:])
    assert done.returncode == 0, done.stdout + done.stderr
    pictures = 224 + 4 * 16 + len(photographs)
    assert "All passed" in done.stdout
    assert (
        f"on {pictures} golden vectors of pictures, {4 * 2000} of sentences, 48 of sounds, 6 of series" in done.stdout
    )
