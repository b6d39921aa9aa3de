"""The constants of an ONNX file, read without the package `onnx`, which is large, and safe on files from anywhere.

The format is https://protobuf.dev/programming-guides/encoding with the messages of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError

_GRAPH, _INITIALIZER = 7, 5  # of a model, of a graph
_DIMS, _DATA_TYPE, _FLOAT_DATA, _NAME, _RAW_DATA = 1, 2, 4, 8, 9  # of a tensor
_FLOAT = 1


def read_initializers(content: bytes, name: str = "The file") -> dict[str, NDArray[np.float32]]:
    """The float32 constants of a model.

    Args:
        content: the whole file.
        name: what a sentence calls it.

    Returns:
        name -> array; constants of other types are left out.

    Raises:
        InputError: it is no ONNX file.

    >>> read_initializers(b"PK")
    Traceback (most recent call last):
    ...
    keras_transfer.errors.InputError: The file is no ONNX file, or a damaged one.
    """
    try:
        graphs = [value for field, value in _fields(memoryview(content)) if field == _GRAPH]
        tensors = [
            _tensor(value) for graph in graphs for field, value in _fields(_block(graph)) if field == _INITIALIZER
        ]
    except (ValueError, IndexError, TypeError) as error:
        raise InputError(f"{name} is no ONNX file, or a damaged one.") from error
    if not graphs:
        raise InputError(f"{name} is no ONNX file, or a damaged one.")
    return {key: array for key, array in tensors if array is not None}


def _tensor(value: "int | memoryview") -> tuple[str, NDArray[np.float32] | None]:
    shape: list[int] = []
    kind, name, raw, floats = 0, "", b"", b""
    for field, content in _fields(_block(value)):
        if field == _DIMS:
            shape += [content] if isinstance(content, int) else list(_packed(content))
        elif field == _DATA_TYPE and isinstance(content, int):
            kind = content
        elif field == _NAME:
            name = bytes(_block(content)).decode()
        elif field == _RAW_DATA:
            raw = bytes(_block(content))
        elif field == _FLOAT_DATA:
            floats += bytes(_block(content))
    if kind != _FLOAT:
        return name, None
    array = np.frombuffer(raw or floats, "<f4")
    if math.prod(shape) != array.size:
        raise ValueError("a constant does not fill its shape")
    return name, array.reshape(shape).astype(np.float32)


def _fields(content: memoryview) -> Iterator[tuple[int, "int | memoryview"]]:
    """The fields of a message: a number, and a whole number or the bytes of what stands there."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(content, at)
            yield field, value
            continue
        size = {1: 8, 5: 4}.get(wire, 0)
        if wire == 2:
            size, at = _varint(content, at)
        if (size == 0 and wire != 2) or at + size > len(content):
            raise ValueError("a field runs past the end")
        yield field, content[at : at + size]
        at += size


def _packed(content: memoryview) -> Iterator[int]:
    at = 0
    while at < len(content):
        value, at = _varint(content, at)
        yield value


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at a place, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number is too long")


def _block(value: "int | memoryview") -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where a message should")
    return value
