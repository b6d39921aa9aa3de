"""Frozen graphs to LiteRT by TensorFlow's converter: what runs inside the process of `keras_transfer.litert.worker`.

Every format is converted from the graphs that `keras_transfer.litert.frozen` made: several times faster than
`TFLiteConverter.from_keras_model` for each format, which writes a SavedModel every time.
"""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from keras_transfer.errors import InputError
from keras_transfer.litert.frozen import FrozenGraph
from keras_transfer.litert.packing import pack
from keras_transfer.litert.quantization import quantize
from keras_transfer.quick_start import give_back_memory

_QUANTIZED_OPERATORS = {
    "int8": tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
    "16x8": tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
}
_LOOPS = {"While", "StatelessWhile", "LoopCond"}


def convert_graph(name: str, frozen: FrozenGraph, calibration: np.ndarray | None, options: dict[str, Any]) -> bytes:
    """Converts a graph to the format `name`; the arguments of `keras_transfer.litert.convert` are in `options`."""
    if name in _QUANTIZED_OPERATORS:
        assert calibration is not None
        _refuse_loops(name, frozen)
        return _signed(_quantized(name, frozen, calibration, options))
    converter = _converter(frozen)
    if name != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if name == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return _signed(_run(converter))


def _refuse_loops(name: str, frozen: FrozenGraph) -> None:
    """TensorFlow's calibration ends the process where there is one."""
    operators = {node.op for node in tf.compat.v1.GraphDef.FromString(frozen.graph).node}
    if not operators.isdisjoint(_LOOPS):
        raise InputError(
            f"The model has a loop, such as a recurrent layer of many steps, which {name} cannot hold. Give it fewer "
            "steps, or take float32, float16 or dynamic."
        )


def _signed(content: bytes) -> bytes:
    """Adds the signature, by which runtimes know inputs and outputs by name; the converter of graphs writes none."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph, signature = model.subgraphs[0], schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs = [_entry("image", index) for index in graph.inputs]
    signature.outputs = [_entry(f"output_{i}", index) for i, index in enumerate(graph.outputs)]
    model.signatureDefs = [signature]
    return pack(model)


def _entry(name: str, index: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, int(index)
    return entry


def _quantized(name: str, frozen: FrozenGraph, calibration: np.ndarray, options: dict[str, Any]) -> bytes:
    scale, offset = frozen.scale, frozen.offset

    def read(image: np.ndarray) -> np.ndarray:
        plain = name == "16x8" or options["input_range"] is not None
        return image[None] if plain else image[None] * np.float32(scale) + np.float32(offset)

    converter = _converter(frozen)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [_QUANTIZED_OPERATORS[name]]
    converter.representative_dataset = lambda: iter([[read(calibration[0])]])
    converter._experimental_calibrate_only = True
    prepared = _run(converter)
    give_back_memory()  # of the converter
    return quantize(
        prepared,
        calibration,
        read,
        tuple(options["input_range"] or (offset, 255 * scale + offset)),
        activations="int8" if name == "int8" else "int16",
        input_dtype=options["input_dtype"],
        per_tensor_dense=options["per_tensor_dense"],
        float_layers=options["float_layers"],
        layer_names=set(frozen.layers),
    )


def _converter(frozen: FrozenGraph) -> Any:
    # TensorFlow 2's converter would make of a function the frozen graph that is here, in three quarters of its time.
    definition = tf.compat.v1.GraphDef.FromString(frozen.graph)
    names = [*frozen.inputs, *frozen.outputs]
    inputs = {name.split(":")[0] for name in frozen.inputs}  # loops bring placeholders of their own
    for node in definition.node:
        if node.name in inputs:
            node.attr["shape"].shape.dim[0].size = 1  # with any batch, shapes would be computed as the file runs
    with tf.Graph().as_default():
        tensors = tf.graph_util.import_graph_def(definition, name="", return_elements=names)
    ends = tensors[: len(frozen.inputs)], tensors[len(frozen.inputs) :]
    converter = tf.compat.v1.lite.TFLiteConverter(definition, *ends)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def _run(converter: Any) -> bytes:
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


def serve_requests(read: Callable[[], dict[str, Any] | None], write: Callable[[dict[str, Any]], None]) -> None:
    """Answers requests until `read` returns None; every fault becomes an answer, so one bad model ends nothing."""
    while (request := read()) is not None:
        folder = Path(request["folder"])
        try:
            calibration = np.load(folder / "calibration.npy") if (folder / "calibration.npy").exists() else None
            for name, graph in request["graphs"].items():
                frozen = FrozenGraph.read(folder / graph)
                (folder / f"{name}.tflite").write_bytes(convert_graph(name, frozen, calibration, request["options"]))
            write({"done": True})
        except InputError as error:
            write({"error": str(error), "kind": "input"})
        except Exception as error:
            write({"error": f"{type(error).__name__}: {error}", "kind": "fault"})
