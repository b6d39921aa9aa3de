"""What the Edge TPU's compiler maps: reasons against each operator, as a table.

The rows are those of "TensorFlow models on the Edge TPU" (https://coral.ai/docs/edgetpu/models-intro, compiler 16).
What that page leaves open ("depending on input/output size", "certain reshapes"), and where the compiler was seen to do
otherwise, rests on files and logs of which the mapping is known; docs/targets.md lists them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_transfer.litert import TensorInfo

CACHE_BYTES = 8 << 20  # SRAM that parameters share with activations (https://coral.ai/docs/edgetpu/compiler)
COMPILED = "edgetpu-custom-op"  # stands for the mapped operators in a compiled file
_QUANTIZED = ("int8", "uint8")


@dataclass(frozen=True)
class Operator:
    """What the rules look at. An optional input that is absent is None."""

    index: int
    name: str
    version: int
    inputs: tuple[TensorInfo | None, ...]
    outputs: tuple[TensorInfo, ...]
    options: dict[str, Any]  # of the schema, whose tables have fields of their own
    constants: Mapping[int, np.ndarray] = field(repr=False)  # by the tensor's index

    def constant(self, position: int) -> np.ndarray | None:
        tensor = self.inputs[position] if position < len(self.inputs) else None
        return None if tensor is None else self.constants.get(tensor.index)

    def integers(self, position: int) -> list[int]:
        """The values of an input that holds axes, sizes or paddings; empty where it is absent or computed."""
        values = self.constant(position)
        return [] if values is None else [int(v) for v in values.reshape(-1)]

    def axes(self, position: int) -> set[int]:
        """Axes in an input, counted from the front of the output's or, for a reduction, the first input's shape."""
        rank = max(1, len(self.shape), len(self.output))
        return {axis % rank for axis in self.integers(position)}

    @property
    def fused(self) -> int:
        return int(self.options.get("fusedActivationFunction", 0))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.inputs[0].shape if self.inputs and self.inputs[0] is not None else ()

    @property
    def output(self) -> tuple[int, ...]:
        return self.outputs[0].shape if self.outputs else ()


Rule = tuple[str, Callable[[Operator], bool]]
"""A reason, and whether it holds against an operator."""


def _upscaling(o: Operator) -> float:
    if len(o.shape) != 4 or len(o.output) != 4 or 0 in o.shape:
        return 1.0
    return (o.output[1] * o.output[2]) / (o.shape[1] * o.shape[2])


def _bad_concatenation(o: Operator) -> bool:
    constants = [t for t in o.inputs if t is not None and t.index in o.constants]
    zero = all(np.all(o.constants[t.index] == (t.zero_point[0] if t.zero_point else 0)) for t in constants)
    return bool(constants) and (len(o.inputs) != 2 or not zero)


def _computed(positions: slice) -> Rule:
    return (
        "has weights or a bias that are computed, not constant",
        lambda o: any(t is not None and t.index not in o.constants for t in o.inputs[positions]),
    )


_NONE, _RELU, _RELU_N1_TO_1, _RELU6, _TANH = range(5)  # `ActivationFunctionType` of LiteRT's schema
_UNFUSED: Rule = ("has a fused activation function", lambda o: o.fused != _NONE)
_CLIPPED: Rule = (
    "has a fused activation function that is not RELU, RELU6 or RELU_N1_TO_1",
    lambda o: o.fused not in (_NONE, _RELU, _RELU_N1_TO_1, _RELU6),
)
_WEIGHTS = _computed(slice(1, 3))
_DILATION: Rule = (
    "has different dilation in x and y",
    lambda o: o.options.get("dilationWFactor", 1) != o.options.get("dilationHFactor", 1),
)
_COMPUTED_AXES: Rule = ("has axes or sizes that are computed, not constant", lambda o: not o.integers(1))
_REDUCES_BATCH: Rule = ("reduces the batch axis", lambda o: len(o.shape) > 3 and 0 in o.axes(1))
_LARGE_MAP: Rule = ("gives more than 4 MiB", lambda o: math.prod(o.output) > 4 << 20)
_LARGE_ROWS: Rule = (  # maps are computed in stripes, rows are not
    "reads and writes rows of more than 8 MiB together",
    lambda o: len(o.output) < 4 and 2 * math.prod(o.output) > CACHE_BYTES,
)

RULES: dict[str, tuple[Rule, ...]] = {
    "ADD": (_CLIPPED,),
    "AVERAGE_POOL_2D": (_UNFUSED,),
    "CONCATENATION": (
        _UNFUSED,
        ("joins a constant that is not all zeros to one other tensor", _bad_concatenation),
        ("joins rows of more than 8 MiB", lambda o: len(o.output) < 4 and math.prod(o.output) > CACHE_BYTES),
    ),
    "CONV_2D": (_WEIGHTS, _DILATION, _CLIPPED),
    "DEPTHWISE_CONV_2D": (_WEIGHTS, _DILATION, _CLIPPED),
    "EXPAND_DIMS": (),
    "FULLY_CONNECTED": (
        _WEIGHTS,
        ("has shuffled weights", lambda o: o.options.get("weightsFormat", 0) != 0),
        ("gives more than one row", lambda o: math.prod(o.output[:-1]) > 1),
        _CLIPPED,
    ),
    "L2_NORMALIZATION": (_CLIPPED,),
    "LOGISTIC": (_LARGE_ROWS,),
    "MAXIMUM": (),
    "MAX_POOL_2D": (_UNFUSED,),
    "MEAN": (
        _COMPUTED_AXES,
        _REDUCES_BATCH,
        (
            "averages channels whose number is no multiple of 4",
            lambda o: len(o.shape) - 1 in o.axes(1) and o.shape[-1] % 4 != 0,
        ),
        (
            "averages 32768 values or more",
            lambda o: math.prod(o.shape[axis] for axis in o.axes(1)) >= 1 << 15,
        ),
    ),
    "MINIMUM": (),
    "MUL": (_CLIPPED,),
    "PACK": (("packs along the batch axis", lambda o: len(o.output) > 3 and o.options.get("axis", 0) == 0),),
    "PAD": (
        _COMPUTED_AXES,
        ("pads the batch axis", lambda o: len(o.shape) > 3 and any(o.integers(1)[: 2 * (len(o.shape) - 3)])),
    ),
    "PRELU": (
        (
            "has an alpha of more than one dimension: give PReLU shared_axes=[1, 2]",
            lambda o: (alpha := o.constant(1)) is None or math.prod(alpha.shape[:-1]) > 1,
        ),
    ),
    "QUANTIZE": (),
    "REDUCE_MAX": (_COMPUTED_AXES, _REDUCES_BATCH),
    "REDUCE_MIN": (_COMPUTED_AXES, _REDUCES_BATCH),
    "RELU": (),
    "RELU6": (),
    "RELU_N1_TO_1": (),
    "RESHAPE": (
        (  # where the innermost axis stays, nothing moves
            "moves more than 8 MiB",
            lambda o: o.shape[-1:] != o.output[-1:] and math.prod(o.output) > CACHE_BYTES,
        ),
    ),
    "RESIZE_BILINEAR": (
        ("enlarges more than 256-fold, which its 8-bit weights cannot interpolate", lambda o: _upscaling(o) > 256),
        _LARGE_MAP,
    ),
    "RESIZE_NEAREST_NEIGHBOR": (_LARGE_MAP,),
    "RSQRT": (),
    "SLICE": (),
    "SOFTMAX": (("has rows of more than 16000 values", lambda o: math.prod(o.output[-1:]) > 16_000),),
    "SPACE_TO_DEPTH": (),
    "SPLIT": (("splits the batch axis", lambda o: len(o.output) > 3 and 0 in o.axes(0)),),
    "SPLIT_V": (("splits the batch axis", lambda o: len(o.shape) > 3 and 0 in o.axes(2)),),
    "SQUARED_DIFFERENCE": (),
    "SQUEEZE": (),
    "STRIDED_SLICE": (
        ("has strides other than 1", lambda o: any(stride != 1 for stride in o.integers(3))),
        (
            "has an ellipsis or a new axis",
            lambda o: bool(o.options.get("ellipsisMask", 0) or o.options.get("newAxisMask", 0)),
        ),
    ),
    "SUB": (_CLIPPED,),
    "SUM": (_COMPUTED_AXES, _REDUCES_BATCH),
    "TANH": (_LARGE_ROWS,),
    "TILE": (  # not on the page: seen to map in google-coral/test_data
        _COMPUTED_AXES,
        ("repeats the batch axis", lambda o: len(o.shape) > 3 and any(n != 1 for n in o.integers(1)[:-3])),
    ),
    "TRANSPOSE": (_COMPUTED_AXES, ("moves more than 128 KiB", lambda o: math.prod(o.output) > 1 << 17)),
    "TRANSPOSE_CONV": (_computed(slice(1, 4, 2)), _CLIPPED),  # between the two stands the data
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (
        _computed(slice(1, 18)),
        ("has a cell activation that is not TANH", lambda o: o.fused != _TANH),
    ),
}  # fmt: skip

_STATES = {"UNIDIRECTIONAL_SEQUENCE_LSTM": (18, 19)}  # inputs that are the operator's own memory, partly int16


def reason(o: Operator) -> str:
    """Why the compiler leaves an operator to the CPU; empty where it maps it."""
    if o.name == COMPILED:
        return ""
    states = _STATES.get(o.name, ())
    data = [t for i, t in enumerate(o.inputs) if t and t.index not in o.constants and i not in states]
    activations = (*data, *o.outputs)
    others = sorted({t.dtype for t in activations if t.dtype not in _QUANTIZED})
    if others:
        return f"works on {' and '.join(others)}, not int8 or uint8"
    if o.name not in RULES:
        return "is not one of the Edge TPU's operators"
    broken = next((why for why, holds in RULES[o.name] if holds(o)), "")
    if broken:
        return broken
    if any(not tensor.scale for tensor in activations):
        return "works on bytes that are not quantized"
    wide = next((t for t in activations if math.prod(t.shape[:-3]) > 1), None)
    return "" if wide is None else f"works on {list(wide.shape)}: only the three innermost axes may be larger than 1"


# The newest versions that compiler 16 knows: with a newer one it does not read the file ("Didn't find op for builtin
# opcode"). google-coral/edgetpu issues 631 (CONV_2D 6) and 845 (TRANSPOSE_CONV 4), libedgetpu issue 71 (EXP 2).
NEWEST = {"CONV_2D": 5, "DEPTHWISE_CONV_2D": 6, "EXP": 1, "FULLY_CONNECTED": 9, "TRANSPOSE_CONV": 3}

# Operators whose output has a size given by an input: at which position.
_SIZED_BY = {"RESHAPE": 1, "RESIZE_BILINEAR": 1, "RESIZE_NEAREST_NEIGHBOR": 1, "TRANSPOSE_CONV": 0, "FILL": 0,
             "BROADCAST_TO": 1, "TILE": 1, "PAD": 1, "PADV2": 1, "SLICE": 2, "STRIDED_SLICE": 2}  # fmt: skip


def _sized_at_run_time(o: Operator) -> bool:
    position = _SIZED_BY.get(o.name, len(o.inputs))
    size = o.inputs[position] if position < len(o.inputs) else None
    return size is not None and size.index not in o.constants and size.dtype in ("int32", "int64")


def fatal(o: Operator) -> str:
    """Why the compiler gives up on the whole file at an operator; empty where it goes on."""
    if o.version > NEWEST.get(o.name, o.version):
        return (
            f"uses {o.name} of version {o.version}; the compiler knows versions up to {NEWEST[o.name]} and does not "
            "read the file"
        )
    if _sized_at_run_time(o):
        return f"has tensors whose size is unknown before it runs: operator {o.index} ({o.name})"
    if o.name == "UNIDIRECTIONAL_SEQUENCE_LSTM" and o.shape[-1:] > (1000,):
        return f"has an LSTM on {o.shape[-1]} values a step: the compiler fails on more than about 1000"
    return ""
