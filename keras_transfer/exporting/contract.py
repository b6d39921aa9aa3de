"""What every file's proof says alike: how pixels must be made for it, and what made it."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from keras_transfer.geometry import Geometry

_VERSIONS = ("tensorflow", "keras", "ai-edge-litert", "numpy", "keras-transfer")
_COLOURS = {1: "gray: (19595 R + 38470 G + 7471 B + 32768) / 65536, of the resized picture, rounded down", 3: "RGB"}


def describe_pixels(channels: int, geometry: Geometry) -> dict[str, Any]:
    """What a file's proof says of the pixels it takes.

    Args:
        channels: 3, or 1: see `keras_transfer.modalities.image.decode.luma`.
        geometry: how pictures are fitted to it.
    """
    return {
        "colour_order": _COLOURS[channels],
        "value_range": "raw bytes, 0..255",
        "resize": geometry.describe(),
        "geometry": geometry.to_dict(),
    }


def versions(more: Sequence[str] = ()) -> dict[str, str]:
    """The packages that made a file, without importing them; `more` beside those that make all."""
    found = {}
    for name in (*_VERSIONS, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
