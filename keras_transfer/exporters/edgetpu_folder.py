"""What a Coral device's owner needs beside a model, whatever it takes: a script, and the compiled file."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import NamedTuple

from keras_transfer.exporters.targets import edgetpu
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.files import write_bytes, write_text
from keras_transfer.litert.labels import LABELS_FILE, labels_text
from keras_transfer.progress import say

_README = """\
{name} for Coral's Edge TPU
{line}
{state}

Run it on a computer with the device and its runtime (https://coral.ai/docs/accelerator/get-started):

    pip install ai-edge-litert {packages}
    python classify.py {compiled} labels.txt {item}

or with this package:

    keras-transfer predict {compiled} {item} --delegate libedgetpu.so.1

Without the device, classify.py {name}.tflite labels.txt {item} --cpu gives the answers of the CPU.
"""
_CLASSIFY = Template('''\
"""Classifies $what: python classify.py MODEL.tflite labels.txt $name [--cpu]"""

import json
import sys
$imports
try:
    from ai_edge_litert.interpreter import Interpreter, load_delegate
except ImportError:
    from tflite_runtime.interpreter import Interpreter, load_delegate

LIBRARY = {"linux": "libedgetpu.so.1", "darwin": "libedgetpu.1.dylib", "win32": "edgetpu.dll"}[sys.platform]

words = [word for word in sys.argv[1:] if word != "--cpu"]
if len(words) != 3:
    sys.exit(__doc__)
model, labels, item = words
delegates = [] if "--cpu" in sys.argv else [load_delegate(LIBRARY)]
interpreter = Interpreter(model, experimental_delegates=delegates)
interpreter.allocate_tensors()
input_, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

$prepare
interpreter.set_tensor(input_["index"], values)
interpreter.invoke()
scale, zero_point = output["quantization"]
scores = (interpreter.get_tensor(output["index"])[0].astype(np.float32) - zero_point) * scale
if scores.size == 1:  # one sigmoid unit: the probability of the second class
    scores = np.concatenate([1 - scores, scores])
with open(labels, encoding="utf-8") as file:
    names = file.read().splitlines()
for index in np.argsort(-scores)[:3]:
    print(f"{scores[index]:.3f}  {names[index]}")
''')


class Script(NamedTuple):
    """A modality's part of `classify.py`.

    Attributes:
        what: an item, in words.
        name: a file of one, for the README.
        packages: what it needs of PyPI beside LiteRT.
        imports: Python, after `json` and `sys`; NumPy as `np` among them.
        prepare: Python that makes `values`, a batch of one, of the file named `item` for the tensor `input_`.
    """

    what: str
    name: str
    packages: str
    imports: str
    prepare: str


def write_folder(kit: Kit, folder: Path, script: Script, own: Mapping[str, bytes]) -> list[Path]:
    """Writes the file, labels, a script for the device, and the compiled file where there is a compiler.

    Args:
        kit: what the exporter knows of the file.
        folder: the place to write to.
        script: the modality's part of it.
        own: further files of the modality, which the script reads.

    Returns:
        The files.
    """
    parts = {"imports": script.imports, "prepare": script.prepare, "what": script.what}
    text = _CLASSIFY.substitute(parts, name=script.name.partition(".")[0])
    files = [
        write_bytes(folder / f"{kit.name}.tflite", kit.content),
        write_text(folder / LABELS_FILE, labels_text(kit.class_names)),
        *(write_bytes(folder / name, content) for name, content in own.items()),
        write_text(folder / "classify.py", text),
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
        item=script.name,
        packages=script.packages,
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
