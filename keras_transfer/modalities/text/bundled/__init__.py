"""The small text encoder inside this package, made by `pretraining/text/`: a Hugging Face folder in eight bits."""

from functools import cache
from pathlib import Path

import numpy as np

from keras_transfer.inputs import Array

FOLDER = Path(__file__).parent
FILE = FOLDER / "model.npz"
_SCALE = "/scale"  # after the name of what it is the scale of


@cache
def arrays() -> dict[str, Array]:
    """The weights by Hugging Face's names, float32.

    >>> sum(array.size for array in arrays().values())
    4959424
    """
    with np.load(FILE, allow_pickle=False) as stored:
        return {
            name: stored[name] * stored[name + _SCALE].astype(np.float32)
            if name + _SCALE in stored
            else stored[name].astype(np.float32)
            for name in stored.files
            if not name.endswith(_SCALE)
        }


def pack(weights: dict[str, Array], path: Path) -> None:
    """Writes such a file: matrices in int8 with a float16 scale for each row, vectors in float16."""
    from keras_transfer.files import replacing

    packed: dict[str, Array] = {}
    for name, values in weights.items():
        if values.ndim == 1:
            packed[name] = values.astype(np.float16)
            continue
        scale = np.maximum(np.abs(values).max(1, keepdims=True) / 127, 1e-7).astype(np.float16)
        packed[name + _SCALE] = scale
        packed[name] = np.rint(values / scale.astype(np.float32)).clip(-127, 127).astype(np.int8)
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **packed)  # type: ignore[arg-type]
