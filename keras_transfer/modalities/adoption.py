"""What every model that was trained elsewhere must fit."""

from typing import TYPE_CHECKING

from keras_transfer.data.dataset import Dataset
from keras_transfer.errors import InputError
from keras_transfer.recipe import Recipe

if TYPE_CHECKING:
    import keras


def check_classes(model: "keras.Model", dataset: Dataset, recipe: Recipe) -> None:
    """Raises `InputError` where a split is empty, or a model's outputs are not the classes of the data."""
    items, source = dataset.reader.kind.items, recipe.data.source
    if not (len(dataset.train) and len(dataset.val) and len(dataset.test)):
        raise InputError(f"{source} must have {items} to train, validate and test on: add some, or a test/.")
    units, names = model.output_shape[1], dataset.class_names
    if units != len(names) and not (units == 1 and len(names) == 2):
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise InputError(
            f"{recipe.model.file} gives {units} scores, and {source} has {len(names)} classes ({shown}). Give "
            f"{items} of the classes that it was trained on."
        )
