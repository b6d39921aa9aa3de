"""Preprocessing as layers of the model, so that it cannot be forgotten or done twice."""

import keras
import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.models.graph import input_tensor, nodes

NAME = "preprocessing"
MEAN = (0.485, 0.456, 0.406)  # of ImageNet's channels R, G, B, for pixels in 0..1
STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN = (123.68, 116.779, 103.939)  # R, G, B, for pixels in 0..255
PIXELS = {
    "0..255": "as they are",
    "0..1": "divided by 255",
    "-1..1": "divided by 127.5, less 1: `preprocess_input` of MobileNet, MobileNetV2, Inception, Xception, ResNet50V2",
    "torch": "in 0..1, less the means of ImageNet's channels, by their deviations: `preprocess_input` of DenseNet",
    "caffe": "blue first, less the means of ImageNet's channels: `preprocess_input` of ResNet50 and VGG16",
}
"""What networks take pixels as, by the name that is told of a network whose pixels were prepared outside of it."""
_KINDS = {"0..255": "none", "-1..1": "tf", "torch": "torch", "caffe": "caffe"}


def preprocessing_layer(kind: str, name: str = NAME) -> keras.layers.Layer | None:
    """A standard Keras layer that does to pixels in 0..255 what `keras.applications`' `preprocess_input` does.

    Args:
        kind: `"tf"`, `"torch"`, `"caffe"` or `"none"`, as in the table of backbones.
        name: of the layer.

    Returns:
        The layer, or None for `"none"`. "caffe" is a fixed 1x1 convolution: its kernel
        swaps the channels and its bias takes the means off, exactly, in every format a model is exported to.

    >>> layer = preprocessing_layer("tf")
    >>> float(layer(np.full((1, 1, 1, 3), 255.0))[0, 0, 0, 0])
    1.0
    """
    if kind == "none":
        return None
    if kind == "tf":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name=name)
    if kind == "torch":
        scale = [1 / (255 * std) for std in STD]
        return keras.layers.Rescaling(scale, [-mean / std for mean, std in zip(MEAN, STD, strict=True)], name=name)
    if kind == "caffe":
        layer = keras.layers.Conv2D(3, 1, trainable=False, name=name)
        layer.build((None, None, None, 3))
        swap = np.eye(3, dtype="float32")[:, ::-1]
        layer.set_weights([swap.reshape(1, 1, 3, 3), -np.array(_CAFFE_MEAN[::-1], "float32")])
        return layer
    raise ValueError(f"`kind` must be 'tf', 'torch', 'caffe' or 'none'. Received: kind={kind!r}")


def pixels_layer(pixels: str, channels: int = 3, name: str = NAME) -> keras.layers.Layer | None:
    """A layer that makes of pixels in 0..255 what a network takes; None where it takes them as they are.

    Args:
        pixels: a name of `PIXELS`.
        channels: of the pictures, 1 or 3.
        name: of the layer.

    Raises:
        InputError: pixels of one channel have no means of three.

    >>> float(pixels_layer("0..1", channels=1)(np.full((1, 1, 1, 1), 51.0))[0, 0, 0, 0])
    0.2...
    """
    if channels != 3 and pixels in ("torch", "caffe"):
        raise InputError(f"Pixels as {pixels!r} have three channels, and the model takes {channels}.")
    if pixels == "0..1":
        return keras.layers.Rescaling(1 / 255, name=name)
    return preprocessing_layer(_KINDS[pixels], name)


def preprocessing_of(model: keras.Model) -> tuple[keras.layers.Layer, float, float] | None:
    """The model's first layer, where it is one scale and one offset for all channels.

    An exporter may then leave the layer out and put the scale and offset into the input's quantization.

    Args:
        model: a classifier on pixels in 0..255.

    Returns:
        `(layer, scale, offset)`, the layer giving `pixels * scale + offset`; None where the first layer is another
        (ResNet's channel swap, DenseNet's three scales, a first convolution), is not the only
        reader of the input, or where there are several inputs.

    >>> inputs = keras.Input((8, 8, 3))
    >>> layer, scale, offset = preprocessing_of(keras.Model(inputs, keras.layers.Rescaling(0.5, -1.0)(inputs)))
    >>> scale, offset
    (0.5, -1.0)
    """
    if len(model.inputs) != 1:
        return None
    start = input_tensor(model)
    readers = [node for node in nodes(model) if any(tensor is start for tensor in node.inputs)]
    if len(readers) != 1 or not isinstance(readers[0].operation, keras.layers.Rescaling):
        return None
    layer = readers[0].operation
    if np.ndim(layer.scale) or np.ndim(layer.offset):
        return None
    return layer, float(layer.scale), float(layer.offset)


def scales_itself(model: keras.Model) -> bool:
    """Whether the first thing a model does with pixels is to scale them: by a layer, or by operations on numbers.

    >>> inputs = keras.Input((8, 8, 3))
    >>> pooled = keras.layers.GlobalAveragePooling2D()
    >>> scales_itself(keras.Model(inputs, pooled(inputs / 255))), scales_itself(keras.Model(inputs, pooled(inputs)))
    (True, False)
    """
    start = input_tensor(model)
    scaling = (keras.layers.Rescaling, keras.layers.Normalization)
    arithmetic = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide")
    readers = [node for node in nodes(model) if any(tensor is start for tensor in node.inputs)]
    return any(isinstance(node.operation, scaling) or type(node.operation).__name__ in arithmetic for node in readers)
