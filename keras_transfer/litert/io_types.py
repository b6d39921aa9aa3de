"""The types of a quantized file's inputs and outputs, changed without converting again."""

from collections.abc import Iterable, Sequence

from ai_edge_litert import schema_py_generated as schema

from keras_transfer.errors import InputError
from keras_transfer.inputs import TensorSpec
from keras_transfer.litert.flatbuffer import FileInfo, TensorInfo, read_flatbuffer
from keras_transfer.litert.packing import pack
from keras_transfer.litert.trust import is_ours, mark_as_ours

_TYPES = {"float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32, "uint8": schema.TensorType.UINT8}
_KEPT = ("int8", "int32", "int64", "bool")


def int8_io(content: bytes) -> bytes:
    """Returns a quantized file with `int8` inputs and outputs where it had `uint8` ones: fewer operators, same answers.

    TensorFlow's converter makes `uint8` inputs and outputs by a QUANTIZE operator at each, which subtracts 128 from
    each byte or adds it. Without them the file takes and gives those bytes less 128: `int8_io(file)(x - 128)` is
    `file(x) - 128`, bit for bit. Inputs of whole numbers, such as token ids, stay as they are.

    Args:
        content: a LiteRT file.

    Returns:
        The new file, without class names or other metadata, which no such runtime reads; as it is where it has int8
        inputs and outputs already.

    Raises:
        InputError: it is not a valid LiteRT file, or an input or output is neither int8 nor uint8 behind a QUANTIZE
            that only shifts.
    """
    info = read_flatbuffer(content)
    ends = [end for end in (*info.inputs, *info.outputs) if info.tensors[end].dtype not in _KEPT]
    if not ends:
        return content
    inside: dict[int, int] = {}  # input or output -> the int8 tensor behind its QUANTIZE
    dropped = set()
    for end in ends:
        operator, inside[end] = _shift(info, end)
        dropped.add(operator)
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    kept = [i for i in range(len(graph.tensors)) if i not in inside]
    place = {old: new for new, old in enumerate(kept)} | {-1: -1}
    place |= {end: place[behind] for end, behind in inside.items()}

    def moved(indices: Iterable[int] | None) -> list[int]:
        return [place[int(i)] for i in indices] if indices is not None else []

    graph.tensors = [graph.tensors[i] for i in kept]
    graph.operators = [operator for i, operator in enumerate(graph.operators) if i not in dropped]
    for operator in graph.operators:
        operator.inputs, operator.outputs = moved(operator.inputs), moved(operator.outputs)
        operator.intermediates = moved(operator.intermediates) or None
    graph.inputs, graph.outputs = moved(graph.inputs), moved(graph.outputs)
    for signature in model.signatureDefs or []:
        for entry in (*(signature.inputs or []), *(signature.outputs or [])):
            entry.tensorIndex = place[entry.tensorIndex]
    return _bare(model, content)


def without_metadata(content: bytes) -> bytes:
    """Returns a file without class names or other metadata: about 1 KB that a microcontroller never reads.

    Args:
        content: a LiteRT file.

    Returns:
        The new file: same graph and constants; as it is where it holds no metadata.

    Raises:
        InputError: it is not a valid LiteRT file.
    """
    if not read_flatbuffer(content).metadata:
        return content
    return _bare(schema.ModelT.InitFromPackedBuf(content, 0), content)


def with_unused_inputs(content: bytes, tensors: Sequence[TensorSpec]) -> bytes:
    """Returns a file with further inputs behind its own, which change no answer: for programs that always give them.

    Args:
        content: a LiteRT file of one graph.
        tensors: the further inputs, of known shape.

    Returns:
        The new file, without class names or other metadata.

    Raises:
        InputError: it is not a valid LiteRT file, or has several graphs.
    """
    if read_flatbuffer(content).subgraphs != 1:
        raise InputError("Inputs can be added to a file of one graph.")
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    for spec in tensors:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = spec.name, [1, *spec.shape], _TYPES[spec.dtype]
        tensor.hasRank = True
        graph.inputs = [*graph.inputs, len(graph.tensors)]
        for signature in model.signatureDefs or []:
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = spec.name, len(graph.tensors)
            signature.inputs = [*(signature.inputs or []), entry]
        graph.tensors.append(tensor)
    return _bare(model, content)


def _bare(model: schema.ModelT, content: bytes) -> bytes:
    model.metadata = None
    _drop_unused(model)
    packed = pack(model)
    return mark_as_ours(packed) if is_ours(content) else packed


def _shift(info: FileInfo, end: int) -> tuple[int, int]:
    """The QUANTIZE at a uint8 input or output, and the int8 tensor on its other side."""
    tensor = info.tensors[end]
    around = [o for o in info.operators if end in (*o.inputs, *o.outputs)]
    if info.subgraphs == 1 and tensor.dtype == "uint8" and len(around) == 1 and around[0].name == "QUANTIZE":
        [other] = around[0].inputs if end in around[0].outputs else around[0].outputs
        if _differ_by_128(tensor, info.tensors[other]):
            return around[0].index, other
    raise InputError(
        f"{tensor.name!r} is {tensor.dtype} without a QUANTIZE that only subtracts 128 from each byte: "
        "convert the model to int8."
    )


def _differ_by_128(outer: TensorInfo, inner: TensorInfo) -> bool:
    return (
        inner.dtype == "int8"
        and len(outer.scale) == 1
        and outer.scale == inner.scale
        and (outer.zero_point or (0,))[0] - (inner.zero_point or (0,))[0] == 128
    )


def _drop_unused(model: schema.ModelT) -> None:
    """Removes operator codes and constants that nothing uses."""
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    codes = sorted({operator.opcodeIndex for operator in operators})
    for operator in operators:
        operator.opcodeIndex = codes.index(operator.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[i] for i in codes]
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    buffers = sorted({0} | {tensor.buffer for tensor in tensors})  # the first is the empty one, by convention
    for tensor in tensors:
        tensor.buffer = buffers.index(tensor.buffer)
    model.buffers = [model.buffers[i] for i in buffers]
