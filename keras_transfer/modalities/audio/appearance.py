"""What a recording is like, whatever it holds: how loud, how bright, how noisy; and a picture of it."""

import base64
import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from keras_transfer import cache
from keras_transfer.data.split import Split
from keras_transfer.evaluation.shift import Property
from keras_transfer.inputs import Array, only
from keras_transfer.modalities.audio.backbones import AUDIO_BACKBONES
from keras_transfer.modalities.audio.front_end import FrontEnd, log_mel
from keras_transfer.modalities.audio.items import Samples, as_mp3
from keras_transfer.modalities.audio.preparer import AudioPreparer
from keras_transfer.progress import track

SHOWN: FrontEnd = AUDIO_BACKBONES["yamnet"].front_end
"""The spectrogram that pictures and the rival are of."""
_BATCH = 64
_QUIET = 1e-5  # -100 dB


def _decibels(power: float) -> float:
    return float(20 * np.log10(max(power, _QUIET)))


def _level(sound: Samples) -> float:
    return _decibels(float(np.sqrt(np.square(sound).mean())))


def _floor(sound: Samples) -> float:
    """How loud the softest tenth of the frames is."""
    frames = sound[: len(sound) // 400 * 400].reshape(-1, 400) if len(sound) >= 400 else sound[None]
    return _decibels(float(np.quantile(np.sqrt(np.square(frames).mean(axis=1)), 0.1)))


def _hertz(sound: Samples, share: float) -> float:
    """The frequency under which a share of the power lies."""
    power = np.square(np.abs(np.fft.rfft(sound)))
    total = np.cumsum(power)
    return float(np.searchsorted(total, share * total[-1]) / max(1, len(power)) * SHOWN.sample_rate / 2)


PROPERTIES: dict[str, Property[Samples]] = {
    "seconds": Property(lambda sound: len(sound) / SHOWN.sample_rate, "Seconds", "shorter", "longer"),
    "level": Property(_level, "Loudness (dB)", "softer", "louder"),
    "floor": Property(_floor, "Background (dB)", "with less background", "with more background"),
    "brightness": Property(lambda sound: _hertz(sound, 0.5), "Middle of the spectrum (Hz)", "duller", "brighter"),
    "bandwidth": Property(
        lambda sound: _hertz(sound, 0.99), "Highest frequencies (Hz)", "narrower", "wider in frequency"
    ),
}
"""Loudness is the root mean square in dB of full scale; the background that of the softest tenth of the frames; half of
the power lies under the middle of the spectrum, 99% under the highest frequencies."""


def sounds(split: Split) -> Iterator[Samples]:
    """The samples of each recording at 16,000 Hz, as long as it is and the clips at most."""
    preparer = split.preparer
    assert isinstance(preparer, AudioPreparer)
    for path in track(list(split.paths), f"Measuring {split.name}", total=len(split)):
        yield preparer.waveform(preparer.load(str(path)), preparer.samples)


def statistics(split: Split, samples: int) -> NDArray[np.float32]:
    """Mean and deviation of each band of the log-mel spectrogram over time, `float32 [n, 2 bands]`; kept in the cache.

    Of a part of a whole they are those of the whole.
    """
    if split.whole is not None:
        whole, places = split.whole
        return statistics(whole, samples)[places]
    items, settings = cache.digest(split.hashes), dict(split.preparer.settings)
    key = cache.cache_key(statistics=SHOWN.to_dict(), samples=samples, preparation=settings, items=items)
    entry = cache.open_entry(key)
    if entry is None:
        with cache.new_entry(key, {"kind": "statistics", "items": len(split)}) as writer:
            writer.append("values", np.zeros((0, 2 * SHOWN.mels), np.float32))
            for clips, _ in split.batches(split.preparer.spec(samples), _BATCH):
                bands = [log_mel(_long_enough(clip), SHOWN) for clip in only(clips)]
                rows = [np.concatenate([each.mean(axis=0), each.std(axis=0)]) for each in bands]
                writer.append("values", np.array(rows, np.float32))
        entry = cache.open_new(key)
    try:
        return np.array(entry["values"])
    finally:
        entry.close()


def picture(clip: Samples, side: int, heat: Array | None = None) -> str:
    """The log-mel spectrogram of a clip as a PNG in a `data:` address: time to the right, high notes on top.

    Args:
        clip: `float32 [n]` at 16,000 Hz.
        side: in pixels.
        heat: float `[frames, bands]` in 0..1, of any spectrogram of the clip: these places glow, the others are gray.

    >>> picture(np.zeros(16000, np.float32), 96)[:22]
    'data:image/png;base64,'
    """
    from PIL import Image

    def resized(values: Array) -> Array:
        drawn = Image.fromarray(np.ascontiguousarray(values.T[::-1], np.float32), mode=None)
        return np.asarray(drawn.resize((side, side), Image.Resampling.BOX))

    bands = log_mel(_long_enough(clip), SHOWN)
    low, high = np.log(SHOWN.offset), max(float(bands.max()), np.log(SHOWN.offset) + 4)
    pixels = _coloured(np.clip((resized(bands) - low) / (high - low), 0, 1))
    if heat is not None:
        strength = resized(heat)[..., None]
        gray = pixels.mean(axis=-1, keepdims=True)
        pixels = (1 - strength) * 0.7 * gray + strength * (0.4 * gray + 0.6 * np.array([255, 160, 30]))
    content = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).quantize(64).save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def sound_address(clip: Samples, sample_rate: int) -> str:
    """A clip as a small MP3 in a `data:` address, to listen to: 24 kbit/s."""
    return f"data:audio/mpeg;base64,{base64.b64encode(as_mp3(clip, sample_rate, 24)).decode()}"


def _coloured(shades: Array) -> Array:
    """Shades in 0..1 as colours, rising in lightness: readable without seeing hues."""
    stops = np.array([[13, 8, 35], [66, 20, 110], [159, 42, 99], [229, 92, 48], [251, 180, 26], [252, 255, 164]])
    places = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(shades, places, stops[:, channel]) for channel in range(3)], axis=-1)


def _long_enough(sound: Samples) -> Samples:
    return np.pad(sound, (0, max(0, SHOWN.window - len(sound))))
