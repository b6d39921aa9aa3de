"""What a Coral device's owner needs beside an image model; see `exporters.edgetpu_folder`."""

import json
from pathlib import Path

from keras_transfer import geometry
from keras_transfer.exporters.edgetpu_folder import Script, write_folder
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.litert.labels import GEOMETRY_FILE
from keras_transfer.modalities.image.targets import geometry_of

_IMPORTS = """\
from pathlib import Path

import numpy as np
from geometry import Geometry  # the file beside this one
from PIL import Image, ImageOps
"""
_PREPARE = """\
# The picture is fitted to the model as in training. A large JPEG is reduced while it is decoded.
geometry = Geometry.of(json.loads(Path(__file__).with_name("geometry.json").read_text("utf-8")))
_, height, width, channels = (int(side) for side in input_["shape"])
picture = Image.open(item)
least = geometry.least_side(width, height)
picture.draft(None, (least, least))
picture = geometry.fit(ImageOps.exif_transpose(picture).convert("RGB"), width, height)
if channels == 1:
    picture = picture.convert("L")
values = np.asarray(picture).reshape(1, height, width, channels)
if input_["dtype"] == np.int8:
    values = (values ^ 128).view(np.int8)  # the byte less 128"""
_SCRIPT = Script("a photograph", "PHOTO.jpg", "pillow numpy", _IMPORTS, _PREPARE)


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the folder, with the geometry by which the script fits photographs; see `write_folder`."""
    own = {
        GEOMETRY_FILE: json.dumps(geometry_of(kit).to_dict(), indent=2).encode(),
        "geometry.py": Path(geometry.__file__).read_bytes(),
    }
    return write_folder(kit, folder, _SCRIPT, own)
