"""Backbones cut short, and what no file of a graph can go below."""

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.errors import InputError
from keras_transfer.models import boundary, freeze_backbone, prefix
from keras_transfer.models.cost import least_bytes
from keras_transfer.models.depth import at_depth, depths
from keras_transfer.models.stage import block_outputs


@pytest.fixture(scope="module")
def model():
    return kt.build_classifier("mobilenet_v2", 3, image_size=32, alpha=0.35, weights=None, hidden=(8,))


def test_a_depth_ends_where_a_block_does(model):
    assert depths(model) == list(range(17, 0, -1))
    names = [next(layer.name for layer in model.layers if layer.output is end) for end in block_outputs(model)]
    assert names[:3] == ["expanded_conv_project_BN", "block_1_project_BN", "block_2_add"] and names[-1] == "out_relu"
    mobilenet = kt.build_classifier("mobilenet", 3, image_size=32, alpha=0.25, weights=None)
    assert len(block_outputs(mobilenet)) == 14  # no block ends at a depthwise convolution


def test_a_shorter_network_shares_its_layers_and_has_a_head_of_its_own(model):
    short, block = at_depth(model, 3), block_outputs(model)[2]
    assert short.output_shape == model.output_shape and short.name == model.name
    own = {layer.name: layer for layer in short.layers}
    assert own["block_2_add"] is model.get_layer("block_2_add") and own["hidden_0"] is not model.get_layer("hidden_0")
    freeze_backbone(short)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    pooled = np.mean(prefix(model, block)(pixels), axis=(1, 2))
    np.testing.assert_allclose(prefix(short, boundary(short))(pixels), pooled, rtol=1e-5, atol=1e-6)
    model.trainable = True


def test_it_is_saved_and_loaded(model, tmp_path):
    short = at_depth(model, 5)
    short.save(tmp_path / "short.keras")
    again = keras.saving.load_model(tmp_path / "short.keras")
    pixels = np.zeros((1, 32, 32, 3), np.float32)
    np.testing.assert_allclose(again(pixels), short(pixels), rtol=1e-6)


def test_all_blocks_are_the_model_itself(model):
    assert at_depth(model, 18) is model


@pytest.mark.parametrize("depth", [0, 19])
def test_no_such_depth(model, depth):
    with pytest.raises(InputError, match=f"1 to 18 blocks.*Received: {depth}"):
        at_depth(model, depth)


def test_a_network_whose_mask_is_read_again_is_cut_nowhere():
    ids = keras.Input((6,), dtype="int32")
    mask = keras.ops.cast(keras.ops.not_equal(ids, 0), "float32")[..., None]
    x = keras.layers.Dense(4)(keras.layers.Dense(4)(keras.layers.Embedding(9, 4)(ids)))
    pooled = keras.layers.GlobalAveragePooling1D()(x * mask)
    assert depths(keras.Model(ids, keras.layers.Dense(2)(pooled))) == []


@pytest.mark.parametrize("depth", [None, 4, 1])
def test_no_file_is_smaller_than_the_graph_says(model, depth):
    part = model if depth is None else at_depth(model, depth)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    content = kt.convert(part, ["int8"], calibration=pixels)["int8"]
    assert 0.02 * len(content) < least_bytes(part).file < len(content)
