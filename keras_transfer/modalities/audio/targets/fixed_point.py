"""A front end in whole numbers, as C++: the tables of `templates/log_mel.cc`, made from its settings.

Of clips in int16 it gives the model's int8 input within 1 of 255 steps of what `front_end.log_mel` gives.
"""

from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from keras_transfer import __version__
from keras_transfer.errors import InputError
from keras_transfer.exporters.targets.microcontroller.sources import c_numbers
from keras_transfer.modalities.audio.front_end import FrontEnd, hann, mel_matrix

TEMPLATES = Path(__file__).with_name("templates")
_LOG = 512  # steps of a logarithm of 1 in `LogMelFrame`
_FRACTION = 1 << 16  # and inside of it
_INPUT = 1 << 24  # parts of an input step
_UNLIMITED = 1 << 20  # as a span: more than int16 holds


def log_mel_sources(front_end: FrontEnd, frames: int, scale: float, zero_point: int) -> dict[str, str]:
    """The files `log_mel.h` and `log_mel.cc`, C++11 without any library.

    Args:
        front_end: its settings.
        frames: that the model takes.
        scale: of the model's int8 input.
        zero_point: of the model's int8 input.

    Raises:
        InputError: its DFT's length is no power of two.

    >>> yamnet = FrontEnd(400, 160, 512, 64, 125.0, 7500.0, offset=1e-3)
    >>> sorted(log_mel_sources(yamnet, 96, 0.05, 4))
    ['log_mel.cc', 'log_mel.h']
    """
    values = _values(front_end, frames, scale, zero_point)
    return {
        name: Template((TEMPLATES / name).read_text("utf-8")).substitute(values) for name in ("log_mel.h", "log_mel.cc")
    }


def _values(front_end: FrontEnd, frames: int, scale: float, zero_point: int) -> dict[str, object]:
    fft = front_end.fft
    if fft & (fft - 1):
        raise InputError(f"A front end in whole numbers needs an fft that is a power of two. Received: fft={fft}.")
    matrix = mel_matrix(front_end)
    largest = matrix.max()
    # What 1 of a band's sum stands for: of the weights, of the DFT (halved at each step, of samples times 2^15), and of
    # energies, which lose 12 bits.
    unit = largest / 2**15 * (fft / 2**30 * front_end.gain) ** front_end.power * (2**12 if front_end.power == 2 else 1)
    used = [np.flatnonzero(band) for band in matrix.T]
    first = [int(bins[0]) if len(bins) else 0 for bins in used]
    last = [int(bins[-1]) + 1 if len(bins) else 0 for bins in used]
    weights = [matrix[start:end, band] for band, (start, end) in enumerate(zip(first, last, strict=True))]
    return {
        "version": __version__,
        "front_end": ", ".join(f"{name} {value}" for name, value in front_end.to_dict().items()),
        "sample_rate": front_end.sample_rate,
        "window": front_end.window,
        "hop": front_end.hop,
        "frames": frames,
        "mels": front_end.mels,
        "fft": fft,
        "power": front_end.power,
        "offset": round(front_end.offset / unit),
        "unit": round(np.log(unit) * _FRACTION),
        "least": round(np.log(front_end.floor + front_end.offset) * _FRACTION),
        "span": _UNLIMITED if front_end.span is None else round(front_end.span * _LOG),
        "step": round(front_end.scale / _LOG / scale * _INPUT),
        "zero": round((front_end.shift / scale + zero_point) * _INPUT),
        "hann": c_numbers(_q31(hann(front_end.window)[: front_end.window // 2 + 1])),
        "cosine": c_numbers(_q31(np.cos(2 * np.pi * np.arange(fft // 4 + 1) / fft))),
        "first": c_numbers(first),
        "count": c_numbers(end - start for start, end in zip(first, last, strict=True)),
        "weights": c_numbers(np.rint(np.concatenate(weights) / largest * 2**15)),
        "log2": c_numbers(np.rint(np.log2(1 + np.arange(65) / 64) * _FRACTION)),
    }


def _q31(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of 0 to 1 in 1/2^31, as far as int32 holds them."""
    return np.minimum(np.rint(values * 2**31), 2**31 - 1)
