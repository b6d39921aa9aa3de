"""Preprocessing as layers of the model, so that it cannot be forgotten or done twice."""

from typing import Any

import keras
import numpy as np

from keras_transfer.models.graph import input_tensor, nodes

NAME = "preprocessing"
MEAN = (0.485, 0.456, 0.406)  # of ImageNet's channels R, G, B, for pixels in 0..1
STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN = (123.68, 116.779, 103.939)  # R, G, B, for pixels in 0..255


def preprocessing_layer(kind: str) -> keras.layers.Layer | None:
    """A standard Keras layer that does to pixels in 0..255 what `keras.applications`' `preprocess_input` does.

    Args:
        kind: `"tf"`, `"torch"`, `"caffe"` or `"none"`, as in the table of backbones.

    Returns:
        The layer, named `preprocessing`, or None for `"none"`. "caffe" is a fixed 1x1 convolution: its kernel
        swaps the channels and its bias takes the means off, exactly, in every format a model is exported to.

    >>> layer = preprocessing_layer("tf")
    >>> float(layer(np.full((1, 1, 1, 3), 255.0))[0, 0, 0, 0])
    1.0
    """
    if kind == "none":
        return None
    if kind == "tf":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name=NAME)
    if kind == "torch":
        scale = [1 / (255 * std) for std in STD]
        return keras.layers.Rescaling(scale, [-mean / std for mean, std in zip(MEAN, STD, strict=True)], name=NAME)
    if kind == "caffe":
        layer = keras.layers.Conv2D(3, 1, trainable=False, name=NAME)
        layer.build((None, None, None, 3))
        swap = np.eye(3, dtype="float32")[:, ::-1]
        layer.set_weights([swap.reshape(1, 1, 3, 3), -np.array(_CAFFE_MEAN[::-1], "float32")])
        return layer
    raise ValueError(f"`kind` must be 'tf', 'torch', 'caffe' or 'none'. Received: kind={kind!r}")


def preprocessing_of(model: keras.Model) -> tuple[keras.layers.Layer, float, float] | None:
    """The model's first layer, where it is one scale and one offset for all channels.

    An exporter may then leave the layer out and put the scale and offset into the input's quantization.

    Args:
        model: a classifier on pixels in 0..255.

    Returns:
        `(layer, scale, offset)`, the layer giving `pixels * scale + offset`; None where the first layer is another
        (ResNet's channel swap, DenseNet's three scales, a first convolution), or is not the only reader of the input.

    >>> inputs = keras.Input((8, 8, 3))
    >>> layer, scale, offset = preprocessing_of(keras.Model(inputs, keras.layers.Rescaling(0.5, -1.0)(inputs)))
    >>> scale, offset
    (0.5, -1.0)
    """
    start = input_tensor(model)
    readers = [node for node in nodes(model) if any(tensor is start for tensor in node.inputs)]
    if len(readers) != 1 or not isinstance(readers[0].operation, keras.layers.Rescaling):
        return None
    layer: Any = readers[0].operation
    if np.ndim(layer.scale) or np.ndim(layer.offset):
        return None
    return layer, float(layer.scale), float(layer.offset)
