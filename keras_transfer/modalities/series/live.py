"""Series as they are measured: windows of lines of numbers that come through a pipe, as from a serial port."""

from collections.abc import Iterator, Sequence
from io import BufferedReader

import numpy as np

from keras_transfer.modalities.series.items import Series, is_number, pack, separator, split_line, to_number
from keras_transfer.modalities.series.preparer import SeriesPreparer

_LINE = 4096  # bytes


def usual_hop(length: int) -> int:
    """Samples from one window to the next, where nobody says another: a quarter of a window.

    >>> usual_hop(100), usual_hop(2)
    (25, 1)
    """
    return max(1, length // 4)


def line_windows(
    source: BufferedReader, preparer: SeriesPreparer, hop: float | None = None
) -> Iterator[tuple[float, float, bytes]] | None:
    """Windows of samples that come as lines, as soon as all of one is there.

    Lines that are no samples, such as a device's greeting, are passed over. What is left at the end is a window if it
    is half as long, or if it is all there was.

    Args:
        source: lines of numbers, one for each channel in order; or below a heading that names the channels.
        preparer: says how long a window is, and at what rate samples come.
        hop: seconds from one to the next (samples where no rate is known), the window at the most.

    Returns:
        Start and end in seconds, and a packed series; None where the lines are something else, such as paths.
    """
    line = source.peek(_LINE)[:_LINE].partition(b"\n")[0].decode("utf-8", "replace")
    first = split_line(line, mark := separator(line))
    if set(preparer.channels) <= set(first):
        places = [first.index(name) for name in preparer.channels]
    elif len(first) == len(preparer.channels) and all(map(is_number, first)):
        places = list(range(len(first)))
    else:
        return None
    rate = preparer.rate or 1.0
    step = max(1, min(preparer.length, round(hop * rate) if hop else usual_hop(preparer.length)))
    return _windows(source, preparer, places, mark, step)


def _windows(
    source: BufferedReader, preparer: SeriesPreparer, places: Sequence[int], mark: str | None, step: int
) -> Iterator[tuple[float, float, bytes]]:
    held: list[list[float]] = []
    rate, start, done = preparer.rate or 1.0, 0, 0

    def window(rows: list[list[float]]) -> tuple[float, float, bytes]:
        series = Series(np.array(rows, np.float32), preparer.channels, preparer.rate)
        return start / rate, (start + len(rows)) / rate, pack(series)

    while line := source.readline(_LINE):
        cells = split_line(line.decode("utf-8", "replace"), mark)
        try:
            held.append([to_number(cells[place]) for place in places])
        except (ValueError, IndexError):  # a heading, a greeting, half a line
            continue
        if len(held) == preparer.length:
            done = start + len(held)
            yield window(held)
            del held[:step]
            start += step
    if held and start + len(held) > done and (not done or 2 * len(held) >= preparer.length):
        yield window(held)
