"""Image models from anywhere, whose files do not say what they take: options that say it, and short forms.

The only place of this package outside of the image modality where evaluation knows of images: a model that says
nothing of its inputs is an image classifier.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from keras_transfer.errors import InputError
from keras_transfer.evaluation.classifier import Classifier
from keras_transfer.geometry import Geometry
from keras_transfer.inputs import InputSpec, Json, TensorSpec, open_preparer
from keras_transfer.models.own_models import MODALITY, ModelOptions
from keras_transfer.recipe import check_geometry

PREPARED_OUTSIDE = "If its pixels were scaled outside of it (x / 255, preprocess_input), say so: --pixels 0..1."
"""What to do about a model that does no better than chance."""


GeometryLike: TypeAlias = str | Mapping[str, Json] | Geometry | None
"""How images are fitted to a model: a mode's name, some fields, or a `Geometry`; None where the file says it."""


class OwnModelOptions(ModelOptions, total=False):
    """`ModelOptions`, and how images are fitted.

    Attributes:
        geometry: see `keras_transfer.decode_image`.
    """

    geometry: GeometryLike


class ImageClassifier(Classifier):
    """A `Classifier` of images, `uint8 [n, height, width, channels]` in 0..255, with short forms of its `inputs`."""

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


def classifier_type(inputs: InputSpec) -> type[Classifier]:
    """The class of classifiers with such inputs."""
    return ImageClassifier if inputs.modality == MODALITY else Classifier


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
    return InputSpec(MODALITY, tensors, {"geometry": check_geometry(geometry).to_dict()})


def geometry_of_file(path: Path, inputs: InputSpec | None, geometry: GeometryLike) -> Geometry | None:
    """The geometry that a file has inside, or the one beside it, or the one that is given; None where nothing says.

    Raises:
        InputError: another is given than the file's own.
    """
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
    spec = open_preparer(MODALITY, preparation).spec((TensorSpec("image", shape),))
    return replace(spec, preparation=preparation)
