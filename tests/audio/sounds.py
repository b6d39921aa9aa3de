"""Made sounds, as files of every format."""

import io
import zlib
from pathlib import Path

import numpy as np
import soundfile

FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".aiff": ("AIFF", "PCM_16"),
    ".au": ("AU", "PCM_16"),
    ".caf": ("CAF", "PCM_16"),
    ".w64": ("W64", "PCM_16"),
}


def chirp(seconds=1.0, rate=16000, low=300.0, high=900.0, peak=0.5):
    """A tone that rises from one frequency to another, `float32 [n]`."""
    time = np.arange(round(seconds * rate)) / rate
    return (peak * np.sin(2 * np.pi * (low + (high - low) * time / seconds / 2) * time)).astype(np.float32)


def noise(seconds=1.0, rate=16000, seed=0, peak=0.3):
    """White noise within the peak, `float32 [n]`."""
    return np.random.default_rng(seed).uniform(-peak, peak, round(seconds * rate)).astype(np.float32)


def melody(seconds=1.0, rate=16000, seed=0, peak=0.5):
    """A tenth of a second of one tone after the other, fading, `float32 [n]`."""
    random, step = np.random.default_rng(seed), rate // 10
    tones = random.uniform(200, 3500, (round(10 * seconds), 1))
    time = np.arange(step) / rate
    return (peak * np.exp(-20 * time) * np.sin(2 * np.pi * tones * time)).astype(np.float32).ravel()


def encoded(samples, rate=16000, suffix=".wav", subtype=""):
    """The bytes of a file."""
    content = io.BytesIO()
    form, usual = FORMATS[suffix]
    soundfile.write(content, samples, rate, format=form, subtype=subtype or usual)
    return content.getvalue()


def write(path, samples, rate=16000, subtype=""):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(samples, rate, path.suffix, subtype))
    return path


def seed_of(*words):
    """A seed that is the same in every run, as `hash` is not."""
    return zlib.crc32(repr(words).encode())
