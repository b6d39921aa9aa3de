"""Image classifiers that were trained elsewhere as ours: their size, and what their pixels were scaled to."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.data.dataset import Dataset
from keras_transfer.data.split import Split
from keras_transfer.inputs import only
from keras_transfer.modalities.adoption import check_classes
from keras_transfer.modalities.image.preparer import ImageSplit
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe

if TYPE_CHECKING:
    import keras

_EXAMINED = 100  # training photographs that show how a model's pixels were prepared
_SURE = 5e-3  # p-value at which another way than 0..255 is taken; `drop_above` gives 1e-3 at least


def adopt(model: "keras.Model", recipe: Recipe, dataset: Dataset) -> tuple["keras.Model", Recipe]:
    """An image classifier from anywhere as one of ours; see `keras_transfer.modalities.Modality.adopt`."""
    from keras_transfer.models import as_classifier

    name, train = recipe.model.file or "", dataset.train
    assert isinstance(train, ImageSplit)
    size = recipe.model.image_size or train.common_shape
    make = partial(as_classifier, model, image_size=size, multi_label=dataset.multi_label, name=name)
    own = make(pixels=recipe.model.pixels)
    check_classes(own, dataset, recipe)
    pixels = recipe.model.pixels or choose_pixels(own, make, train, name)
    if pixels not in (recipe.model.pixels, "0..255"):
        own = make(pixels=pixels)
    return own, recipe.replace(pixels=pixels)


def choose_pixels(model: "keras.Model", make: Callable[..., "keras.Model"], train: Split, name: str) -> str:
    """What a model takes pixels as, by how often it is right on training photographs that are prepared so.

    Args:
        model: from `as_classifier`, on pixels in 0..255.
        make: makes the same with another `pixels`.
        train: the training split.
        name: what sentences call the model.

    Returns:
        A name of `PIXELS`: `"0..255"` where the model scales pixels itself, or where no other is better beyond doubt.
    """
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation import keras_classifier
    from keras_transfer.exporters.paired import drop_above
    from keras_transfer.models.graph import model_inputs
    from keras_transfer.models.preprocessing import PIXELS, scales_itself

    if scales_itself(model):
        return "0..255"
    part, shape = train.stratified(min(_EXAMINED, len(train))), model.input_shape[1:]
    images = only(part.arrays(model_inputs(model)))
    ways = [way for way in PIXELS if shape[2] == 3 or way not in ("torch", "caffe")]
    right = {way: correct(part.labels, keras_classifier(make(pixels=way)).predict(images)) for way in ways}
    plain = right["0..255"]
    best = max(ways, key=lambda way: int(right[way].sum()))  # of equals the first, which is the most usual
    gained, lost = int((right[best] & ~plain).sum()), int((plain & ~right[best]).sum())
    if best == "0..255" or drop_above(gained, lost, len(plain), 0.0) > _SURE:
        return "0..255"
    say(
        f"Note: {name} takes pixels as {best} ({PIXELS[best]}): so it is right on {np.mean(right[best]):.0%} of "
        f"{len(plain)} training photographs, on {np.mean(plain):.0%} as they are. A layer that does it is put before "
        "the model; --pixels 0..255 leaves it out."
    )
    return best
