"""Freezing: what trains, what stays bit for bit, and that training the part after the boundary trains the whole."""

import keras
import numpy as np
import pytest

from keras_transfer.errors import InputError
from keras_transfer.modalities.image.builder import build_classifier
from keras_transfer.models import (
    backbone_layers,
    boundary,
    compile_classifier,
    freeze_backbone,
    head_layers,
    prefix,
    stages,
    suffix,
    unfreeze_top,
)
from keras_transfer.models.preprocessing import NAME


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Each test says itself what trains; those that train have a model of their own."""
    return build_classifier("mobilenet_v2", 2, weights="none", image_size=32, alpha=0.35)


@pytest.fixture
def short_model() -> keras.Model:
    return build_classifier("mobilenet", 2, weights="none", image_size=32, alpha=0.25)


def adam() -> keras.optimizers.Optimizer:
    """Moves every weight whose gradient is not nought: in deep networks with random weights they are minute."""
    return keras.optimizers.Adam(0.01, epsilon=1e-20)


def batchnorms(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in backbone_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]


def test_fine_tuning_trains_the_suffix_alone_and_leaves_batchnorm_bit_equal(row, model_of, pixels):
    model = model_of(row)
    trained = unfreeze_top(model, stages=1)
    edge = boundary(model)
    below, above = prefix(model, edge), suffix(model, edge)
    compile_classifier(above, adam())
    above.run_eagerly = True  # one step: tracing would take longer than the step
    # The suffix trains all that the whole would, and what it trains are the whole's own variables.
    assert {id(v) for v in above.trainable_variables} == {id(v) for v in model.trainable_variables}
    assert not below.trainable_variables
    before = [[array.copy() for array in layer.get_weights()] for layer in model.layers]
    above.fit(below(pixels(row), training=False), np.array([0, 1, 0]), batch_size=3, verbose=0)
    moved = {
        layer.name
        for layer, arrays in zip(model.layers, before, strict=True)
        if any(not np.array_equal(old, new) for old, new in zip(arrays, layer.get_weights(), strict=True))
    }
    assert not moved & {layer.name for layer in batchnorms(model)}
    assert not moved & {layer.name for stage in stages(model)[:-1] for layer in stage.layers}
    assert "logits" in moved and moved & {layer.name for layer in trained}


def test_batchnorm_stays_bit_equal_in_a_plain_fit_of_the_whole_model(short_model, pixels):
    model = short_model
    unfreeze_top(model, stages="all")
    compile_classifier(model, adam())
    before = [array.copy() for layer in batchnorms(model) for array in layer.get_weights()]
    kernel = model.get_layer("conv1").get_weights()[0].copy()
    model.fit(pixels(32), np.array([0, 1, 0]), verbose=0)
    after = [array for layer in batchnorms(model) for array in layer.get_weights()]
    assert len(before) > 100 and all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))
    assert not np.array_equal(kernel, model.get_layer("conv1").get_weights()[0])


def test_batchnorm_moves_when_asked(short_model, pixels):
    unfreeze_top(short_model, stages=1, batchnorm=True)
    compile_classifier(short_model)
    short_model.run_eagerly = True
    before = short_model.get_layer("conv_pw_13_bn").get_weights()
    short_model.fit(pixels(32), np.array([0, 1, 0]), verbose=0)
    assert not np.array_equal(before[2], short_model.get_layer("conv_pw_13_bn").get_weights()[2])


def test_training_the_suffix_is_training_the_model(pixels):
    whole, cut = (build_classifier("mobilenet", 2, weights="none", image_size=32, alpha=0.25, dropout=0) for _ in "ab")
    cut.set_weights(whole.get_weights())
    labels = np.array([0, 1, 0])
    for model in (whole, cut):
        unfreeze_top(model, stages=1)
    compile_classifier(whole, keras.optimizers.SGD(0.1))
    whole.fit(pixels(32), labels, shuffle=False, epochs=3, verbose=0)
    edge = boundary(cut)
    above = suffix(cut, edge)
    compile_classifier(above, keras.optimizers.SGD(0.1))
    above.fit(prefix(cut, edge).predict(pixels(32), verbose=0), labels, shuffle=False, epochs=3, verbose=0)
    for ours, theirs in zip(cut.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_boundary_is_the_deepest_small_cut_below_all_that_trains(model):
    freeze_backbone(model)
    assert boundary(model).shape == (None, 1280)  # the pooled features, with dropout still above
    unfreeze_top(model, stages=1)
    assert boundary(model) is model.get_layer("block_12_add").output
    unfreeze_top(model, from_layer="block_14_project")  # inside a residual block: the block's input
    assert boundary(model) is model.get_layer("block_13_project_BN").output
    unfreeze_top(model, stages="all")
    assert boundary(model) is model.inputs[0] or boundary(model)._keras_history.operation.name == NAME
    model.trainable = False
    freeze_backbone(model)
    assert [variable.path for variable in model.trainable_variables] == ["logits/kernel", "logits/bias"]


def test_boundary_of_a_padded_stage_is_the_tensor_before_the_padding():
    model = build_classifier("mobilenet", 2, weights="none", image_size=64, alpha=0.25)
    unfreeze_top(model, stages=1)
    assert boundary(model)._keras_history.operation.name == "conv_pw_11_relu"


def test_layers_are_counted_from_the_top(model):
    backbone = backbone_layers(model)
    trained = unfreeze_top(model, layers=10)
    assert trained == [
        layer for layer in backbone[-10:] if layer.weights and not isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert unfreeze_top(model, layers=0) == [] and model.trainable_variables
    assert (
        unfreeze_top(model, layers="all") == unfreeze_top(model, stages="all") == unfreeze_top(model, from_layer=NAME)
    )


def test_fixed_preprocessing_never_trains():
    model = build_classifier("resnet50", 2, weights="none", image_size=32)
    unfreeze_top(model, stages="all", batchnorm=True)
    assert not model.get_layer(NAME).trainable_variables
    assert model.get_layer("conv1_conv").trainable_variables


def test_a_head_with_batchnorm_of_its_own_trains():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.BatchNormalization(name="own")(x)))
    freeze_backbone(model)
    assert model.get_layer("own").trainable and "own" in [layer.name for layer in head_layers(model)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one of .* Received: none of them"),
        ({"stages": 1, "layers": 3}, "exactly one of .* Received: stages=1, layers=3"),
        ({"stages": 9}, "from 0 to 5. Received: stages=9"),
        ({"stages": True}, "Received: stages=True"),
        ({"layers": -1}, "Received: layers=-1"),
        ({"from_layer": "block_12_ad"}, "Did you mean block_12_add"),
        ({"from_layer": "logits"}, "has no layer 'logits'"),
    ],
)
def test_wrong_calls_are_answered_in_one_sentence(model, arguments, message):
    with pytest.raises(InputError, match=message):
        unfreeze_top(model, **arguments)


def test_cutting_inside_a_block_is_refused(model):
    with pytest.raises(InputError, match="is no cut point"):
        suffix(model, model.get_layer("block_14_expand").output)
