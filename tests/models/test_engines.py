"""Frozen layers in LiteRT and as a graph of constants give what they give in Keras, for every backbone."""

import graphs
import keras
import numpy as np
import pytest
from tame_networks import shake

from keras_transfer.litert.frozen import freeze_batches
from keras_transfer.models import boundary, freeze_backbone, stages, unfreeze_top
from keras_transfer.training import engines
from keras_transfer.training.engines import ENGINE_TOLERANCE, graph_engine, keras_engine, litert_engine


def test_engines_agree(row, model_of, pixels, monkeypatch):
    """At the top stage's lower end, and after pooling; as `choose_engine` compares them before it times them."""
    monkeypatch.setattr(engines, "_BATCH", 4)  # a batch is filled up
    model = model_of(row)
    shake(model, pixels(row))
    tensors = []
    for freeze in (freeze_backbone, lambda model: unfreeze_top(model, stages=1)):
        freeze(model)
        tensors.append(boundary(model))
    assert tensors[0] is not tensors[1]
    images = pixels(row).astype(np.uint8)
    prefix = keras.Model(model.input, tensors)
    graph = freeze_batches(prefix)
    wanted = list(zip(*(np.asarray(output) for output in prefix(images.astype("float32"))), strict=True))
    for engine in (graph_engine(graph), litert_engine(graph)):
        for left, right in zip(wanted, engine(list(images)), strict=True):
            for expected, found in zip(left, right, strict=True):
                assert found.shape == expected.shape
                assert np.abs(found - expected).max() <= ENGINE_TOLERANCE * np.abs(expected).max()
                assert np.ptp(expected) > 0


@pytest.mark.parametrize("kind", [graphs.bert, graphs.vit, graphs.series])
def test_engines_agree_on_tokens_patches_and_series(kind):
    """Several inputs, integers, and floats that are no pixels."""
    model = kind()
    unfreeze_top(model, stages=1)
    prefix = keras.Model(model.input, [boundary(model), stages(model)[0].output])
    arrays = graphs.arrays(model, 3)
    items = list(zip(*arrays, strict=True)) if len(arrays) > 1 else list(arrays[0])
    graph = freeze_batches(prefix, [str(array.dtype) for array in arrays])
    wanted = list(keras_engine(prefix)(items))
    assert len(wanted) == 3 and [array.shape for array in wanted[0]] == [
        tuple(tensor.shape[1:]) for tensor in prefix.outputs
    ]
    for engine in (graph_engine(graph), litert_engine(graph)):
        for left, right in zip(wanted, engine(items), strict=True):
            for expected, found in zip(left, right, strict=True):
                np.testing.assert_allclose(found, expected, atol=ENGINE_TOLERANCE * np.abs(expected).max())
