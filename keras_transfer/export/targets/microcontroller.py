"""Microcontrollers, by LiteRT for Microcontrollers (TFLM)."""

from keras_transfer.export.targets.base import Target, Verdict, custom_operators, dynamic, ends, not_built_in, verdict
from keras_transfer.litert import FileInfo


def _judge(content: bytes, info: FileInfo) -> Verdict:
    refused = custom_operators(info)
    for operator in info.operators:
        if any(info.tensors[i].dtype.startswith("float") for i in operator.outputs):
            refused.setdefault(operator.index, "computes in float")
    why = ""
    if ends(info) != {"int8"}:
        why = f"takes or gives {', '.join(sorted(ends(info) - {'int8'}))}, not int8"
    elif "computes in float" in refused.values():
        why = f"computes {sum(reason == 'computes in float' for reason in refused.values())} operators in float"
    return verdict("microcontroller", info, why or not_built_in(info) or dynamic(info), refused)


TARGET = Target("microcontrollers, by TFLM", _judge)
