"""Classifiers: heads, compiled losses, saving and loading in a process that has only Keras."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_transfer.errors import InputError
from keras_transfer.modalities.image.builder import build_classifier, build_imagenet_classifier
from keras_transfer.models import logits_of, preprocessing_of
from keras_transfer.models.preprocessing import preprocessing_layer

TINY = {"backbone": "mobilenet", "alpha": 0.25, "image_size": 32, "weights": "none"}

LOADER = """
import sys
sys.modules.update(dict.fromkeys(("IPython", "cv2", "matplotlib", "sklearn")))  # installed or not, Keras needs none
import keras, numpy
assert "keras_transfer" not in sys.modules
given = numpy.load("given.npz")
for name in given.files:
    model = keras.saving.load_model(f"{name}.keras", safe_mode=True)
    size = model.input_shape[1]
    pictures = numpy.random.default_rng(0).integers(0, 256, (3, size, size, 3)).astype("float32")
    difference = numpy.abs(model(pictures, training=False).numpy() - given[name]).max()
    assert difference <= 1e-6, (name, difference)
    print(name)
"""


def test_saved_models_load_in_a_bare_keras_process(tmp_path, pixels):
    # The architectures with layers or bare operations of their own, and each kind of preprocessing.
    names = ["mobilenet_v2", "efficientnet_b0", "mobilenet_v3_small", "convnext_tiny"]
    keras.utils.set_random_seed(0)
    expected = {}
    for name in names:
        model = build_classifier(name, 3, weights="none", image_size=64, hidden=(32,))
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.0
        model(pixels(64), training=True)  # takes these pictures' statistics, so that it tells them apart
        expected[name] = model(pixels(64), training=False).numpy()  # once: tracing would take longer
        model.save(tmp_path / f"{name}.keras")
    for kind in ("tf", "torch", "caffe"):
        names.append(kind)
        model = keras.Sequential([keras.Input((64, 64, 3)), preprocessing_layer(kind)])
        expected[kind] = model(pixels(64), training=False).numpy()
        model.save(tmp_path / f"{kind}.keras")
    assert min(spread := [float(np.ptp(expected[name], axis=0).max()) for name in names]) > 1e-3, spread
    np.savez(tmp_path / "given.npz", **expected)
    run = subprocess.run([sys.executable, "-I", "-c", LOADER], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == names


def test_model_is_flat_on_raw_pixels_and_fits_integer_labels(pixels):
    model = build_classifier(**TINY, classes=["a", "b", "c"], hidden=[16], label_smoothing=0.0)
    assert model.input_shape == (None, 32, 32, 3) and model.input.dtype == "float32"
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert [layer.name for layer in model.layers[-4:]] == ["hidden_0", "dropout", "logits", "predictions"]
    model.run_eagerly = True  # for one step, tracing takes longer than the step
    history = model.fit(pixels(32), np.array([0, 1, 2]), verbose=0)
    assert {"loss", "accuracy"} <= history.history.keys()
    np.testing.assert_allclose(model.predict(pixels(32), verbose=0).sum(axis=1), 1, rtol=1e-5)


def test_label_smoothing_takes_one_hot_labels_and_survives_saving(tmp_path, pixels):
    model = build_classifier(**TINY, classes=3, label_smoothing=0.1)
    model.run_eagerly = True
    model.fit(pixels(32), np.eye(3), verbose=0)
    model.save(tmp_path / "m.keras")
    assert keras.saving.load_model(tmp_path / "m.keras").loss.label_smoothing == 0.1


def test_binary_and_multi_label_heads(pixels):
    binary = build_classifier(**TINY, classes=2, binary=True)
    assert binary.output_shape == (None, 1)
    binary.run_eagerly = True
    binary.fit(pixels(32), np.array([0, 1, 1]), verbose=0)
    several = build_classifier(**TINY, classes=4, multi_label=True)
    several.run_eagerly = True
    history = several.fit(pixels(32), np.array([[0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]]), verbose=0)
    assert "macro_f1" in history.history
    assert several.layers[-1].activation is keras.activations.sigmoid


def test_pooling_max_and_oblong_pictures():
    model = build_classifier("mobilenet", 2, alpha=0.25, image_size=(32, 64), weights="none", pooling="max")
    assert model.input_shape == (None, 32, 64, 3)
    assert any(isinstance(layer, keras.layers.GlobalMaxPooling2D) for layer in model.layers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 16}, "32 x 32 or more. Received: image_size=16"),
        ({"image_size": "big"}, "`image_size` must be"),
        ({"pooling": "mean"}, "`pooling` must be 'avg', 'max' or 'token'. Received: pooling='mean'"),
        ({"classes": 1}, "at least two classes"),
        ({"dropout": 1.0}, "`dropout` must be"),
        ({"label_smoothing": -0.1}, "`label_smoothing` must be"),
        ({"hidden": (0,)}, "`hidden` must hold"),
        ({"alpha": -1.0}, "`alpha` must be above 0"),
        ({"backbone": "vgg16", "alpha": 0.5}, "vgg16 has one width only"),
        ({"binary": True, "classes": 3}, "exactly two classes"),
        ({"binary": True, "multi_label": True, "classes": 2}, "at most one of"),
        ({"backbone": "mobilenet_v9"}, "Did you mean"),
        ({"weights": "there/is/none.h5"}, "There is no weights file"),
        ({"weights": "hub:there/is/none"}, "There is no folder"),
    ],
)
def test_wrong_calls_are_answered_in_one_sentence(arguments, message):
    with pytest.raises(InputError, match=message):
        build_classifier(**{**TINY, "classes": 2, **arguments})


def test_logits_are_found_or_refused():
    model = build_classifier(**TINY, classes=3)
    assert logits_of(model)._keras_history.operation.name == "logits"
    inputs = keras.Input((4,))
    for activation in ("softmax", "sigmoid"):
        with pytest.raises(InputError, match="no logits"):
            logits_of(keras.Model(inputs, keras.layers.Dense(2, activation=activation)(inputs)))
    plain = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    assert logits_of(plain) is plain.output
    assert logits_of(keras.Model(inputs, keras.layers.Softmax()(plain.output))) is plain.output


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mobilenet", (1 / 127.5, -1.0)),
        ("mobilenet_v3_small", (1 / 127.5, -1.0)),
        ("efficientnet_b0", (1 / 255, 0.0)),
        ("resnet50", None),
        ("densenet121", None),
    ],
)
def test_preprocessing_of_gives_one_scale_and_offset_or_none(name, expected):
    found = preprocessing_of(build_classifier(name, 2, weights="none", image_size=32))
    assert (found and found[1:]) == (pytest.approx(expected) if expected else None)


def test_imagenet_classifier_ends_in_probabilities(pixels):
    model = build_imagenet_classifier("mobilenet", weights="none", image_size=32, alpha=0.25)
    assert logits_of(model).shape == (None, 1000)
    np.testing.assert_allclose(model.predict(pixels(32), verbose=0).sum(axis=1), 1, rtol=1e-5)
