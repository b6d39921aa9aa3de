"""The file that exporting a model would give devices, made to be judged and not to be used."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.exporters.heads import two_columns
from keras_transfer.exporters.targets import TARGETS
from keras_transfer.inputs import only
from keras_transfer.litert import convert
from keras_transfer.models.graph import model_inputs

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.split import Split

_MADE_UP = 16  # pictures that calibrate where there are no others


class Preview(NamedTuple):
    """A file for each target: its `format`, `contents` (target -> LiteRT file) and `calibration`, in words."""

    format: str
    contents: dict[str, bytes]
    calibration: str


def preview(
    model: "keras.Model", targets: Sequence[str], calibration: "Split | None" = None, images: int = 100
) -> Preview:
    """Converts a classifier as `export` would, but proves nothing.

    To int8, which every target takes; to float32 where LiteRT has no integer kernels for the model. What a device
    takes, and how much memory that needs, follows from the operators and their shapes, whatever calibrates.

    Args:
        model: from `as_classifier`.
        targets: names of `TARGETS`.
        calibration: the training `Split`; made-up pictures calibrate without one.
        images: how many photographs of it calibrate.

    Returns:
        The files.

    Raises:
        InputError: LiteRT lacks operators of the model.
    """
    if calibration is None:
        pixels = np.random.default_rng(0).integers(0, 256, (_MADE_UP, *model.input_shape[1:]), np.uint8)
        words = "made-up pictures"
    else:
        pixels = only(calibration.stratified(min(images, len(calibration))).arrays(model_inputs(model)))
        words = f"{len(pixels)} training photographs"
    network = two_columns(model) if model.output_shape[1] == 1 else model
    options: dict[str, Any] = {"per_tensor_dense": any(TARGETS[target].per_tensor_dense for target in targets)}
    try:
        kind, content = "int8", convert(network, ["int8"], calibration=pixels, **options)["int8"]
    except InputError:
        kind, content, words = "float32", convert(network, ["float32"])["float32"], ""
    return Preview(kind, {target: _adapted(target, content) for target in targets}, words)


def _adapted(target: str, content: bytes) -> bytes:
    """The file as the target takes it."""
    adapt = TARGETS[target].adapt
    if adapt is not None:
        with contextlib.suppress(InputError):
            return adapt(content)
    return content
