"""The Android app of `android_demo/` around a model of series: it reads the motion sensor, and shows scores."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from keras_transfer.exporters.android_app import ASSETS, GOLDEN, write_app, write_readme
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.exporters.targets.microcontroller.sources import test_items
from keras_transfer.files import write_json
from keras_transfer.inputs import Json
from keras_transfer.litert import read_flatbuffer
from keras_transfer.modalities.series.golden import golden_vectors
from keras_transfer.modalities.series.live import usual_hop
from keras_transfer.modalities.series.preparer import NORMALIZED, SERIES, open_preparer
from keras_transfer.progress import say

SENSOR_FILE = "sensor.json"
_CASES = 8
_OWN = f"""{SENSOR_FILE}
    how often the sensor is read, and what its m/s^2 and radians a second are multiplied by: change that for a model of
    other units; by this file the app knows that it is to read the sensor"""
_GOLDEN = "{} of the test series (.samples), and what the model takes of them (.input)."


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the app, with the model, its labels and what the sensor is to give, and golden vectors of test series.

    The app reads motion alone: of a model with neither 3 channels nor 6 nothing is written, and a note says so. See
    `write_app` for the rest.
    """
    length, width = kit.inputs.tensor.shape
    if width not in (3, 6) or length is None:
        say(f"Note: {kit.name} has no app: it reads 3 channels of motion or 6, the model has {width}.")
        return []
    preparer = open_preparer(kit.inputs.preparation)
    normalization = preparer.normalization if kit.inputs.tensor.name == NORMALIZED else ()
    if normalization == "window":
        say(f"Note: {kit.name} has no app: it takes series that are each normalized by themselves.")
        return []
    means, deviations = np.array(normalization, np.float32).reshape(-1, 2).T.tolist()
    settings: dict[str, Json] = {
        "rate": preparer.rate,
        "hop": usual_hop(length),
        "acceleration": 1,
        "rotation": 1,
        "means": means,
        "deviations": deviations,
    }
    files = write_app(kit, folder)
    files.append(write_json(folder / ASSETS / SENSOR_FILE, settings))
    info = read_flatbuffer(kit.content)
    series = test_items(kit.split, [replace(kit.inputs.tensor, name=SERIES)], _CASES)
    index = golden_vectors(folder / GOLDEN, info.tensors[info.inputs[0]], series, normalization)
    files += sorted(index.parent.iterdir())
    return [*files, write_readme(kit, folder, "series", _OWN, _GOLDEN.format(len(series)))]
