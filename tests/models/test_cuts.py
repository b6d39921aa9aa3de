"""Cuts and stages of graphs that are no photographs' networks: several inputs, masks, tokens, time steps, vectors."""

import graphs
import keras
import numpy as np
import pytest

from keras_transfer.errors import InputError
from keras_transfer.models import (
    boundary,
    cut_points,
    freeze_backbone,
    head_layers,
    prefix,
    side_inputs,
    stages,
    suffix,
    unfreeze_top,
)

KINDS = {kind.__name__: kind for kind in (graphs.bert, graphs.vit, graphs.series, graphs.dense)}
# The outputs of the stages.
ENDS = {
    "bert": ["embedding_norm", "block0", "block1", "crop"],
    "vit": ["as_tokens", "block0", "block1", "last_norm"],
    "series": ["relu1", "relu2", "relu3"],
    "dense": ["dense0", "dense1", "dense2"],
}
HEADS = {"bert": "first_token", "vit": "pool", "series": "pool", "dense": "dropout"}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def made_by(tensor):
    return tensor._keras_history.operation.name


def test_stages_end_where_weights_can_be_split_off(kind):
    model = KINDS[kind]()
    assert [made_by(stage.output) for stage in stages(model)] == ENDS[kind]
    assert head_layers(model)[0].name == HEADS[kind]
    held = [layer for stage in stages(model) for layer in stage.layers] + head_layers(model)
    assert sorted(layer.name for layer in held) == sorted(
        layer.name for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)
    )


def test_a_model_cut_anywhere_is_the_same_function(kind):
    model = KINDS[kind]()
    values = dict(zip([tensor.name for tensor in model.inputs], graphs.arrays(model), strict=True))
    inputs = list(values.values()) if len(values) > 1 else next(iter(values.values()))
    expected = model.predict(inputs, verbose=0)
    points = cut_points(model)[1:-1]
    assert len(points) > len(ENDS[kind])
    for tensor in points:
        sides = [values[side.name] for side in side_inputs(model, tensor)]
        below = np.asarray(prefix(model, tensor)(inputs, training=False))
        parts = suffix(model, tensor).predict_on_batch([below, *sides] if sides else below)
        np.testing.assert_allclose(parts, expected, atol=1e-5)


def test_training_above_a_boundary_with_a_mask_is_training_the_model():
    whole, cut = graphs.bert(), graphs.bert()
    cut.set_weights(whole.get_weights())
    labels = np.array([0, 1, 0, 1])
    for model in (whole, cut):
        unfreeze_top(model, from_layer="block1_norm1")
        model.get_layer("dropout").rate = 0
    edge = boundary(cut)
    assert made_by(edge) == "block0" and [side.name for side in side_inputs(cut, edge)] == ["padding_mask"]
    values = graphs.arrays(cut)
    top = suffix(cut, edge)
    assert {id(v) for v in top.trainable_variables} == {id(v) for v in cut.trainable_variables}
    for model, inputs in ((whole, values), (top, [np.asarray(prefix(cut, edge)(values)), values[2]])):
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        model.fit(inputs, labels, shuffle=False, epochs=2, verbose=0)
    for ours, theirs in zip(cut.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_boundary_of_several_inputs():
    model = graphs.bert()
    freeze_backbone(model)
    # The pooler is the head's own: below it no mask is needed any more.
    assert made_by(boundary(model)) == "first_token" and side_inputs(model, boundary(model)) == []
    unfreeze_top(model, stages=1)
    assert made_by(boundary(model)) == "block1"
    unfreeze_top(model, stages="all")
    assert boundary(model) is model.input and suffix(model, model.input).count_params() == model.count_params()


def test_side_tensors_are_made_of_the_inputs_they_follow_from():
    tokens, lengths = keras.Input((6,), dtype="int32", name="tokens"), keras.Input((1,), dtype="int32", name="lengths")
    mask = keras.ops.less(keras.ops.arange(6, dtype="int32")[None], lengths)
    x = keras.layers.Dense(4, name="dense")(keras.layers.Embedding(9, 4)(tokens))
    model = keras.Model([tokens, lengths], keras.layers.GlobalAveragePooling1D()(x, mask=mask))
    [edge] = [tensor for tensor in cut_points(model)[1:] if made_by(tensor) == "dense"]
    assert [side.name for side in side_inputs(model, edge)] == ["lengths"]
    values = [np.ones((2, 6), "int32"), np.array([[2], [5]], "int32")]
    top = suffix(model, edge).predict_on_batch([np.asarray(prefix(model, edge)(values)), values[1]])
    np.testing.assert_allclose(top, model(values), atol=1e-6)


def test_what_weights_make_beside_the_main_path_leaves_no_cut():
    """Two encoders of one input: what one gives does not follow without weights."""
    inputs = keras.Input((8, 3))
    first, second = (keras.layers.Conv1D(8, 3, name=name)(inputs) for name in ("first", "second"))
    first = keras.layers.Conv1D(8, 3, padding="same", name="first_more")(first)
    merged = keras.layers.Concatenate(name="merged")([first, second])
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D(name="pool")(merged))
    assert [made_by(tensor) for tensor in cut_points(model)[1:]] == ["merged", "pool"]


def test_noise_and_implicit_masks_are_no_side_of_a_cut():
    inputs = keras.Input((6,))
    noisy = keras.layers.Reshape((6, 1))(keras.layers.GaussianNoise(0.1)(inputs))
    x = keras.layers.Multiply(name="times")([keras.layers.Conv1D(8, 1, name="conv")(noisy), noisy])
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(x))
    assert "conv" not in [made_by(tensor) for tensor in cut_points(model)[1:]]
    tokens = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(9, 4, mask_zero=True, name="masked")(tokens)
    model = keras.Model(tokens, keras.layers.GlobalAveragePooling1D(name="pool")(x))
    assert [made_by(tensor) for tensor in cut_points(model)[1:]] == ["pool"]


def test_the_second_output_of_a_layer_counts_as_live():
    inputs = keras.Input((5, 3))
    x, state, _ = keras.layers.LSTM(4, return_sequences=True, return_state=True, name="lstm")(inputs)
    x = keras.layers.Conv1D(4, 1, name="conv")(x)
    x = keras.layers.Add(name="sum")([keras.layers.GlobalAveragePooling1D()(x), state])
    assert [made_by(tensor) for tensor in cut_points(keras.Model(inputs, x))[1:]] == ["sum"]


def test_places_that_are_no_cut_are_refused():
    model = graphs.bert()
    with pytest.raises(InputError, match="is no cut point"):
        suffix(model, model.get_layer("token_embedding").output)
    with pytest.raises(InputError, match="is no cut point"):
        side_inputs(model, model.get_layer("block1_norm1").output)


def test_where_a_batch_holds_parts_of_items_is_no_cut():
    inputs = keras.Input((4, 6))
    x = keras.layers.Dense(6, name="before")(inputs)
    x = keras.layers.Dense(3, name="parts")(keras.ops.reshape(x, (-1, 6)))
    x = keras.layers.Dense(2, name="after")(keras.ops.reshape(x, (-1, 12)))
    model = keras.Model(inputs, x)
    assert [tensor.shape[1:] for tensor in cut_points(model)[1:]] == [(4, 6), (12,), (2,)]
