"""The Android app of `android_demo/` around an image model, ready for Android Studio."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_transfer.exporters.android_app import ASSETS, GOLDEN, write_app, write_readme
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.files import write_json
from keras_transfer.litert import read_flatbuffer
from keras_transfer.litert.labels import GEOMETRY_FILE
from keras_transfer.modalities.image.golden import golden_vectors
from keras_transfer.modalities.image.targets import geometry_of

_CASES = 8
_GOLDEN = """{} of the test pictures: each as it is stored (.rgb), what must become of its pixels (.pixels), and what
    the model takes and answers (.input, .output, .scores)."""


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the app, with the model, its labels, and golden vectors of some test images for the app's unit tests.

    See `write_app`; an `InputError` also says where a test image cannot be read any more.
    """
    geometry = geometry_of(kit)
    files = write_app(kit, folder)
    files.append(write_json(folder / ASSETS / GEOMETRY_FILE, geometry.to_dict()))
    info = read_flatbuffer(kit.content)
    _, height, width, _ = info.tensors[info.inputs[0]].shape
    pictures = _pictures(kit, (height, width, 3))
    index = golden_vectors(folder / GOLDEN, kit.content, pictures, count=len(pictures), geometry=geometry)
    files += sorted(index.parent.iterdir())
    own = f"{GEOMETRY_FILE}\n    how pictures are fitted to it: {geometry.describe()}"
    return [*files, write_readme(kit, folder, "pictures", own, _GOLDEN.format(len(pictures)))]


def _pictures(kit: Kit, shape: tuple[int, int, int]) -> list[Path] | list[NDArray[np.uint8]]:
    """Pictures from all over the split: files where it has some, else pixels of the model's size; in colours."""
    paths = getattr(kit.split, "paths", None)
    if not paths:
        return list(next(iter(kit.split.batches(shape, min(_CASES, len(kit.split)))))[0])
    chosen = np.linspace(0, len(paths) - 1, min(_CASES, len(paths))).round().astype(int)
    return [paths[i] for i in chosen]
