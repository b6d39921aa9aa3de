"""Classifiers as one flat functional graph on raw pixels."""

from collections.abc import Sequence
from pathlib import Path

import keras

from keras_transfer.errors import InputError
from keras_transfer.modalities.image import bundled
from keras_transfer.modalities.image.backbones import Backbone, find_backbone
from keras_transfer.modalities.image.weights import flat_backbone, load_pretrained
from keras_transfer.models.head import add_head, compile_classifier
from keras_transfer.models.kerashub import preset_backbone, preset_of


def build_classifier(
    backbone: str,
    classes: int | Sequence[str],
    *,
    image_size: int | tuple[int, int] | None = None,
    weights: str | Path | None = "imagenet",
    alpha: float | None = None,
    pooling: str | None = None,
    hidden: Sequence[int] = (),
    dropout: float = 0.2,
    label_smoothing: float = 0.0,
    multi_label: bool = False,
    binary: bool = False,
) -> keras.Model:
    """Builds a classifier on a pretrained backbone: a plain `keras.Model`, compiled, that takes pixels in 0..255.

    Preprocessing, backbone, pooling, hidden layers, dropout, `logits` and `predictions` are layers of one flat graph.
    The model is saved, loaded (`keras.saving.load_model`, safe mode, no custom object) and fitted as any other. At
    first all layers train; `freeze_backbone` and `unfreeze_top` choose.

    Args:
        backbone: a name of the table `BACKBONES`; a KerasHub preset (`"kerashub:NAME"`, a handle such as `"hf://..."`,
            or the path of a preset's folder with a slash in it); or `"hub:HANDLE"`, the folder of a SavedModel or an
            address of TensorFlow Hub or Kaggle that gives feature vectors of images in 0..1: always frozen, 224 wide
            by default, and the one kind of model that needs this package to load (`load_model`).
        classes: how many classes, at least 2 (1 with `multi_label`), or their names.
        image_size: side of the images, or `(height, width)`; the backbone's native size by default.
        weights: `"imagenet"` (downloaded and kept by Keras; a KerasHub preset's own), the path of a `.h5` or
            `.weights.h5` file of the backbone or of a `.keras` file on it, `"hub:HANDLE"`, `"none"`/None for random
            ones, or `"bundled"`: those inside this package, of `mobilenet_v2` with alpha 0.35 at 96 pixels.
        alpha: width multiplier of the MobileNets; 1.0 by default.
        pooling: `"avg"` or `"max"` over the backbone's last map, `"avg"` by default; for a KerasHub transformer with a
            class token also `"token"`, which is its default.
        hidden: units of Dense layers (ReLU) between pooling and dropout.
        dropout: rate of the dropout before the logits, at least 0 and below 1.
        label_smoothing: at least 0 and below 1; above 0 a softmax head's labels must be one-hot.
        multi_label: one sigmoid per class; labels are multi-hot `[n, classes]`.
        binary: one sigmoid unit for two classes, the probability of the second; labels are 0 or 1.

    Returns:
        The model, `float32 [n, height, width, 3]` to probabilities `[n, classes]` (`[n, 1]` if `binary`), compiled
        with Adam (1e-3) and the matching loss and metrics: integer labels for softmax.

    Raises:
        InputError: an argument is wrong, or the weights are not available; the message says what to do.

    >>> model = build_classifier("mobilenet_v2", ["cat", "dog"], image_size=32, alpha=0.35, weights="none")
    >>> model.output_shape
    (None, 2)
    """
    count = classes if isinstance(classes, int) else len(classes)
    _check(count, pooling, hidden, dropout, label_smoothing, multi_label, binary)
    body, name = _backbone(backbone, image_size, weights, alpha, pooling)
    outputs = add_head(body.output, count, hidden=hidden, dropout=dropout, multi_label=multi_label, binary=binary)
    model = keras.Model(body.inputs[0], outputs, name=name)
    compile_classifier(model, label_smoothing=label_smoothing, multi_label=multi_label)
    return model


def _backbone(
    backbone: str,
    image_size: int | tuple[int, int] | None,
    weights: str | Path | None,
    alpha: float | None,
    pooling: str | None,
) -> tuple[keras.Model, str]:
    """The model from pixels to pooled features, and its name."""
    handle = next((str(each)[4:] for each in (backbone, weights) if str(each).startswith("hub:")), None)
    preset = preset_of(backbone) if handle is None else None
    if handle is not None:
        return _hub_body(handle, *_sides(224 if image_size is None else image_size)), "hub"
    if preset is not None:
        _check_preset(preset, alpha, weights)
        sides = None if image_size is None else _sides(image_size)
        body = preset_backbone(preset, image_size=sides, weights=weights == "imagenet", pooling=pooling)
        return body, body.name
    row = find_backbone(backbone)
    if pooling == "token":
        raise InputError(f"{row.name} has no class token: choose the pooling 'avg' or 'max'.")
    if weights == "bundled":
        alpha, image_size = bundled.choose(row.name, alpha, image_size)
    alpha = _check_alpha(row, alpha)
    height, width = _check_size(row, image_size)
    body = flat_backbone(row, alpha, height, width, pooling=pooling or "avg")
    if weights not in (None, "none"):
        load_pretrained(body, row, weights, alpha, max(height, width))
    return body, row.name


def _hub_body(handle: str, height: int, width: int) -> keras.Model:
    """A hub module on pixels in 0..255: modules of images take 0..1 by convention."""
    from keras_transfer.models.hub import hub_features

    pixels = keras.Input((height, width, 3), name="image", dtype="float32")
    scaled = keras.layers.Rescaling(1 / 255, name="preprocessing")(pixels)
    return keras.Model(pixels, hub_features(handle, scaled), name="hub")


def _check_preset(preset: str, alpha: float | None, weights: str | Path | None) -> None:
    if alpha not in (None, 1.0):
        raise InputError(f"{preset} has one width only: leave `alpha` out. Received: alpha={alpha}.")
    if weights not in ("imagenet", "none", None):
        raise InputError(
            f"A KerasHub preset brings its own weights: leave `weights` out, or give 'none' for random ones. "
            f"Received: weights={str(weights)!r}."
        )


def build_imagenet_classifier(
    backbone: str,
    *,
    weights: str | Path | None = "imagenet",
    image_size: int | tuple[int, int] | None = None,
    alpha: float | None = None,
) -> keras.Model:
    """Builds the backbone with its own classifier of ImageNet's 1000 classes, on pixels in 0..255.

    Args:
        backbone: a name of the table `BACKBONES`.
        weights: `"imagenet"`, the path of a file with the classifier's weights, or `"none"`/None.
        image_size: side of the pictures, or `(height, width)`; the backbone's native size by default.
        alpha: width multiplier of the MobileNets; 1.0 by default.

    Returns:
        The model, not compiled: `float32 [n, height, width, 3]` to probabilities `[n, 1000]`, in Keras's order of
        classes (sorted WordNet identifiers).

    Raises:
        InputError: an argument is wrong, or the weights cannot be had.

    >>> build_imagenet_classifier("mobilenet", weights="none", image_size=32, alpha=0.25).output_shape
    (None, 1000)
    """
    row = find_backbone(backbone)
    alpha = _check_alpha(row, alpha)
    height, width = _check_size(row, image_size)
    body = flat_backbone(row, alpha, height, width, include_top=True, classifier_activation=None)
    if weights not in (None, "none"):
        load_pretrained(body, row, weights, alpha, max(height, width), include_top=True)
    outputs = keras.layers.Activation("softmax", name="probabilities")(body.output)
    return keras.Model(body.inputs[0], outputs, name=f"{row.name}_imagenet")


def _check(
    count: int,
    pooling: str | None,
    hidden: Sequence[int],
    dropout: float,
    smoothing: float,
    multi_label: bool,
    binary: bool,
) -> None:
    if binary and multi_label:
        raise InputError("Give at most one of `binary` and `multi_label`.")
    if count < (1 if multi_label else 2):
        raise InputError(f"A classifier needs at least two classes. Received: classes={count}.")
    if binary and count != 2:
        raise InputError(f"`binary` is for exactly two classes. Received: classes={count}.")
    if pooling not in ("avg", "max", "token", None):
        raise InputError(f"`pooling` must be 'avg', 'max' or 'token'. Received: pooling={pooling!r}.")
    if not 0 <= dropout < 1:
        raise InputError(f"`dropout` must be at least 0 and below 1. Received: dropout={dropout}.")
    if not 0 <= smoothing < 1:
        raise InputError(f"`label_smoothing` must be at least 0 and below 1. Received: label_smoothing={smoothing}.")
    if any(not isinstance(units, int) or units < 1 for units in hidden):
        raise InputError(f"`hidden` must hold positive whole numbers. Received: hidden={hidden!r}.")


def _check_alpha(row: Backbone, alpha: float | None) -> float | None:
    if not row.alphas:
        if alpha not in (None, 1.0):
            raise InputError(f"{row.name} has one width only: leave `alpha` out. Received: alpha={alpha}.")
        return None
    if alpha is not None and alpha <= 0:
        raise InputError(f"`alpha` must be above 0. Received: alpha={alpha}.")
    return 1.0 if alpha is None else float(alpha)


def _check_size(row: Backbone, image_size: int | tuple[int, int] | None) -> tuple[int, int]:
    sides = _sides(row.image_size if image_size is None else image_size)
    if min(sides) < row.min_size:
        least = f"{row.min_size} x {row.min_size}"
        raise InputError(f"{row.name} takes pictures of {least} or more. Received: image_size={image_size!r}.")
    return sides


def _sides(image_size: int | tuple[int, int]) -> tuple[int, int]:
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(sides) != 2 or any(not isinstance(side, int) or side < 1 for side in sides):
        raise InputError(
            f"`image_size` must be a whole number or (height, width). Received: image_size={image_size!r}."
        )
    return sides[0], sides[1]
