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
from typing import TypedDict

from keras_transfer.errors import InputError
from keras_transfer.exporters.targets.base import Target, mostly_mapped
from keras_transfer.exporters.targets.edgetpu_rules import CACHE_BYTES, COMPILED, Operator, fatal, reason
from keras_transfer.litert import FileInfo
from keras_transfer.litert.details import read_constants, read_details
from keras_transfer.process import run_process
from keras_transfer.schemas import TargetVerdict

COMPILER = "edgetpu_compiler"
_SECONDS = 600.0


class CompilerRow(TypedDict):
    """A line of the compiler's table: `count` operators of a kind, and what becomes of them."""

    op: str
    count: int
    status: str


class CompilerLog(TypedDict):
    """What `edgetpu_compiler -s` prints: see `read_log`."""

    version: str | None
    mapped: int | None
    operators: int | None
    rows: list[CompilerRow]
    on_chip_bytes: int | None
    on_chip_left_bytes: int | None
    off_chip_bytes: int | None
    subgraphs: int | None
    error: str


class Compiled(CompilerLog):
    """What `compile_file` returns: the log, as read and as text, and the compiled file, empty where it failed."""

    log: str
    file: bytes


class EdgeTpuVerdict(TargetVerdict):
    """A verdict with the Edge TPU's own figures.

    `partition_end` is the first operator of the CPU tail, None without one; `parameter_bytes` are of the mapped
    operators' constants, `activation_bytes` the most that one mapped operator reads and writes, `cache_bytes` (8 MiB)
    what both share, and `cached` says whether both fit. `compiler` is what `read_log` reads where `edgetpu_compiler` is
    on the PATH, whose word then decides; None without it.
    """

    partition_end: int | None
    parameter_bytes: int
    activation_bytes: int
    cache_bytes: int
    cached: bool
    compiler: CompilerLog | None


def judge(content: bytes, info: FileInfo) -> EdgeTpuVerdict:
    """Judges a file; see `targets.judge`."""
    operators = _operators(content, info)
    refused = {operator.index: why for operator in operators if (why := reason(operator))}
    why = next(filter(None, map(fatal, operators)), "")
    mapped = set() if why else partition(info, refused)
    left = {i: refused.get(i, why) for i in range(len(operators))} if why else refused | _cut_off(info, refused, mapped)
    judged = mostly_mapped("edgetpu", info, left, why)
    parameters = {i for o in info.operators if o.index in mapped for i in o.inputs if i >= 0 and info.tensors[i].bytes}
    activations = max((_moved(info, o.index) for o in info.operators if o.index in mapped), default=0)
    held = sum(info.tensors[i].bytes for i in parameters)
    notes = _notes(info, mapped, held, activations)
    log: CompilerLog | None = None
    if any(operator.name == COMPILED for operator in info.operators):
        judged["ok"], judged["why"] = True, ""
        notes = [f"It is compiled already: {COMPILED} holds the mapped operators, the others run on the CPU."]
    elif not why and shutil.which(COMPILER):
        log = read_log(compile_file(content, "model")["log"])
        _decide(judged, log)
    return {
        **judged,
        "partition_end": min((i for i in left if mapped and i > min(mapped)), default=None),
        "parameter_bytes": held,
        "activation_bytes": activations,
        "cache_bytes": CACHE_BYTES,
        "cached": held + activations <= CACHE_BYTES,
        "notes": notes,
        "compiler": log,
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


def _decide(judged: TargetVerdict, log: CompilerLog) -> None:
    """The compiler's own word decides."""
    mapped, operators = log["mapped"], log["operators"]
    if mapped is None or operators is None:
        judged["ok"], judged["why"] = False, f"is refused by the compiler: {log['error']}"
        return
    judged["ok"] = 2 * mapped >= operators
    if mapped != judged["mapped"]:
        why = f"the compiler maps {mapped} of {operators} operators, its rules say {judged['mapped']}"
        judged["why"] = "; ".join(filter(None, (why, judged["why"])))


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
        notes.append("The batch size is left open; the compiler assumes 1.")
    return notes


def compile_file(content: bytes, name: str = "model") -> Compiled:
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
def _compile(program: str, content: bytes, name: str) -> Compiled:
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


def read_log(log: str) -> CompilerLog:
    """Reads what `edgetpu_compiler -s` prints.

    Returns:
        `version`, `mapped` and `operators` (counts, None where the log has no table), `rows` (one `{"op", "count",
        "status"}` a line of the table), `on_chip_bytes`, `on_chip_left_bytes` and `off_chip_bytes` (of parameters; None
        where the log lacks them), `subgraphs`, and `error` (the compiler's own words; empty where it compiled).

    >>> log = read_log('''Edge TPU Compiler version 16.0.384591198
    ... On-chip memory used for caching model parameters: 3.21MiB
    ...
    ... Operator                       Count      Status
    ...
    ... CONV_2D                        35         Mapped to Edge TPU
    ... HARD_SWISH                     1          Operation not supported
    ... ''')
    >>> log["mapped"], log["operators"], log["on_chip_bytes"]
    (35, 36, 3365929)
    """
    rows = [
        CompilerRow(op=op, count=int(count), status=status.strip())
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
    match = re.search(re.escape(what) + r": ([\d.]+)(B|KiB|MiB|GiB)", log)
    if match is None:
        return None
    return round(float(match.group(1)) * 1024.0 ** ["B", "KiB", "MiB", "GiB"].index(match.group(2)))


TARGET = Target("Coral's Edge TPU", judge, per_tensor_dense=True)
