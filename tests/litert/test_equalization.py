"""Channels of like ranges: exact in float, better in int8, and only where ReLU alone stands between weights."""

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.inputs import TensorSpec
from keras_transfer.litert import conversion, convert, equalization, open_litert, read_flatbuffer
from keras_transfer.litert.frozen import freeze
from keras_transfer.litert.protocol import Options

FLOATS = TensorSpec("input", (16, 16, 3), "float32")


def network(activation: str | None = "relu", between: str = "none") -> keras.Model:
    """A convolution, a depthwise one and a pointwise one, whose channels' ranges spread over four decades."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    x = first = layers.Conv2D(32, 3, 2, "same", activation=activation, name="first")(inputs)
    if between == "pad":
        x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation=activation, name="depthwise")(x)
    if between == "add":
        x = layers.Add()([first, x])
    if between == "reshape":
        x = layers.Reshape((4, 16, 32))(x)
    if between == "channels":
        x = layers.Reshape((8, 16, 16))(x)
    x = layers.Conv2D(16, 1, activation=activation, name="pointwise")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4, name="logits")(x))
    uneven(model, 10 ** np.random.default_rng(1).uniform(-2, 2, 32), 10 ** np.random.default_rng(2).uniform(-2, 2, 32))
    return model


def uneven(model: keras.Model, first: np.ndarray, second: np.ndarray) -> None:
    """Multiplies the channels of the first two layers, and divides what reads them, which no answer shows."""
    kernels = {name: model.get_layer(name).get_weights() for name in ("first", "depthwise", "pointwise")}
    kernels["first"][0] *= first
    kernels["first"][1] *= first
    kernels["depthwise"][0] *= (second / first)[:, None]
    kernels["depthwise"][1] *= second
    if kernels["pointwise"][0].shape[2] == len(second):
        kernels["pointwise"][0] /= second[:, None]
    for name, values in kernels.items():
        model.get_layer(name).set_weights(values)


@pytest.fixture(scope="module")
def items() -> np.ndarray:
    return np.random.default_rng(3).normal(0, 1, (24, 16, 16, 3)).astype("float32")


def float_file(model: keras.Model) -> bytes:
    return convert(model, ["float32"], item=FLOATS)["float32"]


def reading(items: np.ndarray):
    return lambda number: [items[number][None]]


def outputs(content: bytes, items: np.ndarray) -> np.ndarray:
    file = open_litert(content, trusted=True)
    return np.stack([row[0] for row in file.map_arrays([(item,) for item in items])])


def writers(model: keras.Model) -> list[str]:
    """The operators whose outputs' channels are scaled."""
    content = float_file(model)
    info, graph = read_flatbuffer(content), schema.ModelT.InitFromPackedBuf(content, 0)
    return sorted(joint.writer.name for joint in equalization._joints(info, graph))


@pytest.fixture(scope="module")
def plain() -> bytes:
    return float_file(network())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), decades=st.floats(0, 3))
def test_any_factors_leave_float_answers_as_they_are(plain, items, seed, decades):
    random = np.random.default_rng(seed)

    def factors(largest: np.ndarray) -> np.ndarray:
        return (10 ** random.uniform(-decades, decades, largest.shape)).astype("float32")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(equalization, "channel_factors", factors)
        changed = equalization.equalize(plain, 2, reading(items))
    expected = outputs(plain, items[:4])
    np.testing.assert_allclose(outputs(changed, items[:4]), expected, atol=1e-4 * np.abs(expected).max())


def test_ranges_come_near_each_other(plain, items):
    def spread(content: bytes) -> float:
        """In decades, of the layers whose ranges were made to differ."""
        info, graph = read_flatbuffer(content), schema.ModelT.InitFromPackedBuf(content, 0)
        written = [joint.writer.outputs[0] for joint in equalization._joints(info, graph)][:2]
        largest = equalization._largest(graph, written, len(items), reading(items))
        return float(np.mean([np.log10(values[values > 0]).std() for values in largest]))

    changed = equalization.equalize(plain, len(items), reading(items))
    assert spread(plain) > 0.8
    assert spread(changed) < spread(plain) / 2


def test_an_int8_file_that_was_bad_is_good(items):
    model = network()
    frozen = freeze(model, "int8", [FLOATS])
    expected = model.predict(items, verbose=0)

    def error() -> float:
        content = conversion.convert_graph("int8", frozen, [items], Options(ranges=[(-4.0, 4.0)]))
        file = open_litert(content, trusted=True)
        [taken], [given] = file.inputs, file.outputs
        whole = np.clip(np.round(items / taken.scale[0]) + taken.zero_point[0], 0, 255).astype("uint8")
        answers = np.stack([row[0].astype("float32") for row in file.map_arrays([(item,) for item in whole])])
        answers = (answers - given.zero_point[0]) * given.scale[0]
        return float(np.sqrt(np.square(answers - expected).mean() / expected.var(axis=0).mean()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversion, "equalize", lambda prepared, count, read: prepared)
        without = error()
    assert without > 0.3
    assert error() < without / 3


@pytest.mark.parametrize(
    ("between", "scaled"),
    [
        ("none", ["CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D"]),
        ("pad", ["CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D"]),
        ("reshape", ["CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D"]),
        ("channels", ["CONV_2D", "CONV_2D"]),  # the depthwise one's become others
        ("add", ["CONV_2D"]),  # what is added must keep its channels
    ],
)
def test_where_channels_can_be_scaled(between, scaled):
    assert writers(network(between=between)) == scaled


def test_networks_of_relu6_stay_as_they_are_in_every_bit(files):
    def read(number: int) -> list[np.ndarray]:
        raise AssertionError("nothing is to be observed")

    assert equalization.equalize(files["float32"], 4, read) is files["float32"]


def test_clustered_weights_stay_clustered(items):
    model = network()
    layer = model.get_layer("pointwise")
    layer.set_weights([np.sign(layer.kernel), layer.bias])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(equalization, "_CLUSTERED", 16)
        assert writers(model) == ["CONV_2D", "CONV_2D"]
