"""The page of `web_demo/` around an image model, ready for any file server."""

from pathlib import Path

import numpy as np

from keras_transfer.exporters.targets.base import Kit
from keras_transfer.exporters.web_page import Page, write_page
from keras_transfer.inputs import Json
from keras_transfer.litert import read_flatbuffer
from keras_transfer.litert.labels import read_normalization
from keras_transfer.modalities.image.targets import geometry_of

PAGE = Page("picture", "What is in the picture?", ("decode.js", "preprocess.js"), "seen")


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the page, which must know the picture's size and geometry, and how bytes become numbers."""
    info = read_flatbuffer(kit.content)
    _, height, width, channels = info.tensors[info.inputs[0]].shape
    mean, std = read_normalization(info) or (np.zeros(1, np.float32), np.ones(1, np.float32))
    about: dict[str, Json] = {"image_size": [height, width], "geometry": geometry_of(kit).to_dict()}
    takes: dict[str, Json] = {"channels": channels, "mean": mean.tolist(), "std": std.tolist()}
    return write_page(kit, folder, PAGE, about, takes)
