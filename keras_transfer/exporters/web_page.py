"""A page of `web_demo/` around a model, whatever it takes: the files that all pages share, and LiteRT.js."""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

import numpy as np

from keras_transfer.exporters.demos import demo_folder
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.files import write_bytes, write_json, write_text
from keras_transfer.inputs import Json
from keras_transfer.litert import read_flatbuffer
from keras_transfer.litert.flatbuffer import TensorInfo
from keras_transfer.process import run_process
from keras_transfer.progress import say
from keras_transfer.schemas import N_ITEMS

SHARED = ("style.css", "icon.svg", "page.js", "classifier.js", "log.js", "update.js", "README.md")
"""What every page has."""
NPM = ("package.json", "package-lock.json", "runtime.js")
"""What npm needs to fetch LiteRT.js: 19 MB that neither this package nor its wheel carries."""
NOTHING: Mapping[str, Json] = {}
_RUNTIME = "litert"
_SECONDS = 180


@dataclass(frozen=True)
class Page:
    """A page for items of one kind.

    Attributes:
        item: what an item is called, such as "text". `ITEM.js` is its script, `ITEM.html` what it asks for.
        title: the page's.
        modules: the other files of `web_demo/` that it needs.
        result: `RESULT.html` is what it shows below the classes.
    """

    item: str
    title: str
    modules: tuple[str, ...]
    result: str = "facts"

    @property
    def scripts(self) -> tuple[str, ...]:
        """Its own files beside `index.html`."""
        return (f"{self.item}.js", *self.modules)

    def html(self, source: Path) -> str:
        """The page, from the folder of the pages' parts."""
        names = ("page", self.item, self.result)
        shell, ask, result = ((source / f"{name}.html").read_text("utf-8").rstrip("\n") for name in names)
        return Template(f"{shell}\n").substitute(
            title=self.title, item=self.item, script=f"{self.item}.js", ask=ask, result=result
        )


def write_page(
    kit: Kit, folder: Path, page: Page, about: Mapping[str, Json], takes: Mapping[str, Json] = NOTHING
) -> list[Path]:
    """Writes a page, the model and what the page must know of it, and the runtime where npm can be had.

    Args:
        kit: what the exporter knows of the file.
        folder: the place to write to; what is in it of an earlier export is replaced.
        page: what the page is for.
        about: what the page must know of the model beside `describe_model`.
        takes: what it must know of the model's input beside that.

    Returns:
        The files. Without npm, or without a network, `litert/` is missing; the page and its README say what to do.
    """
    source = demo_folder("web_demo")
    files = [write_bytes(folder / name, (source / name).read_bytes()) for name in (*SHARED, *NPM, *page.scripts)]
    files.append(write_text(folder / "index.html", page.html(source)))
    files.append(write_bytes(folder / f"{kit.name}.tflite", kit.content))
    files.append(write_json(folder / "model.json", describe_model(kit, takes) | dict(about)))
    problem = _add_runtime(source, folder)
    if problem:
        say(f"{folder}: LiteRT.js is still missing ({problem}). Run `npm ci` in that folder where there is a network.")
    return files + sorted(path for path in (folder / _RUNTIME).rglob("*") if path.is_file())


def describe_model(kit: Kit, takes: Mapping[str, Json]) -> dict[str, Json]:
    """What every page must know of a model: its names and sizes, and how numbers become its input, its output numbers.

    Args:
        kit: what the exporter knows of the file.
        takes: what else is to be known of its input.
    """
    info = read_flatbuffer(kit.content)

    def numbers(tensor: TensorInfo) -> dict[str, Json]:
        quantized = tensor.dtype != "float32" and bool(tensor.scale)
        return {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "scale": float(tensor.scale[0]) if quantized else None,
            "zero_point": int(tensor.zero_point[0]) if quantized else None,
        }

    rejection: dict[str, Json] = {}
    if kit.limit is not None:
        rejection["rejection"] = {**numbers(info.tensors[info.outputs[1]]), **kit.limit.to_dict()}
    return {
        "name": kit.name,
        "file": f"{kit.name}.tflite",
        "bytes": len(kit.content),
        "hash": hashlib.sha256(kit.content).hexdigest()[:16],
        "class_names": list(kit.class_names),
        "multi_label": np.ndim(kit.split.labels) == 2,
        "input": numbers(info.tensors[info.inputs[0]]) | dict(takes),
        "output": numbers(info.tensors[info.outputs[0]]),
        **rejection,
        "test": {"accuracy": kit.proof["test_accuracy"], "items": kit.proof[N_ITEMS]},
    }


def _add_runtime(source: Path, folder: Path) -> str:
    """Puts LiteRT.js into `folder`, from `source` if `npm ci` was run there, else by npm; returns what hindered it."""
    if (source / _RUNTIME).is_dir():
        shutil.copytree(source / _RUNTIME, folder / _RUNTIME, dirs_exist_ok=True)
        return ""
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    say("Fetching LiteRT.js by npm")
    with tempfile.TemporaryDirectory() as place:
        for name in NPM:
            shutil.copy(source / name, place)
        call = [npm, "ci", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0"]
        try:
            done = run_process(call, timeout=_SECONDS, text=True, cwd=place)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"npm: {error}"
        if done.returncode:
            said = next((line for line in done.stderr.splitlines() if "error" in line), "failed")
            return " ".join(said.split())
        shutil.copytree(Path(place) / _RUNTIME, folder / _RUNTIME, dirs_exist_ok=True)
    return ""
