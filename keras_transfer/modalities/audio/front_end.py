"""The front end of a network of sounds: from a waveform to a log-mel spectrogram, as data with one definition in NumPy.

`layers.log_mel_layers` are its twin in Keras.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.inputs import Json


@dataclass(frozen=True)
class FrontEnd:
    """The settings of a log-mel spectrogram.

    The samples are multiplied by `gain`, the first and the last `margin` of them left out, and the rest cut into
    frames with a periodic Hann window. Of each frame the magnitudes of the DFT, to the power of `power`, are summed in
    triangular bands. The result is `log(max(bands, floor) + offset)`, but at least the clip's largest value less
    `span`; times `scale`, plus `shift`.

    Attributes:
        window: samples of a frame.
        hop: samples from one frame to the next.
        fft: points of the DFT, at least `window`.
        mels: number of bands.
        low: where the lowest band begins, in Hz.
        high: where the highest band ends, in Hz.
        sample_rate: of the waveform, in Hz.
        bands: how bands are laid out: `"htk"`, triangles on HTK's mel scale with a peak of 1 (TensorFlow's), or
            `"slaney"`, triangles in Hz with an area of 1 on Slaney's scale (librosa's).
        power: 1 for magnitudes, 2 for their squares.
        offset: added before the logarithm.
        floor: the least value before the offset is added.
        span: the least value under the clip's largest, in natural logarithms; None for no such limit.
        gain: what samples in -1..1 are multiplied by.
        margin: samples left out at both ends.
        scale: what logarithms are multiplied by.
        shift: what is added then.
    """

    window: int
    hop: int
    fft: int
    mels: int
    low: float
    high: float
    sample_rate: int = 16000
    bands: Literal["htk", "slaney"] = "htk"
    power: Literal[1, 2] = 1
    offset: float = 0.0
    floor: float = 0.0
    span: float | None = None
    gain: float = 1.0
    margin: int = 0
    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.hop <= self.window <= self.fft or self.mels < 1:
            raise InputError(f"A front end needs 0 < hop <= window <= fft and a band. Received: {self}.")
        if not 0 <= self.low < self.high <= self.sample_rate / 2 or self.floor + self.offset <= 0:
            raise InputError(
                f"A front end needs 0 <= low < high <= sample_rate / 2, and a floor or offset above 0. "
                f"Received: {self}."
            )

    def frames(self, samples: int) -> int:
        """How many frames a clip has; 0 where it is shorter than one."""
        return max(0, (samples - 2 * self.margin - self.window) // self.hop + 1)

    def samples(self, frames: int) -> int:
        """The fewest samples that make so many frames.

        >>> yamnet = FrontEnd(400, 160, 512, 64, 125.0, 7500.0, offset=1e-3)
        >>> yamnet.samples(96), yamnet.frames(15600)
        (15600, 96)
        """
        return (frames - 1) * self.hop + self.window + 2 * self.margin

    def to_dict(self) -> dict[str, Json]:
        """As JSON holds it; `front_end_of` reads it back."""
        return asdict(self)


def front_end_of(settings: Mapping[str, Json]) -> FrontEnd:
    """The front end of settings that JSON held.

    Raises:
        InputError: a setting is unknown, missing or wrong.

    >>> front_end_of(FrontEnd(400, 160, 512, 64, 125.0, 7500.0, offset=1e-3).to_dict()).hop
    160
    """
    unknown = set(settings) - {field.name for field in fields(FrontEnd)}
    if unknown:
        raise InputError(f"A front end has no setting {', '.join(sorted(unknown))}.")
    try:
        return FrontEnd(**settings)  # type: ignore[arg-type]
    except TypeError as error:
        raise InputError(f"The settings of a front end are wrong: {error}. Received: {dict(settings)}.") from error


def log_mel(waveform: NDArray[np.float32], front_end: FrontEnd) -> NDArray[np.float32]:
    """The log-mel spectrogram of a clip.

    Args:
        waveform: float32 `[samples]` in -1..1, at `front_end.sample_rate`.
        front_end: its settings.

    Returns:
        float32 `[frames, mels]`.

    Raises:
        InputError: the clip is shorter than one frame.

    >>> log_mel(np.zeros(15600, np.float32), FrontEnd(400, 160, 512, 64, 125.0, 7500.0, offset=1e-3)).shape
    (96, 64)
    """
    least = front_end.samples(1)
    if len(waveform) < least:
        raise InputError(f"A spectrogram needs at least {least} samples. Received: {len(waveform)}.")
    samples = waveform[front_end.margin : len(waveform) - front_end.margin].astype(np.float64) * front_end.gain
    frames = np.lib.stride_tricks.sliding_window_view(samples, front_end.window)[:: front_end.hop]
    spectrum = np.abs(np.fft.rfft(frames * hann(front_end.window), front_end.fft)) ** front_end.power
    logs = np.log(np.maximum(spectrum @ mel_matrix(front_end), front_end.floor) + front_end.offset)
    if front_end.span is not None:
        logs = np.maximum(logs, logs.max() - front_end.span)
    result: NDArray[np.float32] = (logs * front_end.scale + front_end.shift).astype(np.float32)
    return result


@lru_cache(16)
def hann(window: int) -> NDArray[np.float64]:
    """The periodic Hann window, float64 `[window]`."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)


@lru_cache(16)
def mel_matrix(front_end: FrontEnd) -> NDArray[np.float64]:
    """What each frequency of the DFT counts in each band, float64 `[fft // 2 + 1, mels]`.

    >>> matrix = mel_matrix(FrontEnd(400, 160, 512, 64, 125.0, 7500.0, offset=1e-3))
    >>> matrix.shape, float(matrix[0].max())
    ((257, 64), 0.0)
    """
    hertz = np.linspace(0, front_end.sample_rate / 2, front_end.fft // 2 + 1)[:, None]
    mels_of = _htk if front_end.bands == "htk" else _slaney
    start, end = mels_of(np.array([front_end.low, front_end.high]))
    edges = np.linspace(start, end, front_end.mels + 2)
    if front_end.bands == "htk":
        places = _htk(hertz)
    else:
        places, edges = hertz, _slaney_hertz(edges)
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    matrix: NDArray[np.float64] = np.maximum(
        0, np.minimum((places - low) / (peak - low), (high - places) / (high - peak))
    )
    return matrix if front_end.bands == "htk" else matrix * (2 / (high - low))


def _htk(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1127 * np.log1p(hertz / 700)


_KNEE, _STEP = 1000.0, np.log(6.4) / 27  # Slaney's scale is linear up to 1 kHz, 15 mels, and logarithmic above


def _slaney(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(hertz < _KNEE, hertz * 3 / 200, 15 + np.log(np.maximum(hertz, _KNEE) / _KNEE) / _STEP)


def _slaney_hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mels < 15, mels * 200 / 3, _KNEE * np.exp((np.maximum(mels, 15) - 15) * _STEP))
