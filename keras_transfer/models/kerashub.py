"""KerasHub's backbones of pictures as flat graphs, from presets: built-in names, handles and local folders."""

import inspect
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_transfer.errors import InputError, in_one_line
from keras_transfer.extras import require
from keras_transfer.models.download import limited_silence
from keras_transfer.models.preprocessing import NAME as PREPROCESSING
from keras_transfer.models.replay import replay
from keras_transfer.progress import say

if TYPE_CHECKING:
    import keras_hub

_HANDLES = ("kaggle", "hf", "modelscope")
# Names of layers that `build_classifier` puts beside the backbone's.
_RESERVED = ("image", PREPROCESSING, "dropout", "logits", "predictions", "class_token", "avg_pool", "max_pool")
_SIDE = 224  # where neither the user nor the preset says


def preset_of(backbone: str) -> str | None:
    """What KerasHub calls the preset that a backbone's name asks for; None where it asks for none.

    Args:
        backbone: `"kerashub:NAME"` (a built-in preset, a handle or a folder), a handle such as `"hf://user/name"` or
            `"kaggle:keras/vit/keras/vit_base_patch16_224_imagenet"`, or a path with a slash in it.

    >>> preset_of("kerashub:vit_base_patch16_224_imagenet"), preset_of("hf:user/name"), preset_of("mobilenet_v2")
    ('vit_base_patch16_224_imagenet', 'hf://user/name', None)
    """
    name = backbone.removeprefix("kerashub:")
    scheme = re.match(rf"({'|'.join(_HANDLES)}):(?://)?(.+)", name)
    if scheme:
        return f"{scheme[1]}://{scheme[2]}"
    if name != backbone or re.search(r"[/\\]", name):
        return str(Path(name).expanduser()) if re.search(r"[/\\]", name) and "://" not in name else name
    return None


def preset_backbone(
    preset: str,
    *,
    image_size: tuple[int, int] | None = None,
    weights: bool = True,
    pooling: str | None = None,
) -> keras.Model:
    """A flat model from pixels in 0..255 to the pooled features of a KerasHub backbone.

    Args:
        preset: see `preset_of`.
        image_size: height and width; by default, those of the preset.
        weights: whether to load the preset's weights; else they are random.
        pooling: `"avg"`, `"max"` or `"token"` (the class token of a vision transformer); by default the class token
            where there is one, else the mean.

    Returns:
        The model, `float32 [n, height, width, 3]` to `[n, features]`: the preset's scaling of pixels (its image
        converter), the backbone's layers and the pooling. Transformer encoders are opened, each block is a layer.

    Raises:
        InputError: KerasHub is not installed, the preset cannot be had, or it is no backbone of pictures.
    """
    require("keras_hub", "keras-hub", "A KerasHub backbone")
    name = preset.rstrip("/\\")
    if re.search(r"[/\\]", name) and "://" not in name and not (Path(name) / "config.json").is_file():
        raise InputError(
            f"There is no KerasHub preset in {name}: give a folder that `backbone.save_to_preset` wrote, the name of "
            "a backbone (see `keras-transfer backbones`), or `kerashub:` and the name of a preset."
        )
    backbone = load_backbone(name, weights)
    backbone = getattr(backbone, "vision_encoder", backbone)  # of CLIP the tower of pictures
    if len(backbone.inputs) != 1 or len(backbone.inputs[0].shape) != 4:
        inputs = ", ".join(f"{tensor.name} {list(tensor.shape[1:])}" for tensor in backbone.inputs)
        raise InputError(f"{name} is no backbone of pictures: it takes {inputs}.")
    converter = _image_converter(name)
    own = tuple(backbone.inputs[0].shape[1:3])
    height, width = image_size or (own if None not in own else getattr(converter, "image_size", None)) or (_SIDE,) * 2
    if None not in own and own != (height, width):
        backbone = load_backbone(name, weights, image_shape=(height, width, 3))
    pixels = keras.Input((height, width, 3), name="image", dtype="float32")
    scaling = _scaling(converter, name)
    start = pixels if scaling is None else scaling(pixels)
    reserved = {*_RESERVED, *(f"hidden_{number}" for number in range(32))}
    outputs = replay(backbone, [start], reserved=reserved)
    if len(outputs) != 1:
        raise InputError(f"{name} gives {len(outputs)} outputs: a classifier needs a backbone of one.")
    features = _pooled(outputs[0], pooling, _class_tokens(backbone, outputs[0]), name)
    model = keras.Model(pixels, features, name=re.sub(r"\W", "_", Path(name).name) or "kerashub")
    require_savable(model, name)
    return model


def repair_saving(model: keras.Model) -> None:
    """Mends the classes of KerasHub's layers in a model that save other than what their constructors take.

    In KerasHub 0.32 `ViTEncoderBlock` saves figures that its constructor refuses, and others leave some out.
    """
    for kind, layer in {type(layer): layer for layer in model.layers}.items():
        if not kind.__module__.startswith("keras_hub."):
            continue
        accepted = _constructor_arguments(kind)
        try:
            saved = layer.get_config().keys() - {"name", "trainable", "dtype"}
            sound = saved <= accepted and not any(hasattr(layer, name) for name in accepted - saved)
        except (AttributeError, TypeError):  # it saves what it does not have
            sound = False
        if not sound:
            kind.get_config = _constructor_config(kind)


def _constructor_arguments(kind: type) -> set[str]:
    return inspect.signature(kind).parameters.keys() - {"kwargs", "name", "trainable", "dtype"}


def _constructor_config(kind: type[keras.layers.Layer]) -> Callable[[keras.layers.Layer], dict[str, object]]:
    """A `get_config` for a class of layers that holds what its constructor takes."""
    saved, accepted = kind.get_config, _constructor_arguments(kind)

    def get_config(layer: keras.layers.Layer) -> dict[str, object]:
        try:
            config = saved(layer)
        except (AttributeError, TypeError):
            config = keras.layers.Layer.get_config(layer)
        config |= {name: getattr(layer, name) for name in accepted - config.keys() if hasattr(layer, name)}
        return {name: value for name, value in config.items() if name in {*accepted, "name", "trainable", "dtype"}}

    return get_config


def require_savable(model: keras.Model, preset: str) -> None:
    """Raises where the model that would be loaded is another: better now than after training.

    Raises:
        InputError: a layer of KerasHub does not save all that it is made of.
    """
    repair_saving(model)
    tensor = model.inputs[0]
    high = 255 if tensor.dtype.startswith("float") else 4  # pixels, or token ids
    noise = np.random.default_rng(0).uniform(0, high, (1, *(side or 8 for side in tensor.shape[1:])))
    noise = noise.astype(tensor.dtype)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of layers without a `build` (T5's), which are built when they are called
            again = keras.models.model_from_json(model.to_json())
        again.set_weights(model.get_weights())
        reason = "" if np.allclose(model(noise), again(noise), atol=1e-4) else "it would compute something else"
    except Exception as error:  # whatever a constructor raises
        reason = in_one_line(error)
    if reason:
        raise InputError(
            f"A model on {preset} could not be loaded again, because KerasHub does not save its layers whole "
            f"({reason}): choose another backbone."
        )


def load_backbone(
    preset: str, weights: bool, image_shape: tuple[int, int, int] | None = None
) -> "keras_hub.models.Backbone":
    """A backbone of KerasHub, loaded silently.

    Raises:
        InputError: it cannot be had; the message says what to do.
    """
    import keras_hub

    arguments = {} if image_shape is None else {"image_shape": image_shape}
    try:
        with limited_silence():
            return keras_hub.models.Backbone.from_preset(preset, load_weights=weights, **arguments)
    except Exception as error:  # of KerasHub, of the hubs' clients, of Keras for weights of another size
        size = f" for images of {image_shape[0]} x {image_shape[1]}" if image_shape else ""
        advice = (
            "leave the image size out"
            if image_shape
            else "check the name; without a network, fetch it on a connected machine by "
            "`keras_hub.models.Backbone.from_preset(NAME).save_to_preset(FOLDER)` and give the path of the folder"
        )
        raise InputError(f"KerasHub cannot load the preset {preset}{size} ({in_one_line(error)}): {advice}.") from error


def _image_converter(preset: str) -> "keras_hub.layers.ImageConverter | None":
    """The preset's own image converter, or None where it has none."""
    import keras_hub

    try:
        with limited_silence():
            return keras_hub.layers.ImageConverter.from_preset(preset)
    except Exception:  # no such file in the preset, or no such class for this backbone
        say(f"Note: the preset {preset} does not say how pixels are scaled: the backbone gets 0..255.")
        return None


def _scaling(converter: "keras_hub.layers.ImageConverter | None", preset: str) -> keras.layers.Layer | None:
    """The layer that scales pixels as the converter does, compared with it on random pixels."""
    if converter is None or (converter.scale is None and converter.offset is None):
        return None
    scale, offset = (
        default if value is None else value if np.ndim(value) == 0 else [float(each) for each in np.ravel(value)]
        for value, default in ((converter.scale, 1.0), (converter.offset, 0.0))
    )
    layer = keras.layers.Rescaling(scale, offset, name=PREPROCESSING)
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)).astype("float32")
    size, converter.image_size = converter.image_size, None
    wanted = np.asarray(converter(pixels))
    converter.image_size = size
    if not np.allclose(np.asarray(layer(pixels)), wanted, rtol=1e-4, atol=1e-4):
        raise InputError(f"{preset} prepares pixels by more than a scale and an offset ({type(converter).__name__}).")
    return layer


def _class_tokens(backbone: keras.Model, features: keras.KerasTensor) -> int:
    """How many tokens of a vision transformer stand before those of its patches."""
    patch = getattr(backbone, "patch_size", None)
    if len(features.shape) != 3 or patch is None:
        return 0
    patch_height, patch_width = (patch, patch) if isinstance(patch, int) else patch
    height, width = backbone.inputs[0].shape[1:3]
    class_tokens: int = features.shape[1] - (height // patch_height) * (width // patch_width)
    return max(0, class_tokens)


def _pooled(features: keras.KerasTensor, pooling: str | None, class_tokens: int, preset: str) -> keras.KerasTensor:
    if pooling == "token" and not class_tokens:
        raise InputError(f"{preset} has no class token: choose the pooling 'avg' or 'max'.")
    if pooling == "token" or (pooling is None and class_tokens):
        first = keras.layers.Cropping1D((0, features.shape[1] - 1), name="class_token")(features)
        return keras.layers.Flatten(name="token")(first)
    kind = "Max" if pooling == "max" else "Average"
    layer = getattr(keras.layers, f"Global{kind}Pooling{len(features.shape) - 2}D")
    return layer(name="max_pool" if pooling == "max" else "avg_pool")(features)
