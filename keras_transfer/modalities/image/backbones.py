"""The table of backbones: one row each, and nothing about a backbone hidden elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from keras_transfer.modalities.rows import find_row

_SLIM = "tensorflow/models (TF-Slim)"
_HE, _LIU = "KaimingHe/deep-residual-networks", "liuzhuang13/DenseNet"
_CONVNEXT = {"Tiny": 27.82, "Small": 49.455, "Base": 87.566, "Large": 196.23, "XLarge": 348.148}
_TINY = ("phone", "microcontroller", "edgetpu")
_PHONE = ("phone", "edgetpu")


@dataclass(frozen=True)
class Backbone:
    """One architecture of `keras.applications` and what a user must know of it.

    Attributes:
        name: the name to ask for it by.
        constructor: the name of its function in `keras.applications`.
        preprocessing: what its ImageNet weights expect of pixels in 0..255: `"tf"` (scaled to -1..1), `"torch"` (each
            channel minus its ImageNet mean, over its deviation), `"caffe"` (BGR minus the means), or `"none"` (the
            network begins with its own).
        image_size: side of the square pictures its ImageNet weights were made for.
        min_size: least side it can take.
        parameters: millions of parameters without the classifier, at alpha 1.
        licence: SPDX identifier of the ImageNet weights' licence.
        source: who released those weights.
        fit_for: where it is at home: `"phone"`, `"microcontroller"` (at small alpha and size), `"edgetpu"`, `"server"`.
        alphas: width multipliers with published ImageNet weights; empty where the width is fixed.
        weight_sizes: sides that have ImageNet weights of their own; empty where one file serves every size.
        arguments: further arguments of the constructor.
    """

    name: str
    constructor: str
    preprocessing: str
    image_size: int
    min_size: int
    parameters: float
    licence: str
    source: str
    fit_for: tuple[str, ...]
    alphas: tuple[float, ...] = ()
    weight_sizes: tuple[int, ...] = ()
    arguments: Mapping[str, bool | str] = field(default_factory=dict)


def _efficientnets() -> list[Backbone]:
    v1 = [
        (224, 4.05),
        (240, 6.575),
        (260, 7.769),
        (300, 10.784),
        (380, 17.674),
        (456, 28.514),
        (528, 40.96),
        (600, 64.098),
    ]
    v2 = [("b0", 224, 5.919), ("b1", 240, 6.931), ("b2", 260, 8.769), ("b3", 300, 12.931)]
    v2 += [("s", 384, 20.331), ("m", 480, 53.15), ("l", 480, 117.747)]
    return [
        Backbone(
            f"efficientnet_b{number}", f"EfficientNetB{number}", "none", size, 32, parameters, "Apache-2.0",
            "tensorflow/tpu", ("phone",) if number < 3 else ("server",),
        )
        for number, (size, parameters) in enumerate(v1)
    ] + [
        Backbone(
            f"efficientnet_v2_{letter}", f"EfficientNetV2{letter.upper()}", "none", size, 32, parameters, "Apache-2.0",
            "google/automl", ("phone",) if letter in ("b0", "b1", "b2") else ("server",),
        )
        for letter, size, parameters in v2
    ]  # fmt: skip


def _mobilenets_v3() -> list[Backbone]:
    rows = []
    for size, full, minimalistic in (("small", 0.939, 0.442), ("large", 2.996, 1.437)):
        constructor = f"MobileNetV3{size.capitalize()}"
        rows += [
            Backbone(
                f"mobilenet_v3_{size}", constructor, "none", 224, 32, full, "Apache-2.0", _SLIM,
                ("phone", "microcontroller") if size == "small" else ("phone",), alphas=(0.75, 1.0),
            ),
            Backbone(
                f"mobilenet_v3_{size}_minimalistic", constructor, "none", 224, 32, minimalistic, "Apache-2.0", _SLIM,
                _TINY if size == "small" else _PHONE, alphas=(1.0,), arguments={"minimalistic": True},
            ),
        ]  # fmt: skip
    return rows


# fmt: off
_ROWS = [
    Backbone("mobilenet", "MobileNet", "tf", 224, 32, 3.229, "Apache-2.0", _SLIM, _TINY,
             alphas=(0.25, 0.5, 0.75, 1.0), weight_sizes=(128, 160, 192, 224)),
    Backbone("mobilenet_v2", "MobileNetV2", "tf", 224, 32, 2.258, "Apache-2.0", _SLIM, _TINY,
             alphas=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4), weight_sizes=(96, 128, 160, 192, 224)),
    *_mobilenets_v3(),
    *_efficientnets(),
    Backbone("resnet50", "ResNet50", "caffe", 224, 32, 23.588, "MIT", _HE, ("server", "edgetpu")),
    Backbone("resnet101", "ResNet101", "caffe", 224, 32, 42.658, "MIT", _HE, ("server",)),
    Backbone("resnet152", "ResNet152", "caffe", 224, 32, 58.371, "MIT", _HE, ("server",)),
    Backbone("resnet50_v2", "ResNet50V2", "tf", 224, 32, 23.565, "Apache-2.0", _SLIM, ("server", "edgetpu")),
    Backbone("resnet101_v2", "ResNet101V2", "tf", 224, 32, 42.627, "Apache-2.0", _SLIM, ("server",)),
    Backbone("resnet152_v2", "ResNet152V2", "tf", 224, 32, 58.332, "Apache-2.0", _SLIM, ("server",)),
    Backbone("vgg16", "VGG16", "caffe", 224, 32, 14.715, "CC-BY-4.0", "Visual Geometry Group, Oxford", ("server",)),
    Backbone("vgg19", "VGG19", "caffe", 224, 32, 20.024, "CC-BY-4.0", "Visual Geometry Group, Oxford", ("server",)),
    Backbone("inception_v3", "InceptionV3", "tf", 299, 75, 21.803, "Apache-2.0", _SLIM, ("server", "edgetpu")),
    Backbone("inception_resnet_v2", "InceptionResNetV2", "tf", 299, 75, 54.337, "Apache-2.0", _SLIM, ("server",)),
    Backbone("xception", "Xception", "tf", 299, 71, 20.861, "MIT", "fchollet/deep-learning-models", ("server",)),
    Backbone("densenet121", "DenseNet121", "torch", 224, 32, 7.038, "BSD-3-Clause", _LIU, ("server", "edgetpu")),
    Backbone("densenet169", "DenseNet169", "torch", 224, 32, 12.643, "BSD-3-Clause", _LIU, ("server",)),
    Backbone("densenet201", "DenseNet201", "torch", 224, 32, 18.322, "BSD-3-Clause", _LIU, ("server",)),
    Backbone("nasnet_mobile", "NASNetMobile", "tf", 224, 32, 4.27, "Apache-2.0", _SLIM, ("phone",)),
    Backbone("nasnet_large", "NASNetLarge", "tf", 331, 32, 84.917, "Apache-2.0", _SLIM, ("server",)),
    *(
        Backbone(f"convnext_{size.lower()}", f"ConvNeXt{size}", "none", 224, 32, parameters, "MIT",
                 "facebookresearch/ConvNeXt", ("server",))
        for size, parameters in _CONVNEXT.items()
    ),
]
# fmt: on

BACKBONES: dict[str, Backbone] = {row.name: row for row in _ROWS}
"""Every backbone by its name."""


@dataclass(frozen=True)
class Preset:
    """A network of KerasHub that `keras.applications` has not, or with weights of another recipe, and for devices.

    Attributes:
        name: the name to ask for it by: `kerashub:` and KerasHub's own.
        architecture: what timm, whose weights these are, calls it.
        image_size: side of the square pictures its weights were made for.
        parameters: millions of parameters without the classifier.
        licence: SPDX identifier of the weights' licence, by timm's model cards on Hugging Face.
        source: who released the weights.
        fit_for: see `Backbone`.
    """

    name: str
    architecture: str
    image_size: int
    parameters: float
    licence: str
    source: str
    fit_for: tuple[str, ...]


PRESETS = tuple(
    Preset(f"kerashub:{name}_imagenet", architecture, 224, parameters, "Apache-2.0", "timm, by KerasHub", fit_for)
    for name, architecture, parameters, fit_for in (
        ("efficientnet_lite0_ra", "efficientnet_lite0", 3.413, ("phone", "edgetpu")),
        ("mobilenet_v3_small_100", "mobilenetv3_small_100", 0.939, ("phone", "microcontroller")),
        ("mobilenet_v3_large_100", "mobilenetv3_large_100", 2.996, ("phone",)),
    )
)
"""Presets of KerasHub that are worth having on devices; any other can be asked for, too."""


def find_backbone(name: str) -> Backbone:
    """The row of the backbone called `name`; case, dashes and underscores do not matter.

    Args:
        name: such as `"mobilenet_v2"`; Keras's own `"MobileNetV2"` is understood too.

    Returns:
        The row.

    Raises:
        InputError: there is none of that name; the message gives the nearest ones.

    >>> find_backbone("MobileNetV2").image_size
    224
    """
    return find_row(name, BACKBONES, "backbone")
