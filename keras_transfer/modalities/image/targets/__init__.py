"""What is written for the owners of devices around an image model: a module for each target, see `Modality.kits`."""

from keras_transfer.exporters.targets.base import Kit
from keras_transfer.geometry import Geometry


def geometry_of(kit: Kit) -> Geometry:
    """How images are fitted to the kit's file."""
    return Geometry.of(kit.inputs.preparation["geometry"])
