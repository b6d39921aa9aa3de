"""What a Coral device's owner needs beside an image model: a script that classifies, and the compiled file."""

import shutil
from pathlib import Path

from keras_transfer import geometry
from keras_transfer.exporters.targets import edgetpu
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.files import write_bytes, write_json, write_text
from keras_transfer.litert.labels import GEOMETRY_FILE, LABELS_FILE, labels_text
from keras_transfer.modalities.image.targets import geometry_of
from keras_transfer.progress import say

_README = """\
{name} for Coral's Edge TPU
{line}
{state}

Run it on a computer with the device and its runtime (https://coral.ai/docs/accelerator/get-started):

    pip install ai-edge-litert pillow numpy
    python classify.py {compiled} labels.txt PHOTO.jpg

or with this package:

    keras-transfer predict {compiled} PHOTO.jpg --delegate libedgetpu.so.1

Without the device, classify.py {name}.tflite labels.txt PHOTO.jpg --cpu gives the answers of the CPU.
"""

_CLASSIFY = '''\
"""Classifies a photograph: python classify.py MODEL.tflite labels.txt PHOTO [--cpu]"""

import json
import sys
from pathlib import Path

import numpy as np
from geometry import Geometry  # the file beside this one
from PIL import Image, ImageOps

try:
    from ai_edge_litert.interpreter import Interpreter, load_delegate
except ImportError:
    from tflite_runtime.interpreter import Interpreter, load_delegate

LIBRARY = {"linux": "libedgetpu.so.1", "darwin": "libedgetpu.1.dylib", "win32": "edgetpu.dll"}[sys.platform]

model, labels, photo = [word for word in sys.argv[1:] if word != "--cpu"]
delegates = [] if "--cpu" in sys.argv else [load_delegate(LIBRARY)]
interpreter = Interpreter(model, experimental_delegates=delegates)
interpreter.allocate_tensors()
input_, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

# The picture is fitted to the model as in training. A large JPEG is reduced while it is decoded.
geometry = Geometry.of(json.loads(Path(__file__).with_name("geometry.json").read_text("utf-8")))
_, height, width, channels = (int(side) for side in input_["shape"])
picture = Image.open(photo)
least = geometry.least_side(width, height)
picture.draft(None, (least, least))
picture = geometry.fit(ImageOps.exif_transpose(picture).convert("RGB"), width, height)
if channels == 1:
    picture = picture.convert("L")
pixels = np.asarray(picture).reshape(1, height, width, channels)
if input_["dtype"] == np.int8:
    pixels = (pixels ^ 128).view(np.int8)  # the byte less 128
interpreter.set_tensor(input_["index"], pixels)
interpreter.invoke()
scale, zero_point = output["quantization"]
scores = (interpreter.get_tensor(output["index"])[0].astype(np.float32) - zero_point) * scale
if scores.size == 1:  # one sigmoid unit: the probability of the second class
    scores = np.concatenate([1 - scores, scores])
with open(labels, encoding="utf-8") as file:
    names = file.read().splitlines()
for index in np.argsort(-scores)[:3]:
    print(f"{scores[index]:.3f}  {names[index]}")
'''


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the file, labels, a script for the device, and the compiled file where there is a compiler.

    Args:
        kit: what the exporter knows of the file.
        folder: the place to write to.

    Returns:
        The files.
    """
    files = [
        write_bytes(folder / f"{kit.name}.tflite", kit.content),
        write_text(folder / LABELS_FILE, labels_text(kit.class_names)),
        write_json(folder / GEOMETRY_FILE, geometry_of(kit).to_dict()),
        write_bytes(folder / "geometry.py", Path(geometry.__file__).read_bytes()),
        write_text(folder / "classify.py", _CLASSIFY),
    ]
    compiled: edgetpu.Compiled | None = None
    if shutil.which(edgetpu.COMPILER):
        say(f"Compiling {kit.name} for the Edge TPU")
        compiled = edgetpu.compile_file(kit.content, kit.name)
        files.append(write_text(folder / f"{kit.name}_edgetpu.log", compiled["log"]))
        if compiled["file"]:
            files.append(write_bytes(folder / f"{kit.name}_edgetpu.tflite", compiled["file"]))
    readme = _README.format(
        name=kit.name,
        line="=" * len(f"{kit.name} for Coral's Edge TPU"),
        compiled=f"{kit.name}_edgetpu.tflite",
        state=_state(kit, compiled),
    )
    return [*files, write_text(folder / "README.txt", readme)]


def _state(kit: Kit, compiled: edgetpu.Compiled | None) -> str:
    """Whether the file is compiled, in words."""
    log, command = f"{kit.name}_edgetpu.log", f"{edgetpu.COMPILER} -s {kit.name}.tflite"
    if compiled is None:
        verdict = kit.proof["targets"]["edgetpu"]
        return (
            f"Not compiled yet: by its published rules {verdict['mapped']} of {verdict['operators']} operators map. "
            "Compile it on Linux (x86-64)\nor in the browser (https://coral.ai/docs/edgetpu/compiler) with\n\n"
            f"    {command}"
        )
    if compiled["file"]:
        return f"Compiled: {compiled['mapped']} of {compiled['operators']} operators are mapped (see {log})."
    return f"The compiler failed: {compiled['error']} (see {log}). Once that is solved, compile with\n\n    {command}"
