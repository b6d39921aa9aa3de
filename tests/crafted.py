"""LiteRT files made operator by operator, without a converter: for rules and for damaged files."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_transfer.litert.packing import pack

TYPES = {name.lower(): value for name, value in vars(schema.TensorType).items() if name.isupper()}
OPTIONS = {
    "CONV_2D": schema.Conv2DOptionsT,
    "DEPTHWISE_CONV_2D": schema.DepthwiseConv2DOptionsT,
    "TRANSPOSE_CONV": schema.TransposeConvOptionsT,
    "FULLY_CONNECTED": schema.FullyConnectedOptionsT,
    "AVERAGE_POOL_2D": schema.Pool2DOptionsT,
    "MAX_POOL_2D": schema.Pool2DOptionsT,
    "CONCATENATION": schema.ConcatenationOptionsT,
    "ADD": schema.AddOptionsT,
    "MUL": schema.MulOptionsT,
    "PACK": schema.PackOptionsT,
    "STRIDED_SLICE": schema.StridedSliceOptionsT,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": schema.UnidirectionalSequenceLSTMOptionsT,
}


class Graph:
    """A graph in the making. Tensors are their indices; `quantized` ones have a scale."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]
        self.inputs: list[int] = []

    def tensor(self, shape: tuple[int, ...], dtype: str = "int8", data: Any = None, scales: int = 1) -> int:
        tensor = schema.TensorT()
        tensor.name = f"t{len(self.tensors)}".encode()
        tensor.shape = np.array(shape, np.int32)
        tensor.type = TYPES[dtype]
        tensor.buffer = 0
        if dtype in ("int8", "uint8", "int16") and scales:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.full(scales, 0.5, np.float32)
            tensor.quantization.zeroPoint = np.zeros(scales, np.int64)
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.broadcast_to(np.asarray(data, dtype), shape).tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def input(self, shape: tuple[int, ...], dtype: str = "int8") -> int:
        self.inputs.append(self.tensor(shape, dtype))
        return self.inputs[-1]

    def constant(self, values: Any, dtype: str = "int32") -> int:
        return self.tensor(np.shape(values), dtype, values)

    def op(
        self,
        name: str,
        inputs: list[int],
        shape: tuple[int, ...] | None = None,
        dtype: str = "int8",
        *,
        outputs: int = 1,
        version: int = 1,
        **options: Any,
    ) -> int:
        """Adds an operator that gives tensors of one shape (its first input's by default); returns the first."""
        shape = tuple(self.tensors[inputs[0]].shape) if shape is None else shape
        code = schema.OperatorCodeT()
        code.version = version
        builtin = getattr(schema.BuiltinOperator, name, schema.BuiltinOperator.CUSTOM)
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.deprecatedBuiltinCode = min(builtin, 127)
        if builtin == schema.BuiltinOperator.CUSTOM:
            code.customCode = name.encode()
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes)
        operator.inputs = np.array(inputs, np.int32)
        given = [self.tensor(shape, dtype) for _ in range(outputs)]
        operator.outputs = np.array(given, np.int32)
        if name in OPTIONS:
            operator.builtinOptions = OPTIONS[name]()
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, OPTIONS[name].__name__.removesuffix("T"))
            for key in ("strideW", "strideH", "dilationWFactor", "dilationHFactor", "depthMultiplier"):
                if hasattr(operator.builtinOptions, key):
                    setattr(operator.builtinOptions, key, 1)
            for key, value in options.items():
                assert hasattr(operator.builtinOptions, key)
                setattr(operator.builtinOptions, key, value)
        self.codes.append(code)
        self.operators.append(operator)
        return given[0]

    def conv(self, source: int, shape: tuple[int, ...], dtype: str = "int8", name: str = "CONV_2D", **options) -> int:
        """A convolution with weights and a bias, 1x1 so that the file stays small."""
        depth = int(self.tensors[source].shape[-1]) if name == "CONV_2D" else shape[-1]
        filters = (shape[-1], 1, 1, depth) if name == "CONV_2D" else (1, 1, 1, depth)
        weights, bias = self.tensor(filters, dtype, 1), self.constant([0] * shape[-1])
        return self.op(name, [source, weights, bias], shape, dtype, **options)

    def dense(self, source: int, units: int, dtype: str = "int8", **options: Any) -> int:
        depth = int(self.tensors[source].shape[-1])
        weights, bias = self.tensor((units, depth), dtype, 1), self.constant([0] * units)
        return self.op("FULLY_CONNECTED", [source, weights, bias], (1, units), dtype, **options)

    def file(self, *outputs: int) -> bytes:
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs = np.array(self.inputs, np.int32)
        graph.outputs = np.array(outputs or [len(self.tensors) - 1], np.int32)
        model = schema.ModelT()
        model.version = 3
        model.operatorCodes, model.subgraphs, model.buffers = self.codes, [graph], self.buffers
        return pack(model)
