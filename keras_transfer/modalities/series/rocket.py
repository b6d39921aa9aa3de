"""Rocket: fixed random convolutions, how often and how far each exceeds some thresholds, and ridge regression.

MiniRocket (Dempster et al. 2021, https://arxiv.org/abs/2012.08791) asks how often each of 84 fixed kernels, at many
dilations, exceeds thresholds that come from training series. MultiRocket (Tan et al. 2022,
https://arxiv.org/abs/2102.00457) asks it of the series' differences, too, and how far it is exceeded. Both are fitted
in a second and hard to beat on few series.

Here all of it is layers of one flat Keras model: a threshold is a bias, "how often" the mean of a steep ReLU6, "how
far" that of a gentle one. So a device needs nothing but convolutions, ReLU6, means and one dense layer.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.labels import log_loss, one_hot
from keras_transfer.modalities.series.backbones import FEATURES

_TAPS = 9
_KERNELS = 84  # all ways to place three weights of 2 among nine, the others being -1
_DILATIONS = 32  # at most, of one source
_STEEP = 1.0  # deviations of a kernel's answers within which "how often" rises from 0 to 1: see docs/backbones.md
_TOP = 6.0  # of ReLU6
_GOLDEN = (np.sqrt(5) - 1) / 2
_FITTED_ON = 256  # series from which thresholds are drawn
_PENALTIES = (0.01, 0.1, 5)  # of the mean square of an item's features, from, to, how many: see docs/backbones.md
_QUIET = 0.02 * _TOP  # deviation of a feature: what varies less is not enlarged more, for the sake of int8 files
_FEW = 500  # items, above which a smaller penalty may be right
_SHARPNESS = np.geomspace(0.5, 50, 30)

_Floats = NDArray[np.float32]
_Doubles = NDArray[np.float64]


class Ridge(NamedTuple):
    """A fitted linear classifier.

    Attributes:
        weights: float32 `[features, classes]`.
        bias: float32 `[classes]`.
        left_out: probabilities of each training item by the fit without that item, float32 `[n, classes]`.
        penalty: the one whose squared errors, each item left out in turn, are the least.
    """

    weights: _Floats
    bias: _Floats
    left_out: _Floats
    penalty: float


def rocket_layers(
    x: keras.KerasTensor, sample: _Floats, *, features: int = FEATURES, seed: int = 0
) -> keras.KerasTensor:
    """The features of a series, by layers whose weights are fixed here.

    Args:
        x: normalized series, float32 `[n, time, channels]`.
        sample: training series, normalized likewise, `[m, time, channels]`: thresholds are quantiles of what the
            kernels make of them.
        features: about how many; at least 84.
        seed: of the channels that each kernel reads and the series that each threshold is drawn from.

    Returns:
        float32 `[n, features]` in 0..6.

    >>> series = np.random.default_rng(0).normal(size=(4, 30, 2)).astype("float32")
    >>> rocket_layers(keras.Input((30, 2)), series, features=400).shape
    (None, 336)
    """
    layers, random = keras.layers, np.random.default_rng(seed)
    _, length, channels = x.shape
    row = layers.Reshape((1, length, channels), name="row")
    sources = {"level": (row(x), row(sample[random.permutation(len(sample))[:_FITTED_ON]]))}
    if length > 1:
        change = layers.DepthwiseConv2D((1, 2), use_bias=False, trainable=False, name="change")
        change.build((None, 1, length, channels))
        change.set_weights([np.tile(np.array([-1, 1], np.float32)[None, :, None, None], (1, 1, channels, 1))])
        tensor, values = sources["level"]
        sources["change"] = (change(tensor), change(values))
    each = max(1, features // (2 * _KERNELS * len(sources)))  # thresholds of a kernel in a source
    pooled, quantiles = [], _quantiles()
    for source, (tensor, values) in sources.items():
        for dilation, count in _dilations(tensor.shape[2], each):
            name = f"{source}_{dilation}"
            kernels = layers.Conv2D(
                _KERNELS, (1, _TAPS), dilation_rate=(1, dilation), padding="same", use_bias=False, trainable=False,
                name=f"{name}_kernels",
            )  # fmt: skip
            above = layers.DepthwiseConv2D(1, depth_multiplier=2 * count, trainable=False, name=f"{name}_thresholds")
            kernels.build(values.shape)
            kernels.set_weights([_kernels(channels, random)])
            answers = keras.ops.convert_to_numpy(kernels(values))[:, 0]
            above.build((None, 1, tensor.shape[2], _KERNELS))
            above.set_weights(_thresholds(answers, count, quantiles, random))
            y = layers.ReLU(_TOP, name=f"{name}_relu")(above(kernels(tensor)))
            pooled.append(layers.GlobalAveragePooling2D(name=f"{name}_mean")(y))
    return layers.Concatenate(name="features")(pooled)


def fit_ridge(rows: _Floats, labels: NDArray[np.generic], classes: int) -> Ridge:
    """Ridge regression on -1 and 1 as a classifier; its penalty and how sure it is by leaving items out in turn.

    Args:
        rows: features, float32 `[n, features]`, of two items or more.
        labels: int `[n]`, or 0/1 `[n, classes]` where an item may have several.
        classes: how many.

    Returns:
        Weights and biases of logits.

    >>> rows = np.repeat(np.eye(2, dtype="float32"), 5, axis=0)
    >>> ridge = fit_ridge(rows, np.repeat([0, 1], 5), 2)
    >>> (rows @ ridge.weights + ridge.bias).argmax(axis=1).tolist()
    [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    """
    targets = 2.0 * (labels if labels.ndim == 2 else one_hot(labels, classes)).astype(np.float64) - 1
    center, scale, middle = rows.mean(axis=0), np.maximum(rows.std(axis=0), _QUIET), targets.mean(axis=0)
    x, y = ((rows - center) / scale).astype(np.float64), targets - middle
    left, squares, right = _svd(x)
    turned = left.T @ y

    def without(penalty: float) -> _Doubles:  # what the fit without an item says of it (Golub et al. 1979)
        shares = squares / (squares + penalty)
        leverage = (np.square(left) * shares).sum(axis=1, keepdims=True) + 1 / len(x)
        scores: _Doubles = targets - (y - left @ (shares[:, None] * turned)) / np.maximum(1 - leverage, 1e-6)
        return scores

    least, most, steps = _PENALTIES  # of few items leaving one out says little, and often too little is chosen
    penalties = squares.sum() / len(x) * np.geomspace(min(least, _FEW * least / len(x)), most, steps)
    penalty = min(penalties, key=lambda each: float(np.square(targets - without(each)).sum()))
    scores, several = without(penalty), labels.ndim == 2
    sharpness = min(_SHARPNESS, key=lambda each: log_loss(labels, _probabilities(each * scores, several)))
    weights = right @ ((np.sqrt(squares) / (squares + penalty))[:, None] * turned) / scale[:, None] * sharpness
    bias = middle * sharpness - center @ weights
    left_out = _probabilities(sharpness * scores, several)
    return Ridge(weights.astype(np.float32), bias.astype(np.float32), left_out, float(penalty))


def _dilations(length: int, count: int) -> list[tuple[int, int]]:
    """Dilations, from 1 to where a kernel spans the series, evenly on a logarithm; and thresholds of each.

    >>> _dilations(150, 5)
    [(1, 1), (2, 1), (4, 1), (8, 1), (18, 1)]
    """
    places = min(count, _DILATIONS)
    longest = max(1.0, (length - 1) / (_TAPS - 1))
    found, times = np.unique(np.geomspace(1, longest, places).astype(int), return_counts=True)
    shares = times * (count // places)
    shares[: (count - shares.sum())] += 1
    return list(zip(found.tolist(), shares.tolist(), strict=True))


def _kernels(channels: int, random: np.random.Generator) -> _Floats:
    """The 84 kernels, `[1, 9, channels, 84]`, each on some channels of several."""
    weights = np.full((_KERNELS, _TAPS), -1, np.float32)
    for number, places in enumerate(itertools.combinations(range(_TAPS), 3)):
        weights[number, list(places)] = 2
    most = np.log2(min(channels, _TAPS) + 1)
    reads = np.zeros((_KERNELS, channels), np.float32)
    for row in reads:
        row[random.choice(channels, int(2 ** random.uniform(0, most)), replace=False)] = 1
    return (weights[:, :, None] * reads[:, None]).transpose(1, 2, 0)[None]


def _quantiles() -> Iterator[float]:
    """Numbers in 0..1, spread evenly however many are taken."""
    return ((_GOLDEN * number) % 1 for number in itertools.count(1))


def _thresholds(answers: _Floats, count: int, quantiles: Iterator[float], random: np.random.Generator) -> list[_Floats]:
    """Weights `[1, 1, kernels, 2 * count]` and biases of a steep and a gentle slope above each of `count` thresholds.

    Args:
        answers: what kernels make of training series, `[m, time, kernels]`.
        count: thresholds of each kernel.
        quantiles: where the next thresholds stand among the answers of a series.
        random: chooses the series.
    """
    ranked, kernels = np.sort(answers, axis=1), np.arange(_KERNELS)
    spread = answers.std(axis=(0, 1)) + 1e-6
    slopes, biases = [], []
    for _ in range(count):
        shares = np.array([next(quantiles) for _ in kernels])
        series = random.integers(len(answers), size=_KERNELS)
        threshold = ranked[series, np.round(shares * (ranked.shape[1] - 1)).astype(int), kernels]
        steep = _TOP / (_STEEP * spread)
        gentle = _TOP / np.maximum(ranked[:, -1].max(axis=0) - threshold, spread / 4)
        slopes += [steep, gentle]
        biases += [_TOP / 2 - steep * threshold, -gentle * threshold]
    weights = np.stack(slopes, axis=1)
    return [weights[None, None].astype(np.float32), np.stack(biases, axis=1).ravel().astype(np.float32)]


def _svd(x: _Doubles) -> tuple[_Doubles, _Doubles, _Doubles]:
    """Left vectors, squares of the singular values and right vectors of a matrix, by its smaller Gram matrix."""
    wide = x.shape[1] > x.shape[0]
    squares, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    kept = squares > 1e-9 * max(float(squares[-1]), 1e-9)
    squares, vectors = squares[kept], vectors[:, kept]
    others = (x.T if wide else x) @ vectors / np.sqrt(squares)
    return (vectors, squares, others) if wide else (others, squares, vectors)


def _probabilities(logits: _Doubles, several: bool) -> _Floats:
    if several:
        return (1 / (1 + np.exp(-logits))).astype(np.float32)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)
