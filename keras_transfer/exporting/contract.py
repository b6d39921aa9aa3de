"""What every file's proof says alike: how pixels must be made for it, and what made it."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from keras_transfer.data.decode import CROP

_VERSIONS = ("tensorflow", "keras", "ai-edge-litert", "numpy", "keras-transfer")
RESIZE = f"the centred window of the input's shape, {CROP:.1%} of the largest, antialiased bilinear as in Pillow"
PIXELS = {"colour_order": "RGB", "value_range": "raw bytes, 0..255", "resize": RESIZE}


def versions(more: Sequence[str] = ()) -> dict[str, str]:
    """The packages that made a file, without importing them; `more` beside those that make all."""
    found = {}
    for name in (*_VERSIONS, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
