"""What a raw item is: how the items of each modality are read, prepared and shown, and which network they get.

Jobs and commands know no modality by name: they ask `Modality`, and find the right one by the source of the items
(`load`, `modality_of`) or by what a model's file says of its inputs (`open_modality`).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Unpack, get_args

from keras_transfer import inputs
from keras_transfer.data import held_out as parts
from keras_transfer.data.dataset import Dataset
from keras_transfer.data.listing import Layout
from keras_transfer.data.loading import LoadOptions
from keras_transfer.data.split import Split
from keras_transfer.errors import InputError
from keras_transfer.inputs import MODALITIES, Json
from keras_transfer.modalities.augmenter import NoAugmenter
from keras_transfer.modalities.modality import (
    FollowedItem,
    InputWords,
    Modality,
    NetworkViews,
    StageView,
)
from keras_transfer.modalities.rows import Corruption
from keras_transfer.recipe import AUTO, Format, Recipe

__all__ = [
    "Corruption",
    "FollowedItem",
    "InputWords",
    "Modality",
    "NetworkViews",
    "NoAugmenter",
    "StageView",
    "check_formats",
    "held_out",
    "load",
    "modality_of",
    "open_modality",
    "recipe_modality",
    "settled",
]


def open_modality(name: str) -> Modality:
    """The modality of a name, imported when it is first needed.

    Raises:
        InputError: there is no such modality.
    """
    modality = inputs.open_modality(name)
    if not isinstance(modality, Modality):
        raise TypeError(f"`{MODALITIES[name]}.MODALITY` must be a Modality. Received: {modality!r}.")
    return modality


def modality_of(source: object) -> Modality:
    """The modality whose items a source holds; the first of `MODALITIES` where no other knows it.

    >>> modality_of("digits").name == next(iter(MODALITIES))
    True
    """
    if any(isinstance(part, list | tuple) and not len(part) for part in (source, _first(source))):
        raise InputError("There are no items: a list of them is empty. Give items and their labels, `(items, labels)`.")
    first, *others = map(open_modality, MODALITIES)
    return next((modality for modality in others if modality.recognizes(source)), first)


def _first(source: object) -> object:
    return source[0] if isinstance(source, list | tuple) and source else None


def recipe_modality(recipe: Recipe) -> Modality:
    """The modality of a recipe's items: the one that it names, or that of its source."""
    name = recipe.data.modality
    return open_modality(name) if name is not None else modality_of(recipe.data.source)


def settled(recipe: Recipe) -> Recipe:
    """The recipe with its modality's own choices where it names none; see `Modality.settled`.

    >>> from keras_transfer.recipe import make_recipe
    >>> settled(make_recipe(data="photos/")).model.backbone
    'mobilenet_v2'
    """
    modality, name = recipe_modality(recipe), recipe.model.backbone
    own = (modality, *map(open_modality, modality.borrowed))
    if name is not None and not any(_has_backbone(each, name) for each in own) and not Path(name).is_dir():
        for other in map(open_modality, MODALITIES):
            if _has_backbone(other, name):
                raise InputError(
                    f"{name} is a backbone for {other.kind.items}, and {recipe.data.source} holds "
                    f"{modality.kind.items}: `keras-transfer backbones` lists what serves which."
                )
    _check_options(recipe, modality)
    check_formats(recipe, modality)
    return _with_effort(modality.settled(recipe), modality)


def _with_effort(recipe: Recipe, modality: Modality) -> Recipe:
    """The recipe with what its effort says of the fields of which it says nothing itself.

    Of a backbone that an audition is still to choose, that came trained, or that begins with random weights, nothing.
    """
    if recipe.backbone == AUTO or recipe.training.phases is not None or not recipe.model.pretrained:
        return recipe
    own = modality.effort(recipe)
    return recipe.replace(**{name: value for name, value in own.items() if not recipe.says(name)})


def check_formats(recipe: Recipe, modality: Modality) -> None:
    """Raises `InputError` where no file of a format that a recipe asks for can run a network of its modality."""
    for name in recipe.export.formats or ():
        if name in modality.unfit:
            fit = ", ".join(other for other in get_args(Format) if other not in modality.unfit)
            raise InputError(f"{name} serves no {modality.name} models: {modality.unfit[name]}. Choose from {fit}.")


def _check_options(recipe: Recipe, modality: Modality) -> None:
    """What has no effect on a modality's items is refused rather than ignored."""
    fields = recipe.fields()
    for other in map(open_modality, MODALITIES):
        for name in other.options:
            if fields[name] is not None and name not in modality.options:
                raise InputError(
                    f"`{name}` is for {other.kind.items}, and these are {modality.kind.items}: leave it out. "
                    f"Received: {fields[name]}."
                )


def _has_backbone(modality: Modality, name: str) -> bool:
    return any(row["name"] == name for row in modality.backbones())


def load(
    source: object,
    *,
    modality: str | None = None,
    labels: object = None,
    preparation: Mapping[str, Json] | None = None,
    group_by: str | None = None,
    root: str | Path | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    text_column: str | None = None,
    classes_at_depth: int | None = None,
    window: float | None = None,
    hop: float | None = None,
    background: str | Path | None = None,
    rate: float | None = None,
    **options: Unpack[LoadOptions],
) -> Dataset:
    """Finds, checks and splits labelled items of any modality.

    Args:
        source: class folders, a `.csv` or a `.parquet`; or what else a modality takes, such as arrays.
        modality: a name of `keras_transfer.inputs.MODALITIES`; by default the one whose items the source holds.
        labels: of a source that has none of its own, such as an array.
        preparation: how items become inputs, such as `{"geometry": "squash"}`.
        group_by: a table's column, `"folder"` or a regular expression: items with equal values stay in one split.
        root: the folder in which a table's relative paths begin.
        path_column: the table's column of paths.
        label_column: the table's column of labels.
        text_column: the table's column of texts.
        classes_at_depth: how many levels down the class folders are.
        window: seconds of the windows that long recordings are cut into; of series without a known rate samples.
        hop: seconds from one window to the next.
        background: a folder of recordings that become the class `background`.
        rate: samples a second of series whose files do not say it.
        **options: `val`, `test`, `seed` and others; see `keras_transfer.data.loading.load_listing`.

    Returns:
        A `Dataset`.

    Raises:
        InputError: the source is missing or of no known kind, has one class or an empty one, fewer items than splits
            need, or too many unusable ones.

    >>> import numpy as np
    >>> items = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    >>> load((items, ["cat", "dog"] * 10), val=0.2, test=0.2)
    Dataset(2 classes; train ..., val ..., test ...)
    """
    top, behind = (os.fspath(place) if place is not None else None for place in (root, background))
    layout = Layout(group_by, top, path_column, label_column, classes_at_depth, text_column, window, hop, behind, rate)
    own = open_modality(modality) if modality is not None else modality_of(source)
    return own.load_items(source, labels=labels, layout=layout, preparation=preparation, **options)


def held_out(
    source: object,
    split: str | None = None,
    *,
    modality: str | None = None,
    allow_bad: bool = False,
    layout: Layout | None = None,
    preparation: Mapping[str, Json] | None = None,
) -> Split:
    """The part of a data set to evaluate on; see `keras_transfer.data.held_out`.

    Args:
        source: what `load` takes.
        split: `"train"`, `"val"`, `"test"` or `"all"`; by default the test split, or all items where there is none.
        modality: see `load`.
        allow_bad: go on though more than 5% of the items cannot be used.
        layout: how a folder or a table is arranged.
        preparation: of the model that is evaluated, by which long items are cut into shorter ones.

    Raises:
        InputError: `split` is none of these, the source has no such split, or it cannot be read.
    """
    own = open_modality(modality) if modality is not None else modality_of(source)
    layout = own.layout_for(layout or Layout(), preparation or {})
    return parts.held_out(
        own.list_source(source, layout=layout), own.reader(preparation or {}), split, allow_bad=allow_bad
    )
