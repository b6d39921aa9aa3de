"""Every command and every file format on a run that another process made: with the extras, without any, and moved."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from short_mobilenet import short_mobilenet

from keras_transfer.extras import extra_packages

pytestmark = pytest.mark.slow
# What an extra's packages are imported as; an extra is looked for by the first.
MODULES = {
    "hub": ("tensorflow_hub",),
    "tfds": ("tensorflow_datasets",),
    "parquet": ("pyarrow",),
    "ethos-u": ("ethosu",),
    "microcontroller": ("tflite_micro",),
    "onnx": ("tf2onnx", "onnx", "onnxruntime"),
    "plots": ("matplotlib",),
    "camera": ("cv2",),
}


@dataclass(frozen=True)
class Row:
    """A command, and what is known of it.

    Attributes:
        words: in them `{run}` is the run, `{new}` a folder of other photographs, `{gray}` one of no class, `{out}` a
            folder for what is written.
        makes: a file that is there afterwards.
        data: whether it reads the run's own photographs.
        extra: what it cannot do without.
        code: what it ends with.
        says: some of what it prints, on either stream.
    """

    words: str
    makes: str = ""
    data: bool = True
    extra: str = ""
    code: int = 0
    says: str = ""


GRAY = {"gray": "gray.png"}
COMPRESSED = "--epochs 1 --tolerance 0.9 --format int8"
ROWS = [
    Row("report {run} --corruptions --baselines none", "{run}/corruptions.json"),
    Row("report {run} --json", "{run}/report.html"),
    Row("report {run} --learning-curve --draws 1 --no-scratch", "{run}/learning_curve.json"),
    Row("report {run} --see --held-back {new}", "{run}/see.html"),
    Row("shift {run} {new} --out {out}/shift", "{out}/shift/shift.html"),
    Row("adapt {run} --to {new} --out {out}/adabn", "{out}/adabn/result.json"),
    Row("adapt {run} --to {new} --method mmd --out {out}/mmd", "{out}/mmd/result.json"),
    Row("adapt {run} --method wise-ft --out {out}/wise", "{out}/wise/result.json"),
    Row("add-class {run} gray {gray} --out {out}/gray", "{out}/gray/report.html"),
    Row("sensitivity {run} --kind int8", "{run}/sensitivity.csv"),
    Row(f"compress {{run}} --prune 0.5 --out {{out}}/prune {COMPRESSED}", "{out}/prune/report.html"),
    Row(
        f"compress {{run}} --channels 0.7 --cluster 8 --qat --out {{out}}/qat {COMPRESSED}",
        "{out}/qat/report.html",
    ),
    Row(
        f"compress {{run}} --student mobilenet --alpha 0.25 --image-size 32 --weights none --out {{out}}/student "
        f"{COMPRESSED}",
        "{out}/student/report.html",
    ),
    Row("report {out}/prune --json", "{out}/prune/report.html", data=False),
    Row("export {out}/qat --format int8 --out {out}/again", "{out}/again/model_int8.tflite", data=False),
    *(
        Row(f"export {{run}} --format {kind} --out {{out}}/{kind}", f"{{out}}/{kind}/model_{kind}.tflite")
        for kind in ("float32", "float16", "dynamic", "int8", "16x8")
    ),
    Row("export {run} --format onnx --out {out}/onnx", "{out}/onnx/model.onnx", extra="onnx"),
    Row("export {run} --format int8 --tolerance 0 --repair --out {out}/repair", "{out}/repair/labels.txt"),
    Row("export {run} --input-type int8 --format int8", "{run}/export/model_int8.tflite"),
    Row("export {run}", "{run}/export/model_float32.tflite"),
    *(
        Row(f"export {{run}} --format int8 --target {target} --out {{out}}/{target}",
            f"{{out}}/{target}/{target}/{file}", extra="ethos-u" if target == "ethos-u" else "")
        for target, file in (("android", "README.txt"), ("web", "index.html"), ("microcontroller", "model.tflite"),
                             ("edgetpu", "classify.py"), ("ethos-u", "README.txt"))
    ),
    Row("compare {run} {run} --out {out}/comparison --seconds 0.1", "{out}/comparison/comparison.html", data=False),
    Row("check {run}/export/model_int8.tflite", data=False),
    Row("check {run}/export/model_int8.tflite --target ethos-u", data=False, extra="ethos-u"),
    Row("benchmark {run}/export/model_int8.tflite --operators --seconds 0.1", data=False),
    Row("check {run}", data=False, says="the file that it recommends"),
    Row("benchmark {run} --seconds 0.1", data=False, says="the file that it recommends"),
    Row("train --recipe {run}/recipe.yaml --out {run}", "{run}/report.html", data=False, says="All of it is in"),
    Row("evaluate {run} {photos}", data=False, says="which flatters its figures"),
    Row("evaluate {run} {new}", data=False, says="balanced_accuracy"),
    Row("evaluate {run}/export/model_int8.tflite {new} --json", data=False, says='"confusion_matrix"'),
    Row("predict {run} {new} --calibrated", data=False, says="confidence"),
    Row("predict {run} {new} --json", data=False, says='"top"'),
    Row("predict {run}/export/model_int8.tflite {new} --csv", data=False, says="probability_1"),
    Row("predict {run}/export/model_float32.tflite {new}/red --jsonl", data=False, says='"label"'),
    Row("predict {run} {new} {new} --log {run}/log.jsonl", "{run}/log.jsonl", data=False, says="confidence"),
    Row("monitor {run} {run}/log.jsonl --out {out}/monitor", "{out}/monitor/monitor.html", says="Page: "),
    Row("predict {run} --camera 63", data=False, extra="camera", code=2, says="Camera 63 gives no picture"),
    Row("lr-find {photos} --recipe {run}/recipe.yaml --weights {weights} --steps 30", data=False),
    Row("cross-validate {photos} --recipe {run}/recipe.yaml --weights {weights} --folds 2 --repeats 1", data=False),
    Row("inspect {photos} --backbone mobilenet --alpha 0.25 --image-size 32 --weights {weights} --out {out}/look",
        "{out}/look/corrected.csv", data=False),
    Row("train {photos} --recipe {run}/recipe.yaml --weights {weights} --format onnx --target nothing --out {out}/new",
        data=False, extra="onnx", code=2, says="Received: 'nothing'"),
    Row("train {new}.parquet --out {out}/p", data=False, extra="parquet", code=2, says="p"),
    Row("train tfds:no_such_data_set --out {out}/t", data=False, extra="tfds", code=2, says="no_such_data_set"),
    Row("train {photos} --backbone hub:https://example.invalid/x --out {out}/h", data=False, extra="hub", code=2,
        says="example.invalid"),
    Row("cache", data=False),
    Row("backbones", data=False),
]  # fmt: skip
# What a file's format is, and how a run is compressed, is nothing to where it lies.
_ONCE = ("--cluster", "--qat", "--channels", "--student", "mmd", "16", "dynamic", "--target", "benchmark", "check")
MOVED = [row for row in ROWS if "{run}" in row.words and not row.extra and not any(word in row.words for word in _ONCE)]
MOVED = [row for row in MOVED if row.words.split()[0] not in ("lr-find", "cross-validate", "train")]
# `{bare}` is a run whose pretrained weights lay in a file that is gone.
BARE = [
    Row("report {bare} --see --baselines none --data {photos}", data=False),
    *(
        Row(f"{words} --data {{photos}}", data=False, code=2, says="which is gone, and this needs them")
        for words in (
            "report {bare} --learning-curve",
            "report {bare} --see --held-back {new}",
            "adapt {bare} --method wise-ft",
        )
    ),
]
NEEDING = [row for row in ROWS if row.extra]


@dataclass(frozen=True)
class Asked:
    """Commands that were run in turn in one process, from one folder."""

    folder: Path
    places: dict[str, str]
    answers: dict[str, tuple[int, str, str]]

    def answer(self, row: Row, code: int) -> tuple[str, str]:
        """Both streams of a row's command, which must have ended with `code` as a command should."""
        found, output, error = self.answers[row.words]
        assert found == code, f"{output[-1000:]}\n{error[-2000:]}"
        assert "Traceback" not in output + error
        sentences = [line for line in error.splitlines() if line.startswith("Error:")]
        assert sentences == error.splitlines()[-1:] * (code != 0)
        for command in _commands(output):
            self.check_command(command)
        return output, error

    def check_command(self, command: str) -> None:
        """Asserts that what is printed as a command can be pasted: every path in it is there, but for new ones."""
        words = shlex.split(command)
        for before, word in pairwise(words):
            if os.sep in word and before != "--out" and "PHOTO" not in word:
                assert (self.folder / word).exists(), command


def _commands(output: str) -> list[str]:
    """What a command prints of others, as lines or in its JSON."""
    if output[:1] not in ("{", "["):
        return [found.split("`")[0] for found in re.findall(r"keras-transfer [a-z].*", output)]
    return [json.loads(f'"{found}"') for found in re.findall(r'"command": "(.*)"', output)]


def ask(folder: Path, rows: list[Row], places: dict[str, str], missing: tuple[str, ...] = (), more: str = "") -> Asked:
    """Runs rows in a new process; `more` goes to those that read the run's own photographs."""
    template = {row.words: f"{row.words} {more}" if row.data else row.words for row in rows}
    commands = [[word.format(**places) for word in template[row.words].split()] for row in rows]
    request, answers = folder / "request.json", folder / "answers.json"
    request.write_text(json.dumps({"commands": commands, "missing": missing}))
    script = Path(__file__).with_name("in_turn.py")
    done = subprocess.run([sys.executable, script, request, answers], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = dict(zip(template, json.loads(answers.read_text()), strict=True))
    return Asked(folder, places, found)


def paint(folder: Path, per_class: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    for index, name in enumerate(("blue", "green", "red")):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            pixels = chance.integers(0, 120, (40, 48, 3))
            pixels[..., 2 - index] += 100
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs and a run of them that another process made, told by relative paths, and then moved."""
    from keras_transfer.modalities.image import load_images
    from keras_transfer.modalities.image.builder import build_classifier
    from keras_transfer.training.probe import settle_batchnorm

    folder = tmp_path_factory.mktemp("made") / "project"
    paint(folder / "photos", 30, 0)
    paint(folder / "new", 6, 1)
    Image.new("RGB", (48, 40), "gray").save(folder / "gray.png")
    (folder / "new.parquet").write_bytes(b"PAR1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras.applications.MobileNet", short_mobilenet)
        network = build_classifier("mobilenet", 2, alpha=0.25, image_size=32, weights="none")
    settle_batchnorm(network, load_images(folder / "photos").train)
    network.save(folder / "net.keras")
    train = Row(
        "train {photos} --backbone mobilenet --alpha 0.25 --image-size 32 --weights net.keras --strategy fine-tuning "
        "--epochs 1 --tolerance 0.9 --baselines none --format float32 --format int8 --out {run}"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path_factory.mktemp("cache")))
        ask(folder, [train], {"photos": "photos", "run": "runs/first"}).answer(train, 0)
        yield folder.rename(folder.with_name("kept"))


@pytest.fixture(scope="module")
def plain(project: Path) -> Asked:
    """The table in an installation without extras; the project lies in another folder than the run was made in."""
    folder = shutil.copytree(project, project.with_name("plain"))
    places = {"run": "runs/first", "photos": "photos", "new": "new", "weights": "net.keras", "out": "out"} | GRAY
    return ask(folder, ROWS, places, tuple(module for modules in MODULES.values() for module in modules))


@pytest.fixture(scope="module")
def complete(project: Path) -> Asked:
    """What needs an extra, where it is."""
    folder = shutil.copytree(project, project.with_name("complete"))
    places = {"run": "runs/first", "photos": "photos", "new": "new", "weights": "net.keras", "out": "out"} | GRAY
    return ask(folder, NEEDING, places)


@pytest.fixture(scope="module")
def scattered(project: Path) -> tuple[dict[str, str], Path]:
    """The run and its photographs in folders of other names, none of them where it was."""
    folder = project.with_name("über all")
    shutil.copytree(project / "runs" / "first", folder / "my runs" / "-first run ü")
    shutil.copytree(project / "runs" / "first", folder / "bare")
    shutil.copyfile(project / "net.keras", folder / "net.keras")  # seen from the run, it is where it was
    shutil.copytree(project / "photos", folder / "Bilder (neu)")
    shutil.copytree(project / "new", folder / "-andere")
    shutil.copyfile(project / "gray.png", folder / "grau in grau.png")
    places = {"run": "./-first run ü", "photos": "../Bilder (neu)", "new": "../-andere", "out": "../out put"}
    places |= {"bare": "../bare", "gray": "../grau in grau.png"}
    return places, folder / "my runs"


@pytest.fixture(scope="module")
def moved(scattered: tuple[dict[str, str], Path]) -> Asked:
    places, folder = scattered
    return ask(folder, MOVED + BARE, places, more="--data {photos}")


@pytest.fixture(scope="module")
def lost(scattered: tuple[dict[str, str], Path], moved: Asked) -> Asked:
    """The same, but nobody says where the photographs are."""
    places, folder = scattered
    return ask(folder, [row for row in MOVED if row.data], {**places, "out": "../other"})


def check(asked: Asked, row: Row) -> None:
    output, error = asked.answer(row, row.code)
    assert row.says in output + error
    assert not row.makes or (asked.folder / row.makes.format(**asked.places)).exists()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.words)
def test_without_extras(plain: Asked, row: Row) -> None:
    if not row.extra:
        check(plain, row)
        return
    _, error = plain.answer(row, 2)
    for package in extra_packages(row.extra):
        assert shlex.quote(package) in error


def test_an_int8_file_that_was_trained_is_not_converted_anew(plain: Asked) -> None:
    trained, again = (plain.folder / "out" / name for name in ("qat/export", "again"))
    assert (trained / "model_int8.tflite").read_bytes() == (again / "model_int8.tflite").read_bytes()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("row", NEEDING, ids=lambda row: row.words)
def test_with_the_extra(complete: Asked, row: Row) -> None:
    if find_spec(MODULES[row.extra][0]) is None:
        pytest.skip(f"needs the extra {row.extra}")
    check(complete, row)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("row", MOVED + BARE, ids=lambda row: row.words)
def test_moved(moved: Asked, row: Row) -> None:
    check(moved, row)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("row", [row for row in MOVED if row.data], ids=lambda row: row.words)
def test_moved_and_not_said_where_to(lost: Asked, row: Row) -> None:
    _, error = lost.answer(row, 2)
    assert "are no longer in" in error and "--data" in error


def test_every_command_is_in_the_table() -> None:
    from keras_transfer.cli.app import COMMANDS

    asked = {row.words.split()[0].replace("-", "_") for row in ROWS}
    assert set(COMMANDS) - asked == {
        "demo",
        "zero_shot",
        "models",
        "retrain",
        "search",
    }  # which have tests of their own
