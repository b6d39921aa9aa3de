"""How many of a classifier's weights are zero and how many differ, in a Keras model or in a LiteRT file."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import keras
import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array
from keras_transfer.litert import read_flatbuffer
from keras_transfer.litert.details import read_constants
from keras_transfer.models.preprocessing import NAME as PREPROCESSING
from keras_transfer.models.twin.walk import weighted_layers

_WEIGHTED = ("CONV_2D", "FULLY_CONNECTED")


def kernel_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """The convolutions and dense layers of a model from the input up, by the names that its twin has them under.

    Depthwise convolutions are not among them: they hold few weights, and losing any costs accuracy. Nor is what belongs
    to the preprocessing, such as the bands of a spectrogram, which no training changes.

    Args:
        model: a functional or Sequential model with one input; nested models are opened.

    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="a"), keras.layers.Flatten()])
    >>> list(kernel_layers(model))
    ['a']
    """
    kinds = (keras.layers.Conv2D, keras.layers.Dense)
    return {
        name: layer
        for name, layer in weighted_layers(model).items()
        if isinstance(layer, kinds) and not layer.name.startswith(PREPROCESSING)
    }


def spared_layers(layers: Mapping[str, keras.layers.Layer], spare: Sequence[str]) -> set[str]:
    """The names of the layers that are to stay as they are.

    Args:
        layers: from `kernel_layers`.
        spare: names of `layers`; `"first"` and `"last"` are the first and last of them.

    Raises:
        InputError: there are no layers, or a name is none of theirs.
    """
    if not layers:
        raise InputError("The model has no convolution or dense layer to compress.")
    aliases = {"first": next(iter(layers)), "last": list(layers)[-1]}
    names = {aliases.get(name, name) for name in spare}
    if unknown := names - set(layers):
        raise InputError(f"`spare` names {', '.join(sorted(unknown))}, which is no convolution or dense layer.")
    return names


class LayerWeights(TypedDict):
    """One layer's kernel."""

    name: str
    shape: list[int]
    sparsity: float  # share of zeros
    unique: int  # different values


class WeightFigures(TypedDict):
    """The kernels of a model together."""

    weights: int
    sparsity: float
    unique: int  # the most different values of a layer
    layers: list[LayerWeights]


def weight_figures(model: keras.Model | bytes) -> WeightFigures:
    """Zeros and different values among the weights of convolutions and dense layers, depthwise ones left out.

    Args:
        model: a model, or the content of a LiteRT file.

    Returns:
        Figures of the whole, and of each layer from the input up. In a file the zeros are those of the stored numbers,
        which stand for 0.0 there too, and a layer has the name of its output.

    Raises:
        InputError: not a valid LiteRT file, or a model without a graph.

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="logits")])
    >>> model.set_weights([np.array([[0, 1], [0, 1], [0, 1], [0, 2.0]]), np.zeros(2)])
    >>> weight_figures(model)["sparsity"], weight_figures(model)["layers"]
    (0.5, [{'name': 'logits', 'shape': [4, 2], 'sparsity': 0.5, 'unique': 3}])
    """
    kernels = _file_kernels(model) if isinstance(model, bytes) else _model_kernels(model)
    layers = [
        LayerWeights(
            name=name,
            shape=list(kernel.shape),
            sparsity=round(float(np.mean(kernel == 0)), 4),
            unique=len(np.unique(kernel)),
        )
        for name, kernel in kernels
    ]
    weights = sum(kernel.size for _, kernel in kernels)
    zeros = sum(int(np.sum(kernel == 0)) for _, kernel in kernels)
    unique = max((len(np.unique(kernel)) for _, kernel in kernels), default=0)
    return {"weights": weights, "sparsity": zeros / max(1, weights), "unique": unique, "layers": layers}


def _model_kernels(model: keras.Model) -> list[tuple[str, Array]]:
    return [(name, np.asarray(layer.kernel)) for name, layer in kernel_layers(model).items()]


def _file_kernels(content: bytes) -> list[tuple[str, Array]]:
    info = read_flatbuffer(content)
    # float16 files keep their weights behind a DEQUANTIZE.
    sources = {o.outputs[0]: o.inputs[0] for o in info.operators if o.name == "DEQUANTIZE"}
    users = [operator for operator in info.operators if operator.name in _WEIGHTED]
    kernels = {operator.index: sources.get(operator.inputs[1], operator.inputs[1]) for operator in users}
    constants = read_constants(content, kernels.values())
    return [
        (info.tensors[operator.outputs[0]].name, constants[kernels[operator.index]])
        for operator in users
        if kernels[operator.index] in constants
    ]
