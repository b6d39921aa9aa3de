"""Options that several commands take alike."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


def recipe_values(context: typer.Context) -> dict[str, object]:
    """The options of the running command that are fields of a recipe, by their names; what was not given is missing."""
    from keras_transfer.recipe import FIELDS

    given = {name: value for name, value in context.params.items() if name in FIELDS}
    return {name: value for name, value in given.items() if value is not None and value != [] and value != ()}


class StrategyName(StrEnum):
    """What may train; see `TrainingOptions.strategy`."""

    auto = "auto"
    feature_extraction = "feature-extraction"
    fine_tuning = "fine-tuning"
    full = "full"
    scratch = "scratch"


class GeometryName(StrEnum):
    """How pictures are fitted to a model; see `keras_transfer.geometry`."""

    auto = "auto"
    crop = "crop"
    squash = "squash"
    letterbox = "letterbox"


class FileGeometryName(StrEnum):
    """How pictures are fitted to a file from elsewhere."""

    crop = "crop"
    squash = "squash"
    letterbox = "letterbox"


class BaselinesName(StrEnum):
    """What a run is compared with; see `ReportOptions.baselines`."""

    auto = "auto"
    none = "none"
    scratch = "scratch"


class PixelsName(StrEnum):
    """What a network of the user's own takes pixels as; see `keras_transfer.models.preprocessing.PIXELS`."""

    bytes = "0..255"
    unit = "0..1"
    signed = "-1..1"
    torch = "torch"
    caffe = "caffe"


TARGETS = "android, edgetpu, ethos-u, microcontroller or web"
_DATA = "A folder of class folders, a CSV, Parquet or JSON lines file, tfds:NAME, pizza or digits."
Data = Annotated[str, typer.Argument(help=_DATA)]
RecipeData = Annotated[str | None, typer.Argument(help=f"{_DATA} A recipe may name it instead.")]
GroupBy = Annotated[
    str | None, typer.Option(help="Keep together in one split: a CSV column, 'folder', or a regular expression.")
]
Backbone = Annotated[
    str | None,
    typer.Option(
        help="See `keras-transfer backbones`; or a KerasHub preset: kerashub:NAME, a handle, ./FOLDER.  [mobilenet_v2]"
    ),
]
Alpha = Annotated[float | None, typer.Option(help="Width multiplier of the MobileNets.  [1.0]")]
Weights = Annotated[str | None, typer.Option(help="imagenet, bundled, none, or a weights file.  [imagenet]")]
ImageSize = Annotated[int | None, typer.Option(help="Side in pixels.  [the backbone's own]")]
RunData = Annotated[
    str | None,
    typer.Option(help="Where the run's photographs are now, if they have moved; for a .keras, photographs for it."),
]
OwnImageSize = Annotated[
    int | None, typer.Option("--image-size", help="For a .keras that takes any size: side of its pictures in pixels.")
]
Pixels = Annotated[
    PixelsName | None,
    typer.Option(
        help="For a .keras whose pixels were scaled outside of it: what it takes, 0..1 say (x / 255), or what "
        "`preprocess_input` makes: -1..1, torch or caffe.  [0..255]"
    ),
]
Geometry = Annotated[
    GeometryName | None,
    typer.Option(
        help="How pictures are fitted to the model: crop the centre, squash, or letterbox the whole; auto tries them "
        "on validation.  [auto]"
    ),
]
FileGeometry = Annotated[
    FileGeometryName | None,
    typer.Option(help="For a file that does not say how pictures are fitted to it: crop, squash or letterbox."),
]
Strategy = Annotated[StrategyName | None, typer.Option(help="What to train.  [auto]")]
Root = Annotated[
    str | None, typer.Option(help="The folder in which relative paths of a table begin.  [the table's own]")
]
PathColumn = Annotated[
    str | None, typer.Option(help="A table's column of paths.  [path, file, filename, filepath or image]")
]
LabelColumn = Annotated[
    str | None, typer.Option(help="A table's column of labels.  [label, class, category, target or labels]")
]
TextColumn = Annotated[
    str | None, typer.Option(help="A table's column of texts.  [text, sentence, review, content, tweet, body, ...]")
]
ClassesAtDepth = Annotated[
    int | None,
    typer.Option(min=1, help="Levels from DATA, or its train/ val/ test/, down to the class folders.  [1]"),
]
FewShot = Annotated[
    int | None, typer.Option(help="At most so many photographs of each class to train on, and to validate.  [all]")
]
Seed = Annotated[int | None, typer.Option(help="Seed of splits, augmentation, order and dropout.  [0]")]
RecipeFile = Annotated[Path | None, typer.Option(help="A recipe file; options given here win over it.")]
Formats = Annotated[
    list[str] | None,
    typer.Option("--format", help="float32, float16, dynamic, int8, 16x8, onnx; repeatable.  [the first four]"),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        help=f"A device to judge the files for: {TARGETS}; may be repeated.",
    ),
]
Tolerance = Annotated[
    float | None, typer.Option(help="What a file may lose of the Keras model's accuracy; 0.01 is one point.  [0.01]")
]
Baselines = Annotated[
    BaselinesName | None,
    typer.Option(
        help="What to compare with: auto (what takes little time), none, or scratch (this network from scratch as "
        "well).  [auto]"
    ),
]
CompareBackbones = Annotated[
    list[str] | None,
    typer.Option(
        "--compare-backbone",
        help="Another backbone whose frozen features to compare with: NAME, NAME@ALPHA or NAME=WEIGHTS; may be "
        "repeated.",
    ),
]
