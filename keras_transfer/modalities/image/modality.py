"""Photographs as a modality: what jobs ask of it, see `keras_transfer.modalities.Modality`."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from keras_transfer.data.dataset import Dataset, Record
from keras_transfer.data.listing import Kind, Layout, Listing
from keras_transfer.data.parallel import ordered
from keras_transfer.data.split import Split
from keras_transfer.errors import InputError
from keras_transfer.files import write_json
from keras_transfer.geometry import LEGACY, Geometry
from keras_transfer.inputs import Array, Arrays, Indices, InputSpec, Json, Preparer, Table, TensorNotes, only
from keras_transfer.litert.labels import GEOMETRY_FILE
from keras_transfer.modalities import Corruption, FollowedItem, InputWords, Modality, NetworkViews
from keras_transfer.modalities.image.appearance import appearance, differences
from keras_transfer.modalities.image.corruptions import CORRUPTIONS, corrupt
from keras_transfer.modalities.image.dataset import ImageReader
from keras_transfer.modalities.image.decode import sniff
from keras_transfer.modalities.image.examine import image_size
from keras_transfer.modalities.image.preparer import ImagePreparer, open_preparer
from keras_transfer.modalities.image.sources import KIND, list_source
from keras_transfer.modalities.image.thumbnails import SIDE, heat_thumbnail, sheet, thumbnail
from keras_transfer.modalities.modality import check_choice, head_options
from keras_transfer.progress import say, track
from keras_transfer.recipe import NAMED_WEIGHTS, Effort, Recipe
from keras_transfer.schemas import ItemView, PropertyDifference

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

_COLOURS = {1: "gray: (19595 R + 38470 G + 7471 B + 32768) / 65536, of the resized picture, rounded down", 3: "RGB"}
_COLOUR_SPACES = {1: (2, "gray"), 3: (1, "RGB")}  # channels -> ColorSpaceType, in words
_WATCHED = ("brightness", "contrast", "sharpness")  # of `appearance`, in logs
_SIDES = (*range(320, 224, -24), *range(224, 31, -8))
_IMAGE = 2  # ContentProperties.ImageProperties
_FILTER, _MAP = 36, 96  # pixels that a filter and a stage's map take on the page


class ImageModality(Modality):
    """Photographs and other pictures."""

    name: ClassVar[str] = "image"
    kind: ClassVar[Kind] = KIND
    corruptions: ClassVar[Mapping[str, Corruption]] = CORRUPTIONS
    kits: ClassVar[Mapping[str, str]] = {
        target: f"keras_transfer.modalities.image.targets.{target}"
        for target in ("android", "edgetpu", "microcontroller", "web")
    }

    default_backbone: ClassVar[str] = "mobilenet_v2"
    options: ClassVar[tuple[str, ...]] = ("alpha", "geometry", "image_size")
    efforts: ClassVar[Mapping[Effort, Mapping[str, object]]] = {
        **Modality.efforts,
        "quick": {**Modality.efforts["quick"], "formats": ("int8",), "geometry": Geometry.of("crop")},
        "best": {"strategy": "full", "epochs": 20, "augmentation": {"strength": "strong", "mixup": 0.2}, "ema": 0.99},
    }

    def backbones(self) -> list[dict[str, Json]]:
        """The table of `keras.applications`, and presets of KerasHub for devices."""
        from keras_transfer.modalities.image.backbones import BACKBONES, PRESETS

        return [*map(asdict, BACKBONES.values()), *map(asdict, PRESETS)]

    def recognizes(self, source: object) -> bool:
        """Photographs are what a source holds where no other modality knows it."""
        return True

    def list_source(self, source: object, labels: object = None, layout: Layout | None = None) -> Listing:
        """Lists the files of any source that `load_images` takes."""
        return list_source(source, labels, layout)

    def reader(self, preparation: Mapping[str, Json]) -> ImageReader:
        """Decodes, examines and compares photographs."""
        return ImageReader(open_preparer(preparation).geometry)

    def is_item(self, content: bytes) -> bool:
        """Whether bytes begin as a picture does."""
        return bool(sniff(content))

    def capture(self, device: int) -> bytes:
        """A photograph by a camera; see `camera_frame`."""
        from keras_transfer.modalities.image import camera

        return camera.camera_frame(device)

    def summarize(self, records: Sequence[Record]) -> dict[str, Json]:
        """`sides`: the smallest side, the median of the shorter sides, and the largest side, in pixels."""
        sides = np.array([image_size(record) for record in records]).reshape(-1, 2)
        if not len(sides):
            return {"sides": {"smallest": None, "median": None, "largest": None}}
        median = float(np.median(sides.min(axis=1)))
        return {"sides": {"smallest": int(sides.min()), "median": median, "largest": int(sides.max())}}

    def preparer(self, preparation: Mapping[str, Json]) -> ImagePreparer:
        """Decodes and fits photographs by a `geometry`."""
        return open_preparer(preparation)

    def recipe_preparation(self, recipe: Recipe) -> Mapping[str, Json]:
        """The recipe's geometry; a recipe without one is of a run from before there was a choice."""
        return {"geometry": (recipe.data.geometry or LEGACY).to_dict()}

    def choose_preparation(
        self, recipe: Recipe, dataset: Dataset, model: "keras.Model", run: Path | None
    ) -> dict[str, Json]:
        """The geometry that is asked for or chosen, as `result.json` has it.

        A run that was begun keeps what it began with: what it chose, or the crop of before there was a choice.
        """
        from keras_transfer.modalities.image.choose_geometry import Chosen, choose_geometry

        kept = run / "checkpoints" / "geometry.json" if run is not None else None
        if kept is not None and kept.is_file():
            chosen: dict[str, Json] = json.loads(kept.read_text())
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
        say(str(chosen["sentence"]))
        return {"geometry": chosen}

    def prepared(self, recipe: Recipe, dataset: Dataset, chosen: Mapping[str, Json]) -> tuple[Recipe, Dataset]:
        """The recipe and the photographs with the geometry that was chosen."""
        preparer = open_preparer({"geometry": _geometry_fields(chosen)})
        return recipe.replace(geometry=preparer.geometry), dataset.prepared_by(preparer)

    def describe(self, preparer: Preparer, spec: InputSpec) -> dict[str, Json]:
        """`image_size`, height and width; and `geometry`: its fields, and `words` that describe them."""
        geometry = open_preparer(preparer.settings).geometry
        height, width, _ = spec.tensor.shape
        return {"image_size": [height, width], "geometry": {**geometry.to_dict(), "words": geometry.describe()}}

    def encoded_input(self, inputs: InputSpec) -> "Callable[[tf.Tensor], tf.Tensor] | None":
        """JPEGs and PNGs, decoded and fitted."""
        from keras_transfer.modalities.image.serving_graph import decode

        height, width, channels = (side or 0 for side in inputs.tensor.shape)
        geometry = Geometry.of(inputs.preparation["geometry"])
        return lambda content: decode(content, height, width, channels, geometry)

    def input_contract(self, inputs: InputSpec) -> list[dict[str, Json]]:
        """Colours, range and geometry of the pixels, of 3 channels, or 1: see `decode.luma`."""
        geometry = Geometry.of(inputs.preparation["geometry"])
        colours = _COLOURS[inputs.tensor.shape[-1] or 3]
        return [
            {
                "meaning": f"{colours} pixels, 0..255",
                "colour_order": colours,
                "value_range": "raw bytes, 0..255",
                "resize": geometry.describe(),
                "geometry": geometry.to_dict(),
            }
        ]

    def tensor_notes(self, inputs: InputSpec) -> list[TensorNotes]:
        """Colours and size, where MediaPipe looks for them; and `geometry.json`, by which devices fit pictures."""
        geometry = Geometry.of(inputs.preparation["geometry"])
        height, width, channels = (side or 0 for side in inputs.tensor.shape)
        space, colours = _COLOUR_SPACES.get(channels, (0, f"{channels} channels"))
        properties: Table = [("Int8", space), [("Uint32", width), ("Uint32", height)]]
        files = {GEOMETRY_FILE: ("How pictures are fitted to the input", json.dumps(geometry.to_dict()))}
        return [TensorNotes("image", f"{colours}, 0..255: {geometry.describe()}", (_IMAGE, properties), files)]

    def mediapipe_inputs(self, inputs: InputSpec) -> InputSpec:
        """Those of the file: pixels in three colours."""
        if inputs.tensor.shape[-1] != 3:
            raise InputError(f"MediaPipe gives 3 channels, the file takes {inputs.tensor.shape[-1]}.")
        return inputs

    def input_words(self, described: Mapping[str, Json]) -> InputWords:
        """Size and geometry of the pictures."""
        geometry, size = described["geometry"], described["image_size"]
        assert isinstance(geometry, Mapping) and isinstance(size, Sequence)
        return {
            "task": "image-classification",
            "words": f"RGB images of {size[0]} x {size[1]} pixels in 0..255: {geometry['words']}",
            "sentence": str(geometry.get("sentence") or f"Of each picture: {geometry['words']}."),
            "shown": "The second picture lights up where the network saw what it answered (Grad-CAM).",
        }

    def build(self, recipe: Recipe, dataset: Dataset) -> "keras.Model":
        """The classifier of a recipe; see `build_classifier`."""
        from keras_transfer.modalities.image.builder import build_classifier

        own, head = recipe.model, head_options(recipe, dataset)
        return build_classifier(
            recipe.backbone,
            dataset.class_names,
            image_size=own.image_size,
            weights=own.weights,
            alpha=own.alpha,
            **head,
        )

    def network_options(self, recipe: Recipe) -> list[object]:
        """Backbone, width and picture size."""
        size = recipe.model.image_size
        return [*super().network_options(recipe), *(["--image-size", size] if size else [])]

    def offline(self, recipe: Recipe) -> Recipe:
        """The recipe with the bundled backbone, at its own size or at that of the recipe, if it can be."""
        from keras_transfer.modalities.image import bundled

        size = recipe.model.image_size
        size = max(size, bundled.MIN_SIZE) if size is not None else None
        return recipe.replace(backbone=bundled.BACKBONE, alpha=bundled.ALPHA, weights="bundled", image_size=size)

    def title(self, recipe: Recipe) -> str:
        """The same, and the side of the pictures where it is said."""
        side = recipe.model.image_size
        return super().title(recipe) + (f" at {side}" if side else "")

    def effort(self, recipe: Recipe) -> Mapping[str, object]:
        """Larger pictures, too, for the best: 320 pixels where ImageNet's weights were made for 224."""
        from keras_transfer.modalities.image.backbones import BACKBONES

        own, row = super().effort(recipe), BACKBONES.get(recipe.backbone)
        if recipe.training.effort != "best" or row is None or recipe.model.weights == "bundled":
            return own
        return {**own, "image_size": round(row.image_size / 22.4) * 32}

    def sizes(self, recipe: Recipe, asked: Recipe) -> Sequence[Recipe]:
        """Sides from 320 pixels down, below 224 every eighth."""
        from keras_transfer.modalities.image import bundled
        from keras_transfer.modalities.image.backbones import BACKBONES

        row = BACKBONES.get(recipe.backbone)
        if row is None or asked.model.image_size is not None:
            return (recipe,)
        least = bundled.MIN_SIZE if recipe.model.weights == "bundled" else row.min_size
        return [recipe.replace(image_size=side) for side in _SIDES if side >= least]

    def candidates(self, recipe: Recipe) -> Sequence[Recipe]:
        """The bundled backbone, those in Keras's own folder of weights, and those whose files the recipe names.

        Raises:
            InputError: the recipe says what belongs to one backbone.
        """
        from keras_transfer.modalities.image.at_hand import downloaded, weights_in

        own = recipe.model
        check_choice(recipe)
        rows = [] if own.weights in NAMED_WEIGHTS else weights_in(Path(own.weights))
        rows += downloaded() if own.weights != "bundled" else []
        return [
            self.offline(recipe),
            *(
                recipe.replace(
                    backbone=row.backbone, alpha=row.alpha, weights=row.weights, image_size=own.image_size or row.side
                )
                for row in rows
            ),
        ]

    def advice(self, recipe: Recipe) -> list[str]:
        """That the bundled network is small."""
        from keras_transfer.modalities.image import bundled

        return [bundled.ADVICE] if recipe.model.weights == "bundled" else []

    def zero_shot(self, preset: str, class_names: Sequence[str], prompts: Sequence[str]) -> "keras.Model":
        """A classifier by CLIP; see `clip.build_zero_shot_classifier`."""
        from keras_transfer.modalities.image.clip import PROMPTS, build_zero_shot_classifier

        return build_zero_shot_classifier(preset, class_names, prompts or PROMPTS)

    def complete(self, recipe: Recipe, model: "keras.Model") -> Recipe:
        """The recipe with the model's picture size and pooling, and the width of the bundled network."""
        from keras_transfer.modalities.image import bundled

        token = any(layer.name == "class_token" for layer in model.layers)
        size, pooling = (
            recipe.model.image_size or model.input_shape[1],
            recipe.model.pooling or ("token" if token else "avg"),
        )
        alpha = bundled.width(recipe.model.weights, recipe.model.alpha)
        return recipe.replace(image_size=size, pooling=pooling, alpha=alpha)

    def adopt(self, model: "keras.Model", recipe: Recipe, dataset: Dataset) -> tuple["keras.Model", Recipe]:
        """An image classifier from anywhere as one of ours."""
        from keras_transfer.modalities.image.adoption import adopt

        return adopt(model, recipe, dataset)

    def properties(self, dataset: Dataset, test: Split) -> dict[str, list[float | str | None]]:
        """Size, brightness, contrast, colour and sharpness of each test photograph."""
        columns: dict[str, list[float | str | None]] = {
            "shorter side in pixels": [min(image_size(record)) or None for record in dataset.records_of(test)]
        }
        rows = list(ordered(lambda i: appearance(only(test.rows([i]))[0]), range(len(test))))
        for name in rows[0] if rows else ():
            columns[name] = [row[name] for row in rows]
        if "gray" in columns:
            columns["colours"] = ["none" if gray else "some" for gray in columns.pop("gray")]
        return columns

    def corrupt(self, items: Split, indices: Indices, name: str, strength: int, seed: int) -> Array:
        """Photographs made worse; see `corrupt`."""
        return corrupt(only(items.rows(indices)), name, strength, seed)

    def measures(self, inputs: Arrays) -> dict[str, float]:
        """Brightness, contrast and sharpness: a dark, covered or blurred camera."""
        return {name: value for name, value in appearance(only(inputs)).items() if name in _WATCHED}

    def differences(self, own: Split, new: Split, spec: InputSpec) -> list[PropertyDifference]:
        """Brightness, contrast, colour and sharpness at the network's size, and the size of the files."""
        size = spec.tensor.shape[:2]  # in colours, whatever the model takes
        return differences(_figures(own, size), _figures(new, size))

    def thumbnails(self, items: Split, indices: Sequence[int], side: int = SIDE) -> dict[int, str]:
        """Photographs as small JPEGs."""
        spec, pictures = items.spec(side), {}
        for index in track(indices, "Drawing thumbnails", total=len(indices)):
            try:
                pictures[index] = thumbnail(only(items.read(index, spec)), side)
            except InputError:  # it is damaged, or has vanished
                continue
        return pictures

    def views(
        self, model: "keras.Model", test: Split, wanted: Sequence[int], asked: Mapping[int, int]
    ) -> dict[int, ItemView]:
        """Thumbnails, and by Grad-CAM where the asked class was seen, if that is known."""
        from keras_transfer.modalities.image.grad_cam import grad_cam

        pixels = dict(zip(wanted, only(test.rows(wanted)), strict=True))
        pictures: dict[int, ItemView] = {index: {"picture": thumbnail(pixels[index])} for index in wanted}
        if asked:
            shown = np.stack([pixels[index] for index in asked])
            maps = grad_cam(model, shown, np.array(list(asked.values())))
            for index, heat in zip(asked, maps if maps is not None else (), strict=maps is not None):
                pictures[index]["heat"] = heat_thumbnail(pixels[index], heat)
        return pictures

    def network_views(self, model: "keras.Model", test: Split, titles: Mapping[int, str]) -> NetworkViews:
        """The first filters, and the channels of each stage that vary most over a photograph."""
        from keras_transfer.modalities.image.network_views import first_filters, stage_maps

        filters = first_filters(model)
        pixels = only(test.rows(list(titles)))
        followed: list[FollowedItem] = [
            {"title": title, "picture": thumbnail(picture), "stages": []}
            for title, picture in zip(titles.values(), pixels, strict=True)
        ]
        for stage in stage_maps(model, pixels):
            for item, maps in zip(followed, stage.maps, strict=True):
                size, picture = f"{maps.shape[1]} by {maps.shape[2]}", sheet(maps, _MAP, len(maps), 4)
                item["stages"].append({"name": stage.name, "size": size, "picture": picture})
        if filters is None:
            return {"filters": None, "followed": followed}
        picture = sheet(filters, _FILTER, 16, 4)
        return {"filters": {"count": len(filters), "side": filters.shape[1], "picture": picture}, "followed": followed}


MODALITY = ImageModality()


def _geometry_fields(chosen: Mapping[str, Json]) -> Mapping[str, Json]:
    """The fields of the geometry, without what else `result.json` says of it."""
    fields = chosen["geometry"]
    assert isinstance(fields, Mapping)
    return {name: fields[name] for name in LEGACY.to_dict()}


def _figures(split: Split, size: Sequence[int | None]) -> dict[str, list[float]]:
    """See `appearance`; and `side`, the shorter side of each file."""
    from PIL import Image

    rows = []
    batches = split.batches(split.preparer.spec([side or 0 for side in size]), 32)
    for pixels, _ in track(batches, "Measuring pixels", total=-(-len(split) // 32)):
        rows += [appearance(picture) for picture in only(pixels)]
    figures = {name: [row[name] for row in rows] for name in rows[0]}
    sides = []
    for path in split.paths:
        with Image.open(path) as opened:
            sides.append(float(min(opened.size)))
    return figures | {"side": sides}
