"""Frozen layers in LiteRT and as a graph of constants give what they give in Keras, for every backbone."""

import keras
import numpy as np

from keras_transfer.litert.frozen import freeze_batches
from keras_transfer.models import boundary, freeze_backbone, unfreeze_top
from keras_transfer.training.engines import ENGINE_TOLERANCE, graph_engine, keras_engine, litert_engine


def test_engines_agree(row, model_of, pixels):
    """At the top stage's lower end, and after pooling; as `choose_engine` compares them before it times them."""
    model = model_of(row)
    tensors = []
    for freeze in (freeze_backbone, lambda model: unfreeze_top(model, stages=1)):
        freeze(model)
        tensors.append(boundary(model))
    assert tensors[0] is not tensors[1]
    images = list(pixels(row).astype(np.uint8))
    prefix = keras.Model(model.input, tensors)
    graph = freeze_batches(prefix)
    wanted = list(keras_engine(prefix)(images))
    # The deepest networks blow rounding up while their weights are random: by as much as shaken pixels change Keras's
    # own answer (of EfficientNetV2-L by most of it) the engines may differ, and no row but such a one gains by it.
    shaken = list(keras_engine(prefix)([image * np.float32(1 + 2e-7) for image in images]))
    for engine in (graph_engine(graph), litert_engine(graph)):
        for left, right, moved in zip(wanted, engine(images), shaken, strict=True):
            for expected, found, other in zip(left, right, moved, strict=True):
                assert found.shape == expected.shape
                allowed = max(ENGINE_TOLERANCE * np.abs(expected).max(), 4 * np.abs(other - expected).max())
                assert np.abs(found - expected).max() <= allowed
                assert np.ptp(expected) > 0
