"""What is written in a LiteRT file, read without running it, and safe on files from anywhere."""

import math
import struct
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_transfer.errors import InputError

_OPERATORS = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_DTYPES = {value: name.lower() for name, value in vars(schema.TensorType).items() if not name.startswith("_")}
_BITS = {"bool": 8, "int2": 2, "int4": 4, "uint4": 4, "complex64": 64, "complex128": 128}
_BITS |= {f"{kind}{bits}": bits for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
_BITS |= {"float16": 16, "bfloat16": 16, "float32": 32, "float64": 64}


@dataclass(frozen=True)
class TensorInfo:
    """One tensor; `scale` and `zero_point` are empty where it is not quantized, longer than one where per channel."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    axis: int = 0  # of the channels that `scale` runs over
    bytes: int = 0  # of constant data; 0 for an activation
    dynamic: bool = False  # some size is unknown before the file runs


@dataclass(frozen=True)
class OperatorInfo:
    """One operator of the main graph; `inputs` has -1 where an optional one is absent."""

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    custom: bool = False


@dataclass(frozen=True)
class FileInfo:
    """The main graph of a file; `inputs` and `outputs` index `tensors`."""

    operators: tuple[OperatorInfo, ...]
    tensors: tuple[TensorInfo, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    metadata: dict[str, bytes] = field(repr=False)
    subgraphs: int = 1

    def counts(self) -> dict[str, int]:
        """Returns operator name -> how many of it, the commonest first."""
        return dict(Counter(operator.name for operator in self.operators).most_common())


def read_flatbuffer(content: bytes) -> FileInfo:
    """Reads operators, tensors and metadata of a LiteRT file, every index and size checked.

    Args:
        content: the whole file.

    Returns:
        What the file holds.

    Raises:
        InputError: it is not a valid LiteRT file.

    >>> read_flatbuffer(b"PK")
    Traceback (most recent call last):
    ...
    keras_transfer.errors.InputError: Not a LiteRT file: it does not start with a TFL3 header.
    """
    if len(content) < 16 or content[4:8] != b"TFL3":
        raise InputError("Not a LiteRT file: it does not start with a TFL3 header.")
    try:
        return _read(bytes(content))
    except InputError:
        raise
    except (ValueError, IndexError, TypeError, OverflowError, AttributeError, struct.error, MemoryError) as error:
        raise _damaged(f"a table points outside the file ({type(error).__name__})") from error


def _damaged(reason: str) -> InputError:
    return InputError(f"The LiteRT file is damaged: {reason}. Make or copy it again.")


def _require(valid: bool, reason: str) -> None:
    if not valid:
        raise _damaged(reason)


def _integers(values: object) -> tuple[int, ...]:
    return tuple(values.tolist()) if isinstance(values, np.ndarray) else ()


def _floats(values: object) -> tuple[float, ...]:
    return tuple(values.tolist()) if isinstance(values, np.ndarray) else ()


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _read(content: bytes) -> FileInfo:
    model = schema.Model.GetRootAs(content, 0)
    # No vector can hold more entries than the file has bytes for: a forged length is caught before anything is counted.
    for length in (model.SubgraphsLength(), model.OperatorCodesLength(), model.BuffersLength(), model.MetadataLength()):
        _require(0 <= length <= len(content) // 4, "a list is longer than the file")
    _require(model.SubgraphsLength() > 0, "it holds no graph")
    graph = model.Subgraphs(0)
    for length in (graph.TensorsLength(), graph.OperatorsLength()):
        _require(0 < length <= len(content) // 4, "its graph is empty or longer than the file")
    sizes = [_buffer_size(model.Buffers(i), len(content)) for i in range(model.BuffersLength())]
    tensors = tuple(_tensor(graph.Tensors(i), i, sizes) for i in range(graph.TensorsLength()))
    operators = tuple(_operator(model, graph.Operators(i), i, len(tensors)) for i in range(graph.OperatorsLength()))
    inputs, outputs = _integers(graph.InputsAsNumpy()), _integers(graph.OutputsAsNumpy())
    _require(all(0 <= i < len(tensors) for i in (*inputs, *outputs)), "an input or output does not exist")
    metadata = {}
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        _require(entry.Buffer() < len(sizes), "its metadata does not exist")
        data = model.Buffers(entry.Buffer()).DataAsNumpy()
        metadata[_text(entry.Name())] = data.tobytes() if isinstance(data, np.ndarray) else b""
    return FileInfo(operators, tensors, inputs, outputs, metadata, model.SubgraphsLength())


def _buffer_size(buffer: schema.Buffer, total: int) -> int:
    size: int
    if buffer.Offset() > 1:  # large files keep their constants behind the flatbuffer
        size = buffer.Size()
        _require(buffer.Offset() + size <= total, "a constant lies outside the file")
        return size
    size = buffer.DataLength()
    if size:
        buffer.DataAsNumpy()  # raises where the vector runs past the end
    return size


def _tensor(tensor: schema.Tensor, index: int, sizes: list[int]) -> TensorInfo:
    shape = _integers(tensor.ShapeAsNumpy())
    name = _text(tensor.Name())
    _require(tensor.Type() in _DTYPES, f"tensor {index} is of an unknown type")
    dtype = _DTYPES[tensor.Type()]
    _require(len(shape) <= 8 and all(size >= 0 for size in shape), f"tensor {index} has an impossible shape")
    _require(math.prod(shape) < 2**31, f"tensor {index} is impossibly large")
    _require(tensor.Buffer() < len(sizes), f"tensor {index} points to no data")
    size = sizes[tensor.Buffer()]
    if size and dtype in _BITS and tensor.Sparsity() is None:
        _require(
            size == math.ceil(math.prod(shape) * _BITS[dtype] / 8), f"tensor {index}'s data does not fill its shape"
        )
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    axis = 0
    quantization = tensor.Quantization()
    if quantization is not None and quantization.ScaleLength():
        scale, zero_point = _floats(quantization.ScaleAsNumpy()), _integers(quantization.ZeroPointAsNumpy())
        axis = quantization.QuantizedDimension()
        _require(all(math.isfinite(s) and s >= 0 for s in scale), f"tensor {index}'s scale is not a positive number")
        channels = shape[axis] if 0 <= axis < len(shape) else 1
        _require(len(scale) in (1, channels), f"tensor {index} has {len(scale)} scales for {channels} channels")
        _require(len(zero_point) in (0, len(scale)), f"tensor {index}'s scales and zero points differ in number")
    dynamic = any(size < 0 for size in _integers(tensor.ShapeSignatureAsNumpy()))
    return TensorInfo(index, name, shape, dtype, scale, zero_point, axis, size, dynamic)


def _operator(model: schema.Model, operator: schema.Operator, index: int, tensors: int) -> OperatorInfo:
    inputs, outputs = _integers(operator.InputsAsNumpy()), _integers(operator.OutputsAsNumpy())
    _require(all(-1 <= i < tensors for i in inputs), f"operator {index} reads a tensor that does not exist")
    _require(all(0 <= i < tensors for i in outputs), f"operator {index} writes a tensor that does not exist")
    _require(operator.OpcodeIndex() < model.OperatorCodesLength(), f"operator {index} is of no kind")
    code = model.OperatorCodes(operator.OpcodeIndex())
    # Older writers know only the one-byte field; newer ones put 127 there when the number does not fit.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    _require(number in _OPERATORS, f"operator {index} is of the unknown kind {number}")
    custom = number == schema.BuiltinOperator.CUSTOM
    name = (_text(code.CustomCode()) or "CUSTOM") if custom else _OPERATORS[number]
    return OperatorInfo(index, name, inputs, outputs, custom)
