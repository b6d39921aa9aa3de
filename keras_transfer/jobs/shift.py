"""Do photographs lie where a run was trained? Its verdict on new ones, labelled or not, as a page and as figures."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.data.listing import Layout
from keras_transfer.data.tables import TABLES
from keras_transfer.data.unlabelled import list_unlabelled, unlabelled
from keras_transfer.errors import InputError
from keras_transfer.files import write_json, write_text
from keras_transfer.jobs.parts import load_data
from keras_transfer.modalities import Difference, held_out, open_modality
from keras_transfer.recipe import Recipe, write_recipe
from keras_transfer.run import beside, command_line, data_option, read_run

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.split import Split

_LOOKED, _SHOWN = 200, 6  # photographs a side that are measured, and whose thumbnails are shown


def open_run_model(folder: Path, data: str | None = None) -> tuple[Any, Recipe, dict[str, Any], Any]:
    """The model, recipe and result of a finished run, and its photographs, which may have moved to `data`.

    Raises:
        InputError: the folder holds no finished run, or its photographs have changed.
    """
    from keras_transfer.evaluation import load_keras

    recipe, result = read_run(folder, data=data)
    return load_keras(folder / "model.keras"), recipe, result, load_data(recipe, folder)


def open_photographs(source: str | Path, own: Any, layout: Layout | None = None) -> tuple[Any, bool, list[str]]:
    """New photographs: with labels where the source has some that the model knows, else without.

    Args:
        source: a folder of any pictures, or what `load_images` takes (of which the test split is taken, if it has one).
        own: the photographs of the run, with its classes and its geometry.
        layout: how the new ones are arranged, where that is said: then they have labels.

    Returns:
        The photographs; whether they have labels, which then are the model's; what could not be used, a sentence each.

    Raises:
        InputError: there are none.
    """
    folder, class_names = Path(source), own.class_names
    said = layout is not None and bool(layout.said())
    labelled = said or folder.suffix.lower() in TABLES or not folder.exists()
    if folder.is_dir() and not said:
        names = {path.name for path in folder.glob("*") if path.is_dir()}
        sides = {path.name for side in ("test", "testing") for path in folder.glob(f"{side}/*") if path.is_dir()}
        labelled = bool(names) and (names <= set(class_names) or (bool(sides) and sides <= set(class_names)))
    if not labelled:
        preparer = own.train.preparer
        split, problems = list_unlabelled(folder, open_modality(preparer.modality).reader(preparer.settings))
        return split, False, problems
    found = held_out(str(source), allow_bad=True, layout=layout).prepared_by(own.train.preparer)
    if not found.multi_label and set(found.class_names) <= set(class_names):
        columns = np.array([list(class_names).index(name) for name in found.class_names], np.int32)
        return replace(found, labels=columns[found.labels], class_names=list(class_names)), True, []
    return unlabelled(found), False, []


def shift_run(
    folder: str | Path,
    photographs: str | Path,
    out: str | Path,
    *,
    data: str | None = None,
    layout: Layout | None = None,
) -> dict[str, Any]:
    """Compares new photographs with those a run was made from, and writes `shift.html` and `shift.json`.

    Where augmentation could match what differs, `recipe.yaml` beside them is the run's recipe with that.

    Args:
        folder: a finished run.
        photographs: see `open_photographs`.
        out: the folder to write to.
        data: where the run's own photographs are now, if they have moved.
        layout: how `photographs` are arranged, where that is said.

    Returns:
        What stands in `shift.json`.

    Raises:
        InputError: no finished run, no photographs, or too few to compare.
    """
    from keras_transfer.data.folds import joined
    from keras_transfer.report import shift_html

    folder, out = Path(folder), Path(out)
    model, recipe, result, own = open_run_model(folder, data)
    new, labelled, problems = open_photographs(photographs, own, layout)
    # Features that were trained know their own training photographs: those held back are what new ones are like.
    held = joined([own.val, own.test], "held back")
    if min(len(new), len(held)) < 8:
        raise InputError(
            f"{photographs} has {len(new)} photographs and the run held back {len(held)}: compare 8 or more."
        )
    found = {
        "format": 1,
        "run": str(folder),
        "photographs": str(photographs),
        "images": {"new": len(new), "held_back": len(held)},
        "problems": problems,
        **_seen(model, own, held, new, labelled, result),
        "differences": _differences(model, held, new),
    }
    found |= _verdict(found, result)
    found["next"] = _next(found, recipe, folder, out, layout or Layout())
    looked = {"new": new, "own": held}
    shown = {"new": found.pop("typical"), "own": _spread(len(held))}
    modality = open_modality(new.preparer.modality)
    pictures = {side: list(modality.thumbnails(looked[side], indices).values()) for side, indices in shown.items()}
    write_json(out / "shift.json", found)
    write_text(out / "shift.html", shift_html(found, pictures))
    return found


def _seen(
    model: "keras.Model", own: Any, held: "Split", new: "Split", labelled: bool, result: dict[str, Any]
) -> dict[str, Any]:
    """What the network makes of both: distances, and how often it will be right."""
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation import keras_classifier, predict_pixels
    from keras_transfer.evaluation.intervals import share_interval
    from keras_transfer.evaluation.shift import classifier_two_sample, expected_accuracy, mmd
    from keras_transfer.models.batchnorm import shift_meter, some
    from keras_transfer.training.probe import pooled_features

    ours, theirs = pooled_features(model, [unlabelled(held), unlabelled(new)])
    told = classifier_two_sample(ours, theirs)
    classifier = keras_classifier(model)
    answers = predict_pixels(classifier, new)
    accuracy = None
    if labelled:
        right = int(correct(new.labels, answers).sum())
        low, high = share_interval(right, len(new))
        accuracy = {"value": right / len(new), "low": low, "high": high}
    measure = shift_meter(model)
    stages = [
        {"stage": row["stage"], "new": row["distance"], "own": before["distance"]}
        for row, before in zip(*(measure(some(split, _LOOKED)) for split in (new, held)), strict=True)
    ]
    return {
        "two_sample": {name: told[name] for name in ("accuracy", "images", "p_value")},
        "typical": told["typical"][:_SHOWN],
        "mmd": mmd(ours, theirs),
        "stages": stages,
        "own_accuracy": result["test"]["accuracy"],
        "expected_accuracy": None
        if own.multi_label
        else expected_accuracy(own.val.labels, predict_pixels(classifier, own.val), answers),
        "accuracy": accuracy,
    }


def _differences(model: "keras.Model", held: "Split", new: "Split") -> list[Difference]:
    from keras_transfer.models.batchnorm import some
    from keras_transfer.models.graph import model_inputs

    modality, spec = open_modality(new.preparer.modality), new.spec(model_inputs(model))
    return modality.differences(some(held, _LOOKED), some(new, _LOOKED), spec)


def _verdict(found: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    from keras_transfer.evaluation.shift import judge

    return {
        "verdict": judge(
            two_sample=found["two_sample"],
            differences=found["differences"],
            own_accuracy=found["own_accuracy"],
            expected_accuracy=found["expected_accuracy"],
            accuracy=found["accuracy"],
        )
    }


def _spread(count: int) -> list[int]:
    return np.linspace(0, count - 1, min(count, _SHOWN)).astype(int).tolist()


def _next(found: Mapping[str, Any], recipe: Recipe, folder: Path, out: Path, layout: Layout) -> list[dict[str, str]]:
    """What to do now, the cheapest first; each with its command."""
    photographs: str | Path = found["photographs"]
    photographs = Path(photographs) if Path(photographs).exists() else photographs
    if found["verdict"]["outcome"] == "same":
        why = "Nothing stands against using the model on such photographs."
        return [{"why": why, "command": use_command(folder, photographs)}]
    steps, moved = [], (*layout.words(), *data_option(folder, recipe))
    if found["stages"]:
        why = "Adapt BatchNorm to these photographs (AdaBN): no labels, no training, some seconds; for this kind alone."
        adapted = ("adapt", folder, "--to", photographs, "--method", "adabn", "--out", beside(folder, "adabn"), *moved)
        steps.append({"why": why, "command": command_line(*adapted)})
    why = "Train the top to see both kinds alike (MMD): no labels, some minutes, and the old kind is kept as well."
    aligned = ("adapt", folder, "--to", photographs, "--method", "mmd", "--out", beside(folder, "mmd"), *moved)
    steps.append({"why": why, "command": command_line(*aligned)})
    matching: dict[str, float] = {}
    for row in found["differences"]:
        if row["words"]:
            matching |= row["augmentation"]
    if matching:
        told = recipe.training.augmentation
        base = {"strength": told} if isinstance(told, str) else dict(told)
        write_recipe(out / "recipe.yaml", recipe.replace(augmentation={**base, **matching}))
        names = " and ".join(matching)
        why = f"Train again on pictures that are altered in the same way ({names}), which keeps the old kind as well."
        again = command_line("train", "--recipe", out / "recipe.yaml", "--out", beside(folder, "matched"))
        steps.append({"why": why, "command": again})
    why = "Label some fifty of these photographs, put them among the training ones, and train again: nothing does more."
    labelled = ("train", "BOTH", "--recipe", folder / "recipe.yaml", "--out", beside(folder, "both"))
    steps.append({"why": why, "command": command_line(*labelled)})
    return steps


def use_command(model: Path, photographs: str | Path) -> str:
    """The command that shows what a model says of photographs: `predict` takes files and folders, `evaluate` the rest.

    >>> use_command(Path("runs/a"), "tfds:beans")
    'keras-transfer evaluate runs/a tfds:beans'
    """
    return command_line("predict" if Path(photographs).is_dir() else "evaluate", model, photographs)
