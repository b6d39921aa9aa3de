"""Classifiers of time series: normalization, backbone, pooling and head as one flat graph on raw samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.modalities.series.backbones import SeriesBackbone, find_series_backbone
from keras_transfer.modalities.series.preparer import EPSILON, NORMALIZED, SERIES, Normalization
from keras_transfer.modalities.series.rocket import fit_ridge, rocket_layers
from keras_transfer.models import add_head, compile_classifier, load_model
from keras_transfer.models.freezing import suffix
from keras_transfer.models.replay import replay
from keras_transfer.models.stage import can_train

POOLINGS = ("avg", "max")
NORMALIZATIONS = ("channel", "window")
Examples: TypeAlias = tuple[NDArray[np.float32], NDArray[np.generic]]
"""Training series, float32 `[m, time, channels]` in raw units, and their labels: int `[m]`, or 0/1 `[m, classes]`."""


def build_series_classifier(
    backbone: str,
    classes: int | Sequence[str],
    *,
    length: int,
    channels: int,
    examples: Examples | None = None,
    normalization: str = "channel",
    weights: str = "none",
    pooling: str | None = None,
    hidden: Sequence[int] = (),
    dropout: float = 0.2,
    multi_label: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Builds a classifier of time series: a plain `keras.Model`, compiled, that takes raw samples.

    Normalization, the backbone, pooling, hidden layers, dropout, `logits` and `predictions` are layers of one flat
    graph. Keras alone loads it.

    Args:
        backbone: see `keras_transfer.modalities.series.backbones.find_series_backbone`. `"rocket"` and
            `"rocket_small"` come trained: their thresholds and their ridge regression are fitted to `examples`.
        classes: how many classes, at least 2 (1 with `multi_label`), or their names.
        length: time steps of a series.
        channels: values of a step.
        examples: what the means and deviations of channels are taken from, and what Rocket is fitted to. Without them
            channels are taken as they are, and Rocket has random weights.
        normalization: `"channel"`, by each channel's mean and deviation in `examples`; or `"window"`, each channel
            of each series by its own.
        weights: `"none"` for random ones, `"pretrained"` for those in this package (of `"channelwise"`), or a run, or
            its `model.keras`, of the same backbone: of all its layers below the head, the first excepted where the
            channels are others.
        pooling: `"avg"` (the default) or `"max"` over time; Rocket has its own.
        hidden: units of Dense layers (ReLU) between pooling and dropout; Rocket has none.
        dropout: rate of the dropout before the logits, at least 0 and below 1; Rocket has none.
        multi_label: one sigmoid per class; labels are multi-hot `[n, classes]`.
        seed: of Rocket's kernels.

    Returns:
        The model, float32 `[n, length, channels]` to probabilities `[n, classes]`.

    Raises:
        InputError: an argument is wrong; the message says what to do.

    >>> build_series_classifier("fcn", ["rest", "walk"], length=100, channels=6).output_shape
    (None, 2)
    """
    row = find_series_backbone(backbone)
    count = _checked(classes, multi_label, normalization, pooling)
    series = keras.Input((length, channels), name=SERIES)
    x = _normalized(series, normalization, None if examples is None else examples[0])
    if row.layers is None:
        outputs = _rocket(series, x, row, count, examples, multi_label, seed)
    else:
        features = _features(x, row, weights, pooling or "avg")
        outputs = add_head(features, count, hidden=hidden, dropout=dropout, multi_label=multi_label)
    model = keras.Model(series, outputs, name=row.name)
    compile_classifier(model, multi_label=multi_label)
    return model


def normalization_of(model: keras.Model) -> Normalization:
    """How a classifier normalizes series; empty where it has no such layer.

    Args:
        model: a classifier of series.
    """
    layer = next((layer for layer in model.layers if layer.name == "normalization"), None)
    if isinstance(layer, keras.layers.GroupNormalization):
        return "window"
    if not isinstance(layer, keras.layers.Normalization):
        return ()
    mean, variance = (np.asarray(value).ravel() for value in (layer.mean, layer.variance))
    return tuple(zip(mean.tolist(), np.sqrt(variance).tolist(), strict=True))


def behind_normalization(model: keras.Model) -> keras.Model:
    """The classifier without its normalization, whose input is called `normalized`; layers are shared."""
    part = suffix(model, model.get_layer("normalization").output)
    normalized = keras.Input(part.input.shape[1:], name=NORMALIZED)
    return keras.Model(normalized, replay(part, [normalized]), name=model.name)


def _features(x: keras.KerasTensor, row: SeriesBackbone, weights: str, pooling: str) -> keras.KerasTensor:
    """What a backbone makes of series, float32 `[n, features]`."""
    assert row.layers is not None
    start = keras.layers.Reshape((1, *x.shape[1:]), name="row")(x)
    x = row.layers(start)
    if weights != "none":
        _load(keras.Model(start, x), row, weights)
    return _pooled(x, pooling, row.apart)


def _pooled(x: keras.KerasTensor, pooling: str, apart: bool) -> keras.KerasTensor:
    """Features of a map, float32 `[n, features]`: over time alone where its rows are channels."""
    kind = {"avg": "Average", "max": "Max"}[pooling]
    if not apart:
        return getattr(keras.layers, f"Global{kind}Pooling{len(x.shape) - 2}D")(name="pool")(x)
    pool = getattr(keras.layers, f"{kind}Pooling2D")((1, x.shape[2]), name="pool_time")
    return keras.layers.Flatten(name="pool")(pool(x))


def _load(body: keras.Model, row: SeriesBackbone, weights: str) -> None:
    """Gives a backbone weights of this package or of a run."""
    layers = [layer for layer in body.layers if can_train(layer)]
    if weights == "pretrained":
        if row.pretrained is None:
            raise InputError(
                f"{row.name} has no pretrained weights: give weights='none'. Received: weights={weights!r}."
            )
        variables = [variable for layer in layers for variable in layer.weights]
        for variable, array in zip(variables, row.pretrained(), strict=True):
            variable.assign(array)
        return
    place = Path(weights).expanduser()
    place = place / "model.keras" if place.is_dir() else place
    if not place.is_file():
        raise InputError(
            f"`weights` must be none, pretrained, a run or its model.keras. Received: weights={weights!r}."
        )
    theirs = {layer.name: [np.asarray(value) for value in layer.get_weights()] for layer in load_model(place).layers}
    for layer in layers:
        own, given = [value.shape for value in layer.get_weights()], theirs.get(layer.name, [])
        if [value.shape for value in given] == own:
            layer.set_weights(given)
        elif layer is not layers[0]:
            raise InputError(f"{place} is no {row.name}: it has no such layer {layer.name!r}. Name its --backbone.")


def _rocket(
    series: keras.KerasTensor,
    x: keras.KerasTensor,
    row: SeriesBackbone,
    classes: int,
    examples: Examples | None,
    multi_label: bool,
    seed: int,
) -> keras.KerasTensor:
    """Rocket's features and head, fitted to examples where there are some."""
    normalized = np.random.default_rng(seed).normal(size=(2, *x.shape[1:])).astype(np.float32)
    if examples is not None:
        normalized = _answers(keras.Model(series, x), examples[0])
    features = rocket_layers(x, normalized, features=row.features, seed=seed)
    outputs = add_head(features, classes, multi_label=multi_label)
    if examples is not None:
        model = keras.Model(series, outputs)
        ridge = fit_ridge(_answers(keras.Model(series, features), examples[0]), examples[1], classes)
        model.get_layer("logits").set_weights([ridge.weights, ridge.bias])
    return outputs


def _answers(model: keras.Model, series: NDArray[np.float32]) -> NDArray[np.float32]:
    answers: NDArray[np.float32] = model.predict(series, batch_size=16, verbose=0)
    return answers


def _normalized(
    series: keras.KerasTensor, normalization: str, examples: NDArray[np.float32] | None
) -> keras.KerasTensor:
    """Series of mean 0 and deviation 1, by a layer called `normalization`."""
    if normalization == "window":
        return keras.layers.GroupNormalization(
            -1, axis=-1, epsilon=EPSILON, center=False, scale=False, name="normalization"
        )(series)
    channels = series.shape[-1]
    means, variances = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    if examples is not None:
        means, variances = examples.mean(axis=(0, 1)), examples.var(axis=(0, 1))
    variances = np.where(variances > 0, variances, 1)  # a channel that never changes
    return keras.layers.Normalization(axis=-1, mean=means, variance=variances, name="normalization")(series)


def _checked(classes: int | Sequence[str], multi_label: bool, normalization: str, pooling: str | None) -> int:
    """The number of classes; raises `InputError` where an argument is wrong."""
    count = classes if isinstance(classes, int) else len(classes)
    if count < (1 if multi_label else 2):
        raise InputError(f"A classifier has at least 2 classes, 1 where several may hold. Received: {count}.")
    if normalization not in NORMALIZATIONS:
        ways = ", ".join(NORMALIZATIONS)
        raise InputError(f"`normalization` must be one of {ways}. Received: normalization={normalization!r}.")
    if pooling not in (None, *POOLINGS):
        raise InputError(f"`pooling` must be one of {', '.join(POOLINGS)}. Received: pooling={pooling!r}.")
    return count
