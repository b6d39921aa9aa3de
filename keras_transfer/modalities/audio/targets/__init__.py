"""What is written for the owners of devices around a model of sounds: a module for each target, see `Modality.kits`."""

from keras_transfer.exporters.targets.base import Kit
from keras_transfer.exporters.targets.microcontroller.sources import test_items
from keras_transfer.inputs import Array, InputSpec, TensorSpec
from keras_transfer.modalities.audio.front_end import FrontEnd
from keras_transfer.modalities.audio.golden import as_samples
from keras_transfer.modalities.audio.preparer import WAVEFORM, AudioPreparer, open_preparer

FRONT_END_FILE = "front_end.json"


def opened(inputs: InputSpec) -> tuple[AudioPreparer, FrontEnd]:
    """The preparer of a model of sounds, and its front end, in front of the model or inside."""
    preparer = open_preparer(inputs.preparation)
    assert preparer.front_end is not None
    return preparer, preparer.front_end


def test_clips(kit: Kit, most: int | None = None) -> Array:
    """Some of the test split's clips, int16 `[n, samples]`; see `test_items`."""
    samples = open_preparer(kit.inputs.preparation).samples
    return as_samples(test_items(kit.split, (TensorSpec(WAVEFORM, (samples,)),), most))
