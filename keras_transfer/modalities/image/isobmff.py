"""What AVIF and HEIC files hold, checked before a library decodes it: their coded data carry no checksum.

Formats: ISO/IEC 14496-12 (boxes), 23008-12 (HEIF); AV1 bitstream specification, 5.3 to 5.5; ITU-T H.265, 7.3.1.1.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from keras_transfer.errors import InputError

GAP = 256
"""So many zero bytes in a row are no arithmetic-coded data but a hole, as a failed copy leaves."""

_MOST = 100_000  # boxes, extents or units that are looked at: files may be made to hold millions

_SIZED, _SEQUENCE_HEADER = 2, 1  # of AV1's units: the bit that says a size follows; the type


class _Box(NamedTuple):
    kind: bytes
    start: int
    end: int


def coded_items(content: bytes, codec: bytes) -> Iterator[bytes]:
    """The coded data of a file's pictures, alpha planes and tiles, one after the other.

    Args:
        content: a whole file.
        codec: `b"av01"` or `b"hvc1"`.

    Returns:
        The data of each item of this codec; none where the file's tables cannot be read: decoding will fail on it.

    Raises:
        InputError: items share so much data that reading them takes many times the file.
    """
    try:
        meta = next(box for box in _boxes(content, 0, len(content)) if box.kind == b"meta")
        inner = {box.kind: box for box in _boxes(content, meta.start + 4, meta.end)}
        wanted = {item for item, kind in _item_kinds(content, inner[b"iinf"]) if kind == codec}
        idat = inner[b"idat"].start if b"idat" in inner else 0
        places = [extents for item, extents in _locations(content, inner[b"iloc"], idat) if item in wanted]
    except (struct.error, KeyError, IndexError, StopIteration):
        return
    if sum(length for extents in places for _, length in extents) > 4 * len(content):
        raise InputError("damaged: its items overlap")
    for extents in places:
        yield b"".join(content[at : at + length] for at, length in extents)


def _boxes(content: bytes, start: int, end: int) -> Iterator[_Box]:
    for _ in range(_MOST):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", content, start)
        head = 8
        if size == 1:
            (size,), head = struct.unpack_from(">Q", content, start + 8), 16
        stop = start + size if size else end
        if size and size < head:
            return
        yield _Box(kind, start + head, min(stop, end))
        start = stop


def _item_kinds(content: bytes, box: _Box) -> Iterator[tuple[int, bytes]]:
    first = box.start + (6 if content[box.start] == 0 else 8)
    for entry in _boxes(content, first, box.end):
        item = ">H2x4s" if content[entry.start] == 2 else ">I2x4s"
        yield struct.unpack_from(item, content, entry.start + 4)


def _locations(content: bytes, box: _Box, idat: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """The number of each item, and its extents (offset in the file, length)."""
    version = content[box.start]
    sizes = struct.unpack_from(">BB", content, box.start + 4)
    offset_size, length_size, base_size, index_size = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4, sizes[1] & 15
    position, left = box.start + 6, _MOST

    def number(size: int) -> int:
        nonlocal position
        position += size
        if position > box.end:
            raise struct.error
        return int.from_bytes(content[position - size : position], "big")

    wide = 2 if version < 2 else 4
    for _ in range(number(wide)):
        item, method = number(wide), number(2) & 15 if version else 0
        number(2)  # which file: this one
        base, extents = number(base_size) + (idat if method == 1 else 0), []
        count = number(2)
        left -= count
        if left < 0:
            raise struct.error
        for _ in range(count):
            number(index_size if version else 0)
            extents.append((base + number(offset_size), number(length_size)))
        if method < 2:
            yield item, extents


def check_hevc(data: bytes) -> None:
    """Raises `InputError` if coded HEVC cannot be sound: its units never hold three zero bytes in a row.

    >>> check_hevc(bytes([0, 0, 0, 3, 38, 1, 9]))
    """
    position = 0
    for _ in range(_MOST):
        if position + 4 > len(data):
            return
        end = position + 4 + int.from_bytes(data[position : position + 4], "big")
        if end > len(data):
            raise InputError("truncated")
        if data.find(b"\0\0\0", position + 4, end) >= 0:
            raise InputError("damaged HEIC: a stretch of zeros in its data")
        position = end
    raise InputError(f"damaged HEIC: over {_MOST} units")


def check_av1(data: bytes) -> list[tuple[int, int]]:
    """Looks at coded AV1 without decoding it.

    Returns:
        Width and height that its sequence headers promise, in pixels.

    Raises:
        InputError: it is cut off, or holds a hole.
    """
    if b"\0" * GAP in data:
        raise InputError("damaged AVIF: a stretch of zeros in its data")
    sizes: list[tuple[int, int]] = []
    position = 0
    for _ in range(_MOST):
        if position >= len(data):
            return sizes
        head, position = data[position], position + (2 if data[position] & 4 else 1)
        size, position = _leb128(data, position) if head & _SIZED else (len(data) - position, position)
        if position + size > len(data):
            raise InputError("truncated")
        if head >> 3 & 15 == _SEQUENCE_HEADER:
            sizes.append(_frame_size(data[position : position + size]))
        position += size
    raise InputError(f"damaged AVIF: over {_MOST} units")


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for i, byte in enumerate(data[position : position + 8]):
        value |= (byte & 127) << 7 * i
        if not byte & 128:
            return value, position + i + 1
    raise InputError("truncated")


class _Bits:
    """Reads bits from the front."""

    def __init__(self, data: bytes) -> None:
        self.value, self.left = int.from_bytes(data[:256], "big"), 8 * len(data[:256])

    def __call__(self, count: int) -> int:
        self.left -= count
        if self.left < 0:
            raise InputError("truncated")
        return self.value >> self.left & ((1 << count) - 1)


def _frame_size(header: bytes) -> tuple[int, int]:
    """The largest frame's width and height, from a sequence header."""
    bits = _Bits(header)
    bits(4)  # profile; still picture
    if bits(1):  # reduced
        bits(5)
    else:
        delay_bits = 0
        if bits(1):  # timing
            bits(64)
            if bits(1):
                zeros = 0
                while not bits(1):
                    zeros += 1
                bits(zeros)
            if bits(1):  # decoder model
                delay_bits = bits(5) + 1
                bits(42)
        display_delay = bits(1)
        for _ in range(bits(5) + 1):
            bits(12)
            if bits(5) > 7:
                bits(1)
            if delay_bits and bits(1):
                bits(2 * delay_bits + 1)
            if display_delay and bits(1):
                bits(4)
    width_bits, height_bits = bits(4) + 1, bits(4) + 1
    return bits(width_bits) + 1, bits(height_bits) + 1
