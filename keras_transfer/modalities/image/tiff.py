"""The first page of a TIFF, checked before any library that decodes it allocates or believes anything.

Specification: TIFF 6.0 (Adobe, 1992); BigTIFF (https://libtiff.gitlab.io/libtiff/specification/bigtiff.html).
"""

import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import TiffImagePlugin

from keras_transfer.errors import InputError
from keras_transfer.modalities.image.limits import check_pixels

MAX_PARTS = 1_000_000
"""More strips or tiles than this are refused."""

_MOST_PAGES = 1000  # how far a chain of pages is followed
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000})
"""None, CCITT (three kinds), LZW, JPEG, Deflate, PackBits, old Deflate, LZMA, Zstandard."""
_SENSOR_DATA = frozenset({32803, 34892})  # photometric interpretations: a colour filter array, linear sensor values
_CODES = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}  # NumPy's, for the types that numbers are kept in
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_STRIPS, _ORIENTATION, _SAMPLES, _ROWS, _STRIP_SIZES, _PLANAR = 273, 274, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES, _FORMAT, _DNG_VERSION = 322, 323, 324, 325, 339, 50706
_KEPT = frozenset(
    (_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIPS, _SAMPLES, _ROWS, _STRIP_SIZES, _PLANAR, _TILE_WIDTH,
     _TILE_HEIGHT, _TILES, _TILE_SIZES, _FORMAT, 266, 292, 293, 317, 320, 332, 338, 347, 529, 530, 531, 532)
)  # fmt: skip
"""Tags that the pixels depend on. Of any damaged value Pillow warns, and a thread cannot silence that."""
_SINGLE = frozenset(
    (_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _ROWS, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT, 266, 292, 293,
     317, 332, 531)
)  # fmt: skip


class _Form(NamedTuple):
    """How a kind of TIFF writes its directories: where the first offset is, and `struct` codes."""

    start: int
    offset: str
    length: str
    entry: str


_CLASSIC, _BIG = _Form(4, "I", "H", "HHI4s"), _Form(8, "Q", "Q", "HHQ8s")


class Page(NamedTuple):
    """The first page: `content` is a TIFF of this page alone, to be turned as EXIF's `orientation` 1 to 8 says."""

    content: bytes
    orientation: int
    white_is_zero: bool
    pages: int


class TiffImage(TiffImagePlugin.TiffImageFile):
    """Pillow's plugin on the checked first page; `info` says how to turn it, and whether 0 is white."""

    def _open(self) -> None:
        assert self.fp is not None
        self._page = first_page(self.fp.read())
        self.fp = io.BytesIO(self._page.content)
        try:
            super()._open()
        except SyntaxError as error:  # the header is sound: it is the kind of pixels
            raise InputError("a TIFF of a kind that is not read: save it as RGB or gray of 8 or 16 bits") from error
        self.info["white_is_zero"] = self._page.white_is_zero

    def load_end(self) -> None:
        super().load_end()  # which turns the picture itself, if it knows how
        turn = (_ORIENTATION, 3, 1, self._page.orientation)
        self.info["exif"] = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, *turn, 0, 0)


def page_count(content: bytes) -> int:
    """How many pages a TIFF has, counted up to 1000; reduced copies of a page do not count.

    >>> page_count(b"no TIFF")
    1
    """
    try:
        return first_page(content).pages
    except InputError:
        return 1


def first_page(content: bytes) -> Page:
    """Checks the first page of a TIFF and takes it out.

    Args:
        content: a whole file.

    Returns:
        The page.

    Raises:
        InputError: the file is truncated, damaged, over 100 megapixels, a camera's raw file, or of samples other than
            unsigned integers of 1 to 16 bits.
    """
    order = {b"II": "<", b"MM": ">"}.get(content[:2])
    if order is None:
        raise InputError("damaged TIFF: it has no byte order")
    try:
        form = _BIG if struct.unpack_from(order + "H", content, 2)[0] == 43 else _CLASSIC
        (start,) = struct.unpack_from(order + form.offset, content, form.start)
        directory = _Directory(content, order, form, start)
        _check(directory)
        later = [page for page in _later(directory, start) if not page.number(_SUBFILE, 0) & 1]
    except struct.error as error:
        raise InputError("truncated") from error
    inverted = directory.number(_PHOTOMETRIC, 0) == 0 and directory.number(_BITS, 1) == 16  # Pillow inverts the others
    return Page(_alone(directory, inverted), directory.number(_ORIENTATION, 1), inverted, 1 + len(later))


class _Directory:
    """A directory of a TIFF: its entries, each as it is in the file, and the offset of the next directory."""

    def __init__(self, content: bytes, order: str, form: _Form, start: int) -> None:
        self.content, self.order, self.form = content, order, form
        (count,) = struct.unpack_from(order + form.length, content, start)
        first, size = start + struct.calcsize(order + form.length), struct.calcsize(order + form.entry)
        (self.next,) = struct.unpack_from(order + form.offset, content, first + count * size)  # fails if it is cut off
        self.entries: dict[int, bytes] = {}
        for at in range(first, first + min(count, 0xFFFF) * size, size):
            (tag,) = struct.unpack_from(order + "H", content, at)
            self.entries.setdefault(tag, content[at : at + size])

    def numbers(self, tag: int, default: int) -> np.ndarray:
        """The values of a tag that holds unsigned integers."""
        if tag not in self.entries:
            return np.array([default])
        kind, count, value = self.value(tag)
        if kind not in _CODES:
            raise InputError(f"damaged TIFF: tag {tag} is no number")
        if count > MAX_PARTS:
            raise InputError(f"a TIFF of {count} strips or tiles, over the limit of {MAX_PARTS}")
        return np.frombuffer(value, self.order + _CODES[kind], count)

    def value(self, tag: int) -> tuple[int, int, memoryview]:
        """Type, count and bytes of a tag that the directory has."""
        _, kind, count, value = struct.unpack(self.order + self.form.entry, self.entries[tag])
        if kind not in _SIZES or (tag in _SINGLE and count != 1):
            raise InputError(f"damaged TIFF: tag {tag} has {count} values of type {kind}")
        size = count * _SIZES[kind]
        if size <= len(value):
            return kind, count, memoryview(value)[:size]
        (at,) = struct.unpack(self.order + self.form.offset, value)
        if at + size > len(self.content):
            raise InputError("truncated")
        return kind, count, memoryview(self.content)[at : at + size]

    def number(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        values = self.numbers(tag, default)
        return int(values[0]) if len(values) else default


def _check(page: _Directory) -> None:
    number = page.number
    if _DNG_VERSION in page.entries or number(_PHOTOMETRIC, 0) in _SENSOR_DATA or number(_SUBFILE, 0) & 1:
        raise InputError("a camera's raw file: export it as JPEG")
    check_pixels(number(_WIDTH, 0), number(_HEIGHT, 0))
    for tag in _KEPT & page.entries.keys():
        page.value(tag)
    bits, kinds = set(page.numbers(_BITS, 1).tolist()), set(page.numbers(_FORMAT, 1).tolist())
    if len(bits) != 1 or not bits <= {1, 2, 4, 8, 16} or kinds != {1}:
        kind = "floating-point" if kinds == {3} else "signed" if kinds == {2} else "unusual"
        raise InputError(f"a TIFF of {kind} samples ({max(bits, default=0)} bits): save it with 8 or 16 bits, unsigned")
    if (method := number(_COMPRESSION, 1)) not in _COMPRESSIONS:
        raise InputError(f"a TIFF compressed by method {method}, which is not read: save it with LZW or Deflate")
    _check_parts(page)


def _check_parts(page: _Directory) -> None:
    """Raises unless strips or tiles are as many as the picture needs and all within the file."""
    number = page.number
    width, height = number(_WIDTH, 0), number(_HEIGHT, 0)
    if tiled := _TILES in page.entries:
        check_pixels(number(_TILE_WIDTH, 0), number(_TILE_HEIGHT, 0))
        needed = -(-width // number(_TILE_WIDTH, 0)) * -(-height // number(_TILE_HEIGHT, 0))
    else:
        needed = -(-height // max(1, min(number(_ROWS, height), height)))
    if number(_PLANAR, 1) == 2:
        needed *= number(_SAMPLES, 1)
    offsets = page.numbers(_TILES if tiled else _STRIPS, 0).astype(np.float64)
    sizes = page.numbers(_TILE_SIZES if tiled else _STRIP_SIZES, 0).astype(np.float64)
    if len(offsets) != needed or len(sizes) not in (1, needed):
        raise InputError(f"damaged TIFF: {len(offsets)} strips or tiles where {needed} are needed")
    if (offsets + sizes).max() > len(page.content):
        raise InputError("truncated")


def _later(page: _Directory, start: int) -> Iterator[_Directory]:
    """The directories after the first, as far as they can be read."""
    seen = {start}
    while page.next and page.next not in seen and len(seen) < _MOST_PAGES:
        seen.add(page.next)
        try:
            page = _Directory(page.content, page.order, page.form, page.next)
            page.number(_SUBFILE, 0)
        except (struct.error, InputError):
            return
        yield page


def _alone(page: _Directory, inverted: bool) -> bytes:
    """A TIFF with one directory, the tags that matter, at its end."""
    content, order, form = page.content, page.order, page.form
    entries = {tag: entry for tag, entry in sorted(page.entries.items()) if tag in _KEPT}
    if inverted:
        value = struct.pack(order + "H", 1).ljust(struct.calcsize(order + form.offset), b"\0")
        entries[_PHOTOMETRIC] = struct.pack(order + form.entry, _PHOTOMETRIC, 3, 1, value)
    pad = b"\0" * (len(content) % 2)
    head = content[: form.start] + struct.pack(order + form.offset, len(content) + len(pad))
    count, end = struct.pack(order + form.length, len(entries)), struct.pack(order + form.offset, 0)
    return b"".join((head, memoryview(content)[len(head) :], pad, count, *entries.values(), end))
