"""ImageNet weights: located, checked and loaded into a backbone, whatever file they come in."""

import os
import sys
import zipfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import keras
import numpy as np

from keras_transfer.errors import InputError, in_one_line
from keras_transfer.modalities.image import bundled
from keras_transfer.modalities.image.backbones import Backbone
from keras_transfer.models.download import DownloadError, WeightsUnreachable, safe_downloads
from keras_transfer.models.loading import load_model
from keras_transfer.models.preprocessing import NAME as PREPROCESSING
from keras_transfer.models.preprocessing import STD, preprocessing_layer

Arrays = list[np.ndarray]


NAMES = ("imagenet", "bundled")
"""Pretrained weights that have a name; all others lie in a file."""
DOWNLOADED = NAMES[0]


def flat_backbone(row: Backbone, alpha: float | None, height: int, width: int, **arguments: object) -> keras.Model:
    """The backbone on pixels in 0..255: preprocessing and network as one flat graph, weights random."""
    pixels = keras.Input((height, width, 3), name="image", dtype="float32")
    layer = preprocessing_layer(row.preprocessing)
    start = pixels if layer is None else layer(pixels)
    arguments = {"include_top": False, "weights": None, "input_shape": (height, width, 3), **arguments}
    return construct(row, alpha, input_tensor=start, **arguments)


def construct(row: Backbone, alpha: float | None, **arguments: object) -> keras.Model:
    """Calls the backbone's constructor of `keras.applications`."""
    width = {} if alpha is None else {"alpha": alpha}
    return getattr(keras.applications, row.constructor)(**row.arguments, **width, **arguments)


def load_pretrained(
    model: keras.Model, row: Backbone, weights: str | Path, alpha: float | None, side: int, include_top: bool = False
) -> None:
    """Puts pretrained weights into a flat model of this package.

    Args:
        model: the backbone's flat graph, preprocessing included; with the 1000 classes' layers if `include_top`.
        row: the backbone.
        weights: `"imagenet"`, `"bundled"`, or the path of a `.h5`, `.weights.h5` or `.keras` file.
        alpha: the width multiplier, or None.
        side: side of the pictures; the ImageNet weights made for the nearest side are used.
        include_top: whether the classifier's weights are wanted too.

    Raises:
        InputError: the weights cannot be had, or are another network's.
    """
    target = _variables(model)
    arrays: Sequence[np.ndarray]
    if weights == "bundled" and not include_top:
        arrays = bundled.arrays()
    elif weights == "imagenet":
        arrays = _download(row, alpha, side, include_top)
    else:
        arrays = _read(Path(weights), model, row, alpha, include_top)
    if len(arrays) < len(target) or any(
        array.shape != tuple(variable.shape) for array, variable in zip(arrays, target, strict=False)
    ):
        raise _misfit(weights, row, alpha)
    for array, variable in zip(arrays, target, strict=False):
        variable.assign(array)
    if row.constructor.startswith("EfficientNetB"):
        _repair_normalization(model)


def _variables(model: keras.Model) -> list[keras.Variable]:
    """The weights in the order of the layers, without our own preprocessing: the same in every build of a network."""
    return [variable for layer in model.layers if layer.name != PREPROCESSING for variable in layer.weights]


def _arrays(model: keras.Model) -> Arrays:
    return [keras.ops.convert_to_numpy(variable) for variable in _variables(model)]


def _download(row: Backbone, alpha: float | None, side: int, include_top: bool) -> Arrays:
    if row.alphas and (alpha or 1.0) not in row.alphas:
        known = ", ".join(map(str, row.alphas))
        raise InputError(
            f"ImageNet weights of {row.name} exist for alpha {known}. Received: alpha={alpha}. "
            "Choose one of these, or weights='none' to start from random weights."
        )
    # Built at a size that has weights of its own: Keras would warn, and take the largest's, at any other.
    sizes = row.weight_sizes or (row.image_size,)
    nearest = min(sizes, key=lambda size: (abs(size - side), -size))
    try:
        # Keras shows its download on standard output, which is for results.
        with redirect_stdout(sys.stderr), safe_downloads():
            shape = (nearest, nearest, 3)
            return _arrays(construct(row, alpha, weights="imagenet", include_top=include_top, input_shape=shape))
    except DownloadError as error:
        raise WeightsUnreachable(
            f"The ImageNet weights of {row.name} cannot be downloaded ({error.reason}). Without a network choose "
            f"--weights bundled, the small {bundled.BACKBONE} of this package; or fetch {error.url} on a connected "
            f"machine and put it at {error.path}, or give its path with --weights.",
            error.reason,
        ) from error
    except Exception as error:
        raise InputError(
            f"The ImageNet weights of {row.name} cannot be loaded ({in_one_line(error)}): delete their file in "
            f"{keras_folder()} and try again, or give the path of another as `weights`."
        ) from error


def keras_folder() -> Path:
    """Where Keras keeps the weights that it has downloaded."""
    return Path(os.environ.get("KERAS_HOME", Path("~", ".keras"))).expanduser() / "models"


def _read(path: Path, model: keras.Model, row: Backbone, alpha: float | None, include_top: bool) -> Arrays:
    if not path.is_file():
        raise InputError(
            f"There is no weights file {path}. Give 'imagenet', 'none', 'hub:HANDLE', or the path of a .h5, "
            ".weights.h5 or .keras file."
        )
    if zipfile.is_zipfile(path):
        return _arrays(load_model(path))
    shape = (row.image_size, row.image_size, 3)
    # A file of this very network, or with the 1000 classes, or without what our own preprocessing holds.
    candidates: list[Callable[[], keras.Model]] = [
        lambda: model,
        lambda: construct(row, alpha, weights=None, include_top=not include_top, input_shape=shape),
        lambda: construct(row, alpha, weights=None, include_top=include_top, input_shape=shape),
    ]
    for candidate in candidates:
        network = candidate()
        try:
            network.load_weights(str(path))
        except Exception:  # what Keras and HDF5 raise on another network's file, or on no HDF5 file at all
            continue
        return _arrays(network)
    raise _misfit(path, row, alpha)


def _misfit(weights: str | Path, row: Backbone, alpha: float | None) -> InputError:
    width = f" with alpha {alpha}" if alpha is not None else ""
    return InputError(f"{weights} does not hold the weights of {row.name}{width}: name the backbone it was made with.")


def _repair_normalization(model: keras.Model) -> None:
    """Keras's published EfficientNet files hold the deviation where `Normalization` keeps the variance.

    Keras makes up for it with a second Rescaling, but only when it downloads the file itself (tensorflow#49930);
    squaring the three numbers has the same effect for a file from anywhere, without the extra layer.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            variance = keras.ops.convert_to_numpy(layer.adapt_variance)
            if np.allclose(variance.ravel(), STD, rtol=1e-3):
                layer.adapt_variance.assign(np.square(variance))
            layer.finalize_state()
