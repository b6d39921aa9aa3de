"""The small pretrained backbone inside this package: MobileNetV2 of width 0.35, made by `pretraining/`."""

from functools import cache
from pathlib import Path

import numpy as np

from keras_transfer.errors import InputError

BACKBONE, ALPHA, IMAGE_SIZE, MIN_SIZE = "mobilenet_v2", 0.35, 96, 64
FILE = Path(__file__).with_name("mobilenet_v2_0.35.npz")
ADVICE = (
    "The backbone bundled with this package is in use: small, and trained on few photographs. For photographs ImageNet "
    "weights are better: --weights imagenet."
)


def choose(
    backbone: str, alpha: float | None, image_size: int | tuple[int, int] | None
) -> tuple[float, int | tuple[int, int]]:
    """Alpha and image size of a network on the bundled weights.

    Args:
        backbone: must be `"mobilenet_v2"`.
        alpha: 0.35, or None for it.
        image_size: side in pixels or `(height, width)`, 64 or more; 96 unless given.

    Raises:
        InputError: the bundled weights do not fit.

    >>> choose("mobilenet_v2", None, None)
    (0.35, 96)
    """
    if backbone != BACKBONE or alpha not in (None, ALPHA):
        raise InputError(
            f"The bundled weights are those of {BACKBONE} with alpha {ALPHA}. Received: backbone={backbone!r}, "
            f"alpha={alpha}. Take weights 'imagenet' for others."
        )
    size = IMAGE_SIZE if image_size is None else image_size
    if min((size,) if isinstance(size, int) else size) < MIN_SIZE:
        raise InputError(f"The bundled weights take pictures of {MIN_SIZE} pixels or more. Received: {image_size}.")
    return ALPHA, size


def width(weights: str, alpha: float | None) -> float | None:
    """The width of the bundled network, where its weights are asked for, and else `alpha`.

    >>> width("bundled", None), width("imagenet", 1.0)
    (0.35, 1.0)
    """
    return ALPHA if weights == "bundled" else alpha


@cache
def arrays() -> tuple[np.ndarray, ...]:
    """The weights `float32`, in the order of Keras's own MobileNetV2; kept as float16, which restores exactly.

    >>> sum(array.size for array in arrays())
    410208
    """
    with np.load(FILE, allow_pickle=False) as stored:
        return tuple(stored[name].astype(np.float32) for name in sorted(stored.files))


def pack(weights: list[np.ndarray], path: Path) -> None:
    """Writes such a file from float32 weights."""
    from keras_transfer.files import replacing

    numbered = {f"{i:03d}": array.astype(np.float16) for i, array in enumerate(weights)}
    if not all(np.isfinite(array).all() for array in numbered.values()):
        raise InputError("Some weights are beyond what float16 holds (65504).")
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **numbered)  # type: ignore[arg-type]
