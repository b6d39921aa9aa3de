"""Compression is for models with one input: others are refused by name, before anything is computed."""

import keras
import pytest

import keras_transfer as kt
from keras_transfer.errors import InputError


def two_inputs():
    inputs = [keras.Input((8,), name=name) for name in ("left", "right")]
    x = keras.layers.Concatenate()([keras.layers.Dense(32, name=tensor.name + "_dense")(tensor) for tensor in inputs])
    x = keras.layers.Dense(32, activation="relu", name="hidden")(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="logits")(x), name="pair")


@pytest.mark.parametrize(
    "technique",
    [
        lambda model: kt.prune(model, None),
        lambda model: kt.cluster(model, None),
        lambda model: kt.quantize_aware(model, None),
        lambda model: kt.remove_channels(model),
    ],
    ids=["prune", "cluster", "quantize_aware", "remove_channels"],
)
def test_several_inputs_are_refused_by_name(technique):
    with pytest.raises(InputError, match=r"Model 'pair' must have one input\. Received: 2 inputs"):
        technique(two_inputs())
