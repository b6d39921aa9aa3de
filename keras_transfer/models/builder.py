"""Classifiers as one flat functional graph on raw pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_transfer.errors import InputError
from keras_transfer.models import bundled
from keras_transfer.models.backbones import Backbone, find_backbone
from keras_transfer.models.graph import nodes
from keras_transfer.models.kerashub import preset_backbone, preset_of
from keras_transfer.models.weights import flat_backbone, load_pretrained


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
    The model is saved, loaded (`keras.saving.load_model`, safe mode, no custom object) and fitted as any other. All
    layers train as it comes; `freeze_backbone` and `unfreeze_top` choose.

    Args:
        backbone: a name of the table `BACKBONES`; or a KerasHub preset: `"kerashub:NAME"`, a handle (`"kaggle://..."`,
            `"hf://..."`), or the path of a preset's folder with a slash in it; or `"hub:HANDLE"`, the folder of a
            SavedModel or an address of TensorFlow Hub or Kaggle that gives feature vectors of pictures in 0..1: frozen
            for good, 224 wide unless told, and the one kind of model that needs this package to load (`load_model`).
        classes: how many classes, at least 2 (1 with `multi_label`), or their names.
        image_size: side of the pictures, or `(height, width)`; the backbone's native size unless given.
        weights: `"imagenet"` (downloaded and kept by Keras; the file made for the nearest size), the path of a `.h5` or
            `.weights.h5` file of the backbone (with or without its classifier) or of a `.keras` file on the same
            backbone, or `"none"`/None for random ones. For a KerasHub preset `"imagenet"` means the weights that it
            has, whatever they were trained on. `"hub:HANDLE"` is understood here too. `"bundled"`: the small
            backbone inside this package, `mobilenet_v2` with alpha 0.35 at 96 pixels (64 or more).
        alpha: width multiplier of the MobileNets; 1.0 unless given.
        pooling: `"avg"` or `"max"`, over the backbone's last map, `"avg"` unless given; for a KerasHub transformer
            with a class token also `"token"`, which is its default.
        hidden: units of Dense layers (ReLU) between pooling and dropout.
        dropout: rate of the dropout before the logits, at least 0 and below 1.
        label_smoothing: at least 0 and below 1. With it a softmax head's labels must be one-hot
            (`keras.ops.one_hot(labels, classes)`): Keras's sparse loss has no smoothing.
        multi_label: one sigmoid per class; labels are multi-hot `[n, classes]`.
        binary: one sigmoid unit for two classes, the probability of the second; labels are 0 or 1.

    Returns:
        The model, `float32 [n, height, width, 3]` to probabilities `[n, classes]` (`[n, 1]` if `binary`), compiled
        with Adam (1e-3) and the matching loss and metrics: integer labels for softmax.

    Raises:
        InputError: an argument is wrong, or the weights cannot be had; the message says what to do.

    >>> model = build_classifier("mobilenet_v2", ["cat", "dog"], image_size=32, alpha=0.35, weights="none")
    >>> model.output_shape
    (None, 2)
    """
    count = classes if isinstance(classes, int) else len(classes)
    _check(count, pooling, hidden, dropout, label_smoothing, multi_label, binary)
    handle = next((str(given)[4:] for given in (backbone, weights) if str(given).startswith("hub:")), None)
    preset = preset_of(backbone) if handle is None else None
    if handle is not None:
        from keras_transfer.models.hub import hub_backbone

        body = hub_backbone(handle, *_sides(224 if image_size is None else image_size))
        name = body.name
    elif preset is not None:
        body = _preset_body(preset, image_size, weights, alpha, pooling)
        name = body.name
    else:
        row = find_backbone(backbone)
        name = row.name
        if pooling == "token":
            raise InputError(f"{row.name} has no class token: choose the pooling 'avg' or 'max'.")
        if weights == "bundled":
            alpha, image_size = bundled.choose(row.name, alpha, image_size)
        alpha = _check_alpha(row, alpha)
        height, width = _check_size(row, image_size)
        body = flat_backbone(row, alpha, height, width, pooling=pooling or "avg")
        if weights not in (None, "none"):
            load_pretrained(body, row, weights, alpha, max(height, width))
    x = body.output
    for number, units in enumerate(hidden):
        x = keras.layers.Dense(units, activation="relu", name=f"hidden_{number}")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    x = keras.layers.Dense(1 if binary else count, name="logits")(x)
    x = keras.layers.Activation("sigmoid" if binary or multi_label else "softmax", name="predictions")(x)
    model = keras.Model(body.inputs[0], x, name=name)
    compile_classifier(model, label_smoothing=label_smoothing, multi_label=multi_label)
    return model


def _preset_body(
    preset: str,
    image_size: int | tuple[int, int] | None,
    weights: str | Path | None,
    alpha: float | None,
    pooling: str | None,
) -> keras.Model:
    if alpha not in (None, 1.0):
        raise InputError(f"{preset} has one width only: leave `alpha` out. Received: alpha={alpha}.")
    if weights not in ("imagenet", "none", None):
        raise InputError(
            f"A KerasHub preset brings its own weights: leave `weights` out, or give 'none' for random ones. "
            f"Received: weights={str(weights)!r}."
        )
    sides = None if image_size is None else _sides(image_size)
    return preset_backbone(preset, image_size=sides, weights=weights == "imagenet", pooling=pooling)


def compile_classifier(
    model: keras.Model,
    optimizer: str | keras.optimizers.Optimizer | None = None,
    *,
    label_smoothing: float = 0.0,
    multi_label: bool = False,
) -> None:
    """Compiles a classifier with the loss and metrics that match its head; again is needed after (un)freezing.

    Args:
        model: a classifier that gives probabilities.
        optimizer: Adam at 1e-3 unless given.
        label_smoothing: as in `build_classifier`.
        multi_label: whether several classes may hold at once; a sigmoid unit for each.
    """
    metrics: list[Any]
    loss: keras.losses.Loss
    if multi_label:
        loss = keras.losses.BinaryCrossentropy(label_smoothing=label_smoothing)
        metrics = [keras.metrics.BinaryAccuracy(name="accuracy"), keras.metrics.F1Score("macro", 0.5, name="macro_f1")]
    elif model.output_shape[-1] == 1:
        loss = keras.losses.BinaryCrossentropy(label_smoothing=label_smoothing)
        metrics = [keras.metrics.BinaryAccuracy(name="accuracy")]
    elif label_smoothing:
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing)
        metrics = [keras.metrics.CategoricalAccuracy(name="accuracy")]
    else:
        loss = keras.losses.SparseCategoricalCrossentropy()
        metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    # On a CPU, XLA is slower than TensorFlow's own kernels by a factor of up to twelve.
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    chosen = optimizer or keras.optimizers.Adam(1e-3)
    model.compile(optimizer=chosen, loss=loss, metrics=metrics, jit_compile="auto" if on_gpu else False)


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
        image_size: side of the pictures, or `(height, width)`; the backbone's native size unless given.
        alpha: width multiplier of the MobileNets; 1.0 unless given.

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


def logits_of(model: keras.Model) -> Any:
    """The tensor before the final softmax or sigmoid, for losses, temperature scaling and distillation.

    Args:
        model: a functional or Sequential classifier.

    Returns:
        The KerasTensor that the last Activation or Softmax layer reads; the model's output where nothing activates it.

    Raises:
        InputError: the activation is fused into the last layer (`Dense(n, activation="softmax")`), so that no such
            tensor exists.

    >>> inputs = keras.Input((4,))
    >>> logits = keras.layers.Dense(3)(inputs)
    >>> logits_of(keras.Model(inputs, keras.layers.Activation("softmax")(logits))) is logits
    True
    """
    last = nodes(model)[-1]
    layer: Any = last.operation
    if isinstance(layer, keras.layers.Softmax):
        return last.inputs[0]
    activation = getattr(layer, "activation", keras.activations.linear)
    if activation in (keras.activations.softmax, keras.activations.sigmoid):
        if isinstance(layer, keras.layers.Activation):
            return last.inputs[0]
        raise InputError(
            f"The last layer {layer.name!r} of model {model.name!r} applies {activation.__name__} itself, so there are "
            "no logits: end the model with a Dense layer without activation and an Activation layer."
        )
    return last.output


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
