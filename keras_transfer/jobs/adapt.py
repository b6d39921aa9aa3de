"""A finished run adapted to other items, or made less forgetful: methods that end in a run of their own."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.listing import Layout
from keras_transfer.data.unlabelled import unlabelled
from keras_transfer.errors import InputError
from keras_transfer.files import write_json
from keras_transfer.jobs.finish import Clock, RunFacts, finish, save_run_model
from keras_transfer.jobs.parts import FileOptions, build_classifier_of, check_files, check_weights, fit_recipe, plan_of
from keras_transfer.jobs.shift import NewItems, open_new_items, open_run_model
from keras_transfer.modalities import open_modality
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe
from keras_transfer.run import begin, open_run
from keras_transfer.schemas import N_ITEMS, NEW_ITEMS, Adaptation, AdaptationFigures, NewItemsSource, Result

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split


@dataclass(frozen=True)
class Work:
    """What a method may use: the model, which it changes in place, and all that is known of the run."""

    model: "keras.Model"
    data: "Dataset"
    new: "Split | None"  # the new items
    recipe: Recipe
    folder: Path


@dataclass(frozen=True)
class Method:
    """One method: what it does, whether it needs new items, and the function that does it."""

    what: str
    needs_items: bool
    run: Callable[[Work], AdaptationFigures]


def _adabn(work: Work) -> AdaptationFigures:
    from keras_transfer.models.batchnorm import adapt_batchnorm

    assert work.new is not None
    trained = any(phase.batchnorm for phase in work.recipe.training.phases or ())
    used = adapt_batchnorm(work.model, work.new, reference=None if trained else work.data.train, seed=work.recipe.seed)
    return {N_ITEMS: used}


def _align(method: str) -> Callable[[Work], AdaptationFigures]:
    def run(work: Work) -> AdaptationFigures:
        from keras_transfer.training.align import align

        assert work.new is not None
        rows = align(work.model, work.data, work.new, method=method, seed=work.recipe.seed)
        return {N_ITEMS: len(work.new), "epochs": rows}

    return run


def _wise_ft(work: Work) -> AdaptationFigures:
    from keras_transfer.training.wise import wise_ft

    share, rows = wise_ft(work.model, before_fine_tuning(work), work.data.val)
    say(f"WiSE-FT: {share:.1f} of the way to the fine-tuned weights is best on validation.")
    return {"share": share, "tried": rows}


def _pretrain(work: Work) -> AdaptationFigures:
    """The run's network as it began, pretrained further on all texts, then trained as the run was."""
    assert work.new is not None
    check_weights(work.folder, work.recipe)
    model = build_classifier_of(work.recipe, work.data)
    modality = open_modality(work.data.train.preparer.modality)
    rows = modality.pretrain(model, [work.data.train, work.new], work.recipe.seed)
    recipe = work.recipe.replace(refit=False)  # whether the run's head has learned from validation items stays true
    fit_recipe(model, work.data, recipe, plan_of(recipe, model, work.data))
    work.model.set_weights(model.get_weights())
    return {N_ITEMS: len(work.new), "epochs": rows}


METHODS = {
    "pretrain": Method(
        "its encoder guessed masked tokens of the new texts and its own, then it trained again", True, _pretrain
    ),
    "adabn": Method("BatchNorm's statistics recomputed on the new items; nothing is trained", True, _adabn),
    "coral": Method("the top stage trained to give both kinds the same means and covariances", True, _align("coral")),
    "mmd": Method("the top stage trained to give both kinds one distribution of features", True, _align("mmd")),
    "dann": Method("the top stage trained so that a discriminator cannot tell the kinds apart", True, _align("dann")),
    "wise-ft": Method("between the weights before and after fine-tuning, chosen on validation", False, _wise_ft),
}


def before_fine_tuning(work: Work) -> list[NDArray[np.float32]]:
    """The weights the run had when only its head was trained.

    Raises:
        InputError: the run was not fine-tuned after a phase on the frozen backbone, or its checkpoint is gone.
    """
    from keras_transfer.models import boundary, freeze_backbone, logits_of, suffix
    from keras_transfer.training.callbacks import load_checkpoint

    phases = work.recipe.training.phases or ()
    saved = load_checkpoint(work.folder / "checkpoints" / "0.npz") if len(phases) > 1 and phases[0].frozen else None
    if saved is None:
        raise InputError(
            f"{work.folder} was not fine-tuned after a head on the frozen backbone, or checkpoints/0.npz is gone: "
            "there is nothing to go back towards."
        )
    check_weights(work.folder, work.recipe)
    model = build_classifier_of(work.recipe, work.data)
    freeze_backbone(model)
    head = suffix(model, boundary(model), output=logits_of(model))
    if [tuple(v.shape) for v in head.variables] != [v.shape for v in saved["variables"]]:
        raise InputError(f"{work.folder}/checkpoints/0.npz holds another head than the recipe says.")
    for variable, value in zip(head.variables, saved["variables"], strict=True):
        variable.assign(value)
    return list(model.get_weights())


def adapt_run(
    folder: str | Path,
    out: str | Path,
    *,
    method: str,
    new_items: str | Path | None = None,
    data: str | None = None,
    layout: Layout | None = None,
) -> Result:
    """Applies one of `METHODS` to a finished run and writes another, with its files, proofs and report.

    Args:
        folder: the run to begin with; it is left as it is.
        out: the new run directory, which must not hold anything.
        method: a key of `METHODS`.
        new_items: new items, see `open_new_items`; their labels, if any, only show what was gained.
        data: where the run's own items are now, if they have moved.
        layout: how the new items are arranged, where that is said.

    Returns:
        What stands in `OUT/result.json`, with `adapted`.

    Raises:
        InputError: an unknown method, no finished run, no new items where some are needed, or `out` is not empty.
        GateError: all is written, but a file fell below its tolerance.
    """
    folder, out = Path(folder), Path(out)
    if method not in METHODS:
        raise InputError(f"`method` must be {', '.join(METHODS)}. Received: method={method!r}.")
    if METHODS[method].needs_items and new_items is None:
        raise InputError(f"{method} adapts to new items: give a folder of them with --to.")
    if out.is_dir() and any(file.name[0] != "." for file in out.iterdir()):
        raise InputError(f"{out} is not empty: choose another --out.")
    base = open_run_model(folder, data)
    check_files(base.recipe)
    recipe = base.recipe.replace(base=str(folder.absolute()))
    new = open_new_items(new_items, base.data, layout) if new_items is not None else None
    with open_run(out, recipe) as run:
        clock = Clock(run)
        base.data.write_csv(run / "data.csv")
        begin(run, recipe)
        with clock.part("adapting"):
            work = Work(base.model, base.data, new and new.split, recipe, folder)
            adapted = _adapt(method, work, new, _source(new_items, layout))
        save_run_model(run, base.model, base.data)
        write_json(run / "adaptation.json", adapted)
        if (folder / "history.csv").is_file():
            shutil.copyfile(folder / "history.csv", run / "history.csv")
        facts = _facts(base.result, adapted)
        note = f"Adapted by {method}: {adapted['what']}. The figures are on the items of {recipe.data.source}."
        options: FileOptions = {}
        if new is not None:  # an int8 file must be able to hold what it will be shown, and what its proof is of
            options["calibration"] = both_kinds(base.data, new.split, recipe.seed)
        return finish(run, recipe, base.data, base.model, clock, facts, notes=[note], **options)


def _facts(result: Result, adapted: Adaptation) -> RunFacts:
    """What the new run says of itself: it was trained as the one that it began with."""
    return {
        "strategy": result["strategy"],
        "kept": result["kept"],
        "views": result["views"],
        "phases": result["phases"],
        "fitted_to_val": result.get("fitted_to_val", False),
        "adapted": adapted,
    }


def _source(new_items: str | Path | None, layout: Layout | None) -> NewItemsSource:
    source: NewItemsSource = {NEW_ITEMS: _place(new_items) if new_items is not None else None}
    if layout is not None and layout.said():
        source["layout"] = replace(layout, root=layout.root and _place(layout.root)).said()
    return source


def _adapt(method: str, work: Work, new: NewItems | None, source: NewItemsSource) -> Adaptation:
    """Adapts the model in place, and measures it on the new items before and after."""
    before = _accuracy(work.model, new)
    figures = METHODS[method].run(work)
    return {
        **figures,
        "method": method,
        "what": METHODS[method].what,
        "base": work.recipe.base,
        "before": before,
        "after": _accuracy(work.model, new),
        **source,
    }


def _accuracy(model: "keras.Model", new: NewItems | None) -> float | None:
    """Of the model on the new items, where they have labels."""
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation import predict_split

    if new is None or not new.labelled:
        return None
    return float(correct(new.split.labels, predict_split(model, new.split)).mean())


def _place(items: str | Path) -> str:
    return str(Path(items).absolute()) if Path(items).exists() else str(items)


def both_kinds(own: "Dataset", new: "Split", seed: int) -> "Split":
    """New items and as many of the run's own training ones, which together calibrate its int8 file."""
    from keras_transfer.data.folds import joined

    return joined([unlabelled(own.train.stratified(len(new), seed)), unlabelled(new)], "both kinds")
