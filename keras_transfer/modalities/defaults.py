"""What a modality has unless it has something of its own: no augmentation, one preparation, nothing but the items.

A modality imports from here what it does not define; see `keras_transfer.modalities.Modality`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from keras_transfer.data.dataset import Dataset
from keras_transfer.data.split import Split
from keras_transfer.errors import InputError
from keras_transfer.inputs import Array, Json, Preparer, open_preparer
from keras_transfer.modalities import Corruption
from keras_transfer.recipe import Recipe

if TYPE_CHECKING:
    import keras

__all__ = [
    "NoAugmenter",
    "choose_preparation",
    "corrupt",
    "corruptions",
    "describe",
    "kits",
    "prepared",
    "properties",
]


class NoAugmenter:
    """A `keras_transfer.inputs.Augmenter` that changes nothing."""

    mixes = False

    @property
    def settings(self) -> dict[str, float]:
        """None."""
        return {}

    def __bool__(self) -> bool:
        """That it changes nothing."""
        return False

    def __call__(self, arrays: Array, labels: Array, /, seed: int) -> tuple[Array, Array]:
        """The arrays and the labels as they are."""
        return arrays, labels


corruptions: Mapping[str, Corruption] = {}
kits: Mapping[str, str] = {}


def corrupt(values: Array, name: str, strength: int, seed: int) -> Array:
    """Raises `InputError`: there are no corruptions."""
    raise InputError(f"There is no corruption of this modality. Received: {name!r}.")


def choose_preparation(recipe: Recipe, dataset: Dataset, model: "keras.Model", run: Path | None) -> dict[str, Json]:
    """The settings that the items have been loaded with."""
    return dict(dataset.train.preparer.settings)


def prepared(recipe: Recipe, dataset: Dataset, chosen: Mapping[str, Json]) -> tuple[Recipe, Dataset]:
    """The recipe as it is, and the items with these settings."""
    return recipe, dataset.prepared_by(open_preparer(dataset.train.preparer.modality, chosen))


def describe(preparer: Preparer) -> dict[str, Json]:
    """The settings, under their own names."""
    return dict(preparer.settings)


def properties(dataset: Dataset, test: Split) -> dict[str, list[float | str | None]]:
    """None."""
    return {}
