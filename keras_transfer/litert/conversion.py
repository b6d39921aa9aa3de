"""Frozen graphs to LiteRT by TensorFlow's converter: what runs inside the process of `keras_transfer.litert.worker`.

Every format is converted from the graphs that `keras_transfer.litert.frozen` made: several times faster than
`TFLiteConverter.from_keras_model` for each format, which writes a SavedModel every time.
"""

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array
from keras_transfer.litert.equalization import equalize
from keras_transfer.litert.frozen import FrozenGraph
from keras_transfer.litert.packing import pack
from keras_transfer.litert.protocol import Answer, Options, Request
from keras_transfer.litert.quantization import quantize
from keras_transfer.quick_start import give_back_memory

_QUANTIZED_OPERATORS = {
    "int8": tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
    "16x8": tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
}
_LOOPS = {"While", "StatelessWhile", "LoopCond"}


def convert_graph(format_: str, frozen: FrozenGraph, calibration: list[Array], options: Options) -> bytes:
    """Converts a graph to a format.

    Args:
        format_: see `keras_transfer.litert.convert`.
        frozen: the graph.
        calibration: `[n, ...]` for each input; empty where the format is not calibrated.
        options: see `Options`.
    """
    if format_ in _QUANTIZED_OPERATORS:
        _refuse_loops(format_, frozen)
        return _signed(_quantized(format_, frozen, calibration, options), frozen)
    converter = _converter(frozen)
    if format_ != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if format_ == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return _signed(_run(converter), frozen)


def _refuse_loops(format_: str, frozen: FrozenGraph) -> None:
    """TensorFlow's calibration ends the process where there is one."""
    operators = {node.op for node in tf.compat.v1.GraphDef.FromString(frozen.graph).node}
    if not operators.isdisjoint(_LOOPS):
        raise InputError(
            f"The model has a loop, such as a recurrent layer of many steps, which {format_} cannot hold. Give it "
            "fewer steps, or take float32, float16 or dynamic."
        )


def _signed(content: bytes, frozen: FrozenGraph) -> bytes:
    """Adds the signature, by which runtimes know inputs and outputs by name; the converter of graphs writes none."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph, signature = model.subgraphs[0], schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    names = frozen.input_names
    signature.inputs = [_entry(name, index) for name, index in zip(names, graph.inputs, strict=True)]
    signature.outputs = [_entry(f"output_{i}", index) for i, index in enumerate(graph.outputs)]
    model.signatureDefs = [signature]
    return pack(model)


def _entry(name: str, index: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, int(index)
    return entry


def _quantized(format_: str, frozen: FrozenGraph, calibration: list[Array], options: Options) -> bytes:
    scale, offset = np.float32(frozen.scale), np.float32(frozen.offset)

    def read(number: int) -> list[Array]:
        """One item as the graph takes it: an int8 file's graph takes bytes as floats."""
        arrays = [values[number][None] for values in calibration]
        if format_ == "int8":
            return [array * scale + offset if array.dtype == np.uint8 else array for array in arrays]
        return arrays

    converter = _converter(frozen)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [_QUANTIZED_OPERATORS[format_]]
    converter.representative_dataset = lambda: iter([read(0)])
    converter._experimental_calibrate_only = True
    prepared = _run(converter)
    if format_ == "int8":  # to 16 bits all ranges are alike
        prepared = equalize(prepared, len(calibration[0]), read)
    give_back_memory()  # of the converter
    bytes_range = frozen.offset, 255 * frozen.scale + frozen.offset
    return quantize(
        prepared,
        len(calibration[0]),
        read,
        [bytes_range if limits is None else limits for limits in options.ranges],
        activations="int8" if format_ == "int8" else "int16",
        input_dtype=options.input_dtype,
        per_tensor_dense=options.per_tensor_dense,
        float_layers=options.float_layers,
        layer_names=set(frozen.layers),
    )


def _converter(frozen: FrozenGraph) -> tf.compat.v1.lite.TFLiteConverter:
    # TensorFlow 2's converter would make of a function the frozen graph that is here, in three quarters of its time.
    definition = tf.compat.v1.GraphDef.FromString(frozen.graph)
    names = [*frozen.inputs, *frozen.outputs]
    inputs = set(frozen.input_names)  # loops bring placeholders of their own
    for node in definition.node:
        if node.name in inputs:
            node.attr["shape"].shape.dim[0].size = 1  # with any batch, shapes would be computed as the file runs
    with tf.Graph().as_default():
        tensors = tf.graph_util.import_graph_def(definition, name="", return_elements=names)
    ends = tensors[: len(frozen.inputs)], tensors[len(frozen.inputs) :]
    converter = tf.compat.v1.lite.TFLiteConverter(definition, *ends)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def _run(converter: tf.compat.v1.lite.TFLiteConverter) -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "Statistics for quantized inputs were expected": they come by calibration
            return bytes(converter.convert())
    except Exception as error:
        missing = sorted(set(re.findall(r"'(tf\.\w+)' op is neither|(?:Flex|Custom) ops?: ([\w, ]+)", str(error))))
        names = ", ".join(sorted({name for pair in missing for name in pair if name}))
        if names:
            raise InputError(
                f"LiteRT's built-in operators lack {names}, which the model uses. Replace the layers that need them."
            ) from error
        raise


def serve_requests(read: Callable[[], Request | None], write: Callable[[Answer], None]) -> None:
    """Answers requests until `read` returns None; every fault becomes an answer, so one bad model ends nothing."""
    while (request := read()) is not None:
        folder = Path(request.folder)
        try:
            calibration = [np.load(path) for path in sorted(folder.glob("calibration_*.npy"))]
            for format_, graph in request.graphs.items():
                frozen = FrozenGraph.read(folder / graph)
                content = convert_graph(format_, frozen, calibration, request.options)
                (folder / f"{format_}.tflite").write_bytes(content)
            write(Answer("done"))
        except InputError as error:
            write(Answer("input", str(error)))
        except Exception as error:
            write(Answer("fault", f"{type(error).__name__}: {error}"))
