"""Keras models as ONNX files, by Keras's own exporter, and running them with ONNX Runtime."""

import hashlib
import json
import tempfile
import warnings
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.exporters.contract import describe_inputs, versions
from keras_transfer.exporters.latency import timed
from keras_transfer.extras import require
from keras_transfer.inputs import Arrays, InputSpec, as_tuple
from keras_transfer.schemas import FileDescription, Tensor

if TYPE_CHECKING:
    import keras

_VERSIONS = ("onnx", "onnxruntime", "tf2onnx")
_DTYPES = {"tensor(float)": "float32", "tensor(int32)": "int32", "tensor(int64)": "int64", "tensor(uint8)": "uint8"}


def require_onnx() -> None:
    """Raises `InputError` where a package that ONNX files need is not installed."""
    for module in ("tf2onnx", "onnx", "onnxruntime"):
        require(module, "onnx", "The format onnx")


def convert_onnx(model: "keras.Model", class_names: Sequence[str], inputs: InputSpec) -> bytes:
    """Converts a classifier to ONNX by `model.export(format="onnx")`.

    The file takes `[batch, ...]` of the model's own dtypes, any batch, and gives `float32 [batch, classes]`
    probabilities. Its metadata (`metadata_props`) has `class_names`, a JSON list in the order of the outputs, `inputs`,
    and the geometry where there is one, as JSON objects.

    Args:
        model: a functional or Sequential `keras.Model`.
        class_names: one for each output.
        inputs: what it takes.

    Returns:
        The file's content, checked by ONNX's own checker.

    Raises:
        InputError: a package is missing, or the exporter cannot convert the model.
    """
    require_onnx()
    import keras
    import onnx

    with tempfile.TemporaryDirectory(prefix="keras-transfer-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf2onnx's own, about NumPy 2, which Keras patches it for
        path = Path(folder) / "model.onnx"
        try:
            # The signature is said: Keras knows none of a model that was loaded from a file and never called.
            signature = [keras.InputSpec(t.dtype, (None, *t.shape[1:]), name=t.name) for t in model.inputs]
            _constant_normalization(model).export(path, format="onnx", verbose=False, input_signature=_call(signature))
            exported = onnx.load(path)
            onnx.checker.check_model(exported)
        except Exception as error:
            raise InputError(
                f"Keras cannot export this model to ONNX: {type(error).__name__}: {' '.join(str(error).split())[:300]}."
            ) from error
    names = [entry.name for entry in exported.graph.input]
    if len(names) != len(inputs.tensors):
        constants = names[len(inputs.tensors) :]
        raise InputError(f"Keras's ONNX exporter made inputs of the model's constants: {', '.join(constants)}.")
    for entry in (*exported.graph.input, *exported.graph.output):
        entry.type.tensor_type.shape.dim[0].dim_param = "batch"
    contract = describe_inputs(inputs)
    about = {
        "class_names": json.dumps(list(class_names), ensure_ascii=False),
        "inputs": json.dumps(inputs.to_dict()),
        "input": "; ".join(f"{entry['meaning']}" for entry in contract),
    }
    if "geometry" in contract[0]:
        about["geometry"] = json.dumps(contract[0]["geometry"])
    onnx.helper.set_model_props(exported, about)
    content: bytes = exported.SerializeToString()
    return content


def _call(signature: "list[keras.InputSpec]") -> "list[keras.InputSpec] | list[list[keras.InputSpec]]":
    """The signature of a call: one argument, of several inputs a list."""
    return signature if len(signature) == 1 else [signature]


def _constant_normalization(model: "keras.Model") -> "keras.Model":
    """The model with each `Normalization` as a `Rescaling`: tf2onnx would make inputs of its statistics."""
    import keras

    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Normalization)]
    if not layers:
        return model

    def clone(layer: keras.Layer) -> keras.Layer:
        if not isinstance(layer, keras.layers.Normalization):
            return layer.__class__.from_config(layer.get_config())
        mean, deviation = np.asarray(layer.mean).ravel(), np.sqrt(np.asarray(layer.variance).ravel())
        return keras.layers.Rescaling((1 / deviation).tolist(), (-mean / deviation).tolist(), name=layer.name)

    cloned = keras.models.clone_model(model, clone_function=clone)
    for layer in model.layers:
        if layer.weights and layer not in layers:
            cloned.get_layer(layer.name).set_weights(layer.get_weights())
    return cloned


class Onnx:
    """An ONNX file opened with ONNX Runtime on the CPU.

    Args:
        content: the file.
        threads: how many an inference uses; all cores by default.
    """

    def __init__(self, content: bytes, threads: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def predict(self, items: Arrays) -> NDArray[np.float32]:
        """Returns probabilities `float32 [n, classes]` of items `[n, ...]`, of several inputs a tuple of arrays."""
        pairs = zip(self.session.get_inputs(), as_tuple(items), strict=True)
        [output] = self.session.run(None, {entry.name: array.astype(_DTYPES[entry.type]) for entry, array in pairs})
        return np.asarray(output, np.float32)


def describe_onnx(content: bytes, inputs: InputSpec) -> FileDescription:
    """What `describe` says of a LiteRT file, of an ONNX file; it is for no target."""
    import onnx

    model = onnx.load_from_string(content)
    opened = Onnx(content, threads=1)
    entries = opened.session.get_inputs()
    item = tuple(np.zeros((1, *entry.shape[1:]), np.uint8) for entry in entries)
    latency = timed(lambda: opened.predict(item), "ONNX Runtime on its CPU provider")
    *ends, output = [
        Tensor(name=end.name, shape=list(end.shape), dtype=_DTYPES[end.type], scale=None, zero_point=None)
        for end in (*entries, *opened.session.get_outputs())
    ]
    described = [{**end, **words} for end, words in zip(ends, describe_inputs(inputs), strict=True)]
    description: FileDescription = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "zipped_bytes": len(zlib.compress(content)),
        "input": described[0],
        "output": output,
        "operators": dict(Counter(node.op_type for node in model.graph.node).most_common()),
        "opset": max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")),
        "latency_ms": latency["median_ms"],
        "latency": latency,
        "targets": {},
        "versions": versions(_VERSIONS),
    }
    if len(described) > 1:
        description["other_inputs"] = list(described[1:])
    return description
