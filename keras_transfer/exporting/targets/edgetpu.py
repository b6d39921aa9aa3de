"""Coral's Edge TPU: what its compiler maps, by its published rules, and by the compiler itself where there is one.

The rules are those of "TensorFlow models on the Edge TPU" (https://coral.ai/docs/edgetpu/models-intro, compiler 16).
The compiler makes one partition, as TFLite's delegates do: beginning with the first operator that it supports it takes
every supported operator that needs nothing from an unsupported one, and all others run on the CPU.
"""

import math
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data.decode import CROP
from keras_transfer.errors import InputError
from keras_transfer.exporting.targets.base import Kit, Target, Verdict, mostly_mapped
from keras_transfer.files import write_bytes, write_text
from keras_transfer.litert import FileInfo, TensorInfo
from keras_transfer.litert.details import read_constants, read_details
from keras_transfer.litert.labels import labels_text
from keras_transfer.progress import say

CACHE_BYTES = 8 << 20  # SRAM that parameters share with activations (https://coral.ai/docs/edgetpu/compiler)
COMPILER = "edgetpu_compiler"
COMPILED = "edgetpu-custom-op"  # stands for the mapped operators in a compiled file
_SECONDS = 600.0
_QUANTIZED = ("int8", "uint8")
_ACTIVATIONS = {0: "", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}  # fused ones that the hardware computes


@dataclass(frozen=True)
class _Operator:
    """What the rules look at. An optional input that is absent is None."""

    inputs: tuple[TensorInfo | None, ...]
    outputs: tuple[TensorInfo, ...]
    options: dict[str, Any]
    constants: Mapping[int, np.ndarray] = field(repr=False)  # by the tensor's index

    def constant(self, position: int) -> np.ndarray | None:
        tensor = self.inputs[position] if position < len(self.inputs) else None
        return None if tensor is None else self.constants.get(tensor.index)

    def integers(self, position: int) -> list[int]:
        """The values of an input that holds axes, sizes or paddings; empty where it is absent or computed."""
        values = self.constant(position)
        return [] if values is None else [int(v) for v in values.reshape(-1)]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.inputs[0].shape if self.inputs and self.inputs[0] is not None else ()

    @property
    def output(self) -> tuple[int, ...]:
        return self.outputs[0].shape if self.outputs else ()


_Rule = tuple[str, Callable[[_Operator], bool]]  # a reason, and whether it holds against an operator


def _leading(shape: tuple[int, ...]) -> int:
    return math.prod(shape[:-1])


def _axes(o: _Operator) -> set[int]:
    """Reduced axes, counted from the front."""
    return {axis % len(o.shape) for axis in o.integers(1)} if o.shape else set()


def _axis(o: _Operator, values: Iterable[int]) -> set[int]:
    """Axes out of options or inputs, counted from the front of the output's shape."""
    return {axis % max(1, len(o.shape)) for axis in values}


def _upscaling(o: _Operator) -> float:
    if len(o.shape) != 4 or len(o.output) != 4 or 0 in o.shape:
        return 1.0
    return (o.output[1] * o.output[2]) / (o.shape[1] * o.shape[2])


def _moves_channels(o: _Operator) -> bool:
    """Whether a transpose takes the last axis elsewhere, axes of size 1 aside."""
    order = [axis for axis in o.integers(1) if 0 <= axis < len(o.shape) and o.shape[axis] > 1]
    return bool(order) and order != sorted(order) and order[-1] != max(order)


def _relaid(o: _Operator) -> bool:
    """Whether a reshape has to move data: the innermost axis changes."""
    return o.shape[-1:] != o.output[-1:]


def _bad_concatenation(o: _Operator) -> bool:
    constants = [values for i in range(len(o.inputs)) if (values := o.constant(i)) is not None]
    zero = all(
        np.all(values == (tensor.zero_point[0] if tensor.zero_point else 0))
        for values in constants
        for tensor in o.inputs
        if tensor is not None and o.constants.get(tensor.index) is values
    )
    return bool(constants) and (len(o.inputs) != 2 or not zero)


_FUSED: _Rule = (
    "has a fused activation function",
    lambda o: o.options.get("fusedActivationFunction", 0) != 0,
)
_WEIGHTS: _Rule = (
    "has weights or a bias that are computed, not constant",
    lambda o: any(t is not None and o.constants.get(t.index) is None for t in o.inputs[1:3]),
)
_DILATION: _Rule = (
    "has different dilation in x and y",
    lambda o: o.options.get("dilationWFactor", 1) != o.options.get("dilationHFactor", 1),
)
_REDUCES_BATCH: _Rule = ("reduces the batch axis", lambda o: len(o.shape) > 3 and 0 in _axes(o))
_COMPUTED_AXES: _Rule = ("has axes or sizes that are computed, not constant", lambda o: not o.integers(1))
_SIZE: _Rule = (
    "enlarges more than 256-fold, which its 8-bit weights cannot interpolate",
    lambda o: _upscaling(o) > 256,
)
_LARGE_IMAGE: _Rule = ("gives more than 4 MiB", lambda o: math.prod(o.output) > 4 << 20)
_LARGE: _Rule = ("moves more than 8 MiB", lambda o: _relaid(o) and math.prod(o.output) > CACHE_BYTES)
_LARGE_ROWS: _Rule = (  # images are computed in stripes, rows are not
    "reads and writes rows of more than 8 MiB together",
    lambda o: len(o.output) < 4 and 2 * math.prod(o.output) > CACHE_BYTES,
)

# A row an operator: reasons against it. Limits that the table leaves open ("depending on input/output size", "certain
# reshapes") are placed between cases that the compiler is known to have mapped and refused; see docs/targets.md.
RULES: dict[str, tuple[_Rule, ...]] = {
    "ADD": (),
    "AVERAGE_POOL_2D": (_FUSED,),
    "CONCATENATION": (
        _FUSED,
        ("joins a constant that is not all zeros to one other tensor", _bad_concatenation),
        ("joins rows of more than 8 MiB", lambda o: len(o.output) < 4 and math.prod(o.output) > CACHE_BYTES),
    ),
    "CONV_2D": (_WEIGHTS, _DILATION),
    "DEPTHWISE_CONV_2D": (_WEIGHTS, _DILATION),
    "EXPAND_DIMS": (),
    "FULLY_CONNECTED": (
        _WEIGHTS,
        ("has shuffled weights", lambda o: o.options.get("weightsFormat", 0) != 0),
        ("gives more than one row", lambda o: _leading(o.output) > 1),
    ),
    "L2_NORMALIZATION": (),
    "LOGISTIC": (_LARGE_ROWS,),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (),
    "MAXIMUM": (),
    "MAX_POOL_2D": (_FUSED,),
    "MEAN": (
        _COMPUTED_AXES,
        _REDUCES_BATCH,
        (
            "averages channels whose number is no multiple of 4",
            lambda o: len(o.shape) - 1 in _axes(o) and o.shape[-1] % 4 != 0,
        ),
        (
            "averages 32768 values or more",
            lambda o: math.prod(o.shape[axis] for axis in _axes(o)) >= 1 << 15,
        ),
    ),
    "MINIMUM": (),
    "MUL": (),
    "PACK": (("packs along the batch axis", lambda o: len(o.output) > 3 and o.options.get("axis", 0) == 0),),
    "PAD": (
        _COMPUTED_AXES,
        ("pads the batch axis", lambda o: len(o.shape) > 3 and any(o.integers(1)[: 2 * (len(o.shape) - 3)])),
    ),
    "PRELU": (
        (
            "has an alpha of more than one dimension: give PReLU shared_axes=[1, 2]",
            lambda o: o.constant(1) is None or _leading(o.constant(1).shape) > 1,  # type: ignore[union-attr]
        ),
    ),
    "QUANTIZE": (),
    "REDUCE_MAX": (_COMPUTED_AXES, _REDUCES_BATCH),
    "REDUCE_MIN": (_COMPUTED_AXES, _REDUCES_BATCH),
    "RELU": (),
    "RELU6": (),
    "RELU_N1_TO_1": (),
    "RESHAPE": (_LARGE,),
    "RESIZE_BILINEAR": (_SIZE, _LARGE_IMAGE),
    "RESIZE_NEAREST_NEIGHBOR": (_LARGE_IMAGE,),
    "RSQRT": (),
    "SLICE": (),
    "SOFTMAX": (
        ("gives more than one row", lambda o: _leading(o.output) > 1),
        ("has more than 16000 values", lambda o: math.prod(o.output) > 16_000),
    ),
    "SPACE_TO_DEPTH": (),
    "SPLIT": (
        (
            "splits the batch axis",
            lambda o: bool(o.outputs) and len(o.output) > 3 and 0 in {a % len(o.output) for a in o.integers(0)},
        ),
    ),
    "SPLIT_V": (
        ("splits the batch axis", lambda o: len(o.shape) > 3 and 0 in _axis(o, o.integers(2))),
    ),
    "SQUEEZE": (),
    "STRIDED_SLICE": (
        ("has strides other than 1", lambda o: any(stride != 1 for stride in o.integers(3))),
        (
            "has an ellipsis or a new axis",
            lambda o: bool(o.options.get("ellipsisMask", 0) or o.options.get("newAxisMask", 0)),
        ),
    ),
    "SUB": (),
    "SUM": (_COMPUTED_AXES, _REDUCES_BATCH),
    "SQUARED_DIFFERENCE": (),
    "TANH": (_LARGE_ROWS,),
    "TRANSPOSE": (_COMPUTED_AXES, ("moves the channels", _moves_channels)),
    "TRANSPOSE_CONV": (
        (
            "has weights or a bias that are computed, not constant",
            lambda o: o.constant(1) is None or any(t and t.index not in o.constants for t in o.inputs[3:]),
        ),
    ),
}  # fmt: skip

# The newest versions that compiler 16 knows: with a newer one it does not read the file ("Didn't find op for builtin
# opcode"). google-coral/edgetpu issues 631 (CONV_2D 6) and 845 (TRANSPOSE_CONV 4), libedgetpu issue 71 (EXP 2).
NEWEST = {"CONV_2D": 5, "DEPTHWISE_CONV_2D": 6, "EXP": 1, "FULLY_CONNECTED": 9, "TRANSPOSE_CONV": 3}

# Operators whose output has a size given by an input: at which position.
_SIZED_BY = {"RESHAPE": 1, "RESIZE_BILINEAR": 1, "RESIZE_NEAREST_NEIGHBOR": 1, "TRANSPOSE_CONV": 0, "FILL": 0,
             "BROADCAST_TO": 1, "TILE": 1, "PAD": 1, "PADV2": 1, "SLICE": 2, "STRIDED_SLICE": 2}  # fmt: skip


def judge(content: bytes, info: FileInfo) -> Verdict:
    """Judges a file; see `targets.judge`.

    The verdict adds `partition_end` (the first operator of the CPU tail, None without one), `parameter_bytes` (of the
    mapped operators' constants), `activation_bytes` (the most that one mapped operator reads and writes), `cache_bytes`
    (8 MiB, which parameters and activations share), `cached` (whether both fit), `notes`, and `compiler` (what
    `read_log` finds where `edgetpu_compiler` is on the PATH, whose word then decides; None without it).
    """
    details = read_details(content)
    constants = read_constants(content, range(len(info.tensors)))
    refused: dict[int, str] = {}
    for operator, detail in zip(info.operators, details, strict=True):
        inputs = tuple(info.tensors[i] if i >= 0 else None for i in operator.inputs)
        outputs = tuple(info.tensors[i] for i in operator.outputs)
        reason = _reason(operator.name, _Operator(inputs, outputs, detail.options, constants))
        if reason:
            refused[operator.index] = reason
    why = _unreadable(info, details, constants)
    mapped = set() if why else partition(info, refused)
    broken = next((i for i in sorted(refused) if mapped and i > min(mapped)), None)
    for operator in info.operators:
        if operator.index not in mapped:
            after = "" if broken is None else f", cut off by operator {broken} ({info.operators[broken].name})"
            refused.setdefault(operator.index, why or f"is outside the one partition that is made{after}")
    found = mostly_mapped("edgetpu", info, {i: r for i, r in refused.items() if i not in mapped}, why)
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
        "partition_end": min((i for i in refused if mapped and i not in mapped and i > min(mapped)), default=None),
        "parameter_bytes": held,
        "activation_bytes": activations,
        "cache_bytes": CACHE_BYTES,
        "cached": held + activations <= CACHE_BYTES,
        "notes": notes,
        **more,
    }


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


def _reason(name: str, operator: _Operator) -> str:
    if name == COMPILED:
        return ""
    data = [t for t in operator.inputs if t is not None and t.index not in operator.constants]
    if name == "UNIDIRECTIONAL_SEQUENCE_LSTM":  # its state and its layers' sums are int16
        data = data[:1]
    others = sorted({t.dtype for t in (*data, *operator.outputs) if t.dtype not in _QUANTIZED})
    if others:
        return f"works on {' and '.join(others)}, not int8 or uint8"
    if name not in RULES:
        return "is not one of the Edge TPU's operators"
    broken = next((reason for reason, holds in RULES[name] if holds(operator)), "")
    if broken:
        return broken
    activations = (*data, *operator.outputs)
    if any(not tensor.scale for tensor in activations):
        return "works on bytes that are not quantized"
    wide = next((t for t in activations if math.prod(t.shape[:-3]) > 1), None)
    if wide is not None:
        return f"works on {list(wide.shape)}: only the three innermost axes may be larger than 1"
    if operator.options.get("fusedActivationFunction", 0) not in _ACTIVATIONS:
        return "has a fused activation function that is not RELU, RELU6 or RELU_N1_TO_1"
    return ""


def _unreadable(info: FileInfo, details: Iterable[Any], constants: Mapping[int, np.ndarray]) -> str:
    """A reason for which the compiler gives up on the whole file."""
    for operator, detail in zip(info.operators, details, strict=True):
        if detail.version > NEWEST.get(operator.name, detail.version):
            return (
                f"uses {operator.name} of version {detail.version}; the compiler knows versions up to "
                f"{NEWEST[operator.name]} and does not read the file"
            )
        position = _SIZED_BY.get(operator.name)
        if position is not None and position < len(operator.inputs):
            tensor = operator.inputs[position]
            if tensor >= 0 and tensor not in constants and info.tensors[tensor].dtype in ("int32", "int64"):
                return f"has tensors whose size is unknown before it runs: operator {operator.index} ({operator.name})"
    return ""


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
            done = subprocess.run(
                [program, "-s", "-o", folder, str(source)], capture_output=True, text=True, errors="replace",
                timeout=_SECONDS, check=False,
            )  # fmt: skip
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

import sys

import numpy as np
from PIL import Image, ImageOps

try:
    from ai_edge_litert.interpreter import Interpreter, load_delegate
except ImportError:
    from tflite_runtime.interpreter import Interpreter, load_delegate

LIBRARY = {{"linux": "libedgetpu.so.1", "darwin": "libedgetpu.1.dylib", "win32": "edgetpu.dll"}}[sys.platform]

model, labels, photo = [word for word in sys.argv[1:] if word != "--cpu"]
delegates = [] if "--cpu" in sys.argv else [load_delegate(LIBRARY)]
interpreter = Interpreter(model, experimental_delegates=delegates)
interpreter.allocate_tensors()
taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

# The centred window of the input's shape, {crop:.1%} of the largest, antialiased bilinear, across and then down: as in
# training. A large JPEG is reduced while it is decoded.
_, height, width, _ = (int(side) for side in taken["shape"])
picture = Image.open(photo)
least = int(2 * max(height, width) / {crop}) + 1
picture.draft(None, (least, least))
picture = ImageOps.exif_transpose(picture).convert("RGB")
if picture.size != (width, height):
    across = {crop} * min(picture.width, picture.height * width / height)
    down = across * height / width
    left, top = (picture.width - across) / 2, (picture.height - down) / 2
    bilinear = Image.Resampling.BILINEAR
    picture = picture.resize((width, picture.height), bilinear, (left, 0, left + across, picture.height))
    picture = picture.resize((width, height), bilinear, (0, top, width, top + down))
pixels = np.asarray(picture)[None]
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
    print(f"{{scores[index]:.3f}}  {{names[index]}}")
'''


def _write(kit: Kit, folder: Path) -> list[Path]:
    """The file, labels, a script for the device, and the compiled file where there is a compiler."""
    names = [f"{kit.name}.tflite", "labels.txt", "classify.py", "README.txt"]
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
    write_text(folder / "labels.txt", labels_text(kit.class_names))
    write_text(folder / "classify.py", _CLASSIFY.format(crop=CROP))
    line = "=" * len(f"{kit.name} for Coral's Edge TPU")
    write_text(
        folder / "README.txt",
        _README.format(name=kit.name, compiled=f"{kit.name}_edgetpu.tflite", state=state, line=line),
    )
    return [folder / name for name in names]


TARGET = Target("Coral's Edge TPU", judge, _write, per_tensor_dense=True)
