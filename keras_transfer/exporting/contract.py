"""What every file's proof says alike: how pixels must be made for it, and what made it."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from keras_transfer.data.decode import CROP

_VERSIONS = ("tensorflow", "keras", "ai-edge-litert", "numpy", "keras-transfer")
RESIZE = f"the centred window of the input's shape, {CROP:.1%} of the largest, antialiased bilinear as in Pillow"
_COLOURS = {1: "gray: (19595 R + 38470 G + 7471 B + 32768) / 65536, of the resized picture, rounded down", 3: "RGB"}


def describe_pixels(channels: int) -> dict[str, str]:
    """What a file's proof says of the pixels it takes.

    Args:
        channels: 3, or 1: see `keras_transfer.data.decode.luma`.
    """
    return {"colour_order": _COLOURS[channels], "value_range": "raw bytes, 0..255", "resize": RESIZE}


def versions(more: Sequence[str] = ()) -> dict[str, str]:
    """The packages that made a file, without importing them; `more` beside those that make all."""
    found = {}
    for name in (*_VERSIONS, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
