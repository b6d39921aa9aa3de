"""Whose weights a file holds, by its name."""

from pathlib import Path

import pytest

from keras_transfer.errors import InputError
from keras_transfer.modalities.image.at_hand import downloaded, file_of, weights_in


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mobilenet_v2_1.0_224_imagenet_notop.weights.h5", ("mobilenet_v2", 1.0, 224)),
        ("mobilenet_0.25_128_imagenet.weights.h5", ("mobilenet", 0.25, 128)),
        ("MobileNetV2.keras", ("mobilenet_v2", 1.0, None)),
        # As Keras calls them in its own folder:
        ("mobilenet_5_0_192_tf_no_top.h5", ("mobilenet", 0.5, 192)),
        ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.4_224_no_top.h5", ("mobilenet_v2", 1.4, 224)),
        ("weights_mobilenet_v3_small_224_0.75_float_no_top_v2.h5", ("mobilenet_v3_small", 0.75, None)),
        (
            "weights_mobilenet_v3_large_minimalistic_224_1.0_float_no_top_v2.h5",
            ("mobilenet_v3_large_minimalistic", 1.0, None),
        ),
        ("efficientnetb0_notop.h5", ("efficientnet_b0", None, None)),
        ("efficientnetv2-b1_notop.h5", ("efficientnet_v2_b1", None, None)),
        ("resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", ("resnet50", None, None)),
        ("resnet152v2_weights_tf_dim_ordering_tf_kernels_notop.h5", ("resnet152_v2", None, None)),
        ("inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5", ("inception_resnet_v2", None, None)),
        ("densenet201_weights_tf_dim_ordering_tf_kernels_notop.h5", ("densenet201", None, None)),
        ("nasnet_mobile_no_top.h5", ("nasnet_mobile", None, None)),
        ("convnext_tiny_notop.h5", ("convnext_tiny", None, None)),
    ],
)
def test_a_name_says_which_network_it_is(name: str, expected: tuple[str, float | None, int | None]) -> None:
    found = file_of(Path(name))
    assert found is not None and (found.backbone, found.alpha, found.side) == expected and found.weights == name


def test_other_names_say_nothing() -> None:
    assert file_of(Path("weights.h5")) is None and file_of(Path("mobilenet.tflite")) is None


def test_a_place_is_a_file_or_a_folder_of_them(tmp_path: Path) -> None:
    for name in ("mobilenet_0.25.weights.h5", "mobilenet_0.25_notop.weights.h5", "vgg16.h5", "notes.txt"):
        (tmp_path / name).touch()
    assert [Path(each.weights).name for each in weights_in(tmp_path)] == ["mobilenet_0.25.weights.h5", "vgg16.h5"]
    assert [each.backbone for each in weights_in(tmp_path / "vgg16.h5")] == ["vgg16"]
    for place, why in (("notes.txt", "does not say which backbone"), ("none.h5", "no weights file")):
        with pytest.raises(InputError, match=why):
            weights_in(tmp_path / place)


def test_keras_own_folder_is_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert downloaded() == []
    (tmp_path / "models").mkdir()
    for name in ("resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", "vgg16_weights_tf_dim_ordering_tf_kernels.h5"):
        (tmp_path / "models" / name).touch()
    assert [(each.backbone, each.weights) for each in downloaded()] == [("resnet50", "imagenet")]
