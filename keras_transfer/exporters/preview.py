"""The file that exporting a model would give devices, made to be judged and not to be used."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.exporters.heads import two_columns
from keras_transfer.exporters.targets import TARGETS
from keras_transfer.inputs import Array, Arrays, TensorSpec, as_tuple
from keras_transfer.litert import convert
from keras_transfer.models.graph import model_inputs
from keras_transfer.models.silent import preparer_of

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.split import Split

_RANDOM_ITEMS = 16  # items that calibrate where there are no others


class Preview(NamedTuple):
    """A file for each target: its `format`, `contents` (target -> LiteRT file) and `calibration`, in words."""

    format: str
    contents: dict[str, bytes]
    calibration: str


def preview(
    model: "keras.Model", targets: Sequence[str], calibration: "Split | None" = None, n_items: int = 100
) -> Preview:
    """Converts a classifier as `export` would, but proves nothing.

    To int8, which every target takes; to float32 where LiteRT has no integer kernels for the model. What a device
    takes, and how much memory that needs, follows from the operators and their shapes, whatever calibrates.

    Args:
        model: from `as_classifier`, or of another modality on raw items.
        targets: names of `TARGETS`.
        calibration: the training `Split`; random items calibrate without one.
        n_items: how many items of it calibrate.

    Returns:
        The files.

    Raises:
        InputError: LiteRT lacks operators of the model.
    """
    tensors = preparer_of(calibration).spec(model_inputs(model)).tensors
    if calibration is None:
        arrays = tuple(_random_items(tensor, np.random.default_rng(0)) for tensor in tensors)
        items: Arrays = arrays if len(arrays) > 1 else arrays[0]
        words = "random items"
    else:
        items = calibration.stratified(min(n_items, len(calibration))).arrays(tensors)
        words = f"{len(as_tuple(items)[0])} training items"
    network = two_columns(model) if model.output_shape[1] == 1 else model
    dense = any(TARGETS[target].per_tensor_dense for target in targets)
    try:
        kind = "int8"
        content = convert(network, [kind], calibration=items, per_tensor_dense=dense, item=tensors)[kind]
    except InputError:
        kind, words = "float32", ""
        content = convert(network, [kind], item=tensors)[kind]
    return Preview(kind, {target: _adapted(target, content) for target in targets}, words)


def _random_items(tensor: TensorSpec, random: np.random.Generator) -> Array:
    """Values from all over the range of an input."""
    shape = (_RANDOM_ITEMS, *(size or 1 for size in tensor.shape))
    low, high = 0.0 if tensor.low is None else tensor.low, 1.0 if tensor.high is None else tensor.high
    if np.issubdtype(np.dtype(tensor.dtype), np.integer):
        return random.integers(int(low), int(high), shape, tensor.dtype, endpoint=True)
    return random.uniform(low, high, shape).astype(tensor.dtype)


def _adapted(target: str, content: bytes) -> bytes:
    """The file as the target takes it."""
    adapt = TARGETS[target].adapt
    if adapt is not None:
        with contextlib.suppress(InputError):
            return adapt(content)
    return content
