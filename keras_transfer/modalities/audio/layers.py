"""The front end as layers of a network: a convolution with the DFT's kernels, for devices have no other DFT."""

from collections.abc import Iterable

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.modalities.audio.front_end import FrontEnd, hann, mel_matrix
from keras_transfer.models.preprocessing import NAME as PREPROCESSING

LOG_MEL = "log_mel"
_SPECTRUM, _MELS = f"{PREPROCESSING}_spectrum", f"{PREPROCESSING}_mels"


def log_mel_layers(waveform: keras.KerasTensor, front_end: FrontEnd) -> keras.KerasTensor:
    """What `front_end.log_mel` computes, as plain Keras layers that never train.

    They agree within 1e-4, but for bands that are 100 dB fainter than the loudest of their frame: float32 ends there.

    Args:
        waveform: float32 `[n, samples]` in -1..1.
        front_end: the settings.

    Returns:
        float32 `[n, frames, mels]`, the output of a layer called `log_mel`.

    >>> clip = keras.Input((15600,))
    >>> log_mel_layers(clip, FrontEnd(400, 160, 512, 64, 125.0, 7500.0, offset=1e-3)).shape
    (None, 96, 64)
    """
    ops, layers = keras.ops, keras.layers
    x = layers.Reshape((waveform.shape[1], 1))(waveform)
    if front_end.margin:
        x = layers.Cropping1D(front_end.margin)(x)
    # Keras's own STFTSpectrogram has kernels in float32 from their angles on, which is too coarse for faint sounds.
    spectrum = layers.Conv1D(
        2 * (front_end.fft // 2 + 1),
        front_end.window,
        front_end.hop,
        use_bias=False,
        trainable=False,
        name=_SPECTRUM,
    )
    x = spectrum(x)
    spectrum.set_weights([_dft(front_end)[:, None]])
    x = ops.square(x)
    bins = front_end.fft // 2 + 1
    if front_end.power == 1:
        x = ops.sqrt(x[:, :, :bins] + x[:, :, bins:])
    mels = layers.Dense(front_end.mels, trainable=False, name=_MELS)
    x = mels(x)
    mels.set_weights([_bands(front_end), np.full(front_end.mels, 0.0 if front_end.floor else front_end.offset)])
    if front_end.floor:
        x = ops.maximum(x, front_end.floor) + front_end.offset
    x = ops.log(x)
    if front_end.span is not None:
        x = ops.maximum(x, ops.max(x, axis=(1, 2), keepdims=True) - front_end.span)
    return layers.Rescaling(front_end.scale, front_end.shift, name=LOG_MEL)(x)


def front_end_of_layers(model: keras.Model, known: Iterable[FrontEnd]) -> FrontEnd | None:
    """Which of the front ends that are known a network begins with, by its kernels; None where it has none of them.

    >>> clip, row = keras.Input((15600,)), FrontEnd(400, 160, 512, 64, 125.0, 7500.0, offset=1e-3)
    >>> front_end_of_layers(keras.Model(clip, log_mel_layers(clip, row)), [row]) == row
    True
    """
    layers = {layer.name: layer for layer in model.layers}
    if not {_SPECTRUM, _MELS, LOG_MEL} <= set(layers):
        return None
    spectrum, mels, scale = (layers[name] for name in (_SPECTRUM, _MELS, LOG_MEL))
    for row in known:
        kernels = ((spectrum.kernel, _dft(row)[:, None]), (mels.kernel, _bands(row)))
        settings = (tuple(spectrum.strides), scale.scale, scale.offset) == ((row.hop,), row.scale, row.shift)
        if settings and all(np.shape(a) == b.shape and np.allclose(a, b, atol=1e-6) for a, b in kernels):
            return row
    return None


def _bands(front_end: FrontEnd) -> NDArray[np.float64]:
    """From the spectrum to the mel bands, float64 `[bins, mels]`; of powers, of real and imaginary parts alike."""
    matrix = mel_matrix(front_end) * front_end.gain**front_end.power
    return matrix if front_end.power == 1 else np.concatenate([matrix, matrix])


def _dft(front_end: FrontEnd) -> NDArray[np.float64]:
    """The window and the DFT's cosines and sines, float64 `[window, 2 * (fft // 2 + 1)]`."""
    angles = 2 * np.pi / front_end.fft * np.outer(np.arange(front_end.window), np.arange(front_end.fft // 2 + 1))
    parts: NDArray[np.float64] = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    return hann(front_end.window)[:, None] * parts
