"""Photographs made worse: noise, blur, compression and light, at five strengths each."""

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from keras_transfer.inputs import Array
from keras_transfer.modalities.image.decode import luma
from keras_transfer.modalities.rows import find_strength

_SIDE = 224  # the side for which the strengths of blur were chosen


class Corruption(NamedTuple):
    """A row of the table: what a reader calls it, its five strengths, and how `uint8 [H, W, 3]` pixels take it."""

    words: str
    strengths: tuple[float, ...]
    apply: Callable[[Array, float, np.random.Generator], Array]


def _noise(pixels: Array, strength: float, random: np.random.Generator) -> Array:
    return pixels + 255 * strength * random.standard_normal(pixels.shape, np.float32)


def _blur(pixels: Array, strength: float, random: np.random.Generator) -> Array:
    from scipy.ndimage import gaussian_filter

    deviation = strength * min(pixels.shape[:2]) / _SIDE
    blurred: Array = gaussian_filter(pixels.astype(np.float32), (deviation, deviation, 0), mode="nearest")
    return blurred


def _jpeg(pixels: Array, strength: float, random: np.random.Generator) -> Array:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=int(strength))
    return np.asarray(Image.open(content))


def _light(pixels: Array, strength: float, random: np.random.Generator) -> Array:
    """Adds to the value of hue, saturation and value, which are else kept; what was black becomes gray."""
    value = pixels.max(axis=-1, keepdims=True).astype(np.float32)
    wanted = np.clip(value + 255 * strength, 0, 255)
    return np.asarray(np.where(value > 0, pixels * (wanted / np.maximum(value, 1)), wanted))


CORRUPTIONS: dict[str, Corruption] = {
    "noise": Corruption("Gaussian noise", (0.08, 0.12, 0.18, 0.26, 0.38), _noise),
    "blur": Corruption("Gaussian blur", (1, 2, 3, 4, 6), _blur),
    "jpeg": Corruption("JPEG compression", (25, 18, 15, 10, 7), _jpeg),
    "brightness": Corruption("more light", (0.1, 0.2, 0.3, 0.4, 0.5), _light),
    "darkness": Corruption("less light", (-0.1, -0.2, -0.3, -0.4, -0.5), _light),
}
"""Strengths are those of Hendrycks & Dietterich (2019, https://arxiv.org/abs/1903.12261) on ImageNet: deviation of the
noise and change of the value as shares of the full range, the blur's deviation in pixels of 224, JPEG quality.
Darkness is negative brightness, which they do not have."""


def corrupt(pixels: Array, name: str, strength: int, seed: int = 0) -> Array:
    """Makes photographs worse.

    Args:
        pixels: `uint8 [n, H, W, channels]`, of 3 channels or one.
        name: one of `CORRUPTIONS`.
        strength: 1 to 5.
        seed: of the noise; a photograph's depends on its place among `pixels` too.

    Returns:
        The same, worse.

    Raises:
        InputError: there is no such corruption, or `strength` is none of the five.

    >>> corrupt(np.full((1, 8, 8, 3), 100, np.uint8), "darkness", 1)[0, 0, 0].tolist()
    [74, 74, 74]
    """
    row, value = find_strength(name, strength, CORRUPTIONS, "photographs")
    if pixels.shape[-1] == 1:
        return luma(corrupt(np.repeat(pixels, 3, axis=-1), name, strength, seed))
    random = np.random.default_rng(seed)
    worse = [row.apply(picture, value, random) for picture in pixels]
    return np.stack([np.clip(np.rint(picture), 0, 255).astype(np.uint8) for picture in worse])
