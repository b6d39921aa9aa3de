"""What `read_flatbuffer` leaves out of a LiteRT file: the operators' versions and options, and constants' values."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array
from keras_transfer.litert.flatbuffer import read_flatbuffer

_NUMPY = {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool"}


@dataclass(frozen=True)
class OperatorDetails:
    """Beside what `OperatorInfo` holds.

    Attributes:
        version: of the operator's kernel; 1 or more.
        options: the builtin options by the schema's field names (`strideW`, `dilationHFactor`, `axis`, ...): integers,
            booleans, floats, and arrays for lists; empty where it has none.
    """

    version: int
    options: dict[str, Any]  # each of the schema's option tables has fields of its own


def read_details(content: bytes) -> tuple[OperatorDetails, ...]:
    """Reads the version and options of each operator of the main graph, in order.

    Args:
        content: a whole LiteRT file.

    Raises:
        InputError: it is not a valid LiteRT file.
    """
    info = read_flatbuffer(content)
    try:
        model = schema.Model.GetRootAs(content, 0)
        graph = model.Subgraphs(0)
        return tuple(_details(model, graph.Operators(i)) for i in range(len(info.operators)))
    except (ValueError, LookupError, TypeError, OverflowError, AttributeError, struct.error, MemoryError) as error:
        raise InputError(f"The LiteRT file is damaged: an operator's options ({error}). Make it again.") from error


def _details(model: schema.Model, operator: schema.Operator) -> OperatorDetails:
    table = operator.BuiltinOptions()
    options = schema.BuiltinOptionsCreator(operator.BuiltinOptionsType(), table) if table is not None else None
    return OperatorDetails(
        model.OperatorCodes(operator.OpcodeIndex()).Version(), dict(vars(options)) if options else {}
    )


def read_constants(content: bytes, tensors: Iterable[int]) -> dict[int, Array]:
    """Reads the values of constant tensors of the main graph.

    Args:
        content: a whole LiteRT file.
        tensors: indices; those that hold no constant of whole bytes are left out.

    Returns:
        Index -> array of the tensor's own type and shape, a view of `content`.

    Raises:
        InputError: it is not a valid LiteRT file.
    """
    info = read_flatbuffer(content)
    constants = {}
    try:
        model = schema.Model.GetRootAs(content, 0)
        graph = model.Subgraphs(0)
        for index in tensors:
            tensor = info.tensors[index]
            if tensor.bytes and tensor.dtype in _NUMPY and graph.Tensors(index).Sparsity() is None:
                buffer = model.Buffers(graph.Tensors(index).Buffer())
                start = buffer.Offset()  # of large files, which keep their constants behind the flatbuffer
                inside = np.frombuffer(content, np.uint8, buffer.Size(), start) if start > 1 else buffer.DataAsNumpy()
                constants[index] = inside.view(tensor.dtype).reshape(tensor.shape)
    except (ValueError, LookupError, TypeError, OverflowError, AttributeError, struct.error, MemoryError) as error:
        raise InputError(f"The LiteRT file is damaged: a constant ({error}). Make it again.") from error
    return constants
