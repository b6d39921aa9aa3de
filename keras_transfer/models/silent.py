"""Silent models: a file or a Keras model from elsewhere that does not say what it takes. It takes pictures.

What else has to be known of such a model, options say. This is the only place that assumes anything of one: whoever
converts, runs, labels or evaluates a model asks here.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypedDict, Unpack

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.geometry import LEGACY, Geometry
from keras_transfer.inputs import Arrays, InputSpec, Json, Preparer, TensorSpec, open_preparer

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.split import Split

MODALITY = "image"
"""What a model takes, and what the items of a split in memory are, where nothing says so."""
PREPARED_OUTSIDE = "If its pixels were scaled outside of it (x / 255, preprocess_input), say so: --pixels 0..1."
"""What to do about a model that does no better than chance."""

Size: TypeAlias = int | tuple[int, int] | Callable[[], tuple[int, int] | None] | None
Shape: TypeAlias = Sequence[int | None]
GeometryLike: TypeAlias = str | Mapping[str, Json] | Geometry | None
"""How images are fitted to a model: a mode's name, some fields, or a `Geometry`; None where the file says it."""


class NetworkOptions(TypedDict, total=False):
    """What has to be said of a Keras model to convert it.

    Attributes:
        image_size: side of the images or `(height, width)`, of a model that takes any size; or a function that says
            so, called only for such a model.
        pixels: what it takes where its pixels were prepared outside of it, such as `"0..1"`; see
            `keras_transfer.as_classifier`.
    """

    image_size: Size
    pixels: str | None


class ModelOptions(NetworkOptions, total=False):
    """What has to be said of a classifier whose file does not say it, and must not be said of others.

    Attributes:
        multi_label: of a model that ends in logits: whether each is a yes or no of its own.
    """

    multi_label: bool


class OwnModelOptions(ModelOptions, total=False):
    """`ModelOptions`, and how images are fitted.

    Attributes:
        geometry: see `keras_transfer.decode_image`.
    """

    geometry: GeometryLike


class ShortForms:
    """Short forms of the inputs of an image classifier: it takes `uint8 [n, height, width, channels]` in 0..255."""

    inputs: InputSpec

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of the pixels that it takes; 3 channels are R, G, B."""
        height, width, channels = self.inputs.tensor.shape
        return height or 0, width or 0, channels or 0

    @property
    def image_size(self) -> tuple[int, int]:
        """`(height, width)` of the pixels that it takes."""
        return self.image_shape[:2]

    @property
    def geometry(self) -> Geometry | None:
        """How images are fitted to it; `None` if nothing says so."""
        geometry = self.inputs.preparation.get("geometry")
        return None if geometry is None else Geometry.of(geometry)


def options_of(split: "Split", options: ModelOptions) -> ModelOptions:
    """The options, and what a split says: which size its images have, and whether they have several labels each."""
    image_size = options.get("image_size")
    return ModelOptions(
        image_size=image_size if image_size is not None else getattr(split, "common_shape", None),
        pixels=options.get("pixels"),
        multi_label=np.ndim(split.labels) == 2,
    )


def as_plain(model: "keras.Model", modality: str, options: ModelOptions, name: str = "The model") -> "keras.Model":
    """A model on raw items that gives probabilities: of images as `keras_transfer.as_classifier` makes it."""
    if modality != MODALITY:
        return model
    from keras_transfer.models import as_classifier

    return as_classifier(model, **options, name=name)


def preparer_of(split: "Split | None") -> Preparer:
    """How the items of a split become inputs; those in memory have no preparer, and are images of the model's size."""
    preparer: Preparer | None = getattr(split, "preparer", None)
    return preparer if preparer is not None else open_preparer(MODALITY, {"geometry": LEGACY.to_dict()})


def convertible(
    model: "keras.Model", calibration: Arrays | None, **options: Unpack[NetworkOptions]
) -> tuple["keras.Model", tuple[TensorSpec, ...]]:
    """The model as one that can be converted, and what each of its inputs holds.

    One input holds pixels; several, or one of vectors (a waveform), hold what the model's dtypes say.

    Args:
        model: the model.
        calibration: training items, whose size a model gets that takes any.
        **options: see `NetworkOptions`.
    """
    from keras_transfer.models import as_network
    from keras_transfer.models.graph import model_inputs

    ranks = [len(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    if len(ranks) > 1 or ranks == [2]:
        return model, model_inputs(model)
    size_is_open = None in (getattr(model, "input_shape", None) or ())[1:]
    if options.get("image_size") is None and isinstance(calibration, np.ndarray) and size_is_open:
        height, width = calibration.shape[1:3]
        options["image_size"] = (height, width)
    model = as_network(model, **options)
    return model, (tensor_of(model.inputs[0].shape[1:]),)


def tensor_of(shape: Shape) -> TensorSpec:
    """What an input of this shape holds, the batch left out."""
    return TensorSpec("image", tuple(shape), "uint8", 0, 255)


def item_dtype(shape: Shape, dtype: str, bytes_only: bool) -> str:
    """What an item holds for an input of a file: pixels, or what the input's own type is.

    Args:
        shape: of the input, the batch left out.
        dtype: of the input.
        bytes_only: whether pixels of this file are never floats.

    >>> item_dtype((32, 32, 3), "float32", False), item_dtype((64, 1), "float32", False)
    ('uint8', 'float32')
    """
    return "uint8" if len(shape) == 3 and not (dtype == "float32" and bytes_only) else dtype


def inputs_of_file(inputs: InputSpec | GeometryLike, shape: Shape) -> InputSpec:
    """What a file takes whose first input has a shape: as a spec says, or else pictures that are fitted so."""
    if not isinstance(inputs, InputSpec):
        return geometry_inputs(inputs if inputs is not None else LEGACY, (tensor_of(shape),))
    if inputs.modality == MODALITY and not inputs.tensors:  # of an earlier release
        return replace(inputs, tensors=(tensor_of(shape),))
    return inputs


def check_no_options(path: Path, options: ModelOptions) -> None:
    """Raises `InputError` where options of a Keras model are given for a `.tflite` file, which says them itself."""
    for option, value in (("image_size", options.get("image_size")), ("pixels", options.get("pixels"))):
        if value is not None and not callable(value):
            raise InputError(f"`{option}` is for a .keras file; {path} has its own. Leave it out.")


def with_geometry(path: Path, inputs: InputSpec | None, geometry: GeometryLike) -> InputSpec | None:
    """What a file takes: images with the geometry that stands in it, lies beside it or is given.

    Raises:
        InputError: another geometry is given than the file's own.
    """
    if inputs is not None and inputs.modality != MODALITY:
        return inputs
    wanted = geometry_of_file(path, inputs, geometry)
    return inputs if wanted is None else geometry_inputs(wanted, inputs.tensors if inputs is not None else ())


def geometry_inputs(geometry: GeometryLike, tensors: tuple[TensorSpec, ...] = ()) -> InputSpec:
    """Inputs of images that are fitted so."""
    from keras_transfer.recipe import check_geometry  # which takes a while to import

    return InputSpec(MODALITY, tensors, {"geometry": check_geometry(geometry).to_dict()})


def geometry_of_file(path: Path, inputs: InputSpec | None, geometry: GeometryLike) -> Geometry | None:
    """The geometry that a file has inside, or the one beside it, or the one that is given; None where nothing says.

    Raises:
        InputError: another is given than the file's own.
    """
    from keras_transfer.recipe import check_geometry

    inside = inputs.preparation.get("geometry") if inputs is not None else None
    own = Geometry.of(inside) if inside is not None else _geometry_beside(path)
    wanted = own if geometry is None else check_geometry(geometry)
    if own is not None and wanted != own:
        raise InputError(f"{path} says how images are fitted to it ({own.describe()}). Leave --geometry out.")
    return wanted


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


def unknown_spec(shapes: Sequence[tuple[int | None, ...]], inputs: InputSpec | None, name: str) -> InputSpec:
    """What a model takes that has such inputs and does not say more of them.

    Args:
        shapes: of its inputs, the batch left out.
        inputs: the geometry, if it is known.
        name: what sentences call the model.

    Raises:
        InputError: these are no pixels of one size.
    """
    shape = shapes[0]
    height, width, channels = shape if len(shape) == 3 else (None,) * 3
    if len(shapes) > 1 or channels not in (1, 3) or not height or not width or height < 1 or width < 1:
        taken = " and ".join(str((None, *one)) for one in shapes)
        raise InputError(
            f"{name} takes {taken}, not [n, height, width, 3] or [n, height, width, 1] pixels of one size. "
            "Give a model for photographs, built with a fixed image size."
        )
    preparation = inputs.preparation if inputs is not None else {}  # empty where nothing says
    spec = open_preparer(MODALITY, preparation).spec((tensor_of(shape),))
    return replace(spec, preparation=preparation)
