"""The step between a pixel and the first convolution, folded into the file's input quantization."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

_WEIGHTED = {
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
}
_PASSED_THROUGH = {schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.PAD, schema.BuiltinOperator.PADV2}


def recentre_input(content: bytes, scale: float, offset: float) -> bytes:
    """Returns an int8 file whose first layer sees exactly `pixel * scale + offset`.

    A zero point is a whole number, but black may lie between two: for pixels in [-1, 1] it should be 127.5. The half
    step that is lost is a constant added to every input, so it is given back exactly in the first layer's bias (only
    the zeros padded around the picture keep it). A file whose first layer carries no constant bias of its own is
    returned as it is.

    Args:
        content: an int8 file whose input spans the pixels 0..255.
        scale: multiplier of the preprocessing that was left out of the graph.
        offset: its addend.

    Returns:
        The file, with the first layer's int32 bias changed.
    """
    patched = bytearray(content)
    model = schema.Model.GetRootAs(patched, 0)
    graph = model.Subgraphs(0)
    tensor = int(graph.Inputs(0))
    quantized = graph.Tensors(tensor).Quantization()
    if quantized is None or quantized.ScaleLength() != 1:
        return content
    step, zero = float(quantized.Scale(0)), int(quantized.ZeroPoint(0))
    lowest = 0 if graph.Tensors(tensor).Type() == schema.TensorType.UINT8 else -128
    # In steps: where pixel 0 should lie, less where the file puts it.
    shift = offset / step - (lowest - zero)
    if abs(step - scale) > 1e-4 * scale or abs(shift) < 1e-3 or abs(shift) > 1:
        return content
    while True:
        users = [
            graph.Operators(i) for i in range(graph.OperatorsLength()) if tensor in graph.Operators(i).InputsAsNumpy()
        ]
        if len(users) != 1:
            return content
        code = model.OperatorCodes(users[0].OpcodeIndex()).BuiltinCode()
        if code not in _PASSED_THROUGH:
            break
        tensor = int(users[0].Outputs(0))
    if code not in _WEIGHTED or users[0].InputsLength() < 3 or users[0].Inputs(2) < 0:
        return content
    weights, bias = (graph.Tensors(users[0].Inputs(i)) for i in (1, 2))
    shared = sum(graph.Tensors(i).Buffer() == bias.Buffer() for i in range(graph.TensorsLength()))
    if shared != 1 or bias.Type() != schema.TensorType.INT32 or weights.Type() != schema.TensorType.INT8:
        return content
    values = model.Buffers(weights.Buffer()).DataAsNumpy().view(np.int8).reshape(weights.ShapeAsNumpy())
    # Output channels are the last axis of a depthwise kernel and the first of the others.
    axis = -1 if code == schema.BuiltinOperator.DEPTHWISE_CONV_2D else 0
    sums = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).sum(axis=1, dtype=np.int64)
    stored = model.Buffers(bias.Buffer()).DataAsNumpy().view(np.int32)
    stored += np.round(shift * sums).astype(np.int32)
    return bytes(patched)
