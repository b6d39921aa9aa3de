"""Classifiers of sounds: log-mel front end, backbone, pooling and head as one flat graph on the waveform."""

from collections.abc import Callable, Sequence

import keras

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array
from keras_transfer.modalities.audio.backbones import find_audio_backbone
from keras_transfer.modalities.audio.layers import log_mel_layers
from keras_transfer.modalities.audio.speech_embedding import speech_embedding_layers, speech_embedding_weights
from keras_transfer.modalities.audio.yamnet import yamnet_layers, yamnet_weights
from keras_transfer.models import add_head, compile_classifier
from keras_transfer.models.stage import can_train

POOLINGS = ("avg", "max")
# Name of a backbone -> its layers, and its weights in their order.
_NETWORKS: dict[str, tuple[Callable[[keras.KerasTensor], keras.KerasTensor], Callable[[str], Sequence[Array]]]] = {
    "yamnet": (yamnet_layers, yamnet_weights),
    "speech_embedding": (speech_embedding_layers, speech_embedding_weights),
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
) -> keras.Model:
    """Builds a classifier on a pretrained network of sounds: a plain `keras.Model`, compiled, that takes waveforms.

    The log-mel front end, the backbone (on clips of any length), pooling, hidden layers, dropout,
    `logits` and `predictions` are layers of one flat graph. Keras alone loads it.

    Args:
        backbone: see `keras_transfer.modalities.audio.backbones.find_audio_backbone`.
        classes: how many classes, at least 2 (1 with `multi_label`), or their names.
        samples: length of the clips; by default the shortest that the backbone takes.
        weights: `"pretrained"` (the backbone's own), `"none"` for random ones, or for
            speech_embedding the path of `embedding_model.onnx` or its folder.
        pooling: `"avg"` (the default) or `"max"` over the last map.
        hidden: units of Dense layers (ReLU) between pooling and dropout.
        dropout: rate of the dropout before the logits, at least 0 and below 1.
        multi_label: one sigmoid per class; labels are multi-hot `[n, classes]`.

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
    network, pretrained = _NETWORKS[row.name]
    x = network(log_mel_layers(waveform, row.front_end))
    if weights != "none":
        _assign(keras.Model(waveform, x), pretrained(weights))
    pool = keras.layers.GlobalMaxPooling2D if pooling == "max" else keras.layers.GlobalAveragePooling2D
    outputs = add_head(pool(name="pool")(x), count, hidden=hidden, dropout=dropout, multi_label=multi_label)
    model = keras.Model(waveform, outputs, name=row.name)
    compile_classifier(model, multi_label=multi_label)
    return model


def _assign(body: keras.Model, arrays: Sequence[Array]) -> None:
    """Puts pretrained weights into a backbone's graph."""
    variables = [variable for layer in body.layers if can_train(layer) for variable in layer.weights]
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
