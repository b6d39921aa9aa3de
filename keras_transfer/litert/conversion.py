"""Keras to LiteRT by TensorFlow's converter: what runs inside the worker process (`keras_transfer.litert.worker`).

The model is traced once at batch 1, its variables become constants, and every format is converted from that one graph:
several times faster than `TFLiteConverter.from_keras_model` for each format, which writes a SavedModel every time.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from keras_transfer.errors import InputError
from keras_transfer.litert.quantization import quantize
from keras_transfer.models.preprocessing import preprocessing_of

_QUANTIZED_OPERATORS = {
    "int8": tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
    "16x8": tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
}


def convert_here(
    model: keras.Model,
    formats: Sequence[str],
    calibration: np.ndarray | None = None,
    input_dtype: str = "uint8",
    per_tensor_dense: bool = False,
    float_layers: Sequence[str] = (),
    fold: bool = True,
) -> dict[str, bytes]:
    """Converts in this process; `keras_transfer.litert.convert` explains the arguments and is what to call."""
    files: dict[str, bytes] = {}
    pixels_graph = None
    for name in formats:
        if name in _QUANTIZED_OPERATORS:
            assert calibration is not None
            files[name] = _quantized(model, name, calibration, input_dtype, per_tensor_dense, float_layers, fold)
            continue
        pixels_graph = pixels_graph or _frozen(model, tf.uint8)
        converter = _converter(pixels_graph)
        if name != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if name == "float16":
            converter.target_spec.supported_types = [tf.float16]
        files[name] = _run(converter)
    return files


def _quantized(
    model: keras.Model,
    name: str,
    calibration: np.ndarray,
    input_dtype: str,
    per_tensor_dense: bool,
    float_layers: Sequence[str],
    fold: bool,
) -> bytes:
    # A zero point is a whole number, so pixels in [-1, 1] are off by half a step (of 255). Giving it back in the first
    # layer's bias changed nothing that could be measured (MobileNetV2, 1000 photographs), so it is left alone.
    scale, offset, network = 1.0, 0.0, model
    found = preprocessing_of(model) if fold and name == "int8" and _is_graph(model) else None
    if found is not None and found[1] > 0:
        first, scale, offset = found
        network = keras.Model(first.output, model.outputs)

    def read(image: np.ndarray) -> np.ndarray:
        return image[None] if name == "16x8" else image[None] * np.float32(scale) + np.float32(offset)

    converter = _converter(_frozen(network, tf.uint8 if name == "16x8" else tf.float32))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [_QUANTIZED_OPERATORS[name]]
    converter.representative_dataset = lambda: iter([[read(calibration[0])]])
    converter._experimental_calibrate_only = True
    content = quantize(
        _run(converter),
        map(read, calibration),
        (offset, 255 * scale + offset),
        activations="int8" if name == "int8" else "int16",
        input_dtype=input_dtype,
        per_tensor_dense=per_tensor_dense,
        float_layers=float_layers,
        layer_names={layer.name for layer in model.layers},
    )
    return _in_order(content)


def _is_graph(model: keras.Model) -> bool:
    """Whether the model is functional or Sequential: a subclass's own `call` cannot be cut."""
    return isinstance(model, keras.Sequential) or type(model).__name__ == "Functional"


def _frozen(model: keras.Model, dtype: tf.DType) -> Any:
    """The model at batch 1 as a graph of constants that takes images of `dtype`."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    shape = (1, *model.inputs[0].shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, dtype, name="image")], autograph=False)
    def serve(image: tf.Tensor) -> list[tf.Tensor]:
        outputs = model(tf.cast(image, tf.float32), training=False)
        return [tf.cast(output, tf.float32) for output in tf.nest.flatten(outputs)]

    return convert_variables_to_constants_v2(serve.get_concrete_function())


def _converter(graph: Any) -> Any:
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def _run(converter: Any) -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "Statistics for quantized inputs were expected": they come by calibration
            return _in_order(bytes(converter.convert()))
    except Exception as error:
        missing = sorted(set(re.findall(r"'(tf\.\w+)' op is neither|(?:Flex|Custom) ops?: ([\w, ]+)", str(error))))
        names = ", ".join(sorted({name for pair in missing for name in pair if name}))
        if names:
            raise InputError(
                f"LiteRT's built-in operators lack {names}, which the model uses. Replace the layers that need them."
            ) from error
        raise


def _in_order(content: bytes) -> bytes:
    """Puts the outputs into the model's order: the converter shuffles them, and its signature tells which is which."""
    patched = bytearray(content)
    model = schema.Model.GetRootAs(patched, 0)
    outputs = model.Subgraphs(0).OutputsAsNumpy()
    if len(outputs) < 2 or not model.SignatureDefsLength():  # of some models (EfficientNet) it writes no signature
        return content
    signature = model.SignatureDefs(0)
    named = [signature.Outputs(i) for i in range(signature.OutputsLength())]
    # "output_0", "output_1"...; where two are one and the same tensor the converter keeps one name for both
    named.sort(key=lambda entry: int(entry.Name().decode().rpartition("_")[2]))
    if len(named) == len(outputs):
        outputs[:] = [entry.TensorIndex() for entry in named]
    return bytes(patched)


def serve_requests(read: Callable[[], dict[str, Any] | None], write: Callable[[dict[str, Any]], None]) -> None:
    """Answers requests until `read` returns None; every fault becomes an answer, so one bad model ends nothing."""
    while (request := read()) is not None:
        folder = Path(request["folder"])
        try:
            model = keras.models.load_model(folder / "model.keras", compile=False, safe_mode=False)
        except Exception as error:
            write({"error": f"{type(error).__name__}: {error}", "kind": "load"})
            continue
        try:
            calibration = np.load(folder / "calibration.npy") if (folder / "calibration.npy").exists() else None
            for name, content in convert_here(model, calibration=calibration, **request["options"]).items():
                (folder / f"{name}.tflite").write_bytes(content)
            write({"done": True})
        except InputError as error:
            write({"error": str(error), "kind": "input"})
        except Exception as error:
            write({"error": f"{type(error).__name__}: {error}", "kind": "fault"})
        finally:
            del model
            keras.backend.clear_session()
