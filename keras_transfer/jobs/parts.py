"""What several jobs do alike."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.files import write_text
from keras_transfer.inputs import Json
from keras_transfer.modalities import open_modality, recipe_modality
from keras_transfer.progress import say
from keras_transfer.recipe import Phase, Recipe
from keras_transfer.schemas import HistoryRow

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split
    from keras_transfer.exporters import Artifacts
    from keras_transfer.models.rejection import Rejection
    from keras_transfer.training import History
    from keras_transfer.training.plan import Plan

_COLUMNS = ("phase", "epoch", "seconds", "loss", "accuracy", "val_loss", "val_accuracy")


def load_data(recipe: Recipe, run: Path | None = None) -> "Dataset":
    """The recipe's items, listed in `RUN/data.csv`; in a run that was begun they must be those it began with."""
    listing = run / "data.csv" if run is not None else None
    begun = listing is not None and listing.is_file()
    if begun and Path(recipe.data.source).is_absolute() and not Path(recipe.data.source).exists():
        raise InputError(f"The data of {run} are no longer in {recipe.data.source}: say where they are with --data.")
    data = recipe_modality(recipe).load(recipe, _preparation(run) if run is not None and begun else None)
    if listing is not None and begun:
        _compare(listing, data, recipe.data.source, run)
    elif listing is not None:
        data.write_csv(listing)
    for warning in data.warnings:
        say(f"Note: {warning}")
    return data


def _preparation(run: Path) -> Mapping[str, Json] | None:
    """How the run's finished model takes items: what prepared them for training may be gone since."""
    from keras_transfer.models import read_inputs

    inputs = read_inputs(run / "model.keras")
    return None if inputs is None else inputs.preparation


def _compare(listing: Path, data: "Dataset", place: str, run: Path | None) -> None:
    """Raises `InputError` where items, their classes or their splits are not those that are listed."""
    with listing.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    column = "labels" if data.multi_label else "class"
    began = Counter((str(row["sha256"]), row.get(column) or "", str(row["split"])) for row in rows)
    now = Counter((record.sha256, data.labels_of(record), record.split) for record in data.records)
    if now != began:
        gone, new = (began - now).total(), (now - began).total()
        raise InputError(
            f"The {data.reader.kind.items} in {place} are not those that {run} began with ({gone} of {len(rows)} are "
            f"missing, relabelled or on another side of the split, {new} are new): say with --data where those are, or "
            "begin another run with another --out."
        )


def check_files(recipe: Recipe) -> None:
    """Raises `InputError` where a tool is missing for a file that a recipe asks for: at the start of a job.

    The formats and no targets that are the default need no tool, and cost nothing to check.
    """
    if recipe.export.targets or "onnx" in (recipe.export.formats or ()):
        from keras_transfer.exporters.checks import check_tools

        check_tools(recipe.export.formats or (), recipe.export.targets)


class FileOptions(TypedDict, total=False):
    """What a job sets of the keywords of `keras_transfer.export` beside its recipe."""

    calibration: "Split"
    validation: "Split"
    input_dtype: str
    target_options: Mapping[str, Mapping[str, str | None]]
    keras_probabilities: Callable[[], NDArray[np.float32]]
    converted: Mapping[str, bytes]
    repair: bool | Sequence[str]
    on_frozen: Callable[[], object]
    rejection: "Rejection | None"


def export_files(
    model: "keras.Model", recipe: Recipe, data: "Dataset", test: "Split", out: Path, **options: Unpack[FileOptions]
) -> "Artifacts":
    """The files of a recipe: calibrated on its training split, proved on its test split."""
    from keras_transfer.exporters import export

    options.setdefault("calibration", data.train)
    if options.get("rejection") is not None:
        options.setdefault("validation", data.val)
    return export(
        model,
        out,
        formats=recipe.export.formats,
        class_names=data.class_names,
        calibration_items=recipe.export.calibration_items,
        proof=test,
        tolerance=recipe.export.tolerance,
        targets=recipe.export.targets,
        seed=recipe.seed,
        **options,
    )


def prepared_for(recipe: Recipe, data: "Dataset") -> "Dataset":
    """Items that were loaded for another backbone, prepared for that of a recipe."""
    modality = open_modality(data.train.preparer.modality)
    return modality.fitted(recipe, data.prepared_by(modality.preparer_for(recipe, data.train.preparer)))


def build_classifier_of(
    recipe: Recipe, data: "Dataset", strategy: "tf.distribute.Strategy | None" = None
) -> "keras.Model":
    """The classifier of a recipe for this data, before any training; the same one for the same seed.

    It trains under `strategy`, or else on every GPU of this machine.
    """
    if recipe.model.file is not None:
        raise InputError(
            f"This run began with a model of your own, {recipe.model.file}: there is no backbone to build and train "
            "again."
        )
    import keras

    keras.utils.set_random_seed(recipe.seed)
    with strategy.scope() if strategy is not None else _devices():
        model = open_modality(data.train.preparer.modality).build(recipe, data)
        if recipe.training.strategy != "adapter" and recipe.model.depth is None:
            return model
        from keras_transfer.models import compile_classifier
        from keras_transfer.models.depth import at_depth
        from keras_transfer.training.efficient import RANK, add_adapters

        if recipe.model.depth is not None:
            model = at_depth(model, recipe.model.depth)
        if recipe.training.strategy == "adapter":
            model = add_adapters(model, recipe.training.rank or RANK)
        compile_classifier(model, multi_label=data.multi_label)
        return model


def check_weights(run: Path, recipe: Recipe) -> None:
    """Raises `InputError` where the weights that a finished run began with lay in a file that is gone."""
    if Path(recipe.model.weights).is_absolute() and not Path(recipe.model.weights).exists():
        raise InputError(
            f"{run} began with the weights in {recipe.model.weights}, which is gone, and this needs them: put the "
            "file back."
        )


def _devices() -> AbstractContextManager[object]:
    """Where a model is built so that it trains on every GPU."""
    import tensorflow as tf

    several = len(tf.config.list_logical_devices("GPU")) > 1
    scope: AbstractContextManager[object] = tf.distribute.MirroredStrategy().scope() if several else nullcontext()
    return scope


def plan_of(recipe: Recipe, model: "keras.Model", data: "Dataset", n_items: int | None = None) -> "Plan":
    """How a recipe's classifier trains, with nothing left open; `n_items` if others than `data.train` train."""
    from keras_transfer.training.plan import make_plan

    training = recipe.training
    return make_plan(
        model,
        data.train,
        strategy=training.strategy,
        phases=training.phases,
        epochs=training.epochs,
        gradual=training.gradual,
        pretrained=recipe.model.pretrained,
        augmentation=training.augmentation,
        views=training.views,
        rank=training.rank,
        ema=training.ema,
        n_items=n_items,
    )


def fit_recipe(
    model: "keras.Model",
    data: "Dataset",
    recipe: Recipe,
    plan: "Plan",
    checkpoints: Path | None = None,
    on_epoch: Callable[[str, HistoryRow], None] | None = None,
) -> "History":
    """Trains a recipe's classifier by its plan; see `keras_transfer.fit`."""
    from keras_transfer.training import fit_plan

    return fit_plan(
        model,
        data,
        plan,
        label_smoothing=recipe.training.label_smoothing,
        class_weights=recipe.training.class_weights,
        seed=recipe.seed,
        refit=recipe.training.refit,
        checkpoints=checkpoints,
        on_epoch=on_epoch,
    )


def from_scratch(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe of the same network trained from random weights, as `--strategy scratch` would, for so many epochs."""
    return recipe.replace(weights="none", strategy="scratch", gradual=False, views=None, phases=None, epochs=epochs)


def frozen_features(recipe: Recipe, data: "Dataset", splits: "Sequence[Split]") -> list[NDArray[np.float32]]:
    """What the head would see of each item, float32 `[n, features]` a split, before anything is trained.

    Of a network with random weights it is the means of every stage's map.
    """
    from keras_transfer.training.probe import pooled_features, settle_batchnorm

    model = build_classifier_of(recipe.replace(hidden=()), data)
    random = not recipe.model.pretrained
    if random:
        settle_batchnorm(model, data.train, recipe.seed)
    return pooled_features(model, splits, every_stage=random)


def write_history(run: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Writes `RUN/history.csv`, one row for each epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(run / "history.csv", text.getvalue())


def epoch_recorder(run: Path, phases: Sequence[Phase] = ()) -> Callable[[str, HistoryRow], None]:
    """Returns a function that is called with a phase's name and an epoch's figures: one more row of `RUN/history.csv`.

    Rows of an earlier process stay; an epoch done again takes the place of the old one.

    Args:
        run: the run directory.
        phases: what trains, to say how long it may still take where that is more than a minute.
    """
    epochs = {phase.name: phase.epochs for phase in phases}
    rows: dict[tuple[str, str], Mapping[str, object]] = {
        (row["phase"], row["epoch"]): dict(row) for row in read_history(run / "history.csv")
    }

    def record(phase: str, row: HistoryRow) -> None:
        rows[phase, str(row["epoch"])] = {"phase": phase, **row}
        write_history(run, list(rows.values()))
        values: Mapping[str, object] = row
        figures = (f"{name.replace('_', ' ')} {values[name]:.3f}" for name in _COLUMNS[3:] if name in values)
        left = (epochs.get(phase, 0) - row["epoch"]) * row["seconds"] / 60
        still = f"  {left:.0f} min left at most" if left >= 1 else ""
        say(f"{phase} {row['epoch']:>3}  {'  '.join(figures)}  {row['seconds']:.1f} s{still}")

    return record


def read_json(path: Path) -> object:
    """What a JSON file of a run holds; None where it was not written yet.

    Raises:
        InputError: it is no sound JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): remove it and make it again.") from error


def read_history(path: Path) -> list[dict[str, str]]:
    """The epochs in `RUN/history.csv`, as text; none where there is no such file yet."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
