"""SavedModels, for TensorFlow Serving and whoever else loads them: no package of ours is needed to run one.

`NAME_saved_model/1/` has two signatures. `serving_default` takes the model's inputs as arrays. `encoded` takes
`item_bytes`, the bytes of items as they lie in files, where the modality can make inputs of them without Python. Both
give `scores` (`float32 [n, classes]`), `classes` (their names, `string [n, classes]`), and `label` (`string [n]`: the
class with the largest score; not where an item may have several). Of a model that knows unknown items (`--reject`) also
`unlike` (`float32 [n]`: higher for what is less like the training items) and `rejected` (`bool [n]`: none of these).
"""

import io
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_transfer.exporters.contract import describe_inputs, versions
from keras_transfer.exporters.latency import timed
from keras_transfer.files import write_bytes
from keras_transfer.inputs import Arrays, InputSpec, as_tuple, open_modality
from keras_transfer.schemas import FileDescription, Tensor

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from keras_transfer.models.rejection import Rejection

SAVED_MODEL = "saved-model"
SAVED_MODEL_FILE = "_saved_model/1/saved_model.pb"
"""The end of its name; beside it lie its weights. The 1 is the version, as TensorFlow Serving wants it."""
ENCODED = "encoded"
ITEM_BYTES = "item_bytes"  # what ends in _bytes is base64 in TensorFlow Serving's JSON


def convert_saved_model(
    model: "keras.Model", class_names: Sequence[str], inputs: InputSpec, rejection: "Rejection | None" = None
) -> bytes:
    """A classifier as a SavedModel.

    Args:
        model: with one output for each class.
        class_names: in their order.
        inputs: what it takes.
        rejection: its score of unknown items, if it has one.

    Returns:
        The folder as a zip archive, stored.
    """
    import keras
    import tensorflow as tf

    from keras_transfer.models.classifiers import output_activation
    from keras_transfer.models.rejection import with_rejection

    network = model if rejection is None else with_rejection(model, rejection)
    names, several = tf.constant(list(class_names)), output_activation(model) == "sigmoid"

    def answer(arrays: "Sequence[tf.Tensor]") -> "dict[str, tf.Tensor]":
        values = [tf.cast(array, tensor.dtype) for array, tensor in zip(arrays, model.inputs, strict=True)]
        outputs = network(values if len(values) > 1 else values[0], training=False)
        scores, *unlike = outputs if isinstance(outputs, list | tuple) else [outputs]
        scores = tf.cast(scores, tf.float32)
        found = {"scores": scores, "classes": tf.broadcast_to(names, tf.shape(scores))}
        if not several:
            found["label"] = tf.gather(names, tf.argmax(scores, -1))
        if rejection is not None:
            found["unlike"] = unlike[0][:, 0]
            found["rejected"] = found["unlike"] > rejection.limit.threshold
        return found

    archive = keras.export.ExportArchive()
    archive.track(network)
    specs = [tf.TensorSpec((None, *tensor.shape), tensor.dtype, name=tensor.name) for tensor in inputs.tensors]
    archive.add_endpoint("serve", lambda *arrays: answer(arrays), input_signature=specs)
    prepare = open_modality(inputs.modality).encoded_input(inputs) if len(specs) == 1 else None
    if prepare is not None:
        item = tf.TensorSpec(inputs.tensor.shape, inputs.tensor.dtype)

        def encoded(contents: "tf.Tensor") -> "dict[str, tf.Tensor]":
            return answer([tf.map_fn(prepare, contents, fn_output_signature=item)])

        archive.add_endpoint(ENCODED, encoded, input_signature=[tf.TensorSpec((None,), tf.string, name=ITEM_BYTES)])
    with tempfile.TemporaryDirectory(prefix="keras-transfer-") as folder:
        archive.write_out(folder, verbose=False)
        return _zipped(Path(folder))


def _zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.writestr(zipfile.ZipInfo(path.relative_to(folder).as_posix()), path.read_bytes())
    return buffer.getvalue()


def write_saved_model(content: bytes, folder: Path) -> None:
    """Writes what `convert_saved_model` gave, in place of an older one; `saved_model.pb` last."""
    rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in sorted(archive.namelist(), key=lambda name: name == "saved_model.pb"):
            write_bytes(folder / name, archive.read(name))


class SavedModel:
    """A SavedModel, opened.

    Args:
        content: from `convert_saved_model`.
        inputs: what it takes, in the order in which `predict` is given it.
    """

    def __init__(self, content: bytes, inputs: InputSpec) -> None:
        import tensorflow as tf

        with tempfile.TemporaryDirectory(prefix="keras-transfer-") as folder:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                archive.extractall(folder)
            self.loaded = tf.saved_model.load(folder)
        self.call = self.loaded.signatures["serving_default"]
        specs = self.call.structured_input_signature[1]
        self.inputs: list[tf.TensorSpec] = [specs[tensor.name] for tensor in inputs.tensors]

    def predict(self, items: Arrays) -> NDArray[np.float32]:
        """Returns probabilities `float32 [n, classes]` of items `[n, ...]`, of several inputs a tuple of arrays."""
        pairs = zip(self.inputs, as_tuple(items), strict=True)
        answer = self.call(**{spec.name: array.astype(spec.dtype.as_numpy_dtype) for spec, array in pairs})
        return np.asarray(answer["scores"])


def describe_saved_model(content: bytes, inputs: InputSpec) -> FileDescription:
    """What `describe` says of a LiteRT file, of a SavedModel; it is for no target. The hash is of `saved_model.pb`."""
    opened = SavedModel(content, inputs)
    item = tuple(np.zeros([1, *(side or 1 for side in tensor.shape)], tensor.dtype) for tensor in inputs.tensors)
    latency = timed(lambda: opened.predict(item), "TensorFlow on its CPU")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        graph = archive.read("saved_model.pb")
    scores = opened.call.structured_outputs["scores"]
    ends = [_tensor(spec) for spec in opened.inputs]
    described = [{**end, **words} for end, words in zip(ends, describe_inputs(inputs), strict=True)]
    description: FileDescription = {
        "sha256": sha256(graph).hexdigest(),
        "bytes": len(content),
        "zipped_bytes": len(zlib.compress(content)),
        "input": described[0],
        "output": _tensor(scores),
        "operators": dict(Counter(node.type for node in opened.call.graph.get_operations()).most_common()),
        "signatures": sorted(opened.loaded.signatures),
        "latency_ms": latency["median_ms"],
        "latency": latency,
        "targets": {},
        "versions": versions(),
    }
    if len(described) > 1:
        description["other_inputs"] = list(described[1:])
    return description


def _tensor(spec: "tf.TensorSpec") -> Tensor:
    shape = ["batch", *spec.shape[1:]]
    return {"name": spec.name, "shape": shape, "dtype": spec.dtype.name, "scale": None, "zero_point": None}
