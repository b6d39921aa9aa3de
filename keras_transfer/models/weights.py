"""ImageNet weights: found, checked and put into a backbone, whatever file they come in."""

import re
import sys
import zipfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.models.backbones import Backbone
from keras_transfer.models.preprocessing import NAME as PREPROCESSING
from keras_transfer.models.preprocessing import STD

Arrays = list[np.ndarray]


def construct(row: Backbone, alpha: float | None, **arguments: Any) -> keras.Model:
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
        weights: `"imagenet"`, or the path of a `.h5`, `.weights.h5` or `.keras` file.
        alpha: the width multiplier, or None.
        side: side of the pictures; the ImageNet weights made for the nearest side are taken.
        include_top: whether the classifier's weights are wanted too.

    Raises:
        InputError: the weights cannot be had, or are another network's.
    """
    target = _variables(model)
    if weights == "imagenet":
        arrays = _download(row, alpha, side, include_top)
    else:
        arrays = _read(Path(weights), row, alpha, [tuple(variable.shape) for variable in target])
    if len(arrays) < len(target) or any(
        array.shape != tuple(variable.shape) for array, variable in zip(arrays, target, strict=False)
    ):
        raise _misfit(weights, row, alpha)
    for array, variable in zip(arrays, target, strict=False):
        variable.assign(array)
    if row.constructor.startswith("EfficientNetB"):
        _mend_normalization(model)


def _variables(model: keras.Model) -> list[Any]:
    """The weights in the order of the layers, without our own preprocessing: the same in every build of a network."""
    return [variable for layer in model.layers if layer.name != PREPROCESSING for variable in layer.weights]


def _arrays(model: keras.Model) -> Arrays:
    return [np.asarray(variable) for variable in _variables(model)]


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
        with redirect_stdout(sys.stderr):  # Keras shows its download on standard output, which is for results
            shape = (nearest, nearest, 3)
            return _arrays(construct(row, alpha, weights="imagenet", include_top=include_top, input_shape=shape))
    except Exception as error:
        address = re.search(r"URL fetch failure on (\S+?): ", str(error))
        if address is None:
            raise
        place = Path(keras.config.keras_home() if hasattr(keras.config, "keras_home") else "~/.keras") / "models"
        name = address[1].rsplit("/", 1)[-1]
        raise InputError(
            f"The ImageNet weights of {row.name} cannot be downloaded: fetch {address[1]} on a connected machine and "
            f"put it at {place / name}, or give its path as `weights`."
        ) from error


def _read(path: Path, row: Backbone, alpha: float | None, shapes: Sequence[tuple[int, ...]]) -> Arrays:
    if not path.is_file():
        raise InputError(
            f"There is no weights file {path}. Give 'imagenet', 'none', 'hub:HANDLE', or the path of a .h5, "
            ".weights.h5 or .keras file."
        )
    if zipfile.is_zipfile(path):
        try:
            return _arrays(keras.saving.load_model(path, compile=False, safe_mode=True))
        except Exception as error:
            raise InputError(f"{path} cannot be read as a Keras model in safe mode: {_first_line(error)}") from error
    # A file without or with the classifier, or of one of our own models, whose preprocessing may shift the count.
    side = row.image_size
    shape = (side, side, 3)
    candidates: list[Callable[[], keras.Model]] = [
        lambda: construct(row, alpha, weights=None, include_top=False, pooling="avg", input_shape=shape),
        lambda: construct(row, alpha, weights=None, include_top=True, input_shape=shape),
    ]
    for candidate in candidates:
        model = candidate()
        try:
            model.load_weights(str(path))
        except Exception:
            continue
        return _arrays(model)
    raise _misfit(path, row, alpha)


def _misfit(weights: str | Path, row: Backbone, alpha: float | None) -> InputError:
    width = f" with alpha {alpha}" if alpha is not None else ""
    return InputError(f"{weights} does not hold the weights of {row.name}{width}: name the backbone it was made with.")


def _mend_normalization(model: keras.Model) -> None:
    """Keras's published EfficientNet files hold the deviation where `Normalization` keeps the variance.

    Keras makes up for it with a second Rescaling, but only when it downloads the file itself (tensorflow#49930);
    squaring the three numbers has the same effect for a file from anywhere, without the extra layer.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.variables:
            variance = next(variable for variable in layer.weights if variable.path.endswith("variance"))
            if np.allclose(np.asarray(variable_value := np.asarray(variance)).ravel(), STD, rtol=1e-3):
                variance.assign(np.square(np.asarray(STD, "float32")).reshape(variable_value.shape))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
