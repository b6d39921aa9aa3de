"""KerasHub backbones from presets: flat, cut at their blocks, trained, saved, exported."""

import shutil

import keras
import numpy as np
import pytest

from keras_transfer.errors import InputError
from keras_transfer.exporters.footprint import footprint
from keras_transfer.modalities.image.backbones import PRESETS
from keras_transfer.modalities.image.builder import build_classifier
from keras_transfer.models import (
    as_classifier,
    boundary,
    compile_classifier,
    freeze_backbone,
    head_layers,
    load_model,
    prefix,
    preprocessing_of,
    stages,
    suffix,
    unfreeze_top,
)
from keras_transfer.models.kerashub import preset_of

keras_hub = pytest.importorskip("keras_hub", reason="needs keras-hub: pip install keras-hub", exc_type=ImportError)

VIT = {"image_shape": (32, 32, 3), "patch_size": 8, "num_layers": 3, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32}
RESNET = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [7],
    "stackwise_num_filters": [64, 64],
    "stackwise_num_blocks": [1, 1],
    "stackwise_num_strides": [1, 2],
    "block_type": "basic_block",
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def presets(tmp_path_factory):
    """Folders as `save_to_preset` writes them, and their backbones."""
    folder = tmp_path_factory.mktemp("presets")
    keras.utils.set_random_seed(0)
    models, layers = keras_hub.models, keras_hub.layers
    scale = {"scale": [1 / (255 * std) for std in STD], "offset": [-m / s for m, s in zip(MEAN, STD, strict=True)]}
    made = {
        "vit": (models.ViTBackbone(**VIT), layers.ViTImageConverter(image_size=(32, 32), scale=1 / 127.5, offset=-1.0)),
        "resnet": (models.ResNetBackbone(**RESNET), layers.ResNetImageConverter(image_size=(40, 40), **scale)),
    }
    for name, (backbone, converter) in made.items():
        backbone.save_to_preset(str(folder / name))
        converter.save_to_preset(str(folder / name))
    return folder, {name: backbone for name, (backbone, _) in made.items()}


def ends(model):
    return [stage.output._keras_history.operation.name for stage in stages(model)]


def test_a_vision_transformer_becomes_a_flat_graph_of_its_blocks(presets, pixels):
    folder, backbones = presets
    model = build_classifier(str(folder / "vit"), 3)
    assert model.name == "vit" and model.input_shape == (None, 32, 32, 3)
    assert [layer.name for layer in model.layers if layer.name.startswith("transformer_block")] == [
        f"transformer_block_{number}" for number in (1, 2, 3)
    ]
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert preprocessing_of(model)[1:] == (1 / 127.5, -1.0)
    assert ends(model) == ["dropout_1", "transformer_block_1", "transformer_block_2", "class_token"]
    assert head_layers(model)[0].name == "token"
    freeze_backbone(model)
    features = prefix(model, boundary(model))(pixels(32))
    expected = backbones["vit"](pixels(32) / 127.5 - 1)[:, 0]
    np.testing.assert_allclose(features, expected, atol=1e-5)
    mean = build_classifier(f"kerashub:{folder / 'vit'}/", 3, pooling="avg")
    freeze_backbone(mean)
    features = prefix(mean, boundary(mean))(pixels(32))
    np.testing.assert_allclose(features, np.mean(backbones["vit"](pixels(32) / 127.5 - 1), axis=1), atol=1e-5)


def test_a_convolutional_network_takes_the_size_and_scaling_of_its_preset(presets, pixels):
    folder, backbones = presets
    model = build_classifier(str(folder / "resnet"), 2)
    assert model.input_shape == (None, 40, 40, 3)
    assert ends(model) == ["conv1_relu", "stack0_block0_out", "stack1_block0_out"]
    model = build_classifier(str(folder / "resnet"), 2, image_size=32)
    freeze_backbone(model)
    prepared = (pixels(32) / 255 - np.array(MEAN)) / np.array(STD)
    expected = np.mean(backbones["resnet"](prepared.astype("float32")), axis=(1, 2))
    np.testing.assert_allclose(prefix(model, boundary(model))(pixels(32)), expected, atol=1e-4)
    random = build_classifier(str(folder / "resnet"), 2, weights="none", image_size=32)
    assert not np.allclose(random.get_layer("conv1_conv").get_weights(), model.get_layer("conv1_conv").get_weights())


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_training_the_top_stage_on_kept_features_is_training_the_model(presets, name, pixels):
    whole, cut = (build_classifier(str(presets[0] / name), 2, image_size=32, dropout=0) for _ in "ab")
    cut.set_weights(whole.get_weights())
    labels = np.array([0, 1, 0])
    for model in (whole, cut):
        unfreeze_top(model, stages=1)
    edge = boundary(cut)
    assert edge is not cut.input and prefix(cut, edge).count_params() > 0
    top = suffix(cut, edge)
    before = [array.copy() for array in prefix(cut, edge).get_weights()]
    for model, inputs in ((whole, pixels(32)), (top, np.asarray(prefix(cut, edge)(pixels(32), training=False)))):
        compile_classifier(model, keras.optimizers.SGD(0.05))
        model.fit(inputs, labels, shuffle=False, epochs=2, verbose=0)
    for ours, theirs in zip(cut.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert all(map(np.array_equal, before, prefix(cut, edge).get_weights()))


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_a_file_is_loaded_saved_and_loaded_again(presets, name, tmp_path, pixels):
    model = build_classifier(str(presets[0] / name), 2, image_size=32)
    expected = model.predict(pixels(32), verbose=0)
    model.save(tmp_path / "first.keras")
    load_model(tmp_path / "first.keras").save(tmp_path / "second.keras")
    again = load_model(tmp_path / "second.keras")
    np.testing.assert_array_equal(again.predict(pixels(32), verbose=0), expected)
    assert ends(again) == ends(model)


def test_a_task_of_kerashub_is_opened(presets, pixels):
    """A user's own classifier, which nests its backbone."""
    task = keras_hub.models.ViTImageClassifier(backbone=presets[1]["vit"], num_classes=3, activation="softmax")
    model = as_classifier(task)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    np.testing.assert_allclose(model(pixels(32)), task(pixels(32)), atol=1e-6)
    assert len(stages(model)) == 4


def test_names_of_presets():
    names = {
        "kerashub:vit_base_patch16_224_imagenet": "vit_base_patch16_224_imagenet",
        "kaggle://keras/vit/keras/x": "kaggle://keras/vit/keras/x",
        "kerashub:kaggle:keras/vit/keras/x": "kaggle://keras/vit/keras/x",
        "hf:user/name": "hf://user/name",
        "./folder": "folder",
        "kerashub:/a/folder": "/a/folder",
        "mobilenet_v2": None,
        "hub_like": None,
    }
    assert {name: preset_of(name) for name in names} == names


def test_what_cannot_be_used_is_answered_in_a_sentence(presets, tmp_path):
    folder, _ = presets
    with pytest.raises(InputError, match=r"There is no KerasHub preset in .*nothing: give a folder"):
        build_classifier(str(tmp_path / "nothing"), 2)
    with pytest.raises(InputError, match=r"cannot load the preset no_such_preset .*check the name"):
        build_classifier("kerashub:no_such_preset", 2)
    with pytest.raises(InputError, match=r"for images of 48 x 48 .*leave the image size out"):
        build_classifier(str(folder / "vit"), 2, image_size=48)
    with pytest.raises(InputError, match="brings its own weights"):
        build_classifier(str(folder / "vit"), 2, weights="bundled")
    with pytest.raises(InputError, match="has one width only"):
        build_classifier(str(folder / "vit"), 2, alpha=0.5)
    with pytest.raises(InputError, match="has no class token"):
        build_classifier(str(folder / "resnet"), 2, pooling="token")
    bert = {"vocabulary_size": 9, "num_layers": 1, "num_heads": 1, "hidden_dim": 4, "intermediate_dim": 4}
    keras_hub.models.BertBackbone(**bert, max_sequence_length=8).save_to_preset(str(tmp_path / "bert"))
    with pytest.raises(InputError, match="no backbone of pictures: it takes padding_mask"):
        build_classifier(str(tmp_path / "bert"), 2)


def test_a_preset_without_an_image_converter_takes_pixels_as_they_are(presets, tmp_path, pixels, capsys):
    shutil.copytree(presets[0] / "vit", tmp_path / "bare")
    (tmp_path / "bare" / "image_converter.json").unlink()
    model = build_classifier(str(tmp_path / "bare"), 2)
    assert "does not say how pixels are scaled" in capsys.readouterr().err
    freeze_backbone(model)
    expected = presets[1]["vit"](pixels(32))[:, 0]
    np.testing.assert_allclose(prefix(model, boundary(model))(pixels(32)), expected, atol=1e-5)


@pytest.mark.parametrize("listed", PRESETS, ids=lambda row: row.architecture)
def test_presets_for_devices_are_flat_and_of_their_operators(listed, tmp_path):
    """With random weights: the structure is that of KerasHub's converter of timm's weights."""
    from keras_hub.src.utils.timm import convert_efficientnet, convert_mobilenet

    converter = convert_efficientnet if "efficientnet" in listed.name else convert_mobilenet
    config = converter.convert_backbone_config({"architecture": listed.architecture}) | {"image_shape": (None, None, 3)}
    assert listed.name.removeprefix("kerashub:") in converter.backbone_cls.presets
    backbone = converter.backbone_cls(**config)
    assert backbone.count_params() / 1e6 == pytest.approx(listed.parameters, rel=1e-3)
    backbone.save_to_preset(str(tmp_path / "preset"))
    model = build_classifier(str(tmp_path / "preset"), 3, image_size=64)
    assert len(stages(model)) == 5 and boundary(model) is not None
    for target in {"microcontroller", "edgetpu"} & set(listed.fit_for):
        assert footprint(model, target).why == ""
