"""The browser's page: its arithmetic against Python's, and itself in headless Chromium with a real file chooser."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crafted import Graph
from PIL import Image
from serving import HERE, NAMES, browse, serve

from keras_transfer.exporters import judge, web_page
from keras_transfer.exporters.demos import demo_folder
from keras_transfer.exporters.targets import Kit
from keras_transfer.geometry import MODES
from keras_transfer.litert import convert, open_litert
from keras_transfer.modalities.audio.targets import web as sound_web
from keras_transfer.modalities.image import decode_image
from keras_transfer.modalities.image.decode import _orientation
from keras_transfer.modalities.image.golden import golden_vectors
from keras_transfer.modalities.image.targets import web
from keras_transfer.modalities.series.targets import web as series_web
from keras_transfer.modalities.text.targets import web as text_web

SIZE = (48, 64)


def compare(node: str, *words: object) -> list[str]:
    call = [node, str(HERE / "compare.js"), *map(str, words)]
    return subprocess.run(call, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()


def picture(seed: int, width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Soft shapes under fine noise."""
    random = np.random.default_rng(seed)
    soft = Image.fromarray(random.integers(0, 256, (5, 5, 3), np.uint8)).resize((width, height), 3)
    noise = random.integers(-40, 41, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(soft, np.int16) + noise, 0, 255).astype(np.uint8)).convert(mode)


def test_preprocessing_is_bit_equal(node: str, tmp_path: Path) -> None:
    golden_vectors(tmp_path, count=336)
    assert compare(node, "preprocess", tmp_path) == ["336 cases"]


@pytest.mark.photos
def test_preprocessing_is_bit_equal_on_photographs(node: str, tmp_path: Path, shared_data: Path) -> None:
    golden_vectors(tmp_path, pictures=sorted((shared_data / "photos1000").glob("*.jpg"))[:56])
    assert compare(node, "preprocess", tmp_path) == ["56 cases"]


@pytest.mark.parametrize("channels", [1, 3])
def test_inputs_are_bit_equal(node: str, tmp_path: Path, channels: int) -> None:
    import keras

    model = keras.Sequential([keras.Input((24, 20, channels)), keras.layers.Flatten(), keras.layers.Dense(3)])
    golden_vectors(tmp_path, convert(model, ["float32"])["float32"], count=16)
    assert (tmp_path / "case_001.input").stat().st_size == 24 * 20 * channels
    assert compare(node, "input", tmp_path) == ["16 cases"]


def test_a_differing_pixel_is_found(node: str, tmp_path: Path) -> None:
    golden_vectors(tmp_path, count=3)
    pixels = tmp_path / "case_001.pixels"
    content = bytearray(pixels.read_bytes())
    content[7] ^= 1
    pixels.write_bytes(content)
    different, _ = compare(node, "preprocess", tmp_path)
    assert different.startswith("case_001,")


def test_orientation_is_read_as_python_reads_it(node: str, tmp_path: Path) -> None:
    files, expected = [], []
    for number in range(10):
        for order in ("<", ">"):
            for format_ in ("JPEG", "PNG", "WEBP"):
                exif = Image.Exif()
                exif.endian = order
                exif[0x010F], exif[0x0112] = "maker", number
                path = tmp_path / f"{number}{len(files)}.{format_.lower()}"
                picture(number, 9, 5).save(path, format_, exif=exif)
                files.append(path)
                expected.append(str(number))
    plain = tmp_path / "plain.jpg"
    picture(0, 9, 5).save(plain)
    for i in range(2, 60, 7):  # cut or foreign files have none
        (tmp_path / f"cut{i}").write_bytes(files[0].read_bytes()[:i])
    cut = sorted(tmp_path.glob("cut*"))
    found = compare(node, "orientation", *files, plain, *cut)
    assert found == expected + ["1"] * (1 + len(cut))
    with Image.open(files[40]) as image:
        assert str(_orientation(image.info["exif"])) == expected[40]


def test_what_is_written(kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(web_page, "_add_runtime", lambda source, folder: "npm is not installed")
    files = web.write(kit, tmp_path)
    names = {"index.html", *web.PAGE.scripts, *web_page.SHARED, *web_page.NPM, "model.json", "model_int8.tflite"}
    assert {path.name for path in files} == names
    assert "npm ci" in capsys.readouterr().err
    about = json.loads((tmp_path / "model.json").read_text("utf-8"))
    assert about["class_names"] == NAMES
    assert about["image_size"] == list(SIZE)
    assert about["input"]["channels"] == 3
    assert about["geometry"] == MODES["squash"].to_dict()
    assert (about["input"]["dtype"], about["output"]["dtype"], about["output"]["scale"]) == ("uint8", "uint8", 1 / 256)
    assert (tmp_path / about["file"]).read_bytes() == kit.content
    assert judge(kit.content, "web")["ok"]


@pytest.mark.parametrize(("dtype", "ok"), [("uint8", True), ("int32", True), ("int8", False), ("int64", False)])
def test_types_that_litert_js_passes_out(dtype: str, ok: bool) -> None:
    graph = Graph()
    graph.op("ARG_MAX", [graph.input((1, 4, 4, 3), "uint8"), graph.constant(3)], (1, 4, 4), dtype)
    verdict = judge(graph.file(), "web")
    assert verdict["ok"] == ok
    assert verdict["why"] == ("" if ok else f"takes or gives {dtype}, which LiteRT.js refuses")


def test_the_wheel_carries_the_whole_page() -> None:
    import tomllib

    root = Path(__file__).parents[2]
    forced = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    carried = {Path(name).name for name in forced["force-include"] if name.startswith("web_demo/")}
    pages = [each.PAGE for each in (web, text_web, sound_web, series_web)]
    own = {name for page in pages for name in (*page.scripts, f"{page.item}.html", f"{page.result}.html")}
    assert carried == {"page.html", *own, *web_page.SHARED, *web_page.NPM}
    assert all((demo_folder("web_demo") / name).is_file() for name in carried)


def exact_pictures(folder: Path) -> list[Path]:
    """Files that decode alike everywhere: lossless formats, several modes, every orientation."""
    files = []
    for i in range(8):
        exif = Image.Exif()
        exif[0x0112] = i + 1
        path = folder / f"turned {i}.{'png' if i % 2 else 'webp'}"
        picture(i, 90 + 31 * i, 300 - 29 * i).save(path, exif=exif, **({} if i % 2 else {"lossless": True}))
        files.append(path)
    for mode in ("L", "P", "1"):
        files.append(folder / f"{mode}.png")
        picture(20, 130, 77, mode).save(files[-1])
    picture(21, 70, 90).save(folder / "b.bmp")
    picture(22, 64, 48).save(folder / "of the model's size.png")
    picture(23, 100, 80).save(folder / "profile.png", icc_profile=_profile())
    return [*files, folder / "b.bmp", folder / "of the model's size.png", folder / "profile.png"]


def _profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def test_scores_are_bit_equal_in_chromium(node: str, chromium: str, site: str, model: bytes, tmp_path: Path) -> None:
    files = exact_pictures(tmp_path)
    found = browse(node, chromium, site, files)
    file = open_litert(model, threads=1)
    for path, result in zip(files, found["results"], strict=True):
        pixels = decode_image(path, SIZE, "squash")
        scores = file.predict(pixels[None])[0]
        assert result["file"] == path.name
        assert bytes.fromhex(result["pixels"]) == pixels.tobytes(), path.name
        assert np.asarray(result["scores"], np.float32).tobytes() == scores.tobytes()
        order = np.argsort(-scores, kind="stable")
        assert [name for name, _ in result["classes"]] == [NAMES[i] for i in order[:5]]
        assert result["said"].startswith(NAMES[order[0]])
    assert len({tuple(result["scores"]) for result in found["results"]}) > 8


def test_jpegs_and_what_is_no_picture(node: str, chromium: str, site: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(3, 300, 200).save(tmp_path / "a.jpg", quality=90, exif=exif)
    (tmp_path / "b.png").write_text("no picture")
    picture(4, 200, 300).save(tmp_path / "c.jpg", quality=90)
    files = [tmp_path / name for name in ("a.jpg", "b.png", "c.jpg")]
    first, bad, last = browse(node, chromium, site, files, by="keyboard")["results"]
    assert bad["error"] and "cannot read b.png" in bad["said"]
    for path, result in ((files[0], first), (files[2], last)):
        pixels = np.frombuffer(bytes.fromhex(result["pixels"]), np.uint8).reshape(*SIZE, 3)
        assert np.abs(pixels.astype(int) - decode_image(path, SIZE, "squash")).mean() < 2


def test_large_jpegs_are_decoded_at_pythons_size(node: str, chromium: str, site: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    files = []
    for number, (width, height) in enumerate([(900, 640), (611, 1203), (300, 301), (293, 1500), (1777, 1333)]):
        for mode, options in (("RGB", {"exif": exif, "quality": 90}), ("L", {"progressive": True})):
            files.append(tmp_path / f"{width} {mode}.jpg")
            picture(30 + number, width, height, mode).save(files[-1], **options)
    for path, result in zip(files, browse(node, chromium, site, files)["results"], strict=True):
        assert bytes.fromhex(result["pixels"]) == decode_image(path, SIZE, "squash").tobytes(), path.name


def test_missing_files_are_named(node: str, chromium: str, kit: Kit, tmp_path: Path) -> None:
    for folder, missing, said in (("a", "litert", "npm ci"), ("b", "model.json", "model.json is missing")):
        web.write(kit, tmp_path / folder)
        (tmp_path / folder / missing).rename(tmp_path / f"{folder} away")
        for url in serve(tmp_path / folder):
            assert said in browse(node, chromium, url, [])["ready"]
