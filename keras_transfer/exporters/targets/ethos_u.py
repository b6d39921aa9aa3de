"""Arm's Ethos-U NPUs beside Cortex-M and Cortex-A: compiled and estimated by Vela, Arm's compiler.

Vela (https://pypi.org/project/ethos-u-vela) runs as a program, found beside this Python or on the PATH: the extra
`ethos-u` brings it, and any other environment will do as well.
"""

import csv
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from typing_extensions import TypedDict  # that of `schemas`, with which it is combined

from keras_transfer.errors import InputError
from keras_transfer.exporters.targets.base import Kit, Target, mostly_mapped
from keras_transfer.extras import install_hint
from keras_transfer.files import write_bytes, write_json, write_text
from keras_transfer.litert import FileInfo, read_flatbuffer
from keras_transfer.litert.labels import labels_text
from keras_transfer.process import run_process
from keras_transfer.progress import track
from keras_transfer.schemas import TargetVerdict

ACCELERATORS = ("U55-32", "U55-64", "U55-128", "U55-256", "U65-256", "U65-512")
DEFAULT = "U55-128"
_SECONDS = 600.0
_NPU = "ethos-u"  # stands for the mapped operators in a compiled file
_REASON = re.compile(r"^Warning \(supported operators\) operator: .*, ofm: '(.*)'\nReason: (.*)$", re.MULTILINE)
_SHARES = re.compile(r"^(CPU|NPU) operators = (\d+) ", re.MULTILINE)


class Estimate(TypedDict):
    """What Vela estimates for an accelerator, by its own system configuration and memory mode.

    `npu_share`, 0..1, is of the operators that Vela makes of the file's; `inference_ms` is at `clock_hz`. All are None
    where the file does not compile.
    """

    accelerator: str
    npu_share: float | None
    sram_bytes: int | None
    dram_bytes: int | None
    flash_bytes: int | None
    macs: int | None
    cycles: int | None
    inference_ms: float | None
    clock_hz: int | None
    system_config: str | None
    memory_mode: str | None


class EthosUVerdict(TargetVerdict, Estimate):
    """A verdict with Vela's estimate."""


def judge(content: bytes, info: FileInfo, accelerator: str = DEFAULT) -> EthosUVerdict:
    """Judges a file by compiling it with Vela; see `targets.judge`.

    Args:
        content: a LiteRT file.
        info: what it holds.
        accelerator: one of `ACCELERATORS`: the NPU and its multiply-accumulates a cycle.

    Raises:
        InputError: there is no such accelerator, or no Vela.
    """
    return _judged(content, info, accelerator)[0]


def vela() -> str:
    """The path of the program.

    Raises:
        InputError: it is neither on the PATH nor beside this Python.
    """
    program = shutil.which("vela") or shutil.which("vela", path=str(Path(sys.executable).parent))
    if program is None:
        raise InputError(
            "Ethos-U files need Arm's compiler, and there is no `vela` on the PATH or beside this Python. "
            f"{install_hint('ethos-u')}"
        )
    return program


def _judged(content: bytes, info: FileInfo, accelerator: str) -> tuple[EthosUVerdict, bytes]:
    """The verdict and the compiled file."""
    if accelerator not in ACCELERATORS:
        raise InputError(f"`accelerator` must be one of {', '.join(ACCELERATORS)}. Received: {accelerator!r}.")
    printed, summary, compiled = _run(vela(), content, accelerator)
    left = {} if summary else {operator.index: "was not compiled" for operator in info.operators}
    if summary:
        left = _left_to_cpu(info, read_flatbuffer(compiled), printed)
    judged = mostly_mapped("ethos-u", info, left, "" if summary else f"is not compiled by Vela: {printed}")
    counts = {kind: int(count) for kind, count in _SHARES.findall(printed)}
    total = sum(counts.values())
    estimate: Estimate = {
        "accelerator": accelerator,
        "npu_share": counts.get("NPU", 0) / total if summary and total else None,
        "sram_bytes": _bytes(summary, "sram_memory_used"),
        "dram_bytes": _bytes(summary, "dram_memory_used"),
        "flash_bytes": _bytes(summary, "on_chip_flash_memory_used", "off_chip_flash_memory_used"),
        "macs": int(float(summary["nn_macs"])) if summary else None,
        "cycles": int(float(summary["cycles_total"])) if summary else None,
        "inference_ms": round(1000 * float(summary["inference_time"]), 4) if summary else None,
        "clock_hz": int(float(summary["core_clock"])) if summary else None,
        "system_config": summary.get("system_config"),
        "memory_mode": summary.get("memory_mode"),
    }
    return {**judged, **estimate}, compiled


@lru_cache(maxsize=8)  # judging a file and writing its folder ask for the same
def _run(program: str, content: bytes, accelerator: str) -> tuple[str, dict[str, str], bytes]:
    """What Vela prints, its summary and its file; where it fails, the last line that it prints and nothing."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "model.tflite")
        source.write_bytes(content)
        command = [program, str(source), "--output-dir", folder, "--accelerator-config", f"ethos-{accelerator.lower()}"]
        try:
            done = run_process(command, timeout=_SECONDS, text=True, errors="replace", cwd=folder)
        except subprocess.TimeoutExpired:
            return f"it did not end within {_SECONDS:.0f} s", {}, b""
        except OSError as error:
            raise InputError(f"Cannot run {program} ({error.strerror or error}). Reinstall ethos-u-vela.") from error
        tables = sorted(Path(folder).glob("*_summary_*.csv"))
        compiled = Path(folder, "model_vela.tflite")
        if done.returncode != 0 or not tables or not compiled.is_file():
            return _failure(done), {}, b""
        with tables[0].open(newline="") as file:
            rows = list(csv.DictReader(file))
        return done.stdout, rows[0], compiled.read_bytes()


def _failure(done: subprocess.CompletedProcess[str]) -> str:
    """The end of what Vela printed; of a Python error in it, the error."""
    if done.returncode < 0:
        return f"it crashed (signal {-done.returncode})"
    lines = [line.strip() for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
    if not lines:
        return "it failed"
    return f"it failed with {lines[-1]}" if "Traceback (most recent call last):" in lines else lines[-1]


def _left_to_cpu(info: FileInfo, compiled: FileInfo, printed: str) -> dict[int, str]:
    """Index -> reason of the file's operators that are left in the compiled file, where their outputs keep their names.

    Vela's own list of them (`--show-cpu-operations`) fails where it makes several operators of one (KeyError, 5.2).
    """
    reasons = {name: reason.split(" (")[0] for name, reason in _REASON.findall(printed)}  # ( begins tensors' names
    named = {compiled.tensors[i].name for o in compiled.operators if o.name != _NPU for i in o.outputs}
    left: dict[int, str] = {}
    for operator in info.operators:
        for name in (info.tensors[i].name for i in operator.outputs):
            if name in named:
                left[operator.index] = f"is left to the CPU by Vela ({reasons.get(name, 'no reason given')})"
    return left


def _bytes(summary: dict[str, str], *columns: str) -> int | None:
    return round(1024 * sum(float(summary[column]) for column in columns)) if summary else None  # Vela counts in KiB


_README = """\
{name} for Arm Ethos-U
{line}
{name}_vela.tflite is compiled for {accelerator}: link it into an application with TFLM's Ethos-U kernel, or the driver
stack of your board. configurations.csv compares what Vela estimates for each NPU. For another one:

    vela {name}.tflite --accelerator-config ethos-u65-256

The estimates assume Vela's own system configuration, {system}, and memory mode, {memory}; your chip's are in its
vela.ini (--config, --system-config, --memory-mode).
"""

_COLUMNS = tuple(column for column in Estimate.__annotations__ if column != "macs")


def _write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the compiled file for the default NPU, and a table over all of them."""
    info = read_flatbuffer(kit.content)
    judged, compiled = _judged(kit.content, info, DEFAULT)
    rows = [
        _judged(kit.content, info, accelerator)[0]
        for accelerator in track(ACCELERATORS, "Compiling for Ethos-U", total=len(ACCELERATORS))
    ]
    lines = [",".join(_COLUMNS)]
    for row in rows:
        figures: Mapping[str, object] = row
        lines.append(",".join("" if figures[column] is None else str(figures[column]) for column in _COLUMNS))
    write_bytes(folder / f"{kit.name}.tflite", kit.content)
    write_bytes(folder / f"{kit.name}_vela.tflite", compiled)
    write_text(folder / "labels.txt", labels_text(kit.class_names))
    write_text(folder / "configurations.csv", "\n".join(lines) + "\n")
    write_json(folder / "configurations.json", rows)
    write_text(
        folder / "README.txt",
        _README.format(
            name=kit.name, line="=" * len(f"{kit.name} for Arm Ethos-U"), accelerator=judged["accelerator"],
            system=judged["system_config"], memory=judged["memory_mode"],
        ),
    )  # fmt: skip
    names = [f"{kit.name}.tflite", f"{kit.name}_vela.tflite", "labels.txt", "configurations.csv", "configurations.json"]
    return [folder / name for name in (*names, "README.txt")]


TARGET = Target("Arm Ethos-U NPUs, by Vela", judge, _write, require=vela)
