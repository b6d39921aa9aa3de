"""Golden vectors: clips with the log-mel spectrograms that Python makes of them, against which twins are tested.

A folder of golden vectors holds `front_end.json`, the settings of a `FrontEnd`, and `clips.csv` (a heading line, no
quotes), with the columns `name`, `samples`, `frames` and `mels`. For each row of it there are

- `NAME.samples`: int16 `[samples]`, little-endian; each stands for itself over 32,768;
- `NAME.log_mel`: float32 `[frames, mels]`, little-endian, what `front_end.log_mel` makes of that.

`web_demo/log_mel.js` and `android_demo/core/.../LogMel.kt` differ from it by 1e-5 at most.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_transfer.files import write_bytes, write_json, write_text
from keras_transfer.modalities.audio.front_end import FrontEnd, log_mel

Samples = NDArray[np.int16]
FRONT_ENDS = {
    "yamnet": FrontEnd(400, 160, 512, 64, 125.0, 7500.0, offset=1e-3),
    "span": FrontEnd(400, 160, 512, 32, 60.0, 3800.0, power=2, floor=1e-10, span=18.4, gain=32767.0, shift=2.0),
    "long": FrontEnd(640, 320, 1024, 40, 20.0, 4000.0, power=2, offset=1e-6, margin=80),
    "slaney": FrontEnd(400, 160, 400, 80, 0.0, 8000.0, bands="slaney", power=2, floor=1e-10, span=18.4, scale=0.1),
}
"""Front ends of many kinds, for tests of the twins; only the last has an `fft` that is no power of two."""


def golden_vectors(
    folder: str | Path, front_end: FrontEnd, clips: Iterable[Samples] | None = None, seed: int = 0
) -> Path:
    """Writes golden vectors, in the form that this module's docstring describes.

    Args:
        folder: the place to write to.
        front_end: of the spectrograms.
        clips: of any lengths; without any, those of `made_clips`.
        seed: of what is made.

    Returns:
        `clips.csv`.

    >>> import tempfile
    >>> yamnet = FrontEnd(400, 160, 512, 64, 125.0, 7500.0, offset=1e-3)
    >>> len(golden_vectors(tempfile.mkdtemp(), yamnet).read_text().splitlines())
    13
    """
    folder = Path(folder)
    rows = ["name,samples,frames,mels"]
    for i, samples in enumerate(made_clips(front_end, seed) if clips is None else clips):
        name, spectrogram = f"clip_{i:03d}", log_mel(as_waveform(samples), front_end)
        write_bytes(folder / f"{name}.samples", samples.astype("<i2").tobytes())
        write_bytes(folder / f"{name}.log_mel", spectrogram.astype("<f4").tobytes())
        rows.append(f"{name},{len(samples)},{spectrogram.shape[0]},{spectrogram.shape[1]}")
    write_json(folder / "front_end.json", front_end.to_dict())
    return write_text(folder / "clips.csv", "".join(f"{row}\n" for row in rows))


def made_clips(front_end: FrontEnd, seed: int = 0) -> Iterator[Samples]:
    """Twelve clips: noises loud and faint, tones, a chirp, clicks, something clipped, silence, a constant, speech-like.

    Their lengths are such that some samples at the end fill no frame.
    """
    random = np.random.default_rng(seed)
    count = front_end.samples(24) + front_end.hop // 2
    time = np.arange(count) / front_end.sample_rate
    noise = random.normal(0, 1, count)
    chirp = np.sin(2 * np.pi * (50 * time + (front_end.high - 50) / (2 * time[-1]) * time**2))
    voice = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 30)) * (1 + np.sin(2 * np.pi * 4 * time))
    clicks = np.where(random.uniform(size=count) < 0.001, 1.0, 0.0)
    for wave, peak in (
        *((noise, 0.2), (noise, 0.003), (noise, 4e-5), (chirp, 0.9), (chirp, 1e-3), (voice, 0.15)),
        *((np.sin(2 * np.pi * 440 * time), 0.99), (np.sin(2 * np.pi * 3000 * time), 3.0), (clicks, 0.8)),
        *((np.ones(count), 0.0), (np.ones(count), 0.3), (noise * (time > time[-1] / 2), 0.1)),
    ):
        yield np.clip(np.rint(wave * peak * 32768), -32768, 32767).astype(np.int16)


def as_waveform(samples: Samples) -> NDArray[np.float32]:
    """Whole numbers as a waveform in -1..1.

    >>> as_waveform(np.array([-32768, 16384], np.int16)).tolist()
    [-1.0, 0.5]
    """
    return samples.astype(np.float32) / np.float32(32768)


def as_samples(waveform: NDArray[np.float32]) -> Samples:
    """A waveform in -1..1 as whole numbers, of any shape.

    >>> as_samples(np.array([-1, 0.5, 1], np.float32)).tolist()
    [-32768, 16384, 32767]
    """
    samples: Samples = np.clip(np.rint(waveform * np.float32(32768)), -32768, 32767).astype(np.int16)
    return samples
