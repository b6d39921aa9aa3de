"""The Android app of `android_demo/` around a model of sounds: it listens, and shows scores over time."""

from pathlib import Path

from keras_transfer.exporters.android_app import ASSETS, GOLDEN, write_app, write_readme
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.files import write_json
from keras_transfer.modalities.audio.golden import golden_vectors
from keras_transfer.modalities.audio.targets import FRONT_END_FILE, opened, test_clips

_CASES = 8
_OWN = f"""{FRONT_END_FILE}
    how sound becomes a log-mel spectrogram; by it the app knows that it is to listen"""
_GOLDEN = "{} of the test clips (.samples), and the spectrograms that they must become (.log_mel)."


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the app, with the model, its labels and front end, and golden vectors of test clips; see `write_app`."""
    _, front_end = opened(kit.inputs)
    files = write_app(kit, folder)
    files.append(write_json(folder / ASSETS / FRONT_END_FILE, front_end.to_dict()))
    clips = test_clips(kit, _CASES)
    index = golden_vectors(folder / GOLDEN, front_end, clips)
    files += sorted(index.parent.iterdir())
    return [*files, write_readme(kit, folder, "sounds", _OWN, _GOLDEN.format(len(clips)))]
