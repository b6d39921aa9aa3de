"""Quantization-aware training: what is trained is the file, operator by operator and number by number."""

import os
from collections import Counter
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.compression.fake_quantization import correct_biases, fake_quantized, observer
from keras_transfer.compression.qat import QuantizationAware, quantize_aware
from keras_transfer.errors import InputError
from keras_transfer.litert import convert, open_litert, read_flatbuffer
from keras_transfer.modalities.image.builder import build_classifier
from keras_transfer.models.twin import make_twin

LAYERS = keras.layers
BACKBONES = (
    "mobilenet", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "mobilenet_v3_small_minimalistic",
    "efficientnet_b0", "efficientnet_v2_b0", "resnet50",
)  # fmt: skip


def pictures(count, size=16, seed=0):
    squares = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), np.uint8)
    return squares.repeat(size // 4, 1).repeat(size // 4, 2)


@pytest.fixture(scope="module")
def data():
    """Sixty pictures of three brightnesses."""
    levels = np.arange(3).repeat(20)
    images = (pictures(60) * 0.4 + 70 * levels[:, None, None, None]).astype(np.uint8)
    return kt.load_images(
        images, labels=[f"level{level}" for level in levels], near_duplicates=False, val=0.2, test=0.2
    )


def uneven(model):
    """Uneven BatchNormalization, as training leaves it."""
    random = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, LAYERS.BatchNormalization):
            shape = layer.moving_mean.shape
            weights = {
                "gamma": random.uniform(0.5, 2, shape), "beta": random.normal(0, 0.3, shape),
                "moving_mean": random.normal(0, 0.3, shape), "moving_variance": random.uniform(0.3, 2, shape),
            }  # fmt: skip
            layer.set_weights([weights[weight.name] for weight in layer.weights])
    return model


def small(kernel=None):
    """Convolutions with BatchNormalization in two resolutions, depthwise too."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = LAYERS.Rescaling(1 / 127.5, -1)(inputs)
    x = LAYERS.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = LAYERS.ReLU(6.0)(LAYERS.BatchNormalization(name="conv_bn")(x))
    x = LAYERS.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False, name="deep")(x)
    x = LAYERS.ReLU(6.0)(LAYERS.BatchNormalization(name="deep_bn")(x))
    x = LAYERS.Conv2D(12, 1, name="wide")(x)
    x = LAYERS.Dense(3, name="logits")(LAYERS.GlobalAveragePooling2D()(x))
    model = uneven(keras.Model(inputs, LAYERS.Activation("softmax")(x)))
    for layer in model.layers:
        if kernel is not None and layer.weights and not isinstance(layer, LAYERS.BatchNormalization):
            first, *rest = layer.get_weights()
            layer.set_weights([kernel(first), *rest])
    return model


def everything():
    """One of each kind of operator that classifiers of the table have in their int8 files."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = LAYERS.Normalization(mean=[110, 120, 130], variance=[60**2, 55**2, 50**2])(LAYERS.Rescaling(1.0)(inputs))
    x = LAYERS.Conv2D(8, 3, strides=2, name="stem")(LAYERS.ZeroPadding2D(((0, 1), (0, 1)))(x))
    x = LAYERS.Activation("hard_swish")(LAYERS.BatchNormalization(scale=False)(x))
    gate = LAYERS.Conv2D(4, 1, activation="relu")(LAYERS.GlobalAveragePooling2D(keepdims=True)(x))
    gate = LAYERS.ReLU(6.0)(LAYERS.Conv2D(8, 1)(gate) + 3.0) * (1 / 6)
    x = LAYERS.Multiply()([x, gate])
    y = LAYERS.SeparableConv2D(8, 3, padding="same", use_bias=False)(x)
    y = LAYERS.Activation("swish")(LAYERS.BatchNormalization()(y))
    x = LAYERS.ReLU()(LAYERS.BatchNormalization()(LAYERS.Add()([x, y])))
    x = LAYERS.Concatenate()([LAYERS.Conv2D(5, 1)(LAYERS.MaxPooling2D()(x)), LAYERS.Conv2D(4, 2, strides=2)(x)])
    x = LAYERS.Dense(8, activation="relu6")(LAYERS.Flatten()(LAYERS.AveragePooling2D(2)(x)))
    x = LAYERS.Dense(3, name="logits")(LAYERS.Dropout(0.1)(x))
    return uneven(keras.Model(inputs, LAYERS.Softmax()(x)))


def operators(content):
    """How many of each; RESHAPE computes nothing, and the two quantizers place it differently."""
    return Counter(operator.name for operator in read_flatbuffer(content).operators if operator.name != "RESHAPE")


def assert_is_its_file(network, content, images, steps=2):
    """The file's answers are the fake-quantized network's, up to the ties that are rounded otherwise."""
    ours, theirs = network.predict(images), open_litert(content).predict(images)
    assert np.abs(ours - theirs).max() <= steps / 256
    return ours


def weights_of(content):
    info = read_flatbuffer(content)
    kernels = [o.inputs[1] for o in info.operators if o.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")]
    return [info.tensors[index] for index in kernels]


def test_every_kind_of_operator_is_rounded_where_the_file_rounds_it():
    model, images = everything(), pictures(24)
    twin = make_twin(model)
    network = fake_quantized(twin)
    network.mode.observing = True
    exact = np.asarray(network.model(images.astype("float32"), training=False))
    network.mode.observing = False
    np.testing.assert_allclose(exact, model(images.astype("float32"), training=False), atol=1e-5)
    correct_biases(network, observer(network, images)())
    trained = QuantizationAware(model, [], 0.0, network)
    content = trained.convert()
    assert operators(content) == operators(convert(model, ["int8"], calibration=images)["int8"])
    made = assert_is_its_file(trained, content, images, steps=4)
    assert 0 < np.abs(made - exact).max() < 0.1  # it is rounded, and not much


def test_training_moves_weights_home_and_the_file_with_them(data):
    model = small()
    before = model.get_weights()
    trained = quantize_aware(model, data, epochs=3, learning_rate=0.01, batch_size=32, augmentation="none")
    assert [row["epoch"] for row in trained.rows] == [0, 1, 2, 3]
    assert trained.rows[-1]["loss"] < trained.rows[1]["loss"]
    assert trained.val_accuracy == max(row["val_accuracy"] for row in trained.rows)
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))
    pixels = data.test.pixels(16)
    made = assert_is_its_file(trained, trained.convert(), pixels)
    home = trained.model.predict(pixels.astype("float32"), verbose=0)
    assert np.abs(home - model.predict(pixels.astype("float32"), verbose=0)).max() > 0.05  # far from where it was
    np.testing.assert_allclose(home, made, atol=0.03)
    for layer in model.layers:  # statistics and factors of BatchNormalization are as they were; beta takes the bias
        if isinstance(layer, LAYERS.BatchNormalization):
            gamma, _, *statistics = layer.get_weights()
            kept = trained.model.get_layer(layer.name).get_weights()
            assert all(map(np.array_equal, [gamma, *statistics], [kept[0], *kept[2:]]))


def test_pixels_go_in_as_they_are(data):
    trained = quantize_aware(small(), data, epochs=1, learning_rate=1e-4, alpha=1.0)
    for dtype, zero in (("uint8", 128), ("int8", 0)):
        content = trained.convert(dtype)
        info = read_flatbuffer(content)
        start, end = info.tensors[info.inputs[0]], info.tensors[info.outputs[0]]
        assert start.dtype == end.dtype == dtype
        assert start.scale == pytest.approx((2 / 255,)) and start.zero_point == (zero,)
        assert end.scale == (1 / 256,)
        assert "float32" not in {tensor.dtype for tensor in info.tensors}
        assert all(len(tensor.scale) > 1 for tensor in weights_of(content))
    with pytest.raises(InputError, match="input_dtype='float32'"):
        trained.convert("float32")


def test_pixels_that_nothing_rescales_are_quantized_too(data):
    inputs = keras.Input((16, 16, 3))
    x = LAYERS.GlobalAveragePooling2D()(LAYERS.Conv2D(4, 3, activation="relu")(inputs))
    model = keras.Model(inputs, LAYERS.Dense(3, "softmax")(x))
    trained = quantize_aware(model, data, epochs=1, learning_rate=1e-4)
    info = read_flatbuffer(content := trained.convert())
    assert info.tensors[info.inputs[0]].scale == (1.0,) and info.tensors[info.inputs[0]].zero_point == (0,)
    assert_is_its_file(trained, content, data.test.pixels(16))


def test_per_tensor_has_one_scale_a_layer_and_its_own_rounding(data):
    trained = quantize_aware(small(), data, epochs=1, learning_rate=1e-3, per_tensor=True)
    content = trained.convert()
    assert [len(tensor.scale) for tensor in weights_of(content)] == [1, 1, 1, 1]
    assert_is_its_file(trained, content, data.test.pixels(16))


def test_top_stages_alone_train(data):
    model = small()
    trained = quantize_aware(model, data, epochs=1, learning_rate=1e-3, stages=1)
    moved = {}
    for layer in (layer for layer in model.layers if layer.weights):
        pairs = zip(layer.get_weights(), trained.model.get_layer(layer.name).get_weights(), strict=True)
        moved[layer.name] = not all(np.array_equal(*pair) for pair in pairs)
    assert moved == {"conv": False, "conv_bn": False, "deep": True, "deep_bn": True, "wide": True, "logits": True}
    with pytest.raises(InputError, match=r"from 0 .* to 2\. Received: stages=3"):
        quantize_aware(model, data, stages=3)


@pytest.mark.parametrize("preserve", [("sparsity",), ("sparsity", "clusters")])
def test_structure_is_preserved(data, preserve):
    def structured(kernel):
        return (np.round(kernel / np.abs(kernel).max() * 3) / 3 * np.abs(kernel).max()).astype("float32")

    model = small(structured)
    trained = quantize_aware(model, data, epochs=2, learning_rate=0.01, alpha=0, augmentation="none", preserve=preserve)
    for name in ("conv", "deep", "wide", "logits"):
        before, after = (chosen.get_layer(name).get_weights()[0] for chosen in (model, trained.model))
        assert np.abs(after - before).max() > 1e-3
        if "sparsity" in preserve:
            assert not after[before == 0].any() and (before == 0).mean() > 0.05
        if "clusters" in preserve:
            assert len(np.unique(after)) <= len(np.unique(before)) <= 7
    assert_is_its_file(trained, trained.convert(), data.test.pixels(16))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preserve": ("zeros",)}, "preserve=.'zeros',"),
        ({"preserve": "sparsity"}, "preserve='sparsity'"),
        ({"epochs": 0}, "epochs=0"),
        ({"alpha": 2}, "alpha=2"),
    ],
)
def test_wrong_arguments_are_refused(data, arguments, message):
    with pytest.raises(InputError, match=message):
        quantize_aware(small(), data, **arguments)


def test_what_has_no_integer_operator_is_named(data):
    inputs = keras.Input((16, 16, 3))
    x = LAYERS.LayerNormalization(name="norm")(LAYERS.Conv2D(4, 3)(inputs))
    model = keras.Model(inputs, LAYERS.Dense(3, "softmax")(LAYERS.GlobalAveragePooling2D()(x)))
    with pytest.raises(InputError, match=r"'norm' \(LayerNormalization\) has no integer operator"):
        quantize_aware(model, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_backbones_become_wholly_integer_files(data, name, request):
    if "slow" not in (request.config.option.markexpr or "") and not os.environ.get("KERAS_TRANSFER_SLOW"):
        pytest.skip("slow: run with -m slow")
    model = build_classifier(name, 3, weights="none", image_size=32)
    few = SimpleNamespace(**{**vars(data), "train": data.train.take(np.arange(32))})
    trained = quantize_aware(model, few, epochs=1, learning_rate=1e-5)
    content = trained.convert()
    pixels = data.test.pixels(32)
    assert operators(content) == operators(convert(model, ["int8"], calibration=pixels)["int8"])
    assert_is_its_file(trained, content, pixels, steps=16)
