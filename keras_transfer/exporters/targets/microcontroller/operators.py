"""The operators of LiteRT for Microcontrollers, and the resolver's methods that add them.

From `tensorflow/lite/micro/micro_mutable_op_resolver.h` of github.com/tensorflow/tflite-micro, commit 8f6596d (October
2026). Methods are named after the operators, but for a few.
"""

from collections.abc import Iterable

_NAMES = """
ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS
BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV
DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER
GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND
LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD
PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR
REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE
SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM
UNPACK VAR_HANDLE WHILE ZEROS_LIKE
"""
_UNLIKE = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}


def _method(name: str) -> str:
    """`CONV_2D` is added by `AddConv2D`."""
    parts = ("2D" if part == "2D" else part.capitalize() for part in name.split("_"))
    return "Add" + _UNLIKE.get(name, "".join(parts))


METHODS = {name: _method(name) for name in _NAMES.split()}


def methods(operators: Iterable[str]) -> list[str]:
    """The methods of `MicroMutableOpResolver` that add some operators, each once, in alphabetical order.

    >>> methods(["CONV_2D", "ADD", "CONV_2D"])
    ['AddAdd', 'AddConv2D']
    """
    return sorted({METHODS[name] for name in operators})
