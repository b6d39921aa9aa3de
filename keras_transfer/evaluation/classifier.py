"""One way to ask a saved model, whatever its format."""

import json
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.decisions import two_columns
from keras_transfer.errors import InputError
from keras_transfer.evaluation.keras_file import check_keras, load_keras, starts_with
from keras_transfer.geometry import Geometry
from keras_transfer.inputs import InputSpec, Preparer, TensorSpec, open_preparer
from keras_transfer.recipe import check_geometry

if TYPE_CHECKING:
    import keras

    from keras_transfer.models.classifiers import ImageSize

Array = np.ndarray[Any, Any]
_KERAS_BATCH = 8  # images in one call of a Keras model; bounds the memory of its activations
# Tracing a network takes a second or two, and a job asks the same model several times.
_answers: "weakref.WeakKeyDictionary[keras.Model, Any]" = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Classifier:
    """A model that answers items, made into its inputs, with probabilities.

    Attributes:
        path: where it was loaded from; `None` for a model in memory.
        inputs: what it takes: of pictures `uint8 [height, width, channels]`, RGB or one channel. Its `preparation` is
            empty if nothing tells how items become inputs.
        class_names: one name for each column of its answer.
        named: whether the names are known; otherwise they are the columns' numbers.
        multi_label: whether each class is a yes or no of its own; `None` if the file does not tell.
    """

    path: Path | None
    inputs: InputSpec
    class_names: list[str]
    named: bool
    multi_label: bool | None
    run: Callable[[Array], Array] = field(repr=False)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of the pixels that an image classifier takes."""
        height, width, channels = self.inputs.tensor.shape
        return height or 0, width or 0, channels or 0

    @property
    def image_size(self) -> tuple[int, int]:
        """`(height, width)` of the pixels that an image classifier takes."""
        return self.image_shape[:2]

    @property
    def geometry(self) -> Geometry | None:
        """How pictures are fitted to an image classifier; `None` if nothing tells."""
        geometry = self.inputs.preparation.get("geometry")
        return None if geometry is None else Geometry.of(geometry)

    @property
    def preparer(self) -> Preparer | None:
        """How an item becomes what it takes; `None` if nothing tells."""
        return open_preparer(self.inputs.modality, self.inputs.preparation) if self.inputs.preparation else None

    def predict(self, values: Array) -> Array:
        """Probabilities of each class.

        Args:
            values: items as its one input takes them, `[n, ...]`: of pictures `uint8 [n, H, W, channels]` in 0..255.

        Returns:
            `float32 [n, classes]`.

        Raises:
            InputError: they have another shape or type.
        """
        wanted = self.inputs.tensor
        if values.dtype != wanted.dtype or values.shape[1:] != wanted.shape:
            raise InputError(
                f"Items must be {wanted.dtype} [n, {', '.join(map(str, wanted.shape))}]. "
                f"Received: {values.dtype} {list(values.shape)}."
            )
        if len(values) == 0:
            return np.zeros((0, len(self.class_names)), np.float32)
        return two_columns(self.run(values))


def open_classifier(
    path: str | Path,
    *,
    delegate: str = "",
    image_size: "ImageSize" = None,
    pixels: str | None = None,
    multi_label: bool = False,
    geometry: str | Mapping[str, Any] | Geometry | None = None,
) -> Classifier:
    """Opens a `.keras` file, a `.tflite` file or a run directory for predicting.

    Class names are taken from inside a `.tflite`, else from `NAME.labels.txt` or `labels.txt` beside the file, else
    from `export/labels.txt` of its run; without any, classes are called by their numbers. The geometry is taken from
    inside the file, else from `NAME.geometry.json` or `geometry.json` beside it.

    Args:
        path: the file, or a run directory (its `model.keras`). A `.keras` file is loaded in safe mode.
        delegate: for a `.tflite`: a library that computes it on a device of its own, such as `libedgetpu.so.1`.
        image_size: for a `.keras` that takes any size; see `keras_transfer.models.as_classifier`.
        pixels: for a `.keras` whose pixels were prepared outside of it, such as `"0..1"`; see there.
        multi_label: for a `.keras` that ends in logits: whether each is a yes or no of its own.
        geometry: how pictures are fitted to it, for a file that does not say: see `decode_image`.

    Returns:
        The classifier.

    Raises:
        InputError: the file is missing, damaged, of another kind, or no image classifier; or it has another geometry
            than the one told.
    """
    path = _file_of(Path(path))
    if starts_with(path, 4) != b"TFL3":
        if delegate:
            raise InputError(f"A delegate computes .tflite files. Received: {path}, delegate={delegate!r}.")
        from keras_transfer.models import read_inputs

        options = {"image_size": image_size, "pixels": pixels, "multi_label": multi_label}
        inputs = read_inputs(path)
        return keras_classifier(load_keras(path), path, inputs=_fitted(path, inputs, geometry), **options)  # type: ignore[arg-type]
    for option, value in (("image_size", image_size), ("pixels", pixels)):
        if value is not None and not callable(value):
            raise InputError(f"`{option}` is for a .keras file; {path} has its own. Leave it out.")
    from keras_transfer.litert import read_inputs as read_litert_inputs

    inputs = read_litert_inputs(path.read_bytes())
    return _litert_classifier(path, delegate, _fitted(path, inputs, geometry))


def _fitted(path: Path, own: InputSpec | None, given: str | Mapping[str, Any] | Geometry | None) -> InputSpec | None:
    """What a file takes, pictures with the geometry that stands in it, lies beside it or is given."""
    if own is not None and own.modality != "image":
        return own
    geometry = geometry_of_file(path, own, given)
    tensors = own.tensors if own is not None else ()
    return own if geometry is None else InputSpec("image", tensors, {"geometry": geometry.to_dict()})


def geometry_of_file(
    path: Path, inputs: InputSpec | None, given: str | Mapping[str, Any] | Geometry | None
) -> Geometry | None:
    """The geometry that a file has inside, or the one beside it, or the one that is given; None where nothing tells.

    Raises:
        InputError: another is given than the file's own.
    """
    inside = inputs.preparation.get("geometry") if inputs is not None else None
    own = Geometry.of(inside) if inside is not None else _geometry_beside(path)
    wanted = own if given is None else check_geometry(given)
    if own is not None and wanted != own:
        raise InputError(f"{path} says how pictures are fitted to it ({own.describe()}). Leave --geometry out.")
    return wanted


def require_model(path: str | Path) -> None:
    """Raises `InputError` for what `open_classifier` refuses at first sight, before others spend time on pictures."""
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
    image_size: "ImageSize" = None,
    pixels: str | None = None,
    multi_label: bool = False,
    inputs: InputSpec | None = None,
) -> Classifier:
    """A classifier of a Keras model from anywhere.

    Args:
        model: the model.
        path: its file.
        class_names: in the order of its outputs; those beside the file unless given.
        image_size: for `as_classifier`.
        pixels: for `as_classifier`.
        multi_label: for `as_classifier`.
        inputs: what it takes; pictures unless given, its shape unless the spec has tensors.

    Raises:
        InputError: the model is no such classifier, or its image size is open.
    """
    import tensorflow as tf

    from keras_transfer.models import as_classifier
    from keras_transfer.models.classifiers import output_activation

    if inputs is None or inputs.modality == "image":
        model = as_classifier(model, image_size=image_size, pixels=pixels, multi_label=multi_label, name=_where(path))
    spec = _spec(tuple(model.inputs[0].shape[1:]), inputs, path)
    units = int(model.output_shape[1])
    if model not in _answers:
        # One trace for batches of every length, and never XLA, many times slower than TensorFlow's CPU kernels. It
        # reads the weights where they are, so it serves as long as the model lives, which it must not prolong.
        held: Any = weakref.ref(model)
        _answers[model] = tf.function(
            lambda values: held()(tf.cast(values, held().inputs[0].dtype), training=False),
            input_signature=[tf.TensorSpec((None, *spec.tensor.shape), spec.tensor.dtype)],
            jit_compile=False,
            autograph=False,
        )

    def run(values: Array) -> Array:
        answer = _answers[model]
        parts = [answer(values[i : i + _KERAS_BATCH]).numpy() for i in range(0, len(values), _KERAS_BATCH)]
        return np.concatenate(parts)

    several = {"softmax": False, "sigmoid": units > 1}.get(output_activation(model))
    return _classifier(path, spec, units, several, run, class_names)


def _litert_classifier(path: Path, delegate: str, inputs: InputSpec | None) -> Classifier:
    from keras_transfer.litert import open_litert
    from keras_transfer.litert.labels import read_labels

    model = open_litert(path, delegate=delegate)
    takes, gives = [tensor.shape for tensor in model.inputs], [tensor.shape for tensor in model.outputs]
    if len(takes) != 1 or len(gives) != 1 or len(gives[0]) != 2:
        raise InputError(
            f"{path} is no classifier: it takes {takes} and gives {gives}. "
            "Give a model from one input to [1, classes] probabilities."
        )
    units = gives[0][1]
    names = [operator.name for operator in model.info.operators if operator.name not in ("QUANTIZE", "DEQUANTIZE")]
    multi_label = {"SOFTMAX": False, "LOGISTIC": units > 1}.get(names[-1]) if names else None
    labels = read_labels(path.read_bytes())
    return _classifier(path, _spec(takes[0][1:], inputs, path), units, multi_label, model.predict, labels)


def _classifier(
    path: Path | None,
    inputs: InputSpec,
    units: int,
    multi_label: bool | None,
    run: Callable[[Array], Array],
    class_names: list[str] | None,
) -> Classifier:
    classes = max(2, units)
    names = class_names or (names_beside(path) if path else None)
    if names is not None and len(names) != classes:
        raise InputError(
            f"{_where(path)} has {classes} classes but {len(names)} labels ({', '.join(names[:5])}...). "
            "Put the labels it was trained with beside it."
        )
    return Classifier(path, inputs, names or [str(i) for i in range(classes)], bool(names), multi_label, run)


def names_beside(path: Path) -> list[str] | None:
    """The class names in the `labels.txt` of a model's file, or None where it has none."""
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


def _geometry_beside(path: Path) -> Geometry | None:
    for place in (path.with_suffix(".geometry.json"), path.parent / "geometry.json"):
        if place.is_file():
            try:
                return Geometry.of(json.loads(place.read_text("utf-8")))
            except (OSError, TypeError, ValueError) as error:
                raise InputError(
                    f"Cannot use the geometry in {place} ({error}). Copy it again from where the model was made."
                ) from error
    return None


def _spec(shape: tuple[int | None, ...], inputs: InputSpec | None, path: Path | None) -> InputSpec:
    """What a model takes that has such an input: as its file says, or pictures."""
    if inputs is not None and inputs.tensors:
        # Metadata may say anything: dtype and range follow from the preparer, the shape from the model.
        own = TensorSpec(inputs.tensor.name, shape)
        spec = open_preparer(inputs.modality, inputs.preparation).spec((own,))
        if spec.tensor.shape != shape:
            raise InputError(
                f"{_where(path)} takes {list(shape)}, but its metadata says {list(spec.tensor.shape)}: export it again."
            )
        return spec
    height, width, channels = shape if len(shape) == 3 else (None,) * 3
    if channels not in (1, 3) or height is None or width is None or height < 1 or width < 1:
        raise InputError(
            f"{_where(path)} takes {(None, *shape)}, not [n, height, width, 3] or [n, height, width, 1] pixels of one "
            "size. Give a model for photographs, built with a fixed image size."
        )
    preparation = inputs.preparation if inputs is not None else {}  # empty where nothing tells
    return replace(open_preparer("image", preparation).spec((TensorSpec("image", shape),)), preparation=preparation)


def _where(path: Path | None) -> str:
    return str(path) if path else "The model"
