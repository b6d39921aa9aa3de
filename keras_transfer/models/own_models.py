"""Models of one's own, whose files do not say what they take: they are image classifiers, and options say the rest."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeAlias, TypedDict

import numpy as np

from keras_transfer.geometry import LEGACY
from keras_transfer.inputs import Preparer, open_preparer

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.split import Split

MODALITY = "image"
"""What a model takes, and what the items of a split in memory are, where nothing says so."""

Size: TypeAlias = int | tuple[int, int] | Callable[[], tuple[int, int] | None] | None


class ModelOptions(TypedDict, total=False):
    """What has to be said of a Keras model whose file does not say it, and must not be said of others.

    Attributes:
        image_size: side of the images or `(height, width)`, of a model that takes any size; or a function that says
            so, called only for such a model.
        pixels: what it takes where its pixels were prepared outside of it, such as `"0..1"`; see
            `keras_transfer.as_classifier`.
        multi_label: of a model that ends in logits: whether each is a yes or no of its own.
    """

    image_size: Size
    pixels: str | None
    multi_label: bool


def check_options(function: str, options: Mapping[str, object], kind: type) -> None:
    """Raises `TypeError`, as Python does, for keywords that a `TypedDict` of options does not have.

    >>> check_options("evaluate", {"image_sizes": 32}, ModelOptions)
    Traceback (most recent call last):
    ...
    TypeError: evaluate() got an unexpected keyword argument 'image_sizes'. Did you mean 'image_size'?
    """
    known = sorted(kind.__annotations__)
    for name in options:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f" Did you mean {close[0]!r}?" if close else f" It has {', '.join(known)}."
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}.{hint}")


def options_of(split: "Split", options: ModelOptions) -> ModelOptions:
    """The options, and what a split says: which size its images have, and whether they have several labels each."""
    image_size = options.get("image_size")
    return ModelOptions(
        image_size=image_size if image_size is not None else getattr(split, "common_shape", None),
        pixels=options.get("pixels"),
        multi_label=np.ndim(split.labels) == 2,
    )


def as_plain(model: "keras.Model", modality: str, options: ModelOptions, name: str = "The model") -> "keras.Model":
    """A model on raw items that gives probabilities: of images as `keras_transfer.as_classifier` makes it."""
    if modality != MODALITY:
        return model
    from keras_transfer.models import as_classifier

    return as_classifier(model, **options, name=name)


def preparer_of(split: "Split | None") -> Preparer:
    """How the items of a split become inputs; those in memory have no preparer, and are images of the model's size."""
    preparer: Preparer | None = getattr(split, "preparer", None)
    return preparer if preparer is not None else open_preparer(MODALITY, {"geometry": LEGACY.to_dict()})
