"""Heads as deployed files show them: one output per class."""

import keras
import numpy as np

from keras_transfer.models.graph import nodes, start_of


def two_columns(model: keras.Model) -> keras.Model:
    """Returns the binary classifier with outputs `[n, 2]`, the probabilities of the first and second class.

    Label readers on devices want one output per class. `sigmoid(z)` is `softmax([0, z])[1]`, so a Dense layer of one
    unit becomes one of two and nothing is lost; another kind of head gets `[1 - p, p]` computed at its end.

    Args:
        model: a functional or Sequential model ending in one sigmoid unit.
    """
    output, calls = model.outputs[0], {id(node.output): node for node in nodes(model)}
    call = calls[id(output)]
    last = call.operation
    if isinstance(last, keras.layers.Activation) and last.activation is keras.activations.sigmoid:
        call = calls.get(id(call.inputs[0]), call)
    dense = call.operation
    tensor = call.inputs[0]
    sigmoid = keras.activations.sigmoid in (getattr(last, "activation", None), getattr(dense, "activation", None))
    linear_inside = dense is last or getattr(dense, "activation", None) is keras.activations.linear
    if not (isinstance(dense, keras.layers.Dense) and sigmoid and linear_inside):
        return keras.Model(start_of(model), keras.ops.concatenate([1 - output, output], axis=-1))
    kernel, *bias = dense.get_weights()
    pair = keras.layers.Dense(2, use_bias=bool(bias), dtype="float32", name=dense.name)
    probabilities = keras.layers.Softmax(dtype="float32", name="probabilities")(pair(tensor))
    pair.set_weights([np.concatenate([np.zeros_like(array), array], axis=-1) for array in (kernel, *bias)])
    return keras.Model(start_of(model), probabilities)
