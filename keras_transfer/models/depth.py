"""Classifiers on fewer of their backbone's blocks."""

import keras

from keras_transfer.errors import InputError
from keras_transfer.models.freezing import suffix
from keras_transfer.models.graph import side_inputs, start_of
from keras_transfer.models.replay import replay
from keras_transfer.models.stage import block_outputs


def depths(model: keras.Model) -> list[int]:
    """The depths at which a classifier's backbone can be cut short, the deepest first; that of the whole is left out.

    >>> inputs = keras.Input((8, 8, 3))
    >>> x = keras.layers.Conv2D(4, 3)(keras.layers.Conv2D(4, 3)(inputs))
    >>> depths(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))))
    [1]
    """
    ends = block_outputs(model)
    if len(model.inputs) > 1 or any(side_inputs(model, end) for end in ends):
        return []
    return list(range(len(ends) - 1, 0, -1))


def at_depth(model: keras.Model, depth: int, ending: str = "") -> keras.Model:
    """A classifier on the first blocks of its backbone, with a head like its own, new.

    Early blocks of a wide network are often worth more than all blocks of a narrow one of the same size, since features
    lose generality on the way up (Yosinski et al. 2014, https://arxiv.org/abs/1411.1792).

    Args:
        model: a functional or Sequential classifier; the layers that stay are shared.
        depth: how many blocks stay, see `block_outputs`.
        ending: of the names of the head's layers: those of several depths cannot be in one graph otherwise.

    Returns:
        The model, not compiled; `model` itself where all blocks stay.

    Raises:
        InputError: there are not so many.

    >>> inputs = keras.Input((8, 8, 3))
    >>> x = keras.layers.Conv2D(5, 3, name="b")(keras.layers.Conv2D(4, 3, name="a")(inputs))
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    >>> [layer.name for layer in at_depth(model, 1).layers[1:2]], at_depth(model, 1).count_params()
    (['a'], 122)
    """
    known, ends = depths(model), block_outputs(model)
    if depth == len(ends):
        return model
    if depth not in known:
        raise InputError(f"`depth` must be 1 to {len(ends)} blocks of {model.name}. Received: {depth}.")
    end = ends[depth - 1]
    start = keras.Input(end.shape[1:], dtype=end.dtype)

    def named(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config({**layer.get_config(), "name": layer.name + ending})

    head = keras.models.clone_model(suffix(model, ends[-1]), input_tensors=start, clone_function=named)
    return keras.Model(start_of(model), replay(head, [end])[0], name=model.name)
