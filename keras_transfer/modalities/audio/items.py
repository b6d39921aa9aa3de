"""One recording, or a stretch of one: its bytes, and the samples that they hold."""

import math
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.listing import Kind
from keras_transfer.data.stretches import parse_stretch
from keras_transfer.errors import InputError, in_one_line
from keras_transfer.files import read_file

if TYPE_CHECKING:
    import soundfile

Samples = NDArray[np.float32]

KIND = Kind(
    "recordings",
    "recording",
    frozenset({
        ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".snd", ".caf", ".w64",
        ".m4a", ".aac", ".wma",
    }),
    ("seconds", "sample_rate", "channels"),
    "sound.wav",
    "sound files",
    columns_of_paths=("audio", "sound", "recording", "wav", "clip"),
    stretches=True,
)  # fmt: skip
LONGEST = 60.0
"""Seconds of an item. A longer recording is listed as several windows; of one that is not, this much is read."""
_LARGE = 64 << 20  # bytes of a file; of a larger one only a stretch is loaded
_RATES, _CHANNELS = (1_000, 768_000), 64
_BLOCK = 1 << 18  # frames that are read at a time: a header's claim is not believed

_BITRATES = {32_000: (32, 320), 16_000: (8, 160), 0: (8, 64)}  # kbit/s of MP3, by the least sample rate
_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_kept = threading.local()

_STARTS = {
    b"fLaC": "FLAC", b"OggS": "OGG", b"ID3": "MP3", b"RIFF": "WAV", b"RIFX": "WAV", b"RF64": "WAV", b"riff": "W64",
    b"FORM": "AIFF", b".snd": "AU", b"caff": "CAF",
}  # fmt: skip
_OTHERS = {
    b"\x30\x26\xb2\x75": "WMA", b"#!AMR": "AMR", b"\x1a\x45\xdf\xa3": "WebM or Matroska", b"MThd": "MIDI",
    b"%PDF": "a PDF", b"PK\3\4": "a ZIP archive", b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture", b"BM": "a picture", b"II*\0": "a picture", b"MM\0*": "a picture",
}  # fmt: skip


_NO_SOUND = ("MIDI", "a PDF", "a ZIP archive", "a picture")  # from which ffmpeg makes none


class SoundFacts(NamedTuple):
    """What the beginning of a file says of it."""

    seconds: float
    sample_rate: int
    channels: int


def sniff(content: bytes) -> str:
    """The format by which a recording's bytes begin; empty where it is none that is read here.

    >>> sniff(b"fLaC\\0\\0"), sniff(b"hello")
    ('FLAC', '')
    """
    if _is_mpeg(content):
        return "MP3"
    return next((name for start, name in _STARTS.items() if content.startswith(start)), "")


def _is_mpeg(content: bytes) -> bool:
    """Whether it begins as a frame of MPEG audio, layer III."""
    return len(content) > 2 and content[0] == 0xFF and content[1] & 0xE6 == 0xE2 and content[2] & 0xF0 != 0xF0


def check_format(content: bytes) -> None:
    """Raises `InputError` where bytes begin as no recording that is read here does.

    >>> check_format(b"\\0\\0\\0\\x20ftypM4A ")
    Traceback (most recent call last):
    ...
    keras_transfer.errors.InputError: M4A (AAC): save it as WAV or FLAC, such as with `ffmpeg -i FILE FILE.wav`
    """
    if not content:
        raise InputError("an empty file")
    if sniff(content):
        return
    kind = next((name for start, name in _OTHERS.items() if content.startswith(start)), "")
    if content[4:8] == b"ftyp":
        kind = "M4A (AAC)"
    elif content[0] == 0xFF and len(content) > 1 and content[1] & 0xF6 == 0xF0:
        kind = "AAC"
    if not kind:
        raise InputError("not a recording: neither WAV, FLAC, OGG, MP3 nor AIFF")
    if kind in _NO_SOUND:
        raise InputError(f"not a recording, but {kind}")
    raise InputError(f"{kind}: save it as WAV or FLAC, such as with `ffmpeg -i FILE FILE.wav`")


def load_sound(source: str) -> bytes:
    """The bytes of a recording: of a whole file as it is; of a stretch, or of a very large file, as a WAV of floats.

    Args:
        source: the path of a file, or `FILE#t=START,END` in seconds. Nothing but the stretch is decoded.

    Raises:
        InputError: there is no such file, it is no recording, or it ends before the stretch begins.
    """
    stretch = parse_stretch(source)
    file, start, end = stretch or (source, 0.0, math.inf)
    if stretch is None and _size(file) <= _LARGE:
        return read_file(file)
    return as_wav(*_stretch(file, start, min(end - start, LONGEST)))


def decode(content: bytes, seconds: float = LONGEST) -> tuple[Samples, int]:
    """The samples of a recording, stereo mixed down.

    Args:
        content: its bytes, of any state.
        seconds: how many of its first seconds are read.

    Returns:
        `float32 [n]`, in -1..1 unless the file holds floats beyond, and the sample rate of the file.

    Raises:
        InputError: it is damaged, empty, or of no format that is read here.

    >>> samples, rate = decode(as_wav(np.zeros(8, np.float32), 16000))
    >>> len(samples), rate
    (8, 16000)
    """
    check_format(content)
    with _open(BytesIO(content)) as sound, _as_damage():
        return checked(_read(sound, math.ceil(seconds * sound.samplerate))), sound.samplerate


def examine_sound(content: bytes) -> tuple[Samples, SoundFacts]:
    """The samples of all of a recording, and what they are.

    Raises:
        InputError: see `decode`; or it holds less than it says, as a file does that was cut off.
    """
    check_format(content)
    with _open(BytesIO(content)) as sound, _as_damage():
        said, rate, channels = sound.frames, sound.samplerate, sound.channels
        samples = checked(_read(sound, math.ceil(LONGEST * rate)))
    if content[:4] == b"RIFF":  # libsndfile mends the length that the header claims
        claimed = int.from_bytes(content[4:8], "little") + 8
        if claimed < 0xFFFF_0000 and claimed - len(content) > 64:  # writers to a pipe leave it at the most
            raise InputError(f"it is cut off: {len(content):,} of {claimed:,} bytes")
    if content[:4] == b"OggS" and not _ends_as_ogg(content):
        raise InputError("it is cut off: the page that ends an OGG file is missing")
    whole = min(said, math.ceil(LONGEST * rate))
    if sniff(content) != "MP3" and whole - len(samples) > 0.05 * rate:
        raise InputError(f"it is cut off after {len(samples) / rate:.2f} s of {said / rate:.2f} s")
    return samples, SoundFacts(len(samples) / rate, rate, channels)


def _ends_as_ogg(content: bytes) -> bool:
    """Whether the last page of an OGG file is whole, and says that it is the last: no header holds the length."""
    page = content.rfind(b"OggS")
    segments = page + 27
    if segments > len(content):
        return False
    lengths = content[segments : segments + content[page + 26]]
    return bool(content[page + 5] & 4) and segments + len(lengths) + sum(lengths) <= len(content)


def measure_sound(file: str) -> SoundFacts:
    """How long a recording is, its sample rate and its channels, by its beginning.

    Raises:
        InputError: there is no such file, or it is no recording.
    """
    with _open(file) as sound, _as_damage():
        return SoundFacts(sound.frames / sound.samplerate, sound.samplerate, sound.channels)


def resample(samples: Samples, rate: int, wanted: int, quality: str = "HQ") -> Samples:
    """Sound at another sample rate, by soxr.

    Args:
        samples: `float32 [n]`.
        rate: of the samples.
        wanted: the rate asked for.
        quality: soxr's name of it.

    >>> resample(np.zeros(8000, np.float32), 8000, 16000).shape
    (16000,)
    """
    if rate == wanted or not len(samples):
        return samples
    import soxr

    changed: Samples = soxr.resample(samples, rate, wanted, quality)
    return changed


def as_wav(samples: Samples, rate: int) -> bytes:
    """Samples `[n]` as a WAV file of floats; the same samples give the same bytes.

    libsndfile would write the time of writing as well.
    """
    data = np.ascontiguousarray(samples, "<f4").tobytes()
    form = struct.pack("<IHHIIHH", 16, 3, 1, rate, 4 * rate, 4, 32)
    head = b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + form + b"data" + struct.pack("<I", len(data))
    return head + data


def as_mp3(samples: Samples, rate: int, kilobits: float) -> bytes:
    """Samples `[n]` in -1..1 as an MP3 of so many kbit/s, at the next sample rate that MP3 has.

    >>> sniff(as_mp3(np.zeros(4000, np.float32), 16000, 64))
    'MP3'
    """
    import soundfile

    wanted = next((each for each in _MP3_RATES if each >= rate), _MP3_RATES[-1])
    low, high = next(bounds for least, bounds in _BITRATES.items() if wanted >= least)
    level = float(np.clip((high - kilobits) / (high - low), 0, 0.99))
    form = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT", "compression_level": level}
    content, clip = BytesIO(), np.clip(resample(samples, rate, wanted), -1, 1)
    soundfile.write(content, clip, wanted, **form)
    return content.getvalue()


def _open(file: str | BinaryIO) -> "soundfile.SoundFile":
    """A recording that is open for reading; what its beginning claims is within bounds."""
    import soundfile

    if isinstance(file, str):
        check_format(read_file(file, 64))
    with _as_damage():
        sound = soundfile.SoundFile(file)
        # Where it may, the library jumps after each read to where it is already, by which MP3 loses its thread.
        sound.seekable = lambda: False
        if not _RATES[0] <= sound.samplerate <= _RATES[1] or not 1 <= sound.channels <= _CHANNELS:
            sound.close()
            raise InputError(f"damaged: it claims {sound.channels} channels at {sound.samplerate} Hz")
        return sound


@contextmanager
def _as_damage() -> Iterator[None]:
    """What libsndfile finds wrong, as an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except (RuntimeError, ValueError, TypeError, OSError) as error:  # soundfile's own is a RuntimeError
        raise InputError(f"damaged: {_reason(error)}") from error


class _Kept:
    """A file that a thread keeps open for the next stretch of it: opening a long MP3 means to read all of it.

    What is read is the same in every bit wherever the file was before, since `Split.hashes` are of it.
    """

    def __init__(self, file: str) -> None:
        self._file, self._sound = file, _open(file)
        self._first, self._last = 0, np.zeros(0, np.float32)  # where the last stretch began, and its samples

    def read(self, start: float, seconds: float) -> tuple[Samples, int]:
        rate = int(self._sound.samplerate)
        first, frames = round(start * rate), math.ceil(seconds * rate)
        if first and first >= self._sound.frames:
            raise InputError(f"it ends after {self._sound.frames / rate:g} s, before this stretch begins")
        if self._sound.format == "MP3":
            samples = self._forward(first, frames)
        else:
            before = 0
            if self._sound.format == "OGG":  # where a jump ends depends on the place before, but for a file just opened
                self._sound.close()
                self._sound = _open(self._file)
                before = min(first, rate)  # blocks behind a jump need those before
            self._sound.seek(first - before)
            samples = _read(self._sound, frames + before)[before:]
        return checked(samples), rate

    def _forward(self, first: int, frames: int) -> Samples:
        """MP3 is never jumped in: its last bits depend on everything before."""
        if first < self._first:
            self._sound.close()
            self._sound, self._first, self._last = _open(self._file), 0, self._last[:0]
        place = self._first + len(self._last)
        while place < first and len(skipped := _read(self._sound, min(first - place, _BLOCK))):
            place += len(skipped)
        known = self._last[first - self._first :][:frames]
        behind = self._last[first - self._first :][frames:]
        if len(behind):
            return known
        self._first, self._last = first, np.concatenate([known, _read(self._sound, frames - len(known))])
        return self._last


def _stretch(file: str, start: float, seconds: float) -> tuple[Samples, int]:
    try:
        about = os.stat(file)  # noqa: PTH116 (for every item: `Path` takes longer)
        key = (file, about.st_mtime_ns, about.st_size)
    except (OSError, ValueError):
        key = (file, 0, 0)  # and `_open` says why
    if getattr(_kept, "key", None) != key:
        _kept.key, _kept.file = None, None
        _kept.file = _Kept(file)
        _kept.key = key
    try:
        with _as_damage():
            found: tuple[Samples, int] = _kept.file.read(start, seconds)
            return found
    except InputError:
        _kept.key = None
        raise


def _size(file: str) -> int:
    """Bytes of a file; 0 where it cannot be had, as `read_file` then says."""
    try:
        return os.stat(file).st_size  # noqa: PTH116 (for every item: `Path` takes longer)
    except (OSError, ValueError):
        return 0


def _read(sound: "soundfile.SoundFile", frames: int) -> Samples:
    """Mono samples from where the file is; as many as there are, whatever it claims."""
    blocks: list[Samples] = []
    while frames > 0:
        block = sound.read(min(frames, max(1, _BLOCK // sound.channels)), "float32", always_2d=True)
        if not len(block):
            break
        blocks.append(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32))
        frames -= len(block)
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def checked(samples: Samples) -> Samples:
    """The samples, if there are any and all are numbers; else an `InputError`."""
    if not len(samples):
        raise InputError("it holds no sound")
    if not np.isfinite(samples).all():
        raise InputError("damaged: some of its samples are no numbers")
    return samples


def _reason(error: Exception) -> str:
    words = in_one_line(error, 200)
    if "does not exist" in words or "unimplemented" in words:  # what libsndfile says of a beginning that makes no sense
        return "its beginning makes no sense"
    return words.rpartition(">: ")[2] if ">: " in words else words.rpartition(": ")[2]
