"""What every file's proof says alike: how pixels must be made for it, and what made it."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from keras_transfer.geometry import Geometry
from keras_transfer.inputs import InputSpec

_VERSIONS = ("tensorflow", "keras", "ai-edge-litert", "numpy", "keras-transfer")
_COLOURS = {1: "gray: (19595 R + 38470 G + 7471 B + 32768) / 65536, of the resized picture, rounded down", 3: "RGB"}


def describe_inputs(inputs: InputSpec) -> dict[str, Any]:
    """What a file's proof says of the values it takes.

    Args:
        inputs: of one tensor; of pictures with 3 channels, or 1: see `modalities.image.decode.luma`.
    """
    tensor = inputs.tensor
    if "geometry" in inputs.preparation:
        geometry = Geometry.of(inputs.preparation["geometry"])
        return {
            "colour_order": _COLOURS[tensor.shape[-1] or 3],
            "value_range": "raw bytes, 0..255",
            "resize": geometry.describe(),
            "geometry": geometry.to_dict(),
        }
    bounds = [bound for bound in (tensor.low, tensor.high) if bound is not None]
    return {
        "meaning": tensor.meaning,
        "value_range": "..".join(f"{bound:g}" for bound in bounds) if len(bounds) == 2 else "not bounded",
        "preparation": dict(inputs.preparation),
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
