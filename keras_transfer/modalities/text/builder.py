"""Classifiers of texts: a pretrained encoder, the mean over its tokens, and a head, as one flat graph on token ids."""

from collections.abc import Sequence

import keras

from keras_transfer.errors import InputError
from keras_transfer.modalities.text.encoder import build_encoder, padding_mask
from keras_transfer.modalities.text.kerashub import HubPreset, TokenModel, open_hub_preset
from keras_transfer.modalities.text.presets import Preset, encoder_shape, find_preset, load_weights
from keras_transfer.models import add_head, compile_classifier

POOLINGS = ("avg", "max", "token")
LAST = "last_token"
"""The layer that leaves a decoder's last token."""


def open_encoder(preset: Preset | HubPreset, weights: bool = True) -> TokenModel:
    """The network of a preset, with its weights or random ones.

    Raises:
        InputError: it cannot be had or built.
    """
    if isinstance(preset, HubPreset):
        return open_hub_preset(preset, weights)
    shape = encoder_shape(preset)
    encoder = build_encoder(shape)
    if weights:
        load_weights(encoder, preset)
    return TokenModel(encoder, shape.padding)


def _pooled(encoder: TokenModel, pooling: str | None) -> keras.KerasTensor:
    ops, layers = keras.ops, keras.layers
    ids, x = encoder.model.inputs[0], encoder.model.output
    inside = padding_mask(ids, encoder.padding)
    if encoder.decoder and pooling in (None, "token"):
        places = ops.cumsum(ops.cast(inside, "int32"), axis=1)
        last = ops.logical_and(ops.equal(places, ops.max(places, axis=1, keepdims=True)), inside)
        return ops.sum(layers.Multiply(name=LAST)([x, ops.expand_dims(ops.cast(last, "float32"), -1)]), axis=1)
    if pooling == "token":
        return x[:, 0]
    if pooling == "max":
        away = ops.expand_dims(ops.cast(ops.logical_not(inside), "float32"), -1) * -1e4
        return layers.GlobalMaxPooling1D(name="pool")(x + away)
    return layers.GlobalAveragePooling1D(name="pool")(x, mask=inside)


def build_text_classifier(
    backbone: str,
    classes: int | Sequence[str],
    *,
    weights: str = "pretrained",
    pooling: str | None = None,
    hidden: Sequence[int] = (),
    dropout: float = 0.1,
    multi_label: bool = False,
) -> keras.Model:
    """Builds a classifier on a pretrained text encoder: a plain `keras.Model`, compiled, that takes token ids.

    Args:
        backbone: see `keras_transfer.modalities.text.presets.find_preset`.
        classes: how many classes, at least 2 (1 with `multi_label`), or their names.
        weights: `"none"` for random ones; else the encoder's own.
        pooling: `"avg"` (the default) or `"max"` over the tokens, or `"token"`: the first one, of a decoder
            the last one (its default).
        hidden: units of Dense layers (ReLU) between pooling and dropout.
        dropout: rate of the dropout before the logits, at least 0 and below 1.
        multi_label: one sigmoid per class; labels are multi-hot `[n, classes]`.

    Returns:
        The model, int32 `[n, length]` to probabilities `[n, classes]`, for texts of any length up to the encoder's
        longest, filled up with its padding token, which changes nothing.

    Raises:
        InputError: an argument is wrong, or the encoder cannot be had; the message says what to do.
    """
    count = classes if isinstance(classes, int) else len(classes)
    if count < (1 if multi_label else 2):
        raise InputError(f"A classifier has at least 2 classes, 1 where several may hold. Received: {count}.")
    if pooling not in (None, *POOLINGS):
        raise InputError(f"`pooling` must be one of {', '.join(POOLINGS)}. Received: pooling={pooling!r}.")
    preset = find_preset(backbone)
    encoder = open_encoder(preset, weights != "none")
    ids = encoder.model.inputs[0]
    features = _pooled(encoder, pooling)
    outputs = add_head(features, count, hidden=hidden, dropout=dropout, multi_label=multi_label)
    name = "".join(sign if sign.isalnum() else "_" for sign in preset.name).strip("_") or "text"
    model = keras.Model(ids, outputs, name=name)
    compile_classifier(model, multi_label=multi_label)
    return model
