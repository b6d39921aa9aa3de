"""Microcontrollers, by LiteRT for Microcontrollers (TFLM)."""

from typing import Any

from keras_transfer.errors import InputError
from keras_transfer.exporters.targets.base import Target, Verdict, dynamic, ends, not_built_in, verdict
from keras_transfer.exporters.targets.microcontroller.boards import BOARDS, judge_fit, room_of, suggestion
from keras_transfer.exporters.targets.microcontroller.operators import METHODS
from keras_transfer.extras import install_hint
from keras_transfer.litert import FileInfo, OperatorInfo

__all__ = ["BOARDS", "TARGET"]

_UINT8 = "computes in uint8, the quantization before int8"
_ANY_BYTES = ("DEQUANTIZE", "QUANTIZE", "RESHAPE")  # the operators that TFLM has for uint8, too
_OLD_DENSE = (
    "dense layers have a scale a channel: TFLM of before October 2024, such as Arduino's library, refuses them or "
    "answers wrongly (tflite-micro#2602, #2673); export for this target, or with per_tensor_dense"
)


def _judge(content: bytes, info: FileInfo, fit: str | None = None, board: str | None = None) -> Verdict:
    """Judges a file; adds `arena_bytes` (None where it was not measured), `flash_bytes`, `notes` and, asked for, `fit`.

    Args:
        content: the file.
        info: what it holds.
        fit: the room there is, such as `"flash=1MB,ram=256KB"`.
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
    more: dict[str, Any] = {"arena_bytes": None, "flash_bytes": len(content), "notes": []}
    if not why:
        why = _measure(content, more)
    if _per_channel_dense(info):
        more["notes"].append(_OLD_DENSE)
    if room:
        more["board"] = board
        more["fit"], too_large = judge_fit(room, len(content), more["arena_bytes"])
        if too_large and not why:
            why = f"{too_large}. {suggestion(room).rstrip('.')}"
    return verdict("microcontroller", info, why, refused) | more


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


def _measure(content: bytes, more: dict[str, Any]) -> str:
    """Fills in the arena; returns TFLM's own reason against the file."""
    from keras_transfer.litert.tflm import has_tflm, least_arena

    if not has_tflm():
        hint = install_hint("microcontroller")
        more["notes"].append(f"the tensor arena was not measured: that needs tflite-micro, not installed here. {hint}")
        return ""
    try:
        more["arena_bytes"] = least_arena(content)
    except InputError as error:
        return f"fails: {str(error).rstrip('.')}"
    return ""


def _per_channel_dense(info: FileInfo) -> bool:
    return any(len(info.tensors[o.inputs[1]].scale) > 1 for o in info.operators if o.name == "FULLY_CONNECTED")


def _adapt(content: bytes) -> bytes:
    from keras_transfer.litert.ends import int8_ends, without_metadata

    return without_metadata(int8_ends(content))


TARGET = Target("microcontrollers, by TFLM", _judge, adapt=_adapt, per_tensor_dense=True)
