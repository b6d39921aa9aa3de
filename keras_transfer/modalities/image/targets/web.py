"""The page of `web_demo/` around an image model, ready for any file server."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from keras_transfer.exporters.demos import demo_folder
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.files import write_bytes, write_json
from keras_transfer.inputs import Json
from keras_transfer.litert import read_flatbuffer
from keras_transfer.litert.labels import read_normalization
from keras_transfer.modalities.image.targets import geometry_of
from keras_transfer.process import run_process
from keras_transfer.progress import say

PAGE = ("index.html", "style.css", "icon.svg", "app.js", "classifier.js", "decode.js", "preprocess.js", "README.md")
NPM = ("package.json", "package-lock.json", "runtime.js")
"""What npm needs to fetch LiteRT.js: 19 MB that neither this package nor its wheel carries."""
_RUNTIME = "litert"
_SECONDS = 180


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the page, the model and what the page must know of it, and the runtime where npm can be had.

    Args:
        kit: what the exporter knows of the file.
        folder: the place to write to; what is in it of an earlier export is replaced.

    Returns:
        The files. Without npm, or without a network, `litert/` is missing; the page and its README say what to do.
    """
    source = demo_folder("web_demo")
    files = [write_bytes(folder / name, (source / name).read_bytes()) for name in (*PAGE, *NPM)]
    files.append(write_bytes(folder / f"{kit.name}.tflite", kit.content))
    files.append(write_json(folder / "model.json", describe(kit)))
    problem = _add_runtime(source, folder)
    if problem:
        say(f"{folder}: LiteRT.js is still missing ({problem}). Run `npm ci` in that folder where there is a network.")
    return files + sorted(path for path in (folder / _RUNTIME).rglob("*") if path.is_file())


def describe(kit: Kit) -> dict[str, Json]:
    """What the page must know of a model: its names, sizes and how bytes become numbers."""
    info = read_flatbuffer(kit.content)
    image, output = info.tensors[info.inputs[0]], info.tensors[info.outputs[0]]
    mean, std = read_normalization(info) or (np.zeros(1, np.float32), np.ones(1, np.float32))
    quantized = output.dtype != "float32" and output.scale
    return {
        "name": kit.name,
        "file": f"{kit.name}.tflite",
        "bytes": len(kit.content),
        "image_size": [int(side) for side in image.shape[1:3]],
        "geometry": geometry_of(kit).to_dict(),
        "class_names": list(kit.class_names),
        "multi_label": np.ndim(kit.split.labels) == 2,
        "input": {"dtype": image.dtype, "channels": int(image.shape[3]), "mean": mean.tolist(), "std": std.tolist()},
        "output": {
            "dtype": output.dtype,
            "scale": float(output.scale[0]) if quantized else None,
            "zero_point": int(output.zero_point[0]) if quantized else None,
        },
        "test": {"accuracy": kit.proof["test_accuracy"], "images": kit.proof["images"]},
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
