"""Photographs as a modality: what jobs ask of it, see `keras_transfer.modalities.Modality`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.data.dataset import Dataset
from keras_transfer.data.parallel import ordered
from keras_transfer.data.split import Split
from keras_transfer.files import write_json
from keras_transfer.geometry import LEGACY
from keras_transfer.inputs import Json, Preparer, only
from keras_transfer.modalities import Corruption
from keras_transfer.modalities.image.appearance import appearance
from keras_transfer.modalities.image.corruptions import CORRUPTIONS
from keras_transfer.modalities.image.corruptions import corrupt as corrupt
from keras_transfer.modalities.image.dataset import load_images
from keras_transfer.modalities.image.examine import image_size
from keras_transfer.modalities.image.preparer import open_preparer
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe

if TYPE_CHECKING:
    import keras

corruptions: Mapping[str, Corruption] = {
    name: Corruption(row.words, len(row.strengths)) for name, row in CORRUPTIONS.items()
}
kits: Mapping[str, str] = {
    target: f"keras_transfer.modalities.image.targets.{target}"
    for target in ("android", "edgetpu", "microcontroller", "web")
}


def recognizes(source: object) -> bool:
    """Photographs are what a source holds where no other modality knows it."""
    return True


load_source = load_images


def load(recipe: Recipe) -> Dataset:
    """The photographs of a recipe; one without a geometry is of a run from before there was a choice."""
    return load_images(
        recipe.data.source,
        val=recipe.data.val,
        test=recipe.data.test,
        seed=recipe.seed,
        allow_bad=recipe.data.allow_bad,
        few_shot=recipe.data.few_shot,
        geometry=recipe.data.geometry or LEGACY,
        **recipe.data.layout,
        class_names=recipe.data.class_names,
    )


def build(recipe: Recipe, dataset: Dataset) -> "keras.Model":
    """The classifier of a recipe; see `build_classifier`."""
    from keras_transfer.models import build_classifier

    return build_classifier(
        recipe.model.backbone,
        dataset.class_names,
        image_size=recipe.model.image_size,
        weights=recipe.model.weights,
        alpha=recipe.model.alpha,
        pooling=recipe.model.pooling,
        hidden=recipe.model.hidden,
        dropout=recipe.model.dropout,
        multi_label=dataset.multi_label,
    )


def choose_preparation(recipe: Recipe, dataset: Dataset, model: "keras.Model", run: Path | None) -> dict[str, Json]:
    """The geometry that is asked for or chosen, as `result.json` has it.

    A run that was begun keeps what it began with: what it chose, or the crop of before there was a choice.
    """
    from keras_transfer.modalities.image.choose_geometry import Chosen, choose_geometry

    kept = run / "checkpoints" / "geometry.json" if run is not None else None
    if kept is not None and kept.is_file():
        chosen: dict[str, Any] = json.loads(kept.read_text())
    elif recipe.data.geometry is not None:
        chosen = Chosen(recipe.data.geometry, "recipe").to_dict()
    elif run is not None and (run / "environment.json").is_file():
        chosen = Chosen(LEGACY, "before").to_dict()
    else:
        pretrained, views = recipe.model.pretrained, recipe.training.views or 1
        phases = recipe.training.phases or ()
        picked = choose_geometry(model, dataset, phases, pretrained=pretrained, views=views, seed=recipe.seed)
        chosen = picked.to_dict()
    if kept is not None:
        write_json(kept, chosen)
    say(chosen["sentence"])
    return {"geometry": chosen}


def prepared(recipe: Recipe, dataset: Dataset, chosen: Mapping[str, Json]) -> tuple[Recipe, Dataset]:
    """The recipe and the photographs with the geometry that was chosen."""
    fields: Any = chosen["geometry"]
    preparer = open_preparer({"geometry": {name: fields[name] for name in LEGACY.to_dict()}})
    return recipe.replace(geometry=preparer.geometry), dataset.prepared_by(preparer)


def describe(preparer: Preparer) -> dict[str, Json]:
    """The geometry: its fields, and in `words` what they say."""
    geometry = open_preparer(preparer.settings).geometry
    return {"geometry": {**geometry.to_dict(), "words": geometry.describe()}}


def input_words(described: Mapping[str, Json]) -> dict[str, str]:
    """Size and geometry of the pictures."""
    geometry: Any = described["geometry"]
    size: Any = described["image_size"]
    return {
        "task": "image-classification",
        "words": f"RGB images of {size[0]} x {size[1]} pixels in 0..255: {geometry['words']}",
        "sentence": geometry.get("sentence") or f"Of each picture: {geometry['words']}.",
    }


def properties(dataset: Dataset, test: Split) -> dict[str, list[float | str | None]]:
    """Size, brightness, contrast, colour and sharpness of each test photograph."""
    records = {record.path: record for record in dataset.records if record.split == test.name}
    columns: dict[str, list[Any]] = {
        "shorter side in pixels": [min(image_size(records[path])) or None for path in test.paths]
    }
    rows = list(ordered(lambda i: appearance(only(test.rows([i]))[0]), range(len(test))))
    for name in rows[0] if rows else ():
        columns[name] = [row[name] for row in rows]
    if "gray" in columns:
        columns["colours"] = ["none" if gray else "some" for gray in columns.pop("gray")]
    return columns


def views(
    model: "keras.Model", test: Split, wanted: Sequence[int], asked: Mapping[int, int]
) -> dict[int, dict[str, str]]:
    """Thumbnails, and by Grad-CAM where the asked class was seen, if that is known."""
    from keras_transfer.modalities.image.grad_cam import grad_cam
    from keras_transfer.modalities.image.thumbnails import heat_thumbnail, thumbnail

    pixels = dict(zip(wanted, only(test.rows(wanted)), strict=True))
    pictures = {index: {"picture": thumbnail(pixels[index])} for index in wanted}
    maps = (
        grad_cam(model, np.stack([pixels[index] for index in asked]), np.array(list(asked.values()))) if asked else None
    )
    for index, heat in zip(asked, maps if maps is not None else (), strict=maps is not None):
        pictures[index]["heat"] = heat_thumbnail(pixels[index], heat)
    return pictures
