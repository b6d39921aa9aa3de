"""Classifiers of sounds: log-mel front end, backbone, pooling and head as one flat graph on the waveform."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import keras

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array
from keras_transfer.modalities.audio.backbones import AudioBackbone, find_audio_backbone
from keras_transfer.modalities.audio.ds_cnn import ds_cnn_layers, ds_cnn_weights
from keras_transfer.modalities.audio.layers import log_mel_layers
from keras_transfer.modalities.audio.speech_embedding import speech_embedding_layers, speech_embedding_weights
from keras_transfer.modalities.audio.yamnet import yamnet_layers, yamnet_weights
from keras_transfer.modalities.image.builder import build_classifier
from keras_transfer.models import add_head, compile_classifier
from keras_transfer.models.replay import replay
from keras_transfer.models.stage import can_train

POOLINGS = ("avg", "max")
_Layers: TypeAlias = Callable[[keras.KerasTensor], keras.KerasTensor]
# Name of a backbone -> its layers, and its weights in their order.
_NETWORKS: dict[str, tuple[_Layers, Callable[[str], Sequence[Array]]]] = {
    "yamnet": (yamnet_layers, yamnet_weights),
    "speech_embedding": (speech_embedding_layers, speech_embedding_weights),
    "ds_cnn": (ds_cnn_layers, ds_cnn_weights),
}


def build_audio_classifier(
    backbone: str,
    classes: int | Sequence[str],
    *,
    samples: int | None = None,
    weights: str = "pretrained",
    pooling: str | None = None,
    hidden: Sequence[int] = (),
    dropout: float = 0.2,
    multi_label: bool = False,
    alpha: float | None = None,
) -> keras.Model:
    """Builds a classifier on a pretrained network of sounds: a plain `keras.Model`, compiled, that takes waveforms.

    The log-mel front end, the backbone, pooling, hidden layers, dropout, `logits` and `predictions` are layers of one
    flat graph. Keras alone loads it. A network of pictures gets the spectrogram as a gray picture.

    Args:
        backbone: see `keras_transfer.modalities.audio.backbones.find_audio_backbone`.
        classes: how many classes, at least 2 (1 with `multi_label`), or their names.
        samples: length of the clips; by default the shortest that the backbone takes.
        weights: `"pretrained"` (the backbone's own), `"none"` for random ones, the path of speech_embedding's
            `embedding_model.onnx` or its folder, or what `keras_transfer.build_classifier` takes for a network of
            pictures.
        pooling: `"avg"` (the default) or `"max"` over the last map.
        hidden: units of Dense layers (ReLU) between pooling and dropout.
        dropout: rate of the dropout before the logits, at least 0 and below 1.
        multi_label: one sigmoid per class; labels are multi-hot `[n, classes]`.
        alpha: width multiplier of the MobileNets.

    Returns:
        The model, float32 `[n, samples]` in -1..1 at the front end's sample rate (16 kHz) to probabilities
        `[n, classes]`.

    Raises:
        InputError: an argument is wrong, or the weights cannot be had; the message says what to do.

    >>> build_audio_classifier("yamnet", ["dog", "rain"], samples=16000).output_shape
    (None, 2)
    """
    count = classes if isinstance(classes, int) else len(classes)
    if count < (1 if multi_label else 2):
        raise InputError(f"A classifier has at least 2 classes, 1 where several may hold. Received: {count}.")
    row = find_audio_backbone(backbone)
    if pooling not in (None, *POOLINGS):
        raise InputError(f"`pooling` must be one of {', '.join(POOLINGS)}. Received: pooling={pooling!r}.")
    if samples is None:
        samples = row.samples
    if samples < row.samples:
        raise InputError(f"{row.name} takes clips of {row.samples} samples or more. Received: samples={samples}.")
    waveform = keras.Input((samples,), name="waveform")
    x = log_mel_layers(waveform, row.front_end)
    features = (
        _of_sounds(x, row, weights, pooling) if row.name in _NETWORKS else _of_pictures(x, row, weights, pooling, alpha)
    )
    outputs = add_head(features, count, hidden=hidden, dropout=dropout, multi_label=multi_label)
    model = keras.Model(waveform, outputs, name=row.name)
    compile_classifier(model, multi_label=multi_label)
    return model


def _of_sounds(log_mel: keras.KerasTensor, row: AudioBackbone, weights: str, pooling: str | None) -> keras.KerasTensor:
    """What a network of sounds makes of a spectrogram, float32 `[n, features]`."""
    network, pretrained = _NETWORKS[row.name]
    x = network(log_mel)
    if weights != "none":
        layers = (layer for layer in keras.Model(log_mel, x).layers if can_train(layer))
        variables = [variable for layer in layers for variable in layer.weights]
        for variable, array in zip(variables, pretrained(weights), strict=True):
            variable.assign(array)
    pool = keras.layers.GlobalMaxPooling2D if pooling == "max" else keras.layers.GlobalAveragePooling2D
    return pool(name="pool")(x)


def _of_pictures(
    log_mel: keras.KerasTensor, row: AudioBackbone, weights: str, pooling: str | None, alpha: float | None
) -> keras.KerasTensor:
    """What a network of pictures makes of a spectrogram as a gray picture, float32 `[n, features]`."""
    gray = keras.layers.Reshape((*log_mel.shape[1:], 1), name="gray")(log_mel)
    picture = keras.layers.Concatenate(name="picture")([gray, gray, gray])
    body = build_classifier(
        row.name,
        2,
        image_size=picture.shape[1:3],
        weights="imagenet" if weights == "pretrained" else weights,
        alpha=alpha,
        pooling=pooling,
        dropout=0.0,
    )
    (features,) = replay(keras.Model(body.inputs[0], body.get_layer("logits").input), [picture])
    return features
