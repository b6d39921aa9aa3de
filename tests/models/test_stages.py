"""Stages: found from the graph alone, for every backbone and for models of users."""

import keras
import numpy as np
import pytest

from keras_transfer.errors import InputError
from keras_transfer.modalities.image.builder import build_classifier, build_imagenet_classifier
from keras_transfer.models import backbone_layers, cut_points, head_layers, prefix, stages, suffix
from keras_transfer.models.stage import can_train

# Outputs of the stages at the native size, by the names that the papers and Keras give them.
EXPECTED = {
    "mobilenet": ["conv_pw_1_relu", "conv_pw_3_relu", "conv_pw_5_relu", "conv_pw_11_relu", "conv_pw_13_relu"],
    "mobilenet_v2": ["expanded_conv_project_BN", "block_2_add", "block_5_add", "block_12_add", "out_relu"],
    "efficientnet_b0": ["block1a_project_bn", "block2b_add", "block3b_add", "block5c_add", "top_activation"],
    "efficientnet_v2_b0": ["block1a_project_activation", "block2b_add", "block3b_add", "block5e_add", "top_activation"],
    "resnet50": ["conv1_relu", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"],
    "resnet50_v2": ["conv1_conv", "conv2_block2_out", "conv3_block3_out", "conv4_block5_out", "post_relu"],
    "vgg16": ["block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_pool"],
    "densenet121": ["conv1_relu", "pool2_conv", "pool3_conv", "pool4_conv", "relu"],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_stages_end_where_the_architecture_changes_resolution(name):
    found = stages(build_classifier(name, 2, weights="none"))
    assert [stage.output._keras_history.operation.name for stage in found] == EXPECTED[name]
    assert [stage.name for stage in found] == [f"stage{index}" for index in range(len(found))]


def test_stages_hold_each_layer_of_the_backbone_once(row, model_of):
    model = model_of(row)
    found = stages(model)
    held = [layer for stage in found for layer in stage.layers]
    assert held == backbone_layers(model)
    assert len(found) >= (2 if row.name.startswith("nasnet") else 4)
    assert all(any(can_train(layer) for layer in stage.layers) for stage in found)
    assert len(model.layers) == 1 + len(held) + len(head_layers(model))  # 1: the input
    cuts = {id(tensor) for tensor in cut_points(model)}
    assert all(id(stage.output) in cuts for stage in found)


@pytest.mark.parametrize("name", ["mobilenet", "mobilenet_v3_small", "vgg16"])
def test_a_classifier_of_1000_classes_has_the_same_stages(name):
    plain, full = build_classifier(name, 2, weights="none"), build_imagenet_classifier(name, weights="none")
    assert [len(stage.layers) for stage in stages(full)] == [len(stage.layers) for stage in stages(plain)]
    assert isinstance(head_layers(full)[0], keras.layers.GlobalAveragePooling2D | keras.layers.Flatten)


@pytest.mark.parametrize("name", ["mobilenet_v2", "densenet121", "mobilenet_v3_small"])
def test_a_model_cut_at_any_stage_is_the_same_function(name, pixels):
    model = build_classifier(name, 2, weights="none", image_size=32)
    expected = model(pixels(32))
    for stage in stages(model):
        parts = suffix(model, stage.output)(prefix(model, stage.output)(pixels(32)))
        np.testing.assert_allclose(parts, expected, atol=1e-6)


def test_sequential_models_and_models_that_share_layers():
    layers = [keras.layers.Conv2D(8, 3, strides=2, padding="same"), keras.layers.ReLU()]
    layers += [keras.layers.Conv2D(16, 3, strides=2, padding="same"), keras.layers.Flatten(), keras.layers.Dense(2)]
    sequential = keras.Sequential([keras.Input((32, 32, 3)), *layers])
    assert [stage.layers for stage in stages(sequential)] == [tuple(layers[:2]), tuple(layers[2:3])]
    assert head_layers(sequential) == layers[3:]
    other = keras.Input((64, 64, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(layers[1](layers[0](other)))
    shared = keras.Model(other, keras.layers.Dense(2)(pooled))
    assert [stage.layers for stage in stages(shared)] == [tuple(layers[:2])]
    assert [stage.layers for stage in stages(sequential)] == [tuple(layers[:2]), tuple(layers[2:3])]


def test_a_skip_over_everything_leaves_no_cut_inside():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(3, 3, padding="same")(keras.layers.Conv2D(3, 3, padding="same")(inputs))
    merged = keras.layers.Add()([inputs, x])
    outputs = keras.layers.GlobalAveragePooling2D()(merged)
    model = keras.Model(inputs, outputs)
    assert [id(tensor) for tensor in cut_points(model)] == [id(inputs), id(merged), id(outputs)]


def test_models_without_a_graph_are_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(InputError, match="has no graph"):
        stages(Own())
