"""Are new items, labelled or not, like those that a run was trained on? As a page and as figures."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from keras_transfer.data.listing import Layout
from keras_transfer.data.table_files import TABLES, key, sample_table
from keras_transfer.data.tables import LABELS
from keras_transfer.data.unlabelled import list_unlabelled, unlabelled
from keras_transfer.errors import InputError
from keras_transfer.files import write_json, write_text
from keras_transfer.inputs import InputSpec
from keras_transfer.jobs.parts import load_data
from keras_transfer.modalities import held_out, open_modality
from keras_transfer.recipe import Recipe, write_recipe
from keras_transfer.run import beside, command_line, data_option, read_run
from keras_transfer.schemas import (
    N_ITEMS,
    NEW_ITEMS,
    NextStep,
    PropertyDifference,
    Result,
    Shift,
    ShiftFigures,
    ShiftVerdict,
)

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split

_MEASURED, _SHOWN = 200, 6  # items of each side that are measured, and whose thumbnails are shown


class OpenRun(NamedTuple):
    """A finished run with its model and its items."""

    model: "keras.Model"
    recipe: Recipe
    result: Result
    data: "Dataset"


class NewItems(NamedTuple):
    """Items that a run has not seen."""

    split: "Split"
    labelled: bool  # with labels of the model's classes
    problems: list[str]  # what could not be used, a sentence each


def open_run_model(folder: Path, data: str | None = None) -> OpenRun:
    """Opens a finished run, whose items may have moved to `data`.

    Raises:
        InputError: the folder holds no finished run, or its items have changed.
    """
    from keras_transfer.evaluation import load_keras

    recipe, result = read_run(folder, data=data)
    return OpenRun(load_keras(folder / "model.keras"), recipe, result, load_data(recipe, folder))


def open_new_items(source: str | Path, own: "Dataset", layout: Layout | None = None) -> NewItems:
    """New items: with labels where the source has some that the model knows, else without.

    Args:
        source: a folder of any items, or what `keras_transfer.load` takes (its test split, if it has one).
        own: the data of the run, with its classes and its preparation.
        layout: how the new ones are arranged, where that is said: then they have labels.

    Raises:
        InputError: there are none.
    """
    folder, class_names, preparer = Path(source), own.class_names, own.train.preparer
    modality, inputs = open_modality(preparer.modality), InputSpec(preparer.modality, (), preparer.settings)
    said = layout is not None and bool(layout.said())
    bare = not said and _is_bare(folder)
    rows, suffix = modality.items_in(folder) if bare else None, folder.suffix.lower()
    an_item = bare and suffix in modality.kind.extensions
    labelled = rows is None and not an_item and (said or suffix in TABLES or not folder.exists())
    if folder.is_dir() and not said:
        names = {path.name for path in folder.glob("*") if path.is_dir()}
        sides = {path.name for side in ("test", "testing") for path in folder.glob(f"{side}/*") if path.is_dir()}
        labelled = bool(names) and (names <= set(class_names) or (bool(sides) and sides <= set(class_names)))
    if not labelled:
        split, problems = list_unlabelled(
            folder, modality.reader(preparer.settings), lambda name: rows or modality.parts(name, inputs)
        )
        return NewItems(split, False, problems)
    items = held_out(
        str(source), modality=preparer.modality, allow_bad=True, layout=layout, preparation=preparer.settings
    ).prepared_by(preparer)
    if not items.multi_label and set(items.class_names) <= set(class_names):
        columns = np.array([list(class_names).index(name) for name in items.class_names], np.int32)
        relabelled = replace(items, labels=columns[items.labels], class_names=list(class_names))
        return NewItems(relabelled, True, [])
    return NewItems(unlabelled(items), False, [])


def _is_bare(path: Path) -> bool:
    """Whether it is a table without a column of labels."""
    if path.suffix.lower() not in TABLES or not path.is_file():
        return False
    return all(key(name) not in LABELS for name in sample_table(path, [LABELS], whole=False)[0])


def shift_run(
    folder: str | Path,
    new_items: str | Path,
    out: str | Path,
    *,
    data: str | None = None,
    layout: Layout | None = None,
) -> Shift:
    """Compares new items with those a run was made from, and writes `shift.html` and `shift.json`.

    Where augmentation could match what differs, `recipe.yaml` beside them is the run's recipe with that.

    Args:
        folder: a finished run.
        new_items: the new items, see `open_new_items`.
        out: the folder to write to.
        data: where the run's own items are now, if they have moved.
        layout: how the new items are arranged, where that is said.

    Returns:
        What stands in `shift.json`.

    Raises:
        InputError: no finished run, no new items, or too few to compare.
    """
    from keras_transfer.data.folds import joined
    from keras_transfer.report import shift_html

    folder, out = Path(folder), Path(out)
    run = open_run_model(folder, data)
    new = open_new_items(new_items, run.data, layout)
    # Features that were trained know their own training items: those held back are what new ones are like.
    held = joined([run.data.val, run.data.test], "held back")
    if min(len(new.split), len(held)) < 8:
        raise InputError(
            f"{new_items} has {len(new.split)} {run.data.reader.kind.items} and the run held back {len(held)}: "
            "compare 8 or more."
        )
    figures, typical = _figures(run, held, new)
    verdict = _verdict(figures)
    shift: Shift = {
        "format": 1,
        "run": str(folder),
        NEW_ITEMS: str(new_items),
        N_ITEMS: {"new": len(new.split), "held_back": len(held)},
        "problems": new.problems,
        **figures,
        "verdict": verdict,
        "next": _next(figures, verdict, new_items, run.recipe, folder, out, layout or Layout()),
    }
    modality = open_modality(new.split.preparer.modality)
    pictures = {
        side: list(modality.previews(items, indices).values())
        for side, items, indices in (("new", new.split, typical), ("own", held, _spread(len(held))))
    }
    write_json(out / "shift.json", shift)
    write_text(out / "shift.html", shift_html(shift, pictures))
    return shift


def _figures(run: OpenRun, held: "Split", new: NewItems) -> tuple[ShiftFigures, Sequence[int]]:
    """What the network makes of both sides; and the new items that are most easily told from the run's own."""
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation import keras_classifier, predict_split
    from keras_transfer.evaluation.intervals import share_interval
    from keras_transfer.evaluation.shift import classifier_two_sample, expected_accuracy, mmd
    from keras_transfer.models.batchnorm import shift_meter, some
    from keras_transfer.models.graph import model_inputs
    from keras_transfer.training.probe import pooled_features

    ours, theirs = pooled_features(run.model, [unlabelled(held), unlabelled(new.split)])
    sorting = classifier_two_sample(ours, theirs)
    classifier = keras_classifier(run.model, inputs=new.split.spec(model_inputs(run.model)))
    val, answers = run.data.val, predict_split(classifier, new.split)
    figures: ShiftFigures = {
        "two_sample": {
            "accuracy": sorting["accuracy"],
            N_ITEMS: sorting[N_ITEMS],
            "p_value": sorting["p_value"],
        },
        "mmd": mmd(ours, theirs),
        "stages": [],
        "own_accuracy": run.result["test"]["accuracy"],
        "expected_accuracy": None,
        "accuracy": None,
        "differences": _differences(run.model, held, new.split),
    }
    if not run.data.multi_label:
        figures["expected_accuracy"] = expected_accuracy(val.labels, predict_split(classifier, val), answers)
    if new.labelled:
        right = int(correct(new.split.labels, answers).sum())
        low, high = share_interval(right, len(new.split))
        figures["accuracy"] = {"value": right / len(new.split), "low": low, "high": high}
    measure = shift_meter(run.model)
    sides = (measure(some(split, _MEASURED)) for split in (new.split, held))
    for row, before in zip(*sides, strict=True):
        figures["stages"].append({"stage": row["stage"], "new": row["distance"], "own": before["distance"]})
    return figures, sorting["typical"][:_SHOWN]


def _differences(model: "keras.Model", held: "Split", new: "Split") -> list[PropertyDifference]:
    from keras_transfer.models.batchnorm import some
    from keras_transfer.models.graph import model_inputs

    modality, spec = open_modality(new.preparer.modality), new.spec(model_inputs(model))
    return modality.differences(some(held, _MEASURED), some(new, _MEASURED), spec)


def _verdict(figures: ShiftFigures) -> ShiftVerdict:
    from keras_transfer.evaluation.shift import judge

    return judge(
        two_sample=figures["two_sample"],
        differences=figures["differences"],
        own_accuracy=figures["own_accuracy"],
        expected_accuracy=figures["expected_accuracy"],
        accuracy=figures["accuracy"],
    )


def _spread(count: int) -> list[int]:
    indices: list[int] = np.linspace(0, count - 1, min(count, _SHOWN)).astype(int).tolist()
    return indices


def _next(
    figures: ShiftFigures,
    verdict: ShiftVerdict,
    items: str | Path,
    recipe: Recipe,
    folder: Path,
    out: Path,
    layout: Layout,
) -> list[NextStep]:
    """What to do now, the cheapest first; each with its command."""
    place = Path(items) if Path(items).exists() else items
    if verdict["outcome"] == "same":
        why = "Nothing stands against using the model on such items."
        return [{"why": why, "command": use_command(folder, place)}]
    steps: list[NextStep] = []
    moved = (*layout.words(), *data_option(folder, recipe))

    def adapt(why: str, method: str) -> None:
        words = ("adapt", folder, "--to", place, "--method", method, "--out", beside(folder, method), *moved)
        steps.append({"why": why, "command": command_line(*words)})

    if figures["stages"]:
        adapt("Adapt BatchNorm to these items (AdaBN): no labels, no training, seconds; for this kind alone.", "adabn")
    adapt("Train the top to see both kinds alike (MMD): no labels, minutes; the old kind is kept as well.", "mmd")
    matching = _matching(figures)
    if matching:
        strength = recipe.training.augmentation
        base = {"strength": strength} if isinstance(strength, str) else dict(strength)
        write_recipe(out / "recipe.yaml", recipe.replace(augmentation={**base, **matching}))
        names = " and ".join(matching)
        why = f"Train again on items that are altered in the same way ({names}), which keeps the old kind as well."
        again = command_line("train", "--recipe", out / "recipe.yaml", "--out", beside(folder, "matched"))
        steps.append({"why": why, "command": again})
    why = "Label some fifty of these items, put them among the training ones, and train again: nothing does more."
    labelled = ("train", "BOTH", "--recipe", folder / "recipe.yaml", "--out", beside(folder, "both"))
    steps.append({"why": why, "command": command_line(*labelled)})
    return steps


def _matching(figures: ShiftFigures) -> dict[str, float]:
    """Augmentation that makes training items look like the new ones."""
    matching: dict[str, float] = {}
    for row in figures["differences"]:
        if row["words"]:
            matching |= row["augmentation"]
    return matching


def use_command(model: Path, new_items: str | Path) -> str:
    """The command that shows what a model says of items: `predict` takes files and folders, `evaluate` the rest.

    >>> use_command(Path("runs/a"), "tfds:beans")
    'keras-transfer evaluate runs/a tfds:beans'
    """
    return command_line("predict" if Path(new_items).is_dir() else "evaluate", model, new_items)
