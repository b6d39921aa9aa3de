"""Image classifiers made elsewhere, as models of the kind that this package builds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Literal, TypeAlias

import keras
import numpy as np

from keras_transfer.errors import InputError, in_one_line
from keras_transfer.models.preprocessing import PIXELS, pixels_layer
from keras_transfer.models.replay import can_open, replay
from keras_transfer.progress import say

_OTHER_FLOATS = ("float16", "bfloat16", "float64")
_PROBABILITIES = ("softmax", "sigmoid")
ImageSize: TypeAlias = int | tuple[int, int] | Callable[[], tuple[int, int] | None] | None
Outputs: TypeAlias = keras.KerasTensor | Sequence[keras.KerasTensor] | Mapping[str, keras.KerasTensor]
_RANDOM_INPUTS = 8  # that show whether a model ends in logits


def as_classifier(
    model: keras.Model,
    *,
    image_size: ImageSize = None,
    pixels: str | None = None,
    multi_label: bool = False,
    name: str = "The model",
) -> keras.Model:
    """Makes of an image classifier one that every function of this package takes.

    It is functional, in float32, takes pixels in 0..255 of one size and gives probabilities. A model that is so already
    is returned itself. Of any other the layers are called again on a new input, nested models opened, so that weights
    are shared with it; under a policy of another precision (`mixed_float16`) they are copied. Random augmentation,
    which does nothing outside of training, is left out; a model that ends in logits gets a softmax (one unit: a
    sigmoid).

    Args:
        model: functional, Sequential or a subclass of `keras.Model` that was called once; from pictures `[n, H, W, 3]`,
            `[n, H, W, 1]` or `[n, H, W]` to scores `[n, classes]`.
        image_size: side of the pictures or `(height, width)`, for a model that takes any size; or a function that says
            so, called only for such a model.
        pixels: what the model takes, where that was done outside of it: a name of `PIXELS`, such as `"0..1"`;
            `"0..255"` by default. A layer that does it is put before the model.
        multi_label: whether logits of several units are each a yes or no of its own.
        name: what sentences call the model.

    Returns:
        The classifier, not compiled if it is new.

    Raises:
        InputError: the model has several inputs or outputs, is laid out channels first, or takes or gives something
            else than pictures and scores; or its size is open and `image_size` is not given.

    >>> inputs = keras.Input((None, None, 3))
    >>> pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    >>> model = as_classifier(keras.Model(inputs, keras.layers.Dense(2)(pooled)), image_size=32)
    >>> model.input_shape, model.layers[-1].name
    ((None, 32, 32, 3), 'probabilities')
    """
    shape = _input_shape(model, name)
    _refuse_layout(model, shape, name)
    picture = _picture_shape(shape, image_size, name)
    _refuse_outputs(model, name)
    if pixels not in (None, *PIXELS):
        raise InputError(f"`pixels` must be one of {', '.join(PIXELS)}. Received: pixels={pixels!r}.")
    if pixels in (None, "0..255") and _is_standard(model, picture):
        return model
    with _float32_policy():
        return _rebuilt(model, shape, picture, pixels or "0..255", multi_label, name)


def as_network(
    model: keras.Model, *, image_size: ImageSize = None, pixels: str | None = None, name: str = "The model"
) -> keras.Model:
    """Makes of a model one that can be converted: as `as_classifier`, but its outputs stay whatever they are.

    A functional or Sequential model in float32 with one input of fixed shape `[n, H, W, channels]` is returned itself.

    Args:
        model: see `as_classifier`; it may have several outputs of any shape.
        image_size: see there.
        pixels: see there.
        name: what sentences call the model.

    Raises:
        InputError: the model has several inputs, is laid out channels first, or takes something else than pictures; or
            its size is open and `image_size` is not given.

    >>> inputs = keras.Input((None, None, 3))
    >>> as_network(keras.Model(inputs, keras.layers.Conv2D(2, 1)(inputs)), image_size=32).output_shape
    (None, 32, 32, 2)
    """
    shape = _input_shape(model, name)
    if image_size is None and pixels in (None, "0..255") and _is_convertible(model, shape):
        return model
    _refuse_layout(model, shape, name)
    picture = _picture_shape(shape, image_size, name)
    with _float32_policy():
        _, image, outputs = _applied(model, shape, picture, pixels or "0..255", name)
        return keras.Model(image, outputs, name=model.name)


def _rebuilt(
    model: keras.Model,
    shape: tuple[int | None, ...],
    picture: tuple[int, int, int],
    pixels: str,
    multi_label: bool,
    name: str,
) -> keras.Model:
    own, image, outputs = _applied(model, shape, picture, pixels, name)
    return _with_probabilities(keras.Model(image, _scores(outputs, own, name), name=model.name), multi_label, name)


def _applied(
    model: keras.Model, shape: tuple[int | None, ...], picture: tuple[int, int, int], pixels: str, name: str
) -> tuple[keras.Model, keras.KerasTensor, Outputs]:
    """The model in float32, a new input of pixels in 0..255, and what the model gives for it."""
    own = _in_float32(model, shape, name) if _other_floats(model) else model
    image = keras.Input(picture, name=_ends(own, "inputs")[0].name if _ends(own, "inputs") else "image")
    x = image
    layer = pixels_layer(pixels, picture[2], _unused("preprocessing", own))
    if layer is not None:
        x = layer(x)
    if len(shape) == 3:
        x = keras.layers.Reshape(picture[:2], name=_unused("without_channels", own))(x)
    return own, image, _called(own, x, picture, name)


def output_activation(model: keras.Model) -> str:
    """`"softmax"`, `"sigmoid"` or something else: what the output of a functional or Sequential model comes from."""
    operation = model.outputs[0]._keras_history.operation
    kind = type(operation).__name__.lower()
    if kind in _PROBABILITIES:  # the layer Softmax, or what keras.ops.softmax and keras.ops.sigmoid became
        return kind
    return str(getattr(getattr(operation, "activation", None), "__name__", ""))


# What is refused, by name


def _input_shape(model: keras.Model, name: str) -> tuple[int | None, ...]:
    """The shape of the model's one input, batch included."""
    if not isinstance(model, keras.Model):
        raise InputError(f"A classifier must be a keras.Model. Received: {type(model).__name__}.")
    shapes = {tensor.name: tuple(tensor.shape) for tensor in _ends(model, "inputs")}
    if not shapes:
        shapes = _called_on(model)
        if not shapes or not model.built:
            raise InputError(
                f"{name} has no weights yet: it was never called. Train it, or call it on a batch of pictures, before."
            )
    if len(shapes) != 1:
        raise InputError(
            f"{name} has {len(shapes)} inputs: {_listed(shapes)}. Give a model of one input, the picture; the others "
            "can be fixed inside of it by a functional model around it."
        )
    [shape] = shapes.values()
    return shape


def _called_on(model: keras.Model) -> dict[str, tuple[int | None, ...]]:
    """The shapes with which a model without a graph was called, by the names of its arguments."""
    config = model.get_build_config() or {}
    shapes = config.get("shapes_dict") or {"input": config.get("input_shape")}
    named: dict[str, tuple[int | None, ...]] = {}
    for argument, shape in shapes.items():
        if isinstance(shape, Mapping):
            named |= {str(key): tuple(value) for key, value in shape.items()}
        elif isinstance(shape, list | tuple) and shape and isinstance(shape[0], list | tuple):
            named |= {f"{argument}_{i}": tuple(value) for i, value in enumerate(shape)}
        elif shape:
            named[str(argument)] = tuple(shape)
    return named


def _refuse_layout(model: keras.Model, shape: tuple[int | None, ...], name: str) -> None:
    first = next((a for a in model._flatten_layers() if getattr(a, "data_format", None) == "channels_first"), None)
    by_shape = len(shape) == 4 and shape[1] in (1, 3) and shape[2] != 1 and shape[3] not in (1, 3, None)
    if first is not None or by_shape:
        where = f"layer {first.name!r} has data_format='channels_first'" if first is not None else f"it takes {shape}"
        raise InputError(
            f"{name} is laid out channels first (NCHW): {where}. Phones and TensorFlow on a CPU compute channels last. "
            "Build it again after keras.config.set_image_data_format('channels_last') and give it the same weights: "
            "kernels of convolutions are laid out alike."
        )
    quantized = next((a for a in model._flatten_layers() if getattr(a, "quantization_mode", None)), None)
    if quantized is not None:
        raise InputError(
            f"{name} was quantized by Keras ({quantized.name}: {quantized.quantization_mode}), which no LiteRT file "
            "can hold. Give the model as it was before `quantize`; exporting it makes the int8 file."
        )


def _picture_shape(shape: tuple[int | None, ...], image_size: ImageSize, name: str) -> tuple[int, int, int]:
    channels = shape[3] if len(shape) == 4 else 1 if len(shape) == 3 else None
    if channels not in (1, 3):
        what = f"pictures of {channels} channels" if channels else f"{shape}, which are no pictures"
        raise InputError(
            f"{name} takes {what}. Give a model for pictures of 3 channels (RGB) or one (gray): [n, H, W, 3], "
            "[n, H, W, 1] or [n, H, W]."
        )
    sides = shape[1:3]
    if callable(image_size):
        image_size = image_size() if None in sides else None
    asked = (image_size, image_size) if isinstance(image_size, int) else image_size
    if asked is None and None in sides:
        raise InputError(
            f"{name} takes pictures of any size ({shape}), and a file for a device takes one: say which it was trained "
            "on, with --image-size (`image_size=`), such as 224."
        )
    wrong = asked is not None and any(own not in (None, side) for own, side in zip(sides, asked, strict=True))
    if wrong:
        raise InputError(f"{name} takes pictures of {sides[0]} x {sides[1]}. Received: image_size={image_size!r}.")
    height, width = asked or sides
    if not all(isinstance(side, int) and 0 < side <= 8192 for side in (height, width)):
        raise InputError(f"`image_size` must be 1 to 8192 pixels. Received: image_size={image_size!r}.")
    assert height is not None and width is not None
    return height, width, channels


def _refuse_outputs(model: keras.Model, name: str) -> None:
    outputs = _ends(model, "outputs")
    if len(outputs) > 1:
        named = getattr(model, "output_names", None) or [tensor.name for tensor in outputs]
        shapes = {label: tuple(tensor.shape) for label, tensor in zip(named, outputs, strict=True)}
        raise _several_outputs(shapes, name)


def _ends(model: keras.Model, which: Literal["inputs", "outputs"]) -> list[keras.KerasTensor]:
    """The KerasTensors of a model's `inputs` or `outputs`; none where it has no graph."""
    return list(getattr(model, which, None) or ())


def _several_outputs(shapes: Mapping[str, tuple[int | None, ...]], name: str) -> InputError:
    return InputError(
        f"{name} has {len(shapes)} outputs: {_listed(shapes)}. Give a model of the one that has the classes' scores: "
        "keras.Model(model.input, model.get_layer(NAME).output)."
    )


def _listed(shapes: Mapping[str, tuple[int | None, ...]]) -> str:
    return ", ".join(f"{label} {list(shape[1:])}" for label, shape in shapes.items())


# What is changed


def _is_standard(model: keras.Model, picture: tuple[int, int, int]) -> bool:
    """Whether a model is as this package builds them."""
    outputs = _ends(model, "outputs")
    return bool(
        outputs
        and tuple(model.inputs[0].shape) == (None, *picture)
        and model.inputs[0].dtype == "float32"
        and len(outputs[0].shape) == 2
        and not _other_floats(model)
        and not any(can_open(layer) for layer in model.layers)
        and output_activation(model) in _PROBABILITIES
    )


def _is_convertible(model: keras.Model, shape: tuple[int | None, ...]) -> bool:
    """Whether a model is a graph in float32 on channels last of one size."""
    last = not any(getattr(layer, "data_format", None) == "channels_first" for layer in model._flatten_layers())
    fixed = len(shape) == 4 and None not in shape[1:]
    return bool(_ends(model, "outputs")) and fixed and last and not _other_floats(model)


def _other_floats(model: keras.Model) -> bool:
    """Whether anything in a model is computed or kept in floats other than 32 bits."""
    kinds = {
        getattr(layer, kind, "") for layer in model._flatten_layers() for kind in ("compute_dtype", "variable_dtype")
    }
    tensors = {tensor.dtype for tensor in (*_ends(model, "inputs"), *_ends(model, "outputs"))}
    return not (kinds | tensors).isdisjoint(_OTHER_FLOATS)


def _in_float32(model: keras.Model, shape: tuple[int | None, ...], name: str) -> keras.Model:
    """A copy that computes in float32, made from the model's configuration."""
    classes = {type(layer).__name__: type(layer) for layer in model._flatten_layers()}
    try:
        with keras.saving.custom_object_scope(classes):
            config = _float32_config(keras.saving.serialize_keras_object(model))
            copy = keras.saving.deserialize_keras_object(config, safe_mode=False)  # of code that runs here already
            if not copy.built:
                copy(np.zeros([side or 1 for side in shape], np.float32))
            copy.set_weights([weight.astype(np.float32) for weight in model.get_weights()])
    except Exception as error:  # a class of the user's own may raise anything
        raise InputError(
            f"{name} computes in {_precision(model)} and cannot be rebuilt in float32 ({in_one_line(error)}). Build it "
            "after keras.config.set_dtype_policy('float32') and give it the same weights."
        ) from error
    return copy


def _precision(model: keras.Model) -> str:
    return str(next(layer.dtype_policy.name for layer in model._flatten_layers() if layer.compute_dtype != "float32"))


@contextmanager
def _float32_policy() -> Iterator[None]:
    """What a class of the user's own builds inside takes the global policy."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _float32_config(value: object) -> object:
    """A configuration with every policy and type of other floats as float32."""
    if isinstance(value, list | tuple):
        return type(value)(_float32_config(each) for each in value)
    if not isinstance(value, dict):
        return value
    if value.get("class_name") in ("DTypePolicy", "FloatDTypePolicy") and isinstance(value.get("config"), dict):
        policy = str(value["config"].get("name"))
        return "float32" if policy.removeprefix("mixed_") in _OTHER_FLOATS else value
    return {
        key: "float32"
        if key == "dtype" and isinstance(each, str) and each.removeprefix("mixed_") in _OTHER_FLOATS
        else _float32_config(each)
        for key, each in value.items()
    }


def _called(model: keras.Model, x: keras.KerasTensor, picture: tuple[int, int, int], name: str) -> Outputs:
    """What a model gives for a KerasTensor."""
    try:
        if can_open(model):
            return replay(model, [x])[0]
        return model(x, training=False) if model._call_has_training_arg else model(x)
    except Exception as error:  # Keras raises ValueError and others; a class of the user's own may raise anything
        height, width, _ = picture
        raise InputError(f"{name} cannot be traced on pictures of {height} x {width}: {in_one_line(error)}") from error


def _scores(outputs: Outputs, model: keras.Model, name: str) -> keras.KerasTensor:
    """The scores `[n, classes]` among what a model gives."""
    tensors = keras.tree.flatten(outputs)
    if len(tensors) != 1:
        labels = list(outputs) if isinstance(outputs, Mapping) else [f"output_{i}" for i in range(len(tensors))]
        raise _several_outputs({str(a): tuple(b.shape) for a, b in zip(labels, tensors, strict=True)}, name)
    [scores] = tensors
    if len(scores.shape) > 2 and None not in scores.shape[1:] and prod(scores.shape[1:]) == scores.shape[-1]:
        scores = keras.layers.Flatten(name=_unused("classes", model))(scores)  # [n, 1, 1, classes]
    if len(scores.shape) != 2 or scores.shape[1] is None:
        raise InputError(
            f"{name} gives {tuple(scores.shape)}, no scores [n, classes]: it is no classifier of whole pictures."
        )
    return scores


def _unused(name: str, model: keras.Model) -> str:
    """A name for a layer that no layer of the model has."""
    names = {layer.name for layer in model._flatten_layers()}
    return name if name not in names else f"{name}_of_{model.name}"


def _with_probabilities(model: keras.Model, multi_label: bool, name: str) -> keras.Model:
    """The model, with a softmax or sigmoid where it ends in logits."""
    if output_activation(model) in _PROBABILITIES or _gives_probabilities(model):
        return model
    kind = "sigmoid" if multi_label or model.output_shape[1] == 1 else "softmax"
    say(f"Note: {name} ends in logits; a {kind} makes probabilities of them.")
    layer = keras.layers.Activation(kind, dtype="float32", name=_unused("probabilities", model))
    return keras.Model(model.inputs[0], layer(model.outputs[0]), name=model.name)


def _gives_probabilities(model: keras.Model) -> bool:
    """Whether what a model says of made-up pictures lies in 0..1, as logits of several pictures hardly do."""
    random = np.random.default_rng(0)
    picture = model.input_shape[1:]
    noise = random.uniform(0, 255, (_RANDOM_INPUTS, *picture))
    plain = np.broadcast_to(random.uniform(0, 255, (_RANDOM_INPUTS, 1, 1, picture[2])), noise.shape)
    looked = np.concatenate([noise, plain]).astype(np.float32)
    scores = np.concatenate([np.asarray(model(looked[i : i + 4], training=False)) for i in range(0, len(looked), 4)])
    return bool(np.all((scores >= -1e-3) & (scores <= 1 + 1e-3)))
