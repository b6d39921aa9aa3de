"""What a run is told: one validated, typed record that is written to `RUN/recipe.yaml` and read back from it."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from keras_transfer.errors import InputError, in_one_line
from keras_transfer.files import write_text
from keras_transfer.geometry import Geometry

Strategy = Literal["auto", "feature-extraction", "fine-tuning", "full", "scratch"]
Schedule = Literal["constant", "cosine", "cyclical", "plateau"]
OptimizerName = Literal["adam", "adamw", "sgd"]
Format = Literal["float32", "float16", "dynamic", "int8", "16x8", "onnx"]
Pixels = Literal["0..255", "0..1", "-1..1", "torch", "caffe"]
_Fraction = Annotated[float, Field(ge=0, lt=1)]
_Count = Annotated[int, Field(ge=1)]
_Rate = Annotated[float, Field(gt=0, le=10)]


def _geometry(told: Any) -> Any:
    """A mode's name or some fields as a `Geometry`; "auto" is None, the default: the run chooses."""
    if told == "auto":
        return None
    return Geometry.of(told) if isinstance(told, str | dict) else told


def check_geometry(given: object) -> Geometry:
    """Returns a geometry that is given by its mode's name or in some other way.

    >>> check_geometry("squash").mode
    'squash'
    """
    try:
        return Geometry.of(given)
    except (TypeError, ValueError) as error:
        raise InputError(f"`geometry` is wrong: {error}.") from error


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_T = TypeVar("_T", bound=_Strict)


class Phase(_Strict):
    """One stretch of training: what trains, how fast, how long.

    Of `stages`, `layers` and `from_layer` at most one is given; none of them means that only the head trains.
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
    batch_size: _Count = 32
    patience: _Count = 4
    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"

    @property
    def frozen(self) -> bool:
        """Whether the whole backbone stays frozen."""
        return self.stages is None and self.layers is None and self.from_layer is None


class Compression(_Strict):
    """What `compress` is told to make of a finished run; the steps that are told happen in this order."""

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
    """Everything a run is told. None means: chosen by the run, which writes its choice to `RUN/recipe.yaml`."""

    data: str
    modality: str | None = None  # a name of `inputs.MODALITIES`; None: found from the data
    group_by: str | None = None  # these five: see `data.listing.Layout`
    root: str | None = None
    path_column: str | None = None
    label_column: str | None = None
    classes_at_depth: _Count | None = None
    val: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    test: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    allow_bad: bool = False
    few_shot: _Count | None = None
    class_names: tuple[str, ...] | None = None  # in order, where the data's own order will not do

    model: str | None = None  # a `.keras` file of the user's own, in place of a backbone
    model_sha256: str | None = None  # of that file
    pixels: Pixels | None = None  # what that model takes; see `keras_transfer.models.as_classifier`

    backbone: str = "mobilenet_v2"
    alpha: Annotated[float, Field(gt=0)] | None = None
    weights: str = "imagenet"
    image_size: Annotated[int, Field(ge=1)] | None = None
    geometry: Annotated[Geometry | None, BeforeValidator(_geometry)] = None  # a mode, fields of one, or auto
    pooling: Literal["avg", "max", "token"] | None = None  # None: "token" where there is one, else "avg"
    hidden: tuple[_Count, ...] = ()
    dropout: _Fraction = 0.2

    strategy: Strategy = "auto"
    phases: tuple[Phase, ...] | None = None
    epochs: _Count | None = None  # of each phase after the head's, in place of its own number
    gradual: bool = False
    label_smoothing: _Fraction = 0.0
    class_weights: bool = True
    augmentation: str | dict[str, bool | float | str] = "auto"
    views: _Count | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    formats: tuple[Format, ...] | None = None  # the first four, of which int8 alone counts as asked for
    targets: tuple[str, ...] = ()
    calibration_images: _Count = 100
    tolerance: _Fraction = 0.01

    baselines: Literal["auto", "none", "scratch"] = "auto"
    compare_backbones: tuple[str, ...] = ()

    base: str | None = None  # the run directory that `compress` begins with
    compression: Compression | None = None

    @property
    def layout(self) -> dict[str, Any]:
        """How `data` is to be read: arguments of `load_images`, and the fields of a `Layout`."""
        names = ("group_by", "root", "path_column", "label_column", "classes_at_depth")
        return {name: getattr(self, name) for name in names}


def make_recipe(base: str | Path | None = None, /, **told: Any) -> Recipe:
    """A recipe from a YAML file and the values told beside it, which win.

    Args:
        base: a recipe file, or None.
        **told: fields of `Recipe`; None stands for "not told".

    Returns:
        The validated recipe. What it names of files and folders that exist is absolute: it means the same from any
        working directory.

    Raises:
        InputError: the file cannot be read, or a field is unknown or out of its range.

    >>> make_recipe(data="photos/", seed=1).seed
    1
    """
    fields: dict[str, Any] = {}
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
        fields = loaded
    fields |= moved_root(fields, told) | {name: value for name, value in told.items() if value is not None}
    source = f"the recipe {base}" if base is not None else "the recipe"
    return map_paths(_validated(Recipe, fields, source, told), lambda name: _absolute(name) if _exists(name) else name)


# Where a recipe names files or folders: field -> what stands before the path, and the path.
_PATHS = {
    "data": r"(tfds:)?(.+)",
    "root": r"()(.+)",
    "backbone": r"(hub:|(?:kerashub:)?(?=.*[/\\]))(?!\w+://)(.+)",  # a path has a slash
    "weights": r"(hub:)?(?!(?:imagenet|bundled|none)$)(.+)",
    "compare_backbones": r"(.*?=(?:hub:)?)(?!(?:imagenet|bundled)$)(.+)",
    "base": r"()(.+)",
    "model": r"()(.+)",
}


def map_paths(recipe: Recipe, change: Callable[[str], str]) -> Recipe:
    """The recipe with `change` applied to whatever in it may be the path of a file or folder.

    >>> map_paths(make_recipe(data="photos", backbone="hub:module"), "old/".__add__).backbone
    'hub:old/module'
    """

    def changed(pattern: str, text: str) -> str:
        match = re.fullmatch(pattern, text, re.DOTALL)
        return text if match is None else (match[1] or "") + change(match[2])

    fields: dict[str, Any] = {}
    for name, pattern in _PATHS.items():
        value = getattr(recipe, name)
        if value is not None:
            several = isinstance(value, tuple)
            fields[name] = tuple(changed(pattern, one) for one in value) if several else changed(pattern, value)
    return recipe.model_copy(update=fields)


def _exists(path: str) -> bool:
    return os.path.exists(os.path.expanduser(path))  # noqa: PTH110, PTH111  (Path raises on names that cannot be)


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  (also takes out `..`)


def moved_root(fields: dict[str, Any], told: dict[str, Any]) -> dict[str, str]:
    """The `root` of a table that is told to lie elsewhere: seen from it as from the old place, if it is there.

    >>> moved_root({"data": "old/table.csv", "root": "old/photos"}, {"data": "new/table.csv"})  # no such folder
    {}
    """
    old, root, data = fields.get("data"), fields.get("root"), told.get("data")
    if told.get("root") is not None or not (isinstance(old, str) and isinstance(root, str) and isinstance(data, str)):
        return {}
    moved = Path(data).parent / os.path.relpath(root, Path(old).parent)
    return {"root": str(moved)} if moved.is_dir() else {}


def make_compression(**told: Any) -> Compression:
    """A `Compression` from what is told; None stands for "not told".

    Raises:
        InputError: a value is out of its range.

    >>> make_compression(sparsity=0.5, clusters=None).sparsity
    0.5
    """
    return _validated(Compression, {name: value for name, value in told.items() if value is not None}, "", told)


def _validated(kind: type[_T], fields: dict[str, Any], source: str, told: dict[str, Any]) -> _T:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if not isinstance(part, int))
        from_file = first["loc"] and first["loc"][0] not in told
        where = f" in {source}" if source and from_file else ""
        if first["type"] == "extra_forbidden":
            from difflib import get_close_matches

            known = [*Recipe.model_fields, *Phase.model_fields, *Compression.model_fields]
            near = get_close_matches(str(first["loc"][-1]), known, 1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            raise InputError(f"`{place}`{where} is not a field of a recipe.{hint}") from error
        if first["type"] == "missing":
            raise InputError(f"`{place}` is missing: give it on the command line or in a recipe file.") from error
        if first["type"] == "value_error":  # a sentence of our own, which says what was received
            raise InputError(f"`{place}`{where} is wrong: {first['ctx']['error']}.") from error
        wanted = first["msg"].replace("Input should be", "it should be", 1)
        raise InputError(f"`{place}`{where} is wrong: {wanted}. Received: {first['input']!r}.") from error


def write_recipe(path: str | Path, recipe: Recipe) -> Path:
    """Writes `recipe` to `path` as YAML, defaults included."""
    fields = recipe.model_dump(mode="json")
    text = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
    if yaml.safe_load(text) != fields:  # PyYAML folds a name with an odd line break in it unless it is escaped
        text = yaml.safe_dump(fields, sort_keys=False)
    return write_text(path, text)


def differences(told: Recipe, earlier: Recipe) -> list[str]:
    """The fields in which `told` asks for something else than `earlier`; a field that is None asks for nothing.

    >>> differences(make_recipe(data="a", seed=1), make_recipe(data="a", seed=2, image_size=96))
    ['seed']
    """
    told, earlier = (map_paths(recipe, _absolute) for recipe in (told, earlier))  # whether there is such a file or not
    return [
        name
        for name in Recipe.model_fields
        if getattr(told, name) is not None and getattr(told, name) != getattr(earlier, name)
    ]
