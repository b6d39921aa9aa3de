"""What is written for the owners of devices around a model of sounds: a module for each target, see `Modality.kits`."""

from collections.abc import Mapping

from keras_transfer.inputs import InputSpec
from keras_transfer.modalities.audio.front_end import FrontEnd, front_end_of

FRONT_END_FILE = "front_end.json"


def kit_front_end(inputs: InputSpec) -> FrontEnd:
    """The front end of a model of sounds, in front of it or inside."""
    settings = inputs.preparation["front_end"]
    assert isinstance(settings, Mapping)
    return front_end_of(settings)


def takes_spectrograms(inputs: InputSpec) -> bool:
    """Whether the front end stands in front of the model."""
    return len(inputs.tensor.shape) == 2


def clip_samples(inputs: InputSpec) -> int:
    """How many samples a clip has."""
    samples = inputs.preparation["samples"]
    assert isinstance(samples, int)
    return samples
