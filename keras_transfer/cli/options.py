"""Options that several commands take alike: single ones, and groups of them.

A group is a dataclass whose fields are options. A command that has a parameter of such a type has all of its options.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_type_hints

import typer

if TYPE_CHECKING:
    from keras_transfer.data.listing import Layout as SourceLayout
    from keras_transfer.jobs.stream import EventOptions
    from keras_transfer.models.silent import ModelOptions, OwnModelOptions


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """A command as typer reads it: in place of each group of options stand the options themselves.

    >>> import inspect
    >>> def command(data: Data, layout: Layout): ...
    >>> list(inspect.signature(with_groups(command)).parameters)[:4]
    ['data', 'root', 'path_column', 'label_column']
    """
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, tuple[Callable[..., object], list[str]]] = {}  # parameter -> its type, and its options' names
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        group = parameter.annotation
        if not is_dataclass(group) or not isinstance(group, type):
            parameters.append(parameter.replace(kind=parameter.KEYWORD_ONLY))
            continue
        groups[name] = (group, [field.name for field in fields(group)])
        hints = get_type_hints(group, include_extras=True)
        for field in fields(group):
            option = inspect.Parameter(field.name, parameter.KEYWORD_ONLY, annotation=hints[field.name])
            parameters.append(option.replace(default=field.default))

    @functools.wraps(command)
    def run(**values: object) -> None:
        for name, (group, options) in groups.items():
            values[name] = group(**{option: values.pop(option) for option in options})
        command(**values)

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def recipe_values(context: typer.Context) -> dict[str, object]:
    """The options of the running command that are fields of a recipe, by their names; what was not given is missing."""
    from keras_transfer.recipe import FIELDS

    given = {name: value for name, value in context.params.items() if name in FIELDS}
    return {name: value for name, value in given.items() if value is not None and value != [] and value != ()}


def seconds(text: str | float) -> float:
    """A length of time from the command line: a number, with `s` or `ms` behind it or without.

    >>> seconds("2s"), seconds("500ms"), seconds("128")
    (2.0, 0.5, 128.0)
    """
    plain = str(text).strip().lower()
    unit = next((unit for unit in ("ms", "s") if plain.endswith(unit)), "")
    try:
        value = float(plain.removesuffix(unit)) * (0.001 if unit == "ms" else 1)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1_000_000:
        raise typer.BadParameter(f"{text!r} is no length of time, such as 2, 2s or 500ms.")
    return value


class StrategyName(StrEnum):
    """What may train; see `TrainingOptions.strategy`."""

    auto = "auto"
    feature_extraction = "feature-extraction"
    fine_tuning = "fine-tuning"
    full = "full"
    lora = "lora"
    bitfit = "bitfit"
    adapter = "adapter"
    scratch = "scratch"


class EffortName(StrEnum):
    """How much is spent on a model; see `TrainingOptions.effort`."""

    quick = "quick"
    standard = "standard"
    best = "best"


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


TARGETS = "android, edgetpu, ethos-u, mediapipe, microcontroller or web"
_DATA = (
    "A folder of class folders, a CSV, Parquet or JSON lines file, tfds:NAME, pizza, digits, made-reviews, "
    "made-sounds or made-gestures."
)
Data = Annotated[str, typer.Argument(help=_DATA)]
RecipeData = Annotated[str | None, typer.Argument(help=f"{_DATA} A recipe may name it instead.")]
Run = Annotated[Path, typer.Argument(help="The --out of a finished `train`.")]


def model_path(text: str) -> Path:
    """A model from the command line: a path; or a version of the registry, such as `cats@champion`, as its run.

    >>> model_path("model.tflite")
    PosixPath('model.tflite')
    """
    if "@" not in text or Path(text).exists():
        return Path(text)
    from keras_transfer.operations.registry import open_registry, open_version

    return open_version(open_registry(), text)


Model = Annotated[
    Path,
    typer.Argument(
        parser=model_path,
        metavar="MODEL",
        help="A .keras or .tflite file, a run directory, or a version of the registry, such as cats@champion.",
    ),
]
Alpha = Annotated[float | None, typer.Option(help="Width multiplier of the MobileNets.  [1.0]")]
Weights = Annotated[
    str | None,
    typer.Option(
        help="imagenet, bundled, none, or a weights file; of others pretrained or none, of recordings also a file, of "
        "series a run; of --backbone auto also a folder.  [imagenet; pretrained]"
    ),
]
RunData = Annotated[
    str | None,
    typer.Option(help="Where the run's items are now, if they have moved; for a .keras, items for it."),
]
MovedData = Annotated[str | None, typer.Option(help="Where the run's own items are now, if they moved.")]
Geometry = Annotated[
    GeometryName | None,
    typer.Option(
        help="How pictures are fitted to the model: crop the centre, squash, or letterbox the whole; auto tries them "
        "on validation.  [auto]"
    ),
]
Effort = Annotated[
    EffortName | None,
    typer.Option(help="quick: the head alone; best: all that is known to help, for many times the time.  [standard]"),
]
Strategy = Annotated[StrategyName | None, typer.Option(help="What to train.  [auto]")]
FewShot = Annotated[
    int | None, typer.Option(help="At most so many items of each class to train on, and to validate.  [all]")
]
Seed = Annotated[int | None, typer.Option(help="Seed of splits, augmentation, order and dropout.  [0]")]
RecipeFile = Annotated[Path | None, typer.Option(help="A recipe file; options given here win over it.")]
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
ResultJson = Annotated[bool, typer.Option("--json", help="Print result.json instead of tables.")]
Fit = Annotated[
    str | None,
    typer.Option(help="What must hold on a device, such as flash=1MB,ram=256KB,latency=80ms@m7-480MHz,zip=300KB."),
]
Device = Annotated[
    str | None, typer.Option(help="A device whose limits must hold, such as arduino-nano-33-ble; see docs/targets.md.")
]
Profile = Annotated[bool, typer.Option("--profile", help="Show where the time went.")]


@dataclass(frozen=True)
class Network:
    """The network that a recipe begins with."""

    backbone: Annotated[
        str | None,
        typer.Option(
            help="See `keras-transfer backbones`; or a KerasHub preset: kerashub:NAME, a handle, ./FOLDER; of texts "
            "a Hugging Face model: hf:USER/NAME, FOLDER; auto: the best on this machine.  [mobilenet_v2; of texts "
            "minilm, else auto]"
        ),
    ] = None
    alpha: Alpha = None
    weights: Weights = None
    image_size: Annotated[int | None, typer.Option(help="Of pictures: side in pixels.  [the backbone's own]")] = None


@dataclass(frozen=True)
class Layout:
    """How labelled items lie in a folder or stand in a table."""

    root: Annotated[
        str | None, typer.Option(help="The folder in which relative paths of a table begin.  [the table's own]")
    ] = None
    path_column: Annotated[
        str | None, typer.Option(help="A table's column of paths.  [path, file, filename, image, audio, ...]")
    ] = None
    label_column: Annotated[
        str | None, typer.Option(help="A table's column of labels.  [label, class, category, sentiment, ...]")
    ] = None
    text_column: Annotated[
        str | None, typer.Option(help="A table's column of texts.  [text, sentence, review, content, tweet, body, ...]")
    ] = None
    classes_at_depth: Annotated[
        int | None,
        typer.Option(min=1, help="Levels from DATA, or its train/ val/ test/, down to the class folders.  [1]"),
    ] = None
    window: Annotated[
        float | None,
        typer.Option(
            parser=seconds,
            metavar="SECONDS",
            help="Seconds of the windows that recordings are cut into; of series without a known rate samples.  "
            "[from the data]",
        ),
    ] = None
    hop: Annotated[
        float | None,
        typer.Option(
            parser=seconds, metavar="SECONDS", help="Seconds from the start of a window to the next.  [the window]"
        ),
    ] = None
    rate: Annotated[
        float | None, typer.Option(min=1e-6, help="Samples a second of series whose files do not say it.  [unknown]")
    ] = None

    def source(self) -> "SourceLayout":
        """The same, as those who list a source take it."""
        from keras_transfer.data.listing import Layout as SourceLayout

        return SourceLayout(**vars(self))


@dataclass(frozen=True)
class SplitLayout(Layout):
    """The same, of a source that is split."""

    group_by: Annotated[
        str | None, typer.Option(help="Keep together in one split: a CSV column, 'folder', or a regular expression.")
    ] = None
    background: Annotated[
        str | None, typer.Option(help="A folder of recordings that become one more class, 'background'.")
    ] = None


@dataclass(frozen=True)
class Events:
    """How what is found in long recordings is compared with what happens in them."""

    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="With --stream: the least probability of an event.  [0.5]")
    ] = None
    tolerance: Annotated[
        float | None,
        typer.Option(
            parser=seconds,
            metavar="SECONDS",
            help="With --stream: how much earlier or later than an event it may be heard.  [half of a window]",
        ),
    ] = None
    nothing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS",
            help="With --stream: a class that is no event; may be repeated.  [background, silence, unknown, ...]",
        ),
    ] = None
    group_by: Annotated[
        str | None,
        typer.Option(help="With --stream: figures for each of these: a table's column, or a part of file names."),
    ] = None

    def options(self) -> "EventOptions":
        """The same, as those who evaluate take it."""
        given: EventOptions = {"tolerance": self.tolerance, "nothing": self.nothing}
        return given if self.threshold is None else {**given, "threshold": self.threshold}

    def layout(self, layout: "Layout") -> "SourceLayout":
        """How the source is arranged, with its groups."""
        from dataclasses import replace

        return replace(layout.source(), group_by=self.group_by)

    def refuse(self) -> None:
        """Raises `InputError` where something is given that goes with --stream alone."""
        from keras_transfer.errors import InputError

        given = [name for name, value in vars(self).items() if value is not None]
        if given:
            raise InputError(f"--{given[0].replace('_', '-')} goes with --stream.")


@dataclass(frozen=True)
class OwnModel:
    """What a model from elsewhere does not say of its inputs."""

    image_size: Annotated[
        int | None, typer.Option(help="For a .keras that takes any size: side of its pictures in pixels.")
    ] = None
    pixels: Annotated[
        PixelsName | None,
        typer.Option(
            help="For a .keras whose pixels were scaled outside of it: what it takes, 0..1 say (x / 255), or what "
            "`preprocess_input` makes: -1..1, torch or caffe.  [0..255]"
        ),
    ] = None

    def options(self) -> "ModelOptions":
        """The same, as those who open a model take it."""
        return {"image_size": self.image_size, "pixels": self.pixels}


@dataclass(frozen=True)
class OwnFile(OwnModel):
    """The same, of a model or a LiteRT file that is fed items."""

    geometry: Annotated[
        FileGeometryName | None,
        typer.Option(help="For a file that does not say how pictures are fitted to it: crop, squash or letterbox."),
    ] = None

    def options(self) -> "OwnModelOptions":
        """The same, as those who open a model or a file take it."""
        return {**super().options(), "geometry": self.geometry}


@dataclass(frozen=True)
class Log:
    """What is kept of predictions."""

    log: Annotated[
        Path | None,
        typer.Option(help="Append a line for each item to this file, for `monitor`; no names, no items."),
    ] = None
    log_sketch: Annotated[
        bool, typer.Option("--log-sketch", help="Also log 64 numbers of what a RUN or .keras sees in it.")
    ] = False
    log_items: Annotated[bool, typer.Option("--log-items", help="Also keep the items, in a folder beside the log.")] = (
        False
    )
    log_sync: Annotated[
        bool, typer.Option("--log-sync", help="Wait for the disk after each line: nothing is lost if power fails.")
    ] = False


@dataclass(frozen=True)
class Files:
    """Which files are made of a model, and what each may lose."""

    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="float32, float16, dynamic, int8, 16x8, onnx or saved-model; may be repeated.  "
            "[of pictures the first four, else three]",
        ),
    ] = None
    targets: Annotated[
        list[str] | None,
        typer.Option("--target", help=f"A device to judge the files for: {TARGETS}; may be repeated."),
    ] = None
    tolerance: Annotated[
        float | None,
        typer.Option(help="What a file may lose of the Keras model's accuracy; 0.01 is one point.  [0.01]"),
    ] = None
    reject: Annotated[
        bool | None,
        typer.Option("--reject", help='Files can say "none of these": a second output says how unlike an item is.'),
    ] = None
