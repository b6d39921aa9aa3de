"""Opening a model for predicting: a `.keras` file, a `.tflite` file, a run directory, or a model in memory."""

import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Unpack

import numpy as np
from numpy.typing import NDArray

from keras_transfer.decisions import RejectionLimit
from keras_transfer.errors import InputError, check_options
from keras_transfer.evaluation.classifier import Classifier
from keras_transfer.evaluation.keras_file import check_keras, load_keras, starts_with
from keras_transfer.inputs import Arrays, InputSpec, TensorSpec, as_tuple, like_lengths, open_preparer
from keras_transfer.models.silent import (
    MODALITY,
    GeometryLike,
    ModelOptions,
    ShortForms,
    as_plain,
    check_no_options,
    unknown_spec,
    with_geometry,
)

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from keras_transfer.litert import FileInfo
    from keras_transfer.models.rejection import Rejection

Shape: TypeAlias = tuple[int | None, ...]
_KERAS_BATCH = 8  # items in one call of a Keras model; bounds the memory of its activations
# Tracing a network takes a second or two, and a job asks the same model several times.
_calls: "weakref.WeakKeyDictionary[keras.Model, Callable[..., tf.Tensor]]" = weakref.WeakKeyDictionary()


class SilentClassifier(ShortForms, Classifier):
    """A classifier of what silent models take."""


def open_classifier(
    path: str | Path,
    *,
    delegate: str = "",
    geometry: GeometryLike = None,
    **options: Unpack[ModelOptions],
) -> Classifier:
    """Opens a `.keras` file, a `.tflite` file or a run directory for predicting.

    Class names are taken from inside a `.tflite`, else from `NAME.labels.txt` or `labels.txt` beside the file, else
    from `export/labels.txt` of its run; without any, classes are called by their numbers. What its inputs are, and how
    an item becomes them, stands inside the file; of a file from elsewhere see `keras_transfer.models.silent`.

    Args:
        path: the file, or a run directory (its `model.keras`). A `.keras` file is loaded in safe mode.
        delegate: for a `.tflite`: a library that computes it on a device of its own, such as `libedgetpu.so.1`.
        geometry: see `keras_transfer.models.silent.OwnModelOptions`; unless given, what lies beside the file as
            `NAME.geometry.json` or `geometry.json`.
        **options: for a `.keras` file from elsewhere, see `keras_transfer.models.silent.ModelOptions`.

    Returns:
        The classifier.

    Raises:
        InputError: the file is missing, damaged, of another kind, or no classifier; or it has another geometry than
            the one given.
    """
    check_options("open_classifier", options, ModelOptions)
    path = _file_of(Path(path))
    if starts_with(path, 4) != b"TFL3":
        if delegate:
            raise InputError(f"A delegate computes .tflite files. Received: {path}, delegate={delegate!r}.")
        from keras_transfer.models import read_inputs
        from keras_transfer.models.rejection import read_rejection

        inputs = with_geometry(path, read_inputs(path), geometry)
        return keras_classifier(load_keras(path), path, inputs=inputs, rejection=read_rejection(path), **options)
    check_no_options(path, options)
    from keras_transfer.litert import read_inputs as read_litert_inputs

    return _litert_classifier(path, delegate, with_geometry(path, read_litert_inputs(path.read_bytes()), geometry))


def known_inputs(path: str | Path) -> InputSpec | None:
    """What a model's file says that it takes, read without opening the model; None where it says nothing."""
    path = _file_of(Path(path))
    if starts_with(path, 4) != b"TFL3":
        from keras_transfer.models import read_inputs

        return read_inputs(path)
    from keras_transfer.litert import read_inputs as read_litert_inputs

    return read_litert_inputs(path.read_bytes())


def require_model(path: str | Path) -> None:
    """Raises `InputError` for what `open_classifier` refuses at first sight, before others spend time on items."""
    path = _file_of(Path(path))
    if starts_with(path, 4) != b"TFL3":
        check_keras(path)


def _file_of(path: Path) -> Path:
    return path / "model.keras" if (path / "model.keras").is_file() else path


def keras_classifier(
    model: "keras.Model",
    path: Path | None = None,
    class_names: list[str] | None = None,
    *,
    inputs: InputSpec | None = None,
    rejection: "Rejection | None" = None,
    **options: Unpack[ModelOptions],
) -> Classifier:
    """A classifier of a Keras model from anywhere, with one input or several.

    Args:
        model: the model.
        path: its file.
        class_names: in the order of its outputs; those beside the file unless given.
        inputs: what it takes, where that is known. The shapes are the model's.
        rejection: its score of unknown items, if it has one.
        **options: of a model from elsewhere, see `keras_transfer.models.silent.ModelOptions`.

    Raises:
        InputError: the model is no such classifier, or a size that it leaves open is not given.
    """
    from keras_transfer.models.classifiers import output_activation

    model = as_plain(model, inputs.modality if inputs is not None else MODALITY, options, _name(path))
    spec = _spec([tuple(tensor.shape[1:]) for tensor in model.inputs], inputs, path)
    units, activation = int(model.output_shape[1]), output_activation(model)
    if rejection is not None:
        from keras_transfer.models.rejection import with_rejection

        model = with_rejection(model, rejection)
    if model not in _calls:
        _calls[model] = _traced(model, spec)

    any_length = spec.padded is not None and None in model.inputs[0].shape[1:]

    def answer(values: Arrays) -> NDArray[np.float32]:
        call, arrays = _calls[model], as_tuple(values)
        if any_length:
            answers = np.empty((len(arrays[0]), units + (rejection is not None)), np.float32)
            for items, part in like_lengths(arrays, spec, _KERAS_BATCH):
                answers[items] = call(*part).numpy()
            return answers
        starts = range(0, len(arrays[0]), _KERAS_BATCH)
        return np.concatenate(
            [call(*(array[start : start + _KERAS_BATCH] for array in arrays)).numpy() for start in starts]
        )

    def scored(values: Arrays) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        columns = answer(values)
        return columns[:, :units], columns[:, units]

    limit = rejection.limit if rejection is not None else None
    multi_label = {"softmax": False, "sigmoid": units > 1}.get(activation)
    return _classifier(
        path, spec, units, multi_label, lambda values: answer(values)[:, :units], class_names, scored, limit
    )


def _traced(model: "keras.Model", spec: InputSpec) -> "Callable[..., tf.Tensor]":
    """The model as a function of one tensor per input.

    One trace for batches of every length, and never XLA, many times slower than TensorFlow's CPU kernels. It reads the
    weights where they are, so it serves as long as the model lives, whose life it must not prolong.
    """
    import tensorflow as tf

    reference = weakref.ref(model)

    def call(*values: "tf.Tensor") -> "tf.Tensor":
        network = reference()
        assert network is not None
        inputs = [tf.cast(value, tensor.dtype) for value, tensor in zip(values, network.inputs, strict=True)]
        outputs = tf.nest.flatten(network(inputs if len(inputs) > 1 else inputs[0], training=False))
        return tf.concat(outputs, axis=1) if len(outputs) > 1 else outputs[0]

    shapes = [tensor.shape for tensor in model.inputs]
    signature = [tf.TensorSpec(shape, tensor.dtype) for shape, tensor in zip(shapes, spec.tensors, strict=True)]
    traced: Callable[..., tf.Tensor] = tf.function(call, signature, jit_compile=False, autograph=False)
    return traced


def _litert_classifier(path: Path, delegate: str, inputs: InputSpec | None) -> Classifier:
    from keras_transfer.litert import open_litert
    from keras_transfer.litert.labels import read_labels, read_limit

    model = open_litert(path, delegate=delegate)
    takes, gives = [tensor.shape for tensor in model.inputs], [tensor.shape for tensor in model.outputs]
    limit = read_limit(path.read_bytes())
    if not takes or len(gives) != (1 if limit is None else 2) or len(gives[0]) != 2:
        raise InputError(
            f"{path} is no classifier: it takes {takes} and gives {gives}. Give a model with one output, [1, classes] "
            "probabilities."
        )
    units = gives[0][1]
    multi_label = {"SOFTMAX": False, "LOGISTIC": units > 1}.get(_last_operator(model.info))
    spec = _spec([shape[1:] for shape in takes], inputs, path)
    labels = read_labels(path.read_bytes())
    return _classifier(path, spec, units, multi_label, model.predict, labels, model.predict_with_scores, limit)


def _last_operator(info: "FileInfo") -> str:
    """The name of the operator that computes a file's first output, but for changes of its type."""
    writers = {index: operator for operator in info.operators for index in operator.outputs}
    operator = writers.get(info.outputs[0])
    while operator is not None and operator.name in ("QUANTIZE", "DEQUANTIZE"):
        operator = writers.get(operator.inputs[0])
    return operator.name if operator is not None else ""


def _classifier(
    path: Path | None,
    inputs: InputSpec,
    units: int,
    multi_label: bool | None,
    run: Callable[[Arrays], NDArray[np.float32]],
    class_names: list[str] | None,
    scored: Callable[[Arrays], tuple[NDArray[np.float32], NDArray[np.float32]]],
    limit: RejectionLimit | None,
) -> Classifier:
    classes = max(2, units)
    names = class_names or (names_beside(path) if path else None)
    if names is not None and len(names) != classes:
        raise InputError(
            f"{_name(path)} has {classes} classes but {len(names)} labels ({', '.join(names[:5])}...). "
            "Put the labels it was trained with beside it."
        )
    known = names or [str(i) for i in range(classes)]
    kind = SilentClassifier if inputs.modality == MODALITY else Classifier
    return kind(path, inputs, known, bool(names), multi_label, run, scored if limit is not None else None, limit)


def names_beside(path: Path) -> list[str] | None:
    """The class names in the `labels.txt` of a model's file, or None where it has none."""
    folder = path.parent
    for place in (path.with_suffix(".labels.txt"), folder / "labels.txt", folder / "export" / "labels.txt"):
        if place.is_file():
            try:
                return place.read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(
                    f"Cannot read the labels in {place} ({error}). Write one name per line, UTF-8."
                ) from error
    return None


def _spec(shapes: Sequence[Shape], inputs: InputSpec | None, path: Path | None) -> InputSpec:
    """What a model takes that has inputs of these shapes."""
    if inputs is None or not inputs.tensors:
        return unknown_spec(shapes, inputs, _name(path))
    stated = [tensor.shape for tensor in inputs.tensors]
    if len(stated) == len(shapes):
        # Metadata may say anything: dtype and range follow from the preparer, the shapes from the model.
        own = tuple(TensorSpec(tensor.name, shape) for tensor, shape in zip(inputs.tensors, shapes, strict=True))
        spec = open_preparer(inputs.modality, inputs.preparation).spec(own)
        stated = [tensor.shape for tensor in spec.tensors]
        if all(map(_fits, stated, shapes)):
            return spec
    raise InputError(
        f"{_name(path)} takes {_listed(shapes)}, but its metadata says {_listed(stated)}: export it again."
    )


def _fits(stated: Shape, own: Shape) -> bool:
    """Whether items of a shape fit an input of a shape, of which sides may be open."""
    return len(stated) == len(own) and all(side in (None, other) for other, side in zip(stated, own, strict=True))


def _listed(shapes: Sequence[Shape]) -> str:
    return " and ".join(str(list(shape)) for shape in shapes)


def _name(path: Path | None) -> str:
    return str(path) if path else "The model"
