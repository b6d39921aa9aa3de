"""LiteRT models back to bytes: constants aligned, and what stands in a file many times stored once."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


def pack(model: schema.ModelT) -> bytes:
    """Serializes a `schema.ModelT`.

    Equal vectors are stored once: a channelwise-quantized file holds a zero point of 8 bytes for every channel of every
    weight and bias, all of them 0, a tenth of a small network's file.

    Args:
        model: the model; its buffers are wrapped in place.

    Returns:
        The file's content.
    """
    model.buffers = [_AlignedBuffer(buffer.data) for buffer in model.buffers]
    builder = _SharingBuilder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _SharingBuilder(flatbuffers.Builder):
    """Gives equal vectors one place; a flatbuffer's references may meet in one vector."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._places: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:
        """As the builder's own, for the first of equal vectors; the place of that one for the others."""
        key = (x.dtype.str, x.tobytes())
        if key not in self._places:
            self._places[key] = super().CreateNumpyVector(x)
        return self._places[key]


class _AlignedBuffer(schema.BufferT):
    """Packs constants at 16 bytes, as the format demands and the generated Python code forgets."""

    def __init__(self, data: np.ndarray | None = None) -> None:
        super().__init__()
        self.data = data

    def Pack(self, builder: flatbuffers.Builder) -> int:
        offset = None
        if self.data is not None and len(self.data):
            data = np.asarray(self.data, np.uint8).tobytes()
            builder.StartVector(1, len(data), 16)
            builder.head -= len(data)
            builder.Bytes[builder.head : builder.head + len(data)] = data
            offset = builder.EndVector()
        schema.BufferStart(builder)
        if offset is not None:
            schema.BufferAddData(builder, offset)
        return int(schema.BufferEnd(builder))
