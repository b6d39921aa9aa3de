"""Coral's Edge TPU: what its compiler maps, by its published rules, and by the compiler itself where there is one.

`edgetpu_rules` says which operators it supports. The compiler makes one partition, as TFLite's delegates do: beginning
with the first operator that it supports it takes every supported operator that needs nothing from an unsupported one,
and all others run on the CPU.
"""

import math
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from keras_transfer import geometry
from keras_transfer.errors import InputError
from keras_transfer.exporters.targets.base import Kit, Target, Verdict, mostly_mapped
from keras_transfer.exporters.targets.edgetpu_rules import CACHE_BYTES, COMPILED, Operator, fatal, reason
from keras_transfer.files import write_bytes, write_json, write_text
from keras_transfer.litert import FileInfo
from keras_transfer.litert.details import read_constants, read_details
from keras_transfer.litert.labels import GEOMETRY_FILE, LABELS_FILE, labels_text
from keras_transfer.process import run_process
from keras_transfer.progress import say

COMPILER = "edgetpu_compiler"
_SECONDS = 600.0


def judge(content: bytes, info: FileInfo) -> Verdict:
    """Judges a file; see `targets.judge`.

    The verdict adds `partition_end` (the first operator of the CPU tail, None without one), `parameter_bytes` (of the
    mapped operators' constants), `activation_bytes` (the most that one mapped operator reads and writes), `cache_bytes`
    (8 MiB, which parameters and activations share), `cached` (whether both fit), `notes`, and `compiler` (what
    `read_log` finds where `edgetpu_compiler` is on the PATH, whose word then decides; None without it).
    """
    operators = _operators(content, info)
    refused = {operator.index: why for operator in operators if (why := reason(operator))}
    why = next(filter(None, map(fatal, operators)), "")
    mapped = set() if why else partition(info, refused)
    left = {i: refused.get(i, why) for i in range(len(operators))} if why else refused | _cut_off(info, refused, mapped)
    found = mostly_mapped("edgetpu", info, left, why)
    parameters = {i for o in info.operators if o.index in mapped for i in o.inputs if i >= 0 and info.tensors[i].bytes}
    activations = max((_moved(info, o.index) for o in info.operators if o.index in mapped), default=0)
    held = sum(info.tensors[i].bytes for i in parameters)
    notes = _notes(info, mapped, held, activations)
    more: dict[str, Any] = {"compiler": None}
    if any(operator.name == COMPILED for operator in info.operators):
        more |= {"ok": True, "why": ""}
        notes = [f"It is compiled already: {COMPILED} holds the mapped operators, the others run on the CPU."]
    elif not why and shutil.which(COMPILER):
        more = _asked(content, found)
    return {
        **found,
        "partition_end": min((i for i in left if mapped and i > min(mapped)), default=None),
        "parameter_bytes": held,
        "activation_bytes": activations,
        "cache_bytes": CACHE_BYTES,
        "cached": held + activations <= CACHE_BYTES,
        "notes": notes,
        **more,
    }


def _operators(content: bytes, info: FileInfo) -> list[Operator]:
    """The file's operators, as the rules look at them."""
    constants = read_constants(content, range(len(info.tensors)))
    return [
        Operator(
            operator.index,
            operator.name,
            detail.version,
            tuple(info.tensors[i] if i >= 0 else None for i in operator.inputs),
            tuple(info.tensors[i] for i in operator.outputs),
            detail.options,
            constants,
        )
        for operator, detail in zip(info.operators, read_details(content), strict=True)
    ]


def _cut_off(info: FileInfo, refused: Mapping[int, str], mapped: set[int]) -> dict[int, str]:
    """A reason for each operator that is supported and yet behind one that is not."""
    cut: dict[int, str] = {}
    source: dict[int, int] = {}  # a tensor that the CPU computes -> the unsupported operator that it comes from
    for operator in info.operators:
        if operator.index in mapped:
            continue
        behind = next((source[tensor] for tensor in operator.inputs if tensor in source), operator.index)
        if operator.index not in refused:
            after = f", cut off by operator {behind} ({info.operators[behind].name})" if behind in refused else ""
            cut[operator.index] = f"is outside the one partition that is made{after}"
        source |= dict.fromkeys(operator.outputs, behind if operator.index in cut else operator.index)
    return cut


def _asked(content: bytes, found: Verdict) -> dict[str, Any]:
    """What the compiler itself says; its word decides."""
    said = {key: value for key, value in compile_file(content, "model").items() if key not in ("log", "file")}
    if said["error"]:
        return {"compiler": said, "ok": False, "why": f"is refused by the compiler: {said['error']}"}
    more = {"compiler": said, "ok": 2 * said["mapped"] >= said["operators"]}
    if said["mapped"] != found["mapped"]:
        why = f"the compiler maps {said['mapped']} of {said['operators']} operators, its rules say {found['mapped']}"
        more["why"] = "; ".join(filter(None, (why, found["why"])))
    return more


def partition(info: FileInfo, refused: Mapping[int, str]) -> set[int]:
    """The operators that the compiler maps: its first partition of supported ones.

    It grows as TFLite's `PartitionGraphIntoIndependentNodeSubsets` does: the first operator decides whether the first
    subset is a supported one; a subset takes, in order, all operators of its kind whose inputs are there.

    Args:
        info: the file.
        refused: index -> reason, of operators that are not supported.
    """
    missing = {tensor for operator in info.operators for tensor in operator.outputs}
    left = list(info.operators)
    for _ in range(2):  # the second subset is of the other kind
        subset: set[int] = set()
        supported: bool | None = None
        for operator in left:
            if missing.isdisjoint(operator.inputs):
                if supported is None:
                    supported = operator.index not in refused
                if supported == (operator.index not in refused):
                    subset.add(operator.index)
                    missing.difference_update(operator.outputs)
        if supported:
            return subset
        left = [operator for operator in left if operator.index not in subset]
    return set()


def _moved(info: FileInfo, index: int) -> int:
    """Bytes of activations that an operator reads and writes, a byte a value."""
    operator = info.operators[index]
    tensors = {i for i in (*operator.inputs, *operator.outputs) if i >= 0 and not info.tensors[i].bytes}
    return sum(math.prod(info.tensors[i].shape) for i in tensors)


def _notes(info: FileInfo, mapped: set[int], held: int, activations: int) -> list[str]:
    notes = []
    if held + activations > CACHE_BYTES:
        notes.append(
            f"Parameters of {held / 1e6:.1f} MB and activations of up to {activations / 1e6:.1f} MB share "
            f"{CACHE_BYTES / 1e6:.1f} MB on the chip: what does not fit is fetched at every inference, which is slower."
        )
    dense = [o for o in info.operators if o.index in mapped and o.name == "FULLY_CONNECTED"]
    if any(len(info.tensors[o.inputs[1]].scale) > 1 for o in dense if len(o.inputs) > 1 and o.inputs[1] >= 0):
        notes.append(
            "Dense weights have a scale for each channel, which converters did not write when the compiler was made "
            "(2021): compare the compiled file's answers, or export with per_tensor_dense."
        )
    if any(tensor.dynamic for tensor in info.tensors):
        notes.append("The batch size is left open; the compiler takes it as 1.")
    return notes


def compile_file(content: bytes, name: str = "model") -> dict[str, Any]:
    """Compiles a file with the `edgetpu_compiler` on the PATH.

    Args:
        content: a quantized LiteRT file.
        name: of the file, as the log shows it.

    Returns:
        What `read_log` finds, and `log` (text) and `file` (the compiled bytes; empty where it failed).

    Raises:
        InputError: there is no compiler on the PATH, or it does not end.
    """
    program = shutil.which(COMPILER)
    if program is None:
        raise InputError(f"`{COMPILER}` is not on the PATH: see https://coral.ai/docs/edgetpu/compiler to install it.")
    return _compile(program, content, name)


@lru_cache(maxsize=1)  # judging a file and writing its folder ask for the same
def _compile(program: str, content: bytes, name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, f"{name}.tflite")
        source.write_bytes(content)
        try:
            done = run_process([program, "-s", "-o", folder, source], timeout=_SECONDS, text=True, errors="replace")
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"{COMPILER} did not end well ({error}). Run it yourself on the .tflite file.") from error
        log = done.stdout + done.stderr
        compiled = Path(folder, f"{name}_edgetpu.tflite")
        made = compiled.read_bytes() if done.returncode == 0 and compiled.is_file() else b""
    return {**read_log(log), "log": log, "file": made}


def read_log(log: str) -> dict[str, Any]:
    """Reads what `edgetpu_compiler -s` prints.

    Returns:
        `version`, `mapped` and `operators` (counts, None where the log has no table), `rows` (one `{"op", "count",
        "status"}` a line of the table), `on_chip_bytes`, `on_chip_left_bytes` and `off_chip_bytes` (of parameters; None
        where the log lacks them), `subgraphs`, and `error` (the compiler's own words; empty where it compiled).

    >>> found = read_log('''Edge TPU Compiler version 16.0.384591198
    ... On-chip memory used for caching model parameters: 3.21MiB
    ...
    ... Operator                       Count      Status
    ...
    ... CONV_2D                        35         Mapped to Edge TPU
    ... HARD_SWISH                     1          Operation not supported
    ... ''')
    >>> found["mapped"], found["operators"], found["on_chip_bytes"]
    (35, 36, 3365929)
    """
    rows = [
        {"op": op, "count": int(count), "status": status.strip()}
        for op, count, status in re.findall(r"^([A-Z][A-Z0-9_]*)[ \t]+(\d+)[ \t]+(\S.*)$", log, re.MULTILINE)
    ]
    mapped = sum(row["count"] for row in rows if row["status"].startswith("Mapped"))
    version = re.search(r"Edge TPU Compiler version (\S+)", log)
    subgraphs = re.search(r"Number of Edge TPU subgraphs: (\d+)", log)
    failed = re.search(r"^(?:ERROR: |Compilation failed: |Internal compiler error|Invalid model).*$", log, re.MULTILINE)
    return {
        "version": version.group(1) if version else None,
        "mapped": mapped if rows else None,
        "operators": sum(row["count"] for row in rows) if rows else None,
        "rows": rows,
        "on_chip_bytes": _memory("On-chip memory used for caching model parameters", log),
        "on_chip_left_bytes": _memory("On-chip memory remaining for caching model parameters", log),
        "off_chip_bytes": _memory("Off-chip memory used for streaming uncached model parameters", log),
        "subgraphs": int(subgraphs.group(1)) if subgraphs else None,
        "error": "" if rows else (failed.group(0).strip() if failed else "the compiler wrote no table of operators"),
    }


def _memory(what: str, log: str) -> int | None:
    found = re.search(re.escape(what) + r": ([\d.]+)(B|KiB|MiB|GiB)", log)
    if found is None:
        return None
    return round(float(found.group(1)) * 1024 ** ["B", "KiB", "MiB", "GiB"].index(found.group(2)))


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
taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

# The picture is fitted to the model as in training. A large JPEG is reduced while it is decoded.
geometry = Geometry.of(json.loads(Path(__file__).with_name("geometry.json").read_text("utf-8")))
_, height, width, channels = (int(side) for side in taken["shape"])
picture = Image.open(photo)
least = geometry.least_side(width, height)
picture.draft(None, (least, least))
picture = geometry.fit(ImageOps.exif_transpose(picture).convert("RGB"), width, height)
if channels == 1:
    picture = picture.convert("L")
pixels = np.asarray(picture).reshape(1, height, width, channels)
if taken["dtype"] == np.int8:
    pixels = (pixels ^ 128).view(np.int8)  # the byte less 128
interpreter.set_tensor(taken["index"], pixels)
interpreter.invoke()
scale, zero_point = given["quantization"]
scores = (interpreter.get_tensor(given["index"])[0].astype(np.float32) - zero_point) * scale
if scores.size == 1:  # one sigmoid unit: the probability of the second class
    scores = np.concatenate([1 - scores, scores])
with open(labels, encoding="utf-8") as file:
    names = file.read().splitlines()
for index in np.argsort(-scores)[:3]:
    print(f"{scores[index]:.3f}  {names[index]}")
'''


def _write(kit: Kit, folder: Path) -> list[Path]:
    """The file, labels, a script for the device, and the compiled file where there is a compiler."""
    names = [f"{kit.name}.tflite", LABELS_FILE, GEOMETRY_FILE, "geometry.py", "classify.py", "README.txt"]
    command = f"{COMPILER} -s {kit.name}.tflite"
    made: dict[str, Any] = {}
    if shutil.which(COMPILER):
        say(f"Compiling {kit.name} for the Edge TPU")
        made = compile_file(kit.content, kit.name)
        write_text(folder / f"{kit.name}_edgetpu.log", made["log"])
        names.append(f"{kit.name}_edgetpu.log")
    if made.get("file"):
        write_bytes(folder / f"{kit.name}_edgetpu.tflite", made["file"])
        names.append(f"{kit.name}_edgetpu.tflite")
        state = f"Compiled: {made['mapped']} of {made['operators']} operators are mapped (see {kit.name}_edgetpu.log)."
    elif made:
        state = f"The compiler failed: {made['error']} (see {kit.name}_edgetpu.log). Once mended, compile with\n\n"
        state += f"    {command}"
    else:
        found = kit.proof["targets"]["edgetpu"]
        state = (
            f"Not compiled yet: by its published rules {found['mapped']} of {found['operators']} operators map. "
            "Compile it on Linux (x86-64)\nor in the browser (https://coral.ai/docs/edgetpu/compiler) with\n\n"
            f"    {command}"
        )
    write_bytes(folder / f"{kit.name}.tflite", kit.content)
    write_text(folder / LABELS_FILE, labels_text(kit.class_names))
    write_json(folder / GEOMETRY_FILE, kit.geometry.to_dict())
    write_bytes(folder / "geometry.py", Path(geometry.__file__).read_bytes())
    write_text(folder / "classify.py", _CLASSIFY)
    line = "=" * len(f"{kit.name} for Coral's Edge TPU")
    write_text(
        folder / "README.txt",
        _README.format(name=kit.name, compiled=f"{kit.name}_edgetpu.tflite", state=state, line=line),
    )
    return [folder / name for name in names]


TARGET = Target("Coral's Edge TPU", judge, _write, per_tensor_dense=True)
