"""Augmentation of sounds: moved in time, louder or softer, behind noise, with gaps in time and in frequency, mixed."""

from dataclasses import dataclass

import numpy as np

from keras_transfer.inputs import Array, Arrays, Augmenter, Strength, only
from keras_transfer.modalities.augmenter import NoAugmenter, SettingsAugmenter, chosen_settings, mixup

SETTINGS = {
    "shift": ("at most this share of the clip earlier or later", 1),
    "gain": ("at most so many decibels louder or softer", 40),
    "noise": ("share of the clips behind noise, or behind another clip of the batch, 10 to 30 dB softer", 1),
    "time_mask": ("at most this share of the clip in one silent gap (SpecAugment)", 0.9),
    "band_mask": ("at most this share of the octaves from 62 Hz up is taken out, in one band (SpecAugment)", 0.9),
    "mixup": ("alpha of MixUp's Beta distribution; 0.2 is usual", 10),
}
"""What each setting is, and its largest sensible value. SpecAugment is Park et al. 2019 (arXiv:1904.08779), here on the
waveform; MixUp Zhang et al. 2018 (arXiv:1710.09412)."""
STRENGTHS: dict[str, dict[str, float]] = {
    "none": {},
    "light": {"shift": 0.1, "gain": 6},
    "medium": {"shift": 0.1, "gain": 6, "noise": 0.3, "time_mask": 0.1},
    "strong": {"shift": 0.2, "gain": 10, "noise": 0.5, "time_mask": 0.15, "band_mask": 0.15},
}
_SNR = (10.0, 30.0)  # decibels by which noise is softer
_LOWEST = 62.5  # Hz, where the octaves of `band_mask` begin


@dataclass(frozen=True)
class AudioAugmenter(SettingsAugmenter):
    """A `keras_transfer.inputs.Augmenter` of waveforms, by `SETTINGS`.

    Attributes:
        sample_rate: of the waveforms.
    """

    sample_rate: int

    def __call__(self, arrays: Arrays, labels: Array, /, seed: int) -> tuple[Arrays, Array]:
        """Other clips `float32 [b, samples]` in -1..1, the same for the same seed; and the labels.

        Spectrograms `[b, frames, mels]` stay as they are.
        """
        clips = only(arrays)
        if clips.ndim != 2 or not len(clips):
            return arrays, labels
        random, own = np.random.default_rng(seed), self.settings
        views = clips.astype(np.float32)
        if "shift" in own:
            views = _shifted(views, own["shift"], random)
        if "gain" in own:
            views *= _amplitude(random.uniform(-own["gain"], own["gain"], (len(views), 1)))
        if "noise" in own:
            views = _behind_noise(views, own["noise"], random)
        if "band_mask" in own:
            views = _without_band(views, own["band_mask"], self.sample_rate, random)
        if "time_mask" in own:
            _silence(views, own["time_mask"], random)
        if "mixup" in own:
            views, labels = mixup(views, labels, own["mixup"], self.classes, random)
        return np.clip(views, -1, 1).astype(clips.dtype), labels


def build_augmenter(strength: Strength, per_class: float | None, classes: int, sample_rate: int) -> Augmenter:
    """The augmentation of a strength.

    Args:
        strength: `"auto"` (strong under 50 clips of a class, medium under 500, else light), `"none"`, `"light"`,
            `"medium"`, `"strong"`; or settings by the names of `SETTINGS`, which may start from a strength, such as
            `{"strength": "auto", "mixup": 0.2}`.
        per_class: training clips of each class, for `"auto"`; None for many.
        classes: number of classes.
        sample_rate: of the waveforms.

    Raises:
        InputError: an unknown strength or setting, or a value out of its range.

    >>> build_augmenter("auto", 1000, 2, 16000).settings
    {'shift': 0.1, 'gain': 6}
    """
    settings = chosen_settings(strength, per_class, SETTINGS, STRENGTHS)
    return AudioAugmenter(settings, classes, sample_rate) if settings else NoAugmenter()


def loudness(clips: Array) -> Array:
    """The root mean square of each clip where it sounds, `[n, 1]`: silence behind short recordings does not count."""
    sounding = np.maximum((clips != 0).sum(axis=-1, keepdims=True), 1)
    rms: Array = np.sqrt(np.square(clips).sum(axis=-1, keepdims=True) / sounding)
    return rms


def _amplitude(decibels: Array) -> Array:
    return np.power(10, decibels / 20).astype(np.float32)


def _shifted(clips: Array, most: float, random: np.random.Generator) -> Array:
    """Clips that begin earlier or later; what comes from beyond their ends is silence."""
    length = clips.shape[1]
    moved = np.zeros_like(clips)
    for clip, view, by in zip(
        clips, moved, random.integers(-int(most * length), int(most * length) + 1, len(clips)), strict=True
    ):
        view[max(0, by) : length + min(0, by)] = clip[max(0, -by) : length - max(0, by)]
    return moved


def _behind_noise(clips: Array, share: float, random: np.random.Generator) -> Array:
    """Some of the clips with white noise or another clip of the batch, 10 to 30 dB softer."""
    others = clips[random.permutation(len(clips))]
    from_batch = random.random((len(clips), 1)) < 0.5
    noise: Array = np.where(from_batch, others, random.standard_normal(clips.shape, np.float32))
    level = loudness(clips) / np.maximum(loudness(noise), 1e-6) / _amplitude(random.uniform(*_SNR, (len(clips), 1)))
    return np.asarray(clips + np.where(random.random((len(clips), 1)) < share, level, 0).astype(np.float32) * noise)


def _silence(clips: Array, most: float, random: np.random.Generator) -> None:
    """A gap in each clip, in place."""
    length = clips.shape[1]
    widths = (random.random(len(clips)) * most * length).astype(int)
    for clip, width, place in zip(clips, widths, random.random(len(clips)), strict=True):
        start = int(place * (length - width))
        clip[start : start + width] = 0


def _without_band(clips: Array, most: float, sample_rate: int, random: np.random.Generator) -> Array:
    """Clips without one band of frequencies each, of a random width in octaves."""
    from scipy import fft

    size = fft.next_fast_len(clips.shape[1], real=True)
    spectrum = fft.rfft(clips, size)
    octaves = np.log2(sample_rate / 2 / _LOWEST)
    widths = random.random(len(clips)) * most * octaves
    starts = random.random(len(clips)) * (octaves - widths)
    bands = _LOWEST * 2 ** np.stack([starts, starts + widths], axis=1) * size / sample_rate
    for row, (low, high) in zip(spectrum, bands.astype(int), strict=True):
        row[low:high] = 0
    return np.asarray(fft.irfft(spectrum, size)[:, : clips.shape[1]], np.float32)
