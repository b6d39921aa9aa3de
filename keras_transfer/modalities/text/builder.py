"""Classifiers of texts: a pretrained encoder, the mean over its tokens, and a head, as one flat graph on token ids."""

from collections.abc import Sequence

import keras

from keras_transfer.errors import InputError
from keras_transfer.modalities.text.encoder import build_encoder, padding_mask
from keras_transfer.modalities.text.presets import encoder_shape, find_preset, load_weights
from keras_transfer.models import add_head, compile_classifier

POOLINGS = ("avg", "max", "token")


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
        pooling: `"avg"` (the default) or `"max"` over the tokens, or `"token"`: the first one.
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
    shape = encoder_shape(preset)
    encoder = build_encoder(shape)
    if weights != "none":
        load_weights(encoder, preset)
    ids, x = encoder.inputs[0], encoder.output
    if pooling == "token":
        features = x[:, 0]
    elif pooling == "max":
        away = keras.ops.expand_dims(keras.ops.cast(keras.ops.equal(ids, shape.padding), "float32"), -1) * -1e4
        features = keras.layers.GlobalMaxPooling1D(name="pool")(x + away)
    else:
        features = keras.layers.GlobalAveragePooling1D(name="pool")(x, mask=padding_mask(ids, shape.padding))
    outputs = add_head(features, count, hidden=hidden, dropout=dropout, multi_label=multi_label)
    name = "".join(sign if sign.isalnum() else "_" for sign in preset.name).strip("_") or "text"
    model = keras.Model(ids, outputs, name=name)
    compile_classifier(model, multi_label=multi_label)
    return model
