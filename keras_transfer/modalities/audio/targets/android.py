"""The Android app of `android_demo/` around a model of sounds: it listens, and shows scores over time."""

from pathlib import Path

import numpy as np

from keras_transfer.exporters.android_app import ASSETS, GOLDEN, write_app, write_readme
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.exporters.targets.microcontroller.sources import test_items
from keras_transfer.files import write_json
from keras_transfer.inputs import TensorSpec
from keras_transfer.modalities.audio.golden import as_samples, golden_vectors
from keras_transfer.modalities.audio.targets import FRONT_END_FILE, clip_samples, kit_front_end

_CASES = 8
_OWN = f"""{FRONT_END_FILE}
    how sound becomes a log-mel spectrogram; by it the app knows that it is to listen"""
_GOLDEN = "{} of the test clips (.samples), and the spectrograms that they must become (.log_mel)."


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the app, with the model, its labels and front end, and golden vectors of test clips; see `write_app`."""
    front_end = kit_front_end(kit.inputs)
    files = write_app(kit, folder)
    files.append(write_json(folder / ASSETS / FRONT_END_FILE, front_end.to_dict()))
    clips = as_samples(test_items(kit.split, (TensorSpec("waveform", (clip_samples(kit.inputs),)),)))
    chosen = clips[np.linspace(0, len(clips) - 1, min(_CASES, len(clips))).round().astype(int)]
    index = golden_vectors(folder / GOLDEN, front_end, chosen)
    files += sorted(index.parent.iterdir())
    return [*files, write_readme(kit, folder, "sounds", _OWN, _GOLDEN.format(len(chosen)))]
