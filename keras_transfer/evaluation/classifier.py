"""One way to ask a saved model, whatever its format."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.evaluation.keras_file import load_keras

if TYPE_CHECKING:
    import keras

Array = np.ndarray[Any, Any]
_KERAS_BATCH = 8  # images in one call of a Keras model; bounds the memory of its activations
# Tracing a network takes a second or two, and a job asks the same model several times.
_answers: "weakref.WeakKeyDictionary[keras.Model, Any]" = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Classifier:
    """A model that answers pixels with probabilities.

    Attributes:
        path: where it was loaded from; `None` for a model in memory.
        image_size: `(height, width)` of the pixels it takes.
        class_names: one name for each column of its answer.
        named: whether the names are known; otherwise they are the columns' numbers.
        multi_label: whether each class is a yes or no of its own; `None` if the file does not tell.
    """

    path: Path | None
    image_size: tuple[int, int]
    class_names: list[str]
    named: bool
    multi_label: bool | None
    run: Callable[[Array], Array] = field(repr=False)

    def predict(self, pixels: Array) -> Array:
        """Probabilities of each class.

        Args:
            pixels: `uint8 [n, H, W, 3]` RGB, with `(H, W)` the classifier's `image_size`.

        Returns:
            `float32 [n, classes]`.

        Raises:
            InputError: the pixels have another shape or type.
        """
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (*self.image_size, 3):
            raise InputError(
                f"`pixels` must be uint8 [n, {self.image_size[0]}, {self.image_size[1]}, 3]. "
                f"Received: {pixels.dtype} {list(pixels.shape)}."
            )
        if len(pixels) == 0:
            return np.zeros((0, len(self.class_names)), np.float32)
        return _two_columns(self.run(pixels), len(self.class_names))


def open_classifier(path: str | Path, *, delegate: str = "") -> Classifier:
    """Opens a `.keras` file, a `.tflite` file or a run directory for predicting.

    Class names are taken from inside a `.tflite`, else from `NAME.labels.txt` or `labels.txt` beside the file, else
    from `export/labels.txt` of its run; without any, classes are called by their numbers.

    Args:
        path: the file, or a run directory (its `model.keras`). A `.keras` file is loaded in safe mode.
        delegate: for a `.tflite`: a library that computes it on a device of its own, such as `libedgetpu.so.1`.

    Returns:
        The classifier.

    Raises:
        InputError: the file is missing, damaged, of another kind, or no image classifier.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / "model.keras").is_file():
            raise InputError(f"{path} holds no model.keras. Give a finished run directory, a .keras or a .tflite file.")
        path = path / "model.keras"
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise InputError(f"Cannot open the model {path}: {error.strerror}. Check the path.") from error
    if delegate and start[4:8] != b"TFL3":
        raise InputError(f"A delegate computes .tflite files. Received: {path}, delegate={delegate!r}.")
    if start[:4] == b"PK\x03\x04":
        return keras_classifier(load_keras(path), path)
    if start[4:8] == b"TFL3":
        return _litert_classifier(path, delegate)
    kind = "an HDF5 file; open it with Keras and save it as .keras" if start == b"\x89HDF\r\n\x1a\n" else "neither"
    raise InputError(f"The model must be a .keras or a .tflite file. Received: {path}, which is {kind}.")


def keras_classifier(
    model: "keras.Model", path: Path | None = None, class_names: list[str] | None = None
) -> Classifier:
    """A classifier of a Keras model that takes pixels in 0..255, as `build_classifier` makes it.

    Raises:
        InputError: the model is no image classifier with a fixed image size.
    """
    import tensorflow as tf

    shape, outputs = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if not isinstance(shape, tuple) or not isinstance(outputs, tuple) or len(outputs) != 2 or None in outputs[1:]:
        raise InputError(
            f"{_where(path)} is no image classifier: it takes {shape} and gives {outputs}. "
            "Give a model from [n, H, W, 3] pixels to [n, classes] probabilities."
        )
    image_size = _image_size(shape, path)

    if model not in _answers:
        # One trace for batches of every length, and never XLA, many times slower than TensorFlow's CPU kernels. It
        # reads the weights where they are, so it serves as long as the model lives, which it must not prolong.
        held: Any = weakref.ref(model)
        _answers[model] = tf.function(
            lambda pixels: held()(tf.cast(pixels, tf.float32), training=False),
            input_signature=[tf.TensorSpec((None, *image_size, 3), tf.uint8)],
            jit_compile=False,
            autograph=False,
        )

    def run(pixels: Array) -> Array:
        answer = _answers[model]
        parts = [answer(pixels[i : i + _KERAS_BATCH]).numpy() for i in range(0, len(pixels), _KERAS_BATCH)]
        return np.concatenate(parts)

    activation = _last_activation(model)
    multi_label = {"softmax": False, "sigmoid": outputs[1] > 1}.get(activation)
    return _classifier(path, image_size, outputs[1], multi_label, run, class_names)


def _litert_classifier(path: Path, delegate: str) -> Classifier:
    from keras_transfer.litert import open_litert
    from keras_transfer.litert.labels import read_labels

    model = open_litert(path, delegate=delegate)
    takes, gives = [tensor.shape for tensor in model.inputs], [tensor.shape for tensor in model.outputs]
    if len(takes) != 1 or len(gives) != 1 or len(gives[0]) != 2:
        raise InputError(
            f"{path} is no image classifier: it takes {takes} and gives {gives}. "
            "Give a model from one picture to [1, classes] probabilities."
        )
    units = gives[0][1]
    names = [operator.name for operator in model.info.operators if operator.name not in ("QUANTIZE", "DEQUANTIZE")]
    multi_label = {"SOFTMAX": False, "LOGISTIC": units > 1}.get(names[-1]) if names else None
    labels = read_labels(path.read_bytes())
    return _classifier(path, _image_size(takes[0], path), units, multi_label, model.predict, labels)


def _classifier(
    path: Path | None,
    image_size: tuple[int, int],
    units: int,
    multi_label: bool | None,
    run: Callable[[Array], Array],
    class_names: list[str] | None,
) -> Classifier:
    classes = max(2, units)
    names = class_names or (_names_beside(path) if path else None)
    if names is not None and len(names) != classes:
        raise InputError(
            f"{_where(path)} has {classes} classes but {len(names)} labels ({', '.join(names[:5])}...). "
            "Put the labels it was trained with beside it."
        )
    return Classifier(path, image_size, names or [str(i) for i in range(classes)], bool(names), multi_label, run)


def _names_beside(path: Path) -> list[str] | None:
    folder = path.parent
    for place in (path.with_suffix(".labels.txt"), folder / "labels.txt", folder / "export" / "labels.txt"):
        if place.is_file():
            try:
                return place.read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(
                    f"Cannot read the labels in {place} ({error}). Write one name a line, UTF-8."
                ) from error
    return None


def _image_size(shape: tuple[int | None, ...], path: Path | None) -> tuple[int, int]:
    _, height, width, channels = shape if len(shape) == 4 else (None,) * 4
    if channels != 3 or height is None or width is None or height < 1 or width < 1:
        raise InputError(
            f"{_where(path)} takes {shape}, not [n, height, width, 3] pixels of one size. "
            "Give a model for RGB photographs, built with a fixed image size."
        )
    return int(height), int(width)


def _last_activation(model: "keras.Model") -> str:
    """`"softmax"`, `"sigmoid"` or something else: what the model's output comes from."""
    import keras

    operation = model.outputs[0]._keras_history.operation
    if isinstance(operation, keras.layers.Softmax):
        return "softmax"
    return str(getattr(getattr(operation, "activation", None), "__name__", ""))


def _two_columns(probabilities: Array, classes: int) -> Array:
    values = np.asarray(probabilities, np.float32)
    if values.shape[1] == 1 and classes == 2:  # one sigmoid unit: the probability of the second class
        return np.concatenate([1 - values, values], axis=1)
    return values


def _where(path: Path | None) -> str:
    return str(path) if path else "The model"
