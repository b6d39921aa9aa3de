"""The page of `web_demo/` around an image model, ready for any file server."""

from pathlib import Path

import numpy as np

from keras_transfer.exporters.targets.base import Kit
from keras_transfer.exporters.web_page import write_page
from keras_transfer.inputs import Json
from keras_transfer.litert import read_flatbuffer
from keras_transfer.litert.labels import read_normalization
from keras_transfer.modalities.image.targets import geometry_of

PAGE = {name: name for name in ("index.html", "app.js", "decode.js", "preprocess.js")}
"""Its own files."""


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the page; see `keras_transfer.exporters.web_page.write_page`."""
    return write_page(kit, folder, PAGE, describe(kit))


def describe(kit: Kit) -> dict[str, Json]:
    """What the page must know of an image model: its sizes, and how bytes become numbers."""
    info = read_flatbuffer(kit.content)
    image = info.tensors[info.inputs[0]]
    mean, std = read_normalization(info) or (np.zeros(1, np.float32), np.ones(1, np.float32))
    input_: dict[str, Json] = {"channels": int(image.shape[3]), "mean": mean.tolist(), "std": std.tolist()}
    return {
        "image_size": [int(side) for side in image.shape[1:3]],
        "geometry": geometry_of(kit).to_dict(),
        "input": {"dtype": image.dtype, "shape": list(image.shape), **input_},
    }
