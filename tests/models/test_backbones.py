"""The table: complete, and true to keras.applications."""

import keras
import numpy as np
import pytest

from keras_transfer.errors import InputError
from keras_transfer.modalities.image.backbones import BACKBONES, Backbone, find_backbone
from keras_transfer.models import backbone_layers
from keras_transfer.models.preprocessing import NAME, preprocessing_layer

MODULES = {
    "MobileNet": "mobilenet", "MobileNetV2": "mobilenet_v2", "MobileNetV3": "mobilenet_v3",
    "EfficientNetB": "efficientnet", "EfficientNetV2": "efficientnet_v2", "ResNet": "resnet",
    "VGG16": "vgg16", "VGG19": "vgg19", "InceptionV3": "inception_v3", "InceptionResNetV2": "inception_resnet_v2",
    "Xception": "xception", "DenseNet": "densenet", "NASNet": "nasnet", "ConvNeXt": "convnext",
}  # fmt: skip


def module_of(row: Backbone):
    if row.constructor.startswith("ResNet") and row.constructor.endswith("V2"):
        return keras.applications.resnet_v2
    stem = max((stem for stem in MODULES if row.constructor.startswith(stem)), key=len)
    return getattr(keras.applications, MODULES[stem])


def test_every_architecture_of_keras_has_a_row():
    constructors = {name for name in dir(keras.applications) if name[0].isupper()}
    assert {row.constructor for row in BACKBONES.values()} == constructors
    assert len({row.name for row in BACKBONES.values()}) == len(BACKBONES)


def test_preprocessing_is_what_keras_does(any_row, pixels):
    pictures = pixels(8)
    layer = preprocessing_layer(any_row.preprocessing)
    ours = pictures if layer is None else keras.ops.convert_to_numpy(layer(pictures))
    theirs = module_of(any_row).preprocess_input(pictures.copy())
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6 * np.abs(theirs).max())


def test_row_is_plausible(any_row):
    assert any_row.min_size <= any_row.image_size
    assert any_row.fit_for and set(any_row.fit_for) <= {"phone", "microcontroller", "edgetpu", "server"}
    assert any_row.licence in {"Apache-2.0", "MIT", "BSD-3-Clause", "CC-BY-4.0"}
    assert not any_row.alphas or 1.0 in any_row.alphas


def test_parameters_and_least_size(row, model_of):
    model = model_of(row)
    counted = sum(layer.count_params() for layer in backbone_layers(model) if layer.name != NAME)
    # Of ConvNeXt the last normalization, after pooling, is the head's; 2 x 2048 parameters at most.
    assert counted / 1e6 == pytest.approx(row.parameters, abs=0.005)


@pytest.mark.parametrize("name", ["MobileNetV2", "mobilenet-v2", "mobilenet_v2"])
def test_names_are_read_generously(name):
    assert find_backbone(name).name == "mobilenet_v2"


def test_unknown_name_gets_a_suggestion():
    with pytest.raises(InputError, match=r"Did you mean .*resnet50"):
        find_backbone("resnet5")
    with pytest.raises(InputError, match="Choose from: mobilenet, "):
        find_backbone("qqq")
