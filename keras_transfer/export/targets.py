"""What each target asks of a file: one row a target."""

from collections.abc import Callable
from typing import Any

from keras_transfer.errors import InputError
from keras_transfer.litert import FileInfo, read_flatbuffer


def _static(info: FileInfo) -> str:
    dynamic = any(tensor.dynamic for tensor in info.tensors)
    return "has tensors whose size is unknown before it runs" if dynamic else ""


def _builtin(info: FileInfo) -> str:
    custom = sorted({operator.name for operator in info.operators if operator.custom})
    return f"uses operators that are not built in: {', '.join(custom)}" if custom else ""


def _android(info: FileInfo) -> str:
    return _builtin(info) or _static(info)


def _microcontroller(info: FileInfo) -> str:
    ends = {info.tensors[i].dtype for i in (*info.inputs, *info.outputs)}
    if ends != {"int8"}:
        return f"takes or gives {', '.join(sorted(ends - {'int8'}))}, not int8"
    floats = sum(info.tensors[i].dtype.startswith("float") for operator in info.operators for i in operator.outputs)
    return _builtin(info) or _static(info) or (f"computes {floats} tensors in float" if floats else "")


def _web(info: FileInfo) -> str:
    ends = {info.tensors[i].dtype for i in (*info.inputs, *info.outputs)}
    return _builtin(info) or _static(info) or ("takes or gives int8, which LiteRT.js refuses" if "int8" in ends else "")


TARGETS: dict[str, Callable[[FileInfo], str]] = {
    "android": _android,
    "microcontroller": _microcontroller,
    "web": _web,
}


def check_targets(targets: Any) -> None:
    """Raises `InputError` on a target that is not in the table."""
    for target in targets:
        if target not in TARGETS:
            raise InputError(f"`targets` must be out of {', '.join(TARGETS)}. Received: {target!r}.")


def judge(content: bytes, target: str) -> dict[str, Any]:
    """Says whether a target takes a file.

    Args:
        content: a LiteRT file.
        target: a name of `TARGETS`.

    Returns:
        `{"ok": bool, "why": str}`; `why` is empty where it is fine.
    """
    check_targets([target])
    why = TARGETS[target](read_flatbuffer(content))
    return {"ok": not why, "why": why}
