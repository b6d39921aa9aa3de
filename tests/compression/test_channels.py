"""Channels removed: what is left computes what the model would with those channels at zero."""

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.compression.channel_graph import channel_graph
from keras_transfer.compression.channels import choose_channels, rebuild, remove_channels
from keras_transfer.compression.importance import gate_importance, norm_importance
from keras_transfer.compression.shrink import recalibrate, shrink
from keras_transfer.errors import InputError
from keras_transfer.modalities.image import build_augmenter
from keras_transfer.models import load_model, multiply_adds, stages


@pytest.fixture(scope="module")
def data():
    return kt.load_images("pizza:per_class=20")


def lively(model, seed=0):
    """Random biases, and normalization by the statistics of some images: in a fresh deep network no signal arrives."""
    chance = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.path.endswith("gamma"):
            weight.assign(chance.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith(("beta", "bias")):
            weight.assign(chance.normal(0, 0.3, weight.shape))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(pixels(model, 8), training=True)
    return model


def pixels(model, count=2):
    return np.random.default_rng(1).uniform(0, 255, (count, *model.input_shape[1:])).astype(np.float32)


def close_readers(model, graph, kept):
    """Sets the removed channels to zero in every kernel that reads them."""
    for part in graph.slices:
        if part.reads is not None:
            kernel = part.layer.weights[part.weight]
            shut = np.moveaxis(kernel.numpy().copy(), part.reads, -1)
            shut[..., ~kept[part.axes[part.reads]]] = 0
            kernel.assign(np.moveaxis(shut, -1, part.reads))


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("mobilenet", {"alpha": 0.25}),
        ("mobilenet_v2", {"alpha": 0.35}),
        ("mobilenet_v3_small", {}),
        pytest.param("efficientnet_b0", {}, marks=pytest.mark.slow),
        pytest.param("resnet50", {}, marks=pytest.mark.slow),
        pytest.param("densenet121", {}, marks=pytest.mark.slow),
    ],
)
def test_removed_channels_are_as_if_zero(backbone, options):
    model = lively(kt.build_classifier(backbone, 5, image_size=32, weights="none", **options))
    graph = channel_graph(model)
    kept = choose_channels(model, graph, norm_importance(graph), {"": 0.6})
    small = rebuild(model, graph, kept)
    assert 0.5 < multiply_adds(small) / multiply_adds(model) <= 0.6
    convolutions = [layer for layer in small.layers if type(layer) is keras.layers.Conv2D]
    changed = [layer for layer in convolutions if layer.filters != model.get_layer(layer.name).filters]
    assert len(changed) > 5
    assert all(layer.filters % 8 == 0 for layer in changed)
    images = pixels(model)
    before = model(images).numpy()
    close_readers(model, graph, kept)
    expected = model(images).numpy()
    assert np.abs(before - expected).max() > 1e-3
    np.testing.assert_allclose(small(images), expected, atol=2e-6)


def users_own():
    """Layers of many kinds: concatenation, a shared layer, a branch with other channels, flattening."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(32, 3, padding="same", activation="relu", name="stem")(inputs)
    shared = keras.layers.Conv2D(32, 3, padding="same", activation="relu", name="shared")
    x = keras.layers.Add()([shared(shared(x)), x])
    side = keras.layers.SeparableConv2D(24, 3, strides=2, depth_multiplier=2, padding="same", name="separable")(x)
    down = keras.layers.Conv2D(40, 2, strides=2, name="down")(x)
    x = keras.layers.Concatenate()(
        [keras.layers.PReLU(shared_axes=[1, 2])(side), keras.activations.silu(down) * 0.5 + 1.0]
    )
    squeezed = keras.layers.Dense(64, activation="sigmoid", name="gate")(keras.layers.GlobalAveragePooling2D()(x))
    x = keras.layers.Multiply()([x, keras.layers.Reshape((1, 1, 64))(squeezed)])
    x = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = keras.layers.Flatten()(keras.layers.MaxPooling2D()(x))
    x = keras.layers.Dense(48, activation="tanh", name="hidden")(x)
    return lively(keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="answer")(x)))


def test_users_own_model_loses_its_dead_channels_and_nothing_else():
    keras.utils.set_random_seed(0)
    model = users_own()
    dead = {"stem": range(16), "separable": range(5, 13), "down": range(8, 24), "hidden": range(40, 48)}
    for name, channels in dead.items():
        # The convolution makes nothing of these, and whoever reads them is deaf to them.
        *_, kernel, bias = model.get_layer(name).weights
        for weight in (kernel, bias):
            values = weight.numpy().copy()
            values[..., list(channels)] = 0
            weight.assign(values)
    graph = channel_graph(model)
    kept = np.ones(graph.count, bool)
    for layer in model.layers:
        if layer.name in dead:
            kept[graph.sizes[id(layer)][1][list(dead[layer.name])]] = False
    close_readers(model, graph, kept)
    small = rebuild(model, graph, kept)
    kept_counts = {
        name: small.get_layer(name).get_config().get("filters", 0) for name in ("stem", "shared", "separable", "down")
    }
    assert kept_counts == {"stem": 16, "shared": 16, "separable": 16, "down": 24}
    assert small.get_layer("gate").units == 40
    assert small.get_layer("hidden").units == 40
    images = pixels(model)
    np.testing.assert_allclose(small(images), model(images), atol=2e-6)


def test_what_is_not_understood_keeps_its_channels():
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(32, 3, name="before")(inputs)
    x = keras.layers.LayerNormalization()(x)  # computes over channels: one less changes all the others
    x = keras.layers.Conv2D(32, 3, name="free")(x)
    x = keras.layers.Conv2D(32, 3, name="read")(x)
    inner_in = keras.Input(x.shape[1:])
    inner = keras.Model(inner_in, keras.layers.Conv2D(32, 1)(inner_in), name="inner")
    x = keras.layers.Conv2D(32, 3, name="after")(inner(x))
    outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalMaxPooling2D()(x))
    model = keras.Model(inputs, outputs)
    small = remove_channels(model, multiply_adds=0.85)
    sizes = {name: small.get_layer(name).filters for name in ("before", "free", "read", "after")}
    assert sizes["before"] == sizes["read"] == 32
    assert sizes["free"] < 32
    with pytest.raises(InputError, match=r"least that can be kept is 0\.\d+ .* Received: multiply_adds=0.1"):
        remove_channels(model, multiply_adds=0.1)


def test_sequential_models_stay_sequential():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(32, 3), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    )
    small = remove_channels(model, multiply_adds=0.5)
    assert isinstance(small, keras.Sequential)
    assert small.layers[0].filters == 16
    assert small(pixels(model)).shape == (2, 2)


def test_a_stage_alone_is_made_smaller():
    model = kt.build_classifier("mobilenet_v2", 3, image_size=64, alpha=0.35, weights="none")
    small = remove_channels(model, multiply_adds={"stage3": 0.5})
    widths = [
        [
            layer.filters
            for stage in stages(m)
            for layer in stage.layers
            if isinstance(layer, keras.layers.Conv2D) and hasattr(layer, "filters")
        ]
        for m in (model, small)
    ]
    where = [
        stage.name
        for stage in stages(model)
        for layer in stage.layers
        if isinstance(layer, keras.layers.Conv2D) and hasattr(layer, "filters")
    ]
    assert {name for name, before, after in zip(where, *widths, strict=True) if before != after} == {"stage3"}
    with pytest.raises(InputError, match="no stage 'stage9'"):
        remove_channels(model, multiply_adds={"stage9": 0.5})
    with pytest.raises(InputError, match="above 0 and below 1"):
        remove_channels(model, multiply_adds=1.5)


def test_importance_is_the_change_of_the_loss_when_a_channel_is_shut(data):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(16, 3, strides=2, activation="relu", name="conv")(keras.layers.Rescaling(1 / 255)(inputs))
    wide = keras.initializers.RandomNormal(stddev=2.0)  # the change shall stand out from rounding
    x = keras.layers.Dense(4, kernel_initializer=wide, name="logits")(keras.layers.GlobalMaxPooling2D()(x))
    model = keras.Model(inputs, keras.layers.Softmax()(x))
    kernel = model.get_layer("logits").kernel
    values = kernel.numpy().copy()
    values[3] = 0  # nobody reads channel 3
    kernel.assign(values)
    graph = channel_graph(model)
    part = data.train.take(range(16))  # one batch, so that its square is the square of the derivative
    importance = gate_importance(model, graph, part)[graph.sizes[id(model.get_layer("conv"))][1]]
    assert importance[3] == 0

    images, _ = build_augmenter("auto", 4, 4)(part.pixels(32), part.labels, seed=0)

    def loss(channel, gate):
        shut = values.copy()
        shut[channel] *= gate
        kernel.assign(shut)
        return float(keras.losses.SparseCategoricalCrossentropy()(part.labels, model(np.float32(images))))

    for channel in (0, 7):
        slope = (loss(channel, 1.1) - loss(channel, 0.9)) / 0.2
        assert importance[channel] == pytest.approx(slope**2, rel=0.02)


def small_network(data):
    """Two stages, the second with an addition."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    for width in (24, 32):
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Add()([x, keras.layers.Conv2D(32, 3, padding="same", activation="relu")(x)])
    x = keras.layers.Dense(len(data.class_names), name="logits")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, keras.layers.Softmax()(x))


def test_statistics_are_taken_anew_and_then_frozen(data):
    model = small_network(data)
    model.trainable = False
    recalibrate(model, data.train, build_augmenter("none"))
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization))
    assert not first.trainable
    assert all(layer.trainable for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    made = keras.Model(model.inputs[0], first.input)(data.train.pixels(32).astype(np.float32)).numpy()
    # Two batches at momentum 0.9 leave 0.81 of the mean 0 that was there.
    np.testing.assert_allclose(first.moving_mean, 0.19 * made.mean((0, 1, 2)), atol=0.01)


@pytest.mark.parametrize("taught", [True, False])
def test_shrink_gives_an_ordinary_model(data, taught, tmp_path):
    model = small_network(data)
    before = model.get_weights()
    rows = []
    small = shrink(model, data, multiply_adds=0.7, teacher=model if taught else None, epochs=2, on_epoch=rows.append)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert multiply_adds(small) <= 0.7 * multiply_adds(model)
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
    small.save(tmp_path / "small.keras")
    images = data.val.pixels(32).astype(np.float32)
    np.testing.assert_allclose(load_model(tmp_path / "small.keras")(images), small(images), atol=1e-6)
