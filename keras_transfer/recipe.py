"""What a run is asked for: one validated, typed record that is written to `RUN/recipe.yaml` and read back from it."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from keras_transfer.budget import Budget, as_budget
from keras_transfer.errors import InputError, in_one_line
from keras_transfer.files import write_text
from keras_transfer.geometry import Geometry

Strategy = Literal["auto", "feature-extraction", "fine-tuning", "full", "lora", "bitfit", "adapter", "scratch"]
Effort = Literal["quick", "standard", "best"]
Schedule = Literal["constant", "cosine", "cyclical", "plateau"]
OptimizerName = Literal["adam", "adamw", "sgd", "lbfgs"]
"""`lbfgs` solves a linear head on frozen features (`training.linear`), without rates, epochs or batches."""
Format = Literal["float32", "float16", "dynamic", "int8", "16x8", "onnx", "saved-model"]
OTHER_RUNTIMES = ("onnx", "saved-model")
"""Formats that are no LiteRT files: for servers."""
Pixels = Literal["0..255", "0..1", "-1..1", "torch", "caffe"]
_Fraction = Annotated[float, Field(ge=0, lt=1)]
_Count = Annotated[int, Field(ge=1)]
_Window = Annotated[float, Field(gt=0, le=1_000_000)]  # seconds; samples where no rate is known
_Rate = Annotated[float, Field(gt=0, le=10)]
DOWNLOADED = "imagenet"
NAMED_WEIGHTS = (DOWNLOADED, "bundled")
"""Pretrained weights of pictures that have a name; all others lie in a file."""
AUTO = "auto"
"""The backbone of a recipe that leaves the choice to an audition, see `keras_transfer.jobs.audition`."""


def _geometry(value: object) -> object:
    """A mode's name or some fields as a `Geometry`; "auto" is None, the default: the run chooses."""
    if value == "auto":
        return None
    return Geometry.of(value) if isinstance(value, str | dict) else value


def check_geometry(value: object) -> Geometry:
    """Returns a geometry, which may be written as its mode's name or as some of its fields.

    >>> check_geometry("squash").mode
    'squash'
    """
    try:
        return Geometry.of(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"`geometry` is wrong: {error}.") from error


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_T = TypeVar("_T", bound=_Strict)


class Phase(_Strict):
    """One stretch of training: what trains, how fast, how long.

    Of `stages`, `layers` and `from_layer` at most one is set; none of them means that only the head trains.
    """

    name: str
    stages: int | Literal["all"] | None = None
    layers: _Count | None = None
    from_layer: str | None = None
    batchnorm: bool = False
    epochs: _Count = 30
    learning_rate: _Rate = 1e-3
    optimizer: OptimizerName = "adam"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    momentum: _Fraction = 0.9  # of SGD
    beta_2: _Fraction = 0.999  # of Adam and AdamW
    l2_sp: Annotated[float, Field(ge=0)] = 0.0  # pulls the backbone back to where the phase began
    schedule: Schedule = "constant"
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.0
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0  # momentum of the average of weights that is kept; 0: the last ones
    batch_size: _Count = 32
    patience: _Count = 4
    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"
    method: Literal["lora", "bitfit", "adapter"] | None = None  # trains few numbers, see `training.efficient`
    rank: _Count = 8  # of LoRA; units of an adapter

    @property
    def frozen(self) -> bool:
        """Whether the whole backbone stays frozen."""
        return self.stages is None and self.layers is None and self.from_layer is None


class DataOptions(_Strict):
    """Which items, how they are split, and how they become the model's inputs. None: chosen from the data."""

    source: str
    modality: str | None = None  # a name of `inputs.MODALITIES`
    group_by: str | None = None  # these, down to `rate`: see `data.listing.Layout`
    root: str | None = None
    path_column: str | None = None
    label_column: str | None = None
    classes_at_depth: _Count | None = None
    text_column: str | None = None
    window: _Window | None = None
    hop: _Window | None = None
    background: str | None = None
    rate: Annotated[float, Field(gt=0)] | None = None
    val: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    test: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    allow_bad: bool = False
    few_shot: _Count | None = None
    class_names: tuple[str, ...] | None = None  # in order, where the data's own order will not do
    geometry: Annotated[Geometry | None, BeforeValidator(_geometry)] = None  # a mode, some fields of one, or auto
    sequence_length: _Count | None = None  # tokens of a text, samples of a series
    normalize: Literal["channel", "window"] | None = None  # of series: by the training series, or each by itself


class ModelOptions(_Strict):
    """The network."""

    file: str | None = None  # a `.keras` file of the user's own, in place of a backbone
    file_sha256: str | None = None
    pixels: Pixels | None = None  # what that model takes; see `keras_transfer.models.as_classifier`
    backbone: str | None = None  # None: the modality's `default_backbone`; AUTO: an audition chooses
    alpha: Annotated[float, Field(gt=0)] | None = None
    weights: str = "imagenet"
    image_size: Annotated[int, Field(ge=1)] | None = None
    pooling: Literal["avg", "max", "token"] | None = None  # None: "token" where there is one, else "avg"
    hidden: tuple[_Count, ...] = ()
    dropout: _Fraction = 0.2
    depth: _Count | None = None  # blocks of the backbone that are kept, from the input up; None: all

    @property
    def pretrained(self) -> bool:
        """Whether the backbone begins with pretrained weights."""
        return self.weights != "none"


class TrainingOptions(_Strict):
    """How the network trains; the fields are keywords of `keras_transfer.fit`. None: chosen by the run."""

    effort: Effort = "standard"  # what is left open of other fields, see `Modality.efforts`
    strategy: Strategy = "auto"
    phases: tuple[Phase, ...] | None = None
    epochs: _Count | None = None  # of each phase after the head's, in place of its own number
    gradual: bool = False
    ema: Annotated[float, Field(ge=0, lt=1)] | None = None  # of each phase after the head's
    rank: _Count | None = None  # of LoRA; units of an adapter
    label_smoothing: _Fraction = 0.0
    class_weights: bool = True
    refit: bool = True  # a head that was solved learns from validation items, too, once they have chosen its penalty
    augmentation: str | dict[str, bool | float | str] = "auto"
    views: _Count | None = None

    @field_validator("rank")
    @classmethod
    def _of_lora(cls, rank: int | None, info: ValidationInfo) -> int | None:
        if rank is not None and info.data.get("strategy") not in ("lora", "adapter"):
            raise ValueError(f"it goes with the strategies lora and adapter alone. Received: {rank}")
        return rank


class ExportOptions(_Strict):
    """Which files are made of the network."""

    formats: tuple[Format, ...] | None = None  # the first four, of which only the int8 file's gate can fail the run
    targets: tuple[str, ...] = ()
    calibration_items: _Count = 100
    tolerance: _Fraction = 0.01
    fit: Annotated[Budget | None, BeforeValidator(as_budget)] = None  # what must hold on a device
    device: str | None = None  # a name of `exporters.targets.devices.DEVICES`, whose limits must hold
    reject: bool = False  # whether files say, in a second output, how unlike all classes an item is


class ReportOptions(_Strict):
    """What the run is compared with."""

    baselines: Literal["auto", "none", "scratch"] = "auto"
    compare_backbones: tuple[str, ...] = ()


class Compression(_Strict):
    """What `compress` makes of a finished run; its steps happen in this order."""

    distill: bool = False  # into a student: the backbone, alpha, weights and image size of the recipe
    multiply_adds: Annotated[float, Field(gt=0, lt=1)] | None = None  # share left after removing channels
    sparsity: Annotated[float, Field(gt=0, lt=1)] | None = None
    pattern: str | None = None  # of the zeros: "2:4", or a block such as "1x4"
    clusters: Annotated[int, Field(ge=2, le=256)] | None = None
    qat: bool = False
    qat_stages: _Count | None = None
    per_tensor: bool = False
    epochs: _Count | None = None  # of each step, in place of its own number


class Recipe(_Strict):
    """Everything that a run is asked for. What is None is chosen by the run and then written to `RUN/recipe.yaml`.

    Each section goes whole to where it is used. No two sections share a field's name, so a command line, a recipe file
    and `make_recipe` can set a field without its section.
    """

    data: DataOptions
    model: ModelOptions = ModelOptions()
    training: TrainingOptions = TrainingOptions()
    export: ExportOptions = ExportOptions()
    report: ReportOptions = ReportOptions()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0  # of splits, augmentation, order and dropout
    base: str | None = None  # the run directory that this run was made from
    compression: Compression | None = None

    @property
    def backbone(self) -> str:
        """The name of the backbone, in a recipe that is settled: see `keras_transfer.modalities.settled`."""
        if self.model.backbone is None:
            raise ValueError("The recipe names no backbone yet: settle it first.")
        return self.model.backbone

    def says(self, field: str) -> bool:
        """Whether a field has a value of its own, be it the one that it would have without.

        >>> [make_recipe(data="photos/", alpha=0.5).says(field) for field in ("alpha", "dropout")]
        [True, False]
        """
        section, name = _PLACES[field]
        return name in getattr(self, section).model_fields_set

    def replace(self, **changes: object) -> "Recipe":
        """This recipe with other values, by the fields' names without their sections; they are not validated.

        >>> make_recipe(data="photos/").replace(weights="none").model.weights
        'none'
        """
        unknown = changes.keys() - _PLACES.keys() - Recipe.model_fields.keys()
        if unknown:
            raise TypeError(f"A recipe has no field {', '.join(sorted(unknown))}.")
        updates = _in_sections(changes)
        for section in _SECTIONS.keys() & updates.keys():
            updates[section] = getattr(self, section).model_copy(update=updates[section])
        return self.model_copy(update=updates)

    def fields(self) -> dict[str, object]:
        """All values by the fields' names without their sections, as `make_recipe` takes them.

        >>> make_recipe(data="photos/").fields()["data"]
        'photos/'
        """
        values: dict[str, object] = {}
        for name in Recipe.model_fields:
            value = getattr(self, name)
            names = type(value).model_fields if name in _SECTIONS else ()
            values |= {_shown(name, field): getattr(value, field) for field in names} if names else {name: value}
        return values


_SECTIONS: dict[str, type[_Strict]] = {
    "data": DataOptions,
    "model": ModelOptions,
    "training": TrainingOptions,
    "export": ExportOptions,
    "report": ReportOptions,
}
# What some fields are called without their section, also in recipe files from before there were sections.
_SHORT = {
    "data": ("data", "source"),
    "model": ("model", "file"),
    "model_sha256": ("model", "file_sha256"),
    "calibration_images": ("export", "calibration_items"),
}
_PLACES = {field: (section, field) for section, options in _SECTIONS.items() for field in options.model_fields} | _SHORT


FIELDS = frozenset(_PLACES) | {"seed"}
"""What `make_recipe` takes, by name."""


def _shown(section: str, field: str) -> str:
    """What a field is called without its section.

    >>> _shown("data", "source"), _shown("model", "alpha")
    ('data', 'alpha')
    """
    short = {place: name for name, place in _SHORT.items() if name != "calibration_images"}
    return short.get((section, field), field)


def _in_sections(fields: Mapping[str, object]) -> dict[str, object]:
    """Values by section, whether they were written in sections or without.

    >>> _in_sections({"data": "photos/", "seed": 1, "model": {"alpha": 0.5}, "dropout": 0.1})
    {'data': {'source': 'photos/'}, 'model': {'alpha': 0.5, 'dropout': 0.1}, 'seed': 1}
    """
    sections: dict[str, dict[str, object]] = {name: {} for name in _SECTIONS}
    others: dict[str, object] = {}
    for name, value in fields.items():
        if name in _SECTIONS and isinstance(value, Mapping):
            sections[name] |= value
        elif name in _PLACES:
            section, field = _PLACES[name]
            sections[section][field] = value
        else:
            others[name] = value
    return {name: values for name, values in sections.items() if values} | others


def _merged(base: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """Values in sections, of which those of `changes` win."""
    merged = dict(base)
    for name, value in changes.items():
        before = merged.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping) and name in _SECTIONS
        merged[name] = {**before, **value} if both else value  # type: ignore[dict-item]
    return merged


def make_recipe(base: str | Path | None = None, /, **values: object) -> Recipe:
    """A recipe from a YAML file and from values beside it, which win.

    Args:
        base: a recipe file, or None. Its fields may stand in their sections or without.
        **values: fields of the sections of `Recipe`, and its own; None stands for "not said". `data` is the source,
            `model` a file of the user's own.

    Returns:
        The validated recipe. What it names of files and folders that exist is absolute: it means the same from any
        working directory.

    Raises:
        InputError: the file cannot be read, or a field is unknown or out of its range.

    >>> make_recipe(data="photos/", seed=1, alpha=0.5).model.alpha
    0.5
    """
    fields: dict[str, object] = {}
    if base is not None:
        try:
            loaded = yaml.safe_load(Path(base).read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or in_one_line(error)
            raise InputError(f"Cannot read the recipe {base}: {reason}.") from error
        if not isinstance(loaded, dict):
            raise InputError(
                f"The recipe {base} must be a YAML mapping of names to values. Received: {type(loaded).__name__}."
            )
        fields = _in_sections(loaded)
    set_now = {name: value for name, value in values.items() if value is not None}
    fields = _merged(fields, _in_sections(moved_root(fields, set_now) | set_now))
    source = f"the recipe {base}" if base is not None else "the recipe"
    recipe = _validated(Recipe, fields, source, values)
    return map_paths(recipe, lambda name: _absolute(name) if _exists(name) else name)


# Where a recipe names files or folders: field -> what stands before the path, and the path.
_PATHS = {
    "data": r"(tfds:)?(.+)",
    "root": r"()(.+)",
    "background": r"()(.+)",
    "backbone": r"(hub:|(?:kerashub:)?(?=.*[/\\]))(?!\w+://)(.+)",  # a path has a slash
    "weights": r"(hub:)?(?!(?:imagenet|bundled|none)$)(.+)",
    "compare_backbones": r"(.*?=(?:hub:)?)(?!(?:imagenet|bundled)$)(.+)",
    "base": r"()(.+)",
    "model": r"()(.+)",
}


def map_paths(recipe: Recipe, change: Callable[[str], str]) -> Recipe:
    """The recipe with `change` applied to whatever in it may be the path of a file or folder.

    >>> map_paths(make_recipe(data="photos", backbone="hub:module"), "old/".__add__).model.backbone
    'hub:old/module'
    """

    def changed(pattern: str, text: str) -> str:
        match = re.fullmatch(pattern, text, re.DOTALL)
        return text if match is None else (match[1] or "") + change(match[2])

    values, changes = recipe.fields(), dict[str, object]()
    for name, pattern in _PATHS.items():
        value = values[name]
        if isinstance(value, str):
            changes[name] = changed(pattern, value)
        elif isinstance(value, tuple):
            changes[name] = tuple(changed(pattern, one) for one in value)
    return recipe.replace(**changes)


def _exists(path: str) -> bool:
    return os.path.exists(os.path.expanduser(path))  # noqa: PTH110, PTH111  (Path raises on names that cannot be)


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  (also takes out `..`)


def moved_root(fields: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """The `root` of a table that now lies elsewhere: seen from its new place as from the old one, if it is there.

    Args:
        fields: in sections, as they were.
        changes: without sections; `data` is the table's new place.

    >>> moved_root({"data": {"source": "old/table.csv", "root": "old/photos"}}, {"data": "new/table.csv"})  # not there
    {}
    """
    before, data = fields.get("data"), changes.get("data")
    if changes.get("root") is not None or not isinstance(before, Mapping) or not isinstance(data, str):
        return {}
    old, root = before.get("source"), before.get("root")
    if not (isinstance(old, str) and isinstance(root, str)):
        return {}
    moved = Path(data).parent / os.path.relpath(root, Path(old).parent)
    return {"root": str(moved)} if moved.is_dir() else {}


def make_compression(**values: object) -> Compression:
    """A `Compression` of these values; None stands for "not said".

    Raises:
        InputError: a value is out of its range.

    >>> make_compression(sparsity=0.5, clusters=None).sparsity
    0.5
    """
    return _validated(Compression, {name: value for name, value in values.items() if value is not None}, "", values)


def _validated(kind: type[_T], fields: Mapping[str, object], source: str, set_now: Iterable[str]) -> _T:
    """A checked record; the message of what is wrong says whether it stood in `source` or was set beside it."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise InputError(_sentence(error.errors()[0], source, set(set_now))) from error


def _sentence(error: ErrorDetails, source: str, set_now: set[str]) -> str:
    names = [str(part) for part in error["loc"] if not isinstance(part, int)]
    if len(names) > 1 and names[0] in _SECTIONS:
        names = [_shown(names[0], names[1]), *names[2:]]
    place = ".".join(names)
    where = f" in {source}" if source and names and names[0] not in set_now else ""
    if error["type"] == "extra_forbidden":
        from difflib import get_close_matches

        known = [*_PLACES, *Recipe.model_fields, *Phase.model_fields, *Compression.model_fields]
        near = get_close_matches(names[-1], known, 1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        return f"`{place}`{where} is not a field of a recipe.{hint}"
    if error["type"] == "missing":
        return f"`{place}` is missing: give it on the command line or in a recipe file."
    if error["type"] == "value_error":  # a sentence of our own, which says what was received
        return f"`{place}`{where} is wrong: {error['ctx']['error']}."
    wanted = error["msg"].replace("Input should be", "it should be", 1)
    return f"`{place}`{where} is wrong: {wanted}. Received: {error['input']!r}."


def write_recipe(path: str | Path, recipe: Recipe) -> Path:
    """Writes `recipe` to `path` as YAML, defaults included."""
    fields = recipe.model_dump(mode="json")
    text = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
    if yaml.safe_load(text) != fields:  # PyYAML folds a name with an odd line break in it unless it is escaped
        text = yaml.safe_dump(fields, sort_keys=False)
    return write_text(path, text)


def differences(recipe: Recipe, earlier: Recipe) -> list[str]:
    """The fields in which `recipe` asks for something else than `earlier`; a field that is None asks for nothing.

    >>> differences(make_recipe(data="a", seed=1), make_recipe(data="a", seed=2, image_size=96))
    ['seed']
    """
    # Whether there is such a file or not:
    now, before = (map_paths(one, _absolute).fields() for one in (recipe, earlier))
    return [name for name, value in now.items() if value is not None and value != before[name]]
