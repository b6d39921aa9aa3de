"""The Android app of `android_demo/` around an image model, ready for Android Studio."""

from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from keras_transfer.exporters.android_app import ASSETS, GOLDEN, describe_model, write_app
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.files import write_json, write_text
from keras_transfer.litert import read_flatbuffer
from keras_transfer.litert.labels import GEOMETRY_FILE
from keras_transfer.modalities.image.golden import golden_vectors
from keras_transfer.modalities.image.targets import geometry_of

_CASES = 8
_README = Template("""\
An Android app around $name: open this folder in Android Studio and run it. README.md explains more.

$assets/model.tflite
    the model: $size bytes, $input in, $output out, $accuracy of $items test images right
$assets/labels.txt
    its $classes class names, in the order of its outputs
$assets/geometry.json
    how pictures are fitted to it: $geometry
$golden/
    $cases of the test images: the picture as it is stored (.rgb), what must become of its pixels (.pixels), and
    what the model takes and answers (.input, .output, .scores). The unit tests of :core compare themselves with them:
    gradlew :core:test

All lies where android_demo/ of keras_transfer has it. To give another copy of the app this model, copy these three
there; to use it in an app of your own, copy the three assets and :core, whose preprocessing is that of the training.
""")


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the app, with the model, its labels, and golden vectors of some test images for the app's unit tests.

    Args:
        kit: what the exporter knows of the file.
        folder: the place to write to; what is in it of an earlier export is replaced.

    Returns:
        The files.

    Raises:
        InputError: this installation came without `android_demo`, or a test image cannot be read any more.
    """
    geometry = geometry_of(kit)
    files = write_app(kit, folder)
    files.append(write_json(folder / ASSETS / GEOMETRY_FILE, geometry.to_dict()))
    info = read_flatbuffer(kit.content)
    _, height, width, _ = info.tensors[info.inputs[0]].shape
    pictures = _pictures(kit, (height, width, 3))
    index = golden_vectors(folder / GOLDEN, kit.content, pictures, count=len(pictures), geometry=geometry)
    files += sorted(index.parent.iterdir())
    text = _README.substitute(describe_model(kit), geometry=geometry.describe(), cases=len(pictures))
    return [*files, write_text(folder / "README.txt", text)]


def _pictures(kit: Kit, shape: tuple[int, int, int]) -> list[Path] | list[NDArray[np.uint8]]:
    """Pictures from all over the split: files where it has some, else pixels of the model's size; in colours."""
    paths = getattr(kit.split, "paths", None)
    if not paths:
        return list(next(iter(kit.split.batches(shape, min(_CASES, len(kit.split)))))[0])
    chosen = np.linspace(0, len(paths) - 1, min(_CASES, len(paths))).round().astype(int)
    return [paths[i] for i in chosen]
