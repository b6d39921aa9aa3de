"""Sound as it is recorded: windows of the raw samples that come through a pipe."""

from collections.abc import Iterator
from io import BufferedReader

import numpy as np

from keras_transfer.modalities.audio.items import as_wav, sniff
from keras_transfer.modalities.audio.preparer import AudioPreparer

HOP = 0.5
"""Seconds from one window to the next, where nobody says another."""
_BYTES = 2  # of a sample


def raw_windows(
    source: BufferedReader, preparer: AudioPreparer, hop: float | None = None
) -> Iterator[tuple[float, float, bytes]] | None:
    """Windows of raw sound, as soon as all of one is there.

    What is left at the end is one if it is half as long, or if it is all there was.

    Args:
        source: 16-bit samples, little end first, mono, at the preparer's rate.
        preparer: says how long a window is.
        hop: seconds from one to the next, the window at the most.

    Returns:
        Start and end in seconds, and a WAV file; None where the bytes are a recording's file or a list of paths.
    """
    first = source.peek(64)[:64]
    if not first or sniff(first) or _is_text(first):
        return None
    return _windows(source, preparer, min(hop or HOP, preparer.seconds))


def _windows(source: BufferedReader, preparer: AudioPreparer, hop: float) -> Iterator[tuple[float, float, bytes]]:
    rate, length = preparer.sample_rate, preparer.samples * _BYTES
    step, place, held, done = max(1, round(hop * rate)) * _BYTES, 0, b"", 0
    while more := source.read1(step):
        held += more
        while len(held) >= length:
            done = place + preparer.samples
            yield place / rate, done / rate, _wav(held[:length], rate)
            held, place = held[step:], place + step // _BYTES
    end = place + len(held) // _BYTES
    if end > done and (not done or len(held) >= length / 2):  # of less than a window all is heard
        yield place / rate, end / rate, _wav(held[: len(held) // _BYTES * _BYTES], rate)


def _wav(raw: bytes, rate: int) -> bytes:
    return as_wav(np.frombuffer(raw, "<i2").astype(np.float32) / np.float32(32768), rate)


def _is_text(content: bytes) -> bool:
    """Whether bytes begin as a list of paths does: a line of printable letters."""
    line = content.replace(b"\0", b"\n").partition(b"\n")[0].strip(b"\r")
    text = line.decode("utf-8", "ignore")  # the last letter may be cut in two
    return len(line) > 0 and text.isprintable() and len(text.encode()) >= len(line) - 3
