"""How large a picture may be, checked before a decoder believes its header."""

from keras_transfer.errors import InputError

MAX_PIXELS = 100_000_000
"""A picture whose header promises more pixels than this is refused before anything is allocated for it."""


def check_pixels(width: int, height: int) -> None:
    """Raises `InputError` unless a picture has pixels, and not over `MAX_PIXELS`."""
    if width < 1 or height < 1:
        raise InputError("a picture without pixels")
    if width * height > MAX_PIXELS:
        raise InputError(f"{width} x {height} pixels is over the limit of {MAX_PIXELS // 1_000_000} megapixels")
