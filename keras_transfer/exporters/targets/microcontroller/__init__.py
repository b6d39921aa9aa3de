"""Microcontrollers, by LiteRT for Microcontrollers (TFLM)."""

from typing_extensions import TypedDict  # that of `schemas`, with which it is combined

from keras_transfer.budget import Budget
from keras_transfer.errors import InputError
from keras_transfer.exporters.targets.base import Target, dynamic, ends, not_built_in, verdict
from keras_transfer.exporters.targets.fit import Fit, judge_fit, needs_of
from keras_transfer.exporters.targets.microcontroller.boards import BOARDS, room_of, suggestion
from keras_transfer.exporters.targets.microcontroller.operators import METHODS
from keras_transfer.extras import install_hint
from keras_transfer.litert import FileInfo, OperatorInfo
from keras_transfer.schemas import TargetVerdict

__all__ = ["BOARDS", "TARGET", "MicrocontrollerVerdict"]

_UINT8 = "computes in uint8, the quantization before int8"
_ANY_BYTES = ("DEQUANTIZE", "QUANTIZE", "RESHAPE")  # the operators that TFLM has for uint8, too
_OLD_DENSE = (
    "dense layers have one scale per channel: TFLM from before October 2024, such as Arduino's library, refuses them "
    "or answers wrongly (tflite-micro#2602, #2673); export for this target, or with per_tensor_dense"
)


class _BoardFit(TypedDict, total=False):
    """Whether a file fits, where a board or its memory was named."""

    board: str | None
    fit: Fit


class MicrocontrollerVerdict(TargetVerdict, _BoardFit):
    """A verdict with what a board must have; `arena_bytes` is None where it was not measured."""

    arena_bytes: int | None
    flash_bytes: int


def _judge(content: bytes, info: FileInfo, fit: str | None = None, board: str | None = None) -> MicrocontrollerVerdict:
    """Judges a file.

    Args:
        content: the file.
        info: what it holds.
        fit: the budget, such as `"flash=1MB,ram=256KB"`, see `parse_budget`.
        board: a name of `BOARDS`, in place of `fit` or with it.
    """
    room = room_of(fit, board)
    refused = {}
    for operator in info.operators:
        if operator.custom:
            refused[operator.index] = "is not built into LiteRT"
        elif operator.name not in METHODS:
            refused[operator.index] = "is not in TFLM"
        elif operator.name not in _ANY_BYTES and any(info.tensors[i].dtype == "uint8" for i in _tensors(operator)):
            refused[operator.index] = _UINT8
        elif any(info.tensors[i].dtype.startswith("float") for i in operator.outputs):
            refused[operator.index] = "computes in float"
    why = _against(info, refused)
    arena: int | None = None
    notes: list[str] = []
    if not why:
        arena, why, note = _measure(content)
        notes += [note] if note else []
    if _per_channel_dense(info):
        notes.append(_OLD_DENSE)
    board_fit: _BoardFit = {}
    if room != Budget():
        needs = needs_of(content, info, {"target": "microcontroller", "arena_bytes": arena})
        fits, too_large = judge_fit(room, needs)
        board_fit = {"board": board, "fit": fits}
        if too_large and not why:
            measured = len(info.tensors[info.inputs[0]].shape) == 4  # the table is of networks on pictures
            why = f"{too_large}. {suggestion(room).rstrip('.')}" if measured else too_large
    judged = verdict("microcontroller", info, why, refused)
    return {**judged, "arena_bytes": arena, "flash_bytes": len(content), "notes": notes, **board_fit}


def _against(info: FileInfo, refused: dict[int, str]) -> str:
    if info.subgraphs > 1:
        return f"has {info.subgraphs} graphs, of which a classifier needs one"
    older = sum(reason == _UINT8 for reason in refused.values())
    if older:
        return f"computes {older} operators in uint8, for which TFLM has no kernels any more: convert the model to int8"
    if ends(info) != {"int8"}:
        return f"takes or gives {', '.join(sorted(ends(info) - {'int8'}))}, not int8"
    floats = sum(reason == "computes in float" for reason in refused.values())
    if floats:
        return f"computes {floats} operators in float"
    unknown = sorted({info.operators[index].name for index, reason in refused.items() if reason == "is not in TFLM"})
    if unknown:
        return f"uses operators that TFLM lacks: {', '.join(unknown)}"
    return not_built_in(info) or dynamic(info)


def _tensors(operator: OperatorInfo) -> list[int]:
    return [i for i in (*operator.inputs, *operator.outputs) if i >= 0]


def _measure(content: bytes) -> tuple[int | None, str, str]:
    """The arena in bytes, TFLM's own reason against the file, and a note where nothing was measured."""
    from keras_transfer.litert.tflm import has_tflm, least_arena

    if not has_tflm():
        hint = install_hint("microcontroller")
        return None, "", f"the tensor arena was not measured: that needs tflite-micro, not installed here. {hint}"
    try:
        return least_arena(content), "", ""
    except InputError as error:
        return None, f"fails: {str(error).rstrip('.')}", ""


def _per_channel_dense(info: FileInfo) -> bool:
    return any(len(info.tensors[o.inputs[1]].scale) > 1 for o in info.operators if o.name == "FULLY_CONNECTED")


def _adapt(content: bytes) -> bytes:
    from keras_transfer.litert.io_types import int8_io, without_metadata

    return without_metadata(int8_io(content))


TARGET = Target("microcontrollers, by TFLM", _judge, adapt=_adapt, per_tensor_dense=True)
