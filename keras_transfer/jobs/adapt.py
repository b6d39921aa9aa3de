"""A finished run made fit for other photographs, or less forgetful: remedies that end in a run of their own."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_transfer.data.listing import Layout
from keras_transfer.data.unlabelled import unlabelled
from keras_transfer.errors import InputError
from keras_transfer.files import write_json
from keras_transfer.jobs.finish import Clock, finish, save_run_model
from keras_transfer.jobs.parts import build_classifier_of, check_files, check_weights
from keras_transfer.jobs.shift import open_photographs, open_run_model
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe
from keras_transfer.run import begin, open_run

if TYPE_CHECKING:
    from keras_transfer.data.split import Split


@dataclass(frozen=True)
class Work:
    """What a remedy may use: the model, which it changes in place, and all that is known of the run."""

    model: Any
    data: Any
    new: Any  # a split of the new photographs, None where none were given
    recipe: Recipe
    folder: Path


@dataclass(frozen=True)
class Method:
    """One remedy: what it does, whether it looks at new photographs, and the doing, which gives what to write down."""

    what: str
    looks: bool
    run: Callable[[Work], dict[str, Any]]


def _adabn(work: Work) -> dict[str, Any]:
    from keras_transfer.models.batchnorm import adapt_batchnorm

    trained = any(phase.batchnorm for phase in work.recipe.training.phases or ())
    used = adapt_batchnorm(work.model, work.new, reference=None if trained else work.data.train, seed=work.recipe.seed)
    return {"images": used}


def _align(method: str) -> Callable[[Work], dict[str, Any]]:
    def run(work: Work) -> dict[str, Any]:
        from keras_transfer.training.align import align

        rows = align(work.model, work.data, work.new, method=method, seed=work.recipe.seed)
        return {"images": len(work.new), "epochs": rows}

    return run


def _wise_ft(work: Work) -> dict[str, Any]:
    from keras_transfer.training.wise import wise_ft

    share, rows = wise_ft(work.model, before_fine_tuning(work), work.data.val)
    say(f"WiSE-FT: {share:.1f} of the way to the fine-tuned weights is best on validation.")
    return {"share": share, "tried": rows}


METHODS = {
    "adabn": Method("BatchNorm's statistics taken from the new photographs; nothing is trained", True, _adabn),
    "coral": Method("the top stage trained to give both kinds the same means and covariances", True, _align("coral")),
    "mmd": Method("the top stage trained to give both kinds one distribution of features", True, _align("mmd")),
    "dann": Method("the top stage trained so that a discriminator cannot tell the kinds apart", True, _align("dann")),
    "wise-ft": Method("between the weights before and after fine-tuning, chosen on validation", False, _wise_ft),
}


def before_fine_tuning(work: Work) -> list[Any]:
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
        raise InputError(f"{work.folder}/checkpoints/0.npz holds another head than the recipe tells.")
    for variable, value in zip(head.variables, saved["variables"], strict=True):
        variable.assign(value)
    return list(model.get_weights())


def adapt_run(
    folder: str | Path,
    out: str | Path,
    *,
    method: str,
    photographs: str | Path | None = None,
    data: str | None = None,
    layout: Layout | None = None,
) -> dict[str, Any]:
    """Applies one of `METHODS` to a finished run and writes another, with its files, proofs and report.

    Args:
        folder: the run to begin with; it is left as it is.
        out: the new run directory, which must not hold anything.
        method: a key of `METHODS`.
        photographs: new photographs, see `open_photographs`; their labels, if any, only tell what was gained.
        data: where the run's own photographs are now, if they have moved.
        layout: how `photographs` are arranged, where that is said.

    Returns:
        What stands in `OUT/result.json`; its `adapted` has `method`, `what`, `base`, `photographs`, and `before` and
        `after`, accuracies on the new photographs where they have labels, else None.

    Raises:
        InputError: an unknown method, no finished run, no photographs where some are needed, or `out` is not empty.
        GateError: all is written, but a file fell below its tolerance.
    """
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation import predict_pixels

    folder, out = Path(folder), Path(out)
    if method not in METHODS:
        raise InputError(f"`method` must be {', '.join(METHODS)}. Received: method={method!r}.")
    told = METHODS[method]
    if told.looks and photographs is None:
        raise InputError(f"{method} adapts to photographs: give a folder of them with --to.")
    if out.is_dir() and any(file.name[0] != "." for file in out.iterdir()):
        raise InputError(f"{out} is not empty: choose another --out.")
    model, recipe, result, own = open_run_model(folder, data)
    check_files(recipe)
    recipe = recipe.replace(base=str(folder.absolute()))
    new: Any = None
    labelled = False
    if photographs is not None:
        new, labelled, _ = open_photographs(photographs, own, layout)

    def right() -> float | None:
        return float(correct(new.labels, predict_pixels(model, new)).mean()) if labelled else None

    with open_run(out, recipe) as run:
        clock = Clock(run)
        own.write_csv(run / "data.csv")
        begin(run, recipe)
        adapted: dict[str, Any] = {"method": method, "what": told.what, "base": recipe.base, "before": right()}
        with clock.part("adapting"):
            adapted |= told.run(Work(model, own, new, recipe, folder))
        adapted |= {"after": right(), "photographs": photographs and _place(photographs)}
        if layout is not None and layout.said():
            adapted["layout"] = replace(layout, root=layout.root and _place(layout.root)).said()
        save_run_model(run, model, own)
        write_json(run / "adaptation.json", adapted)
        if (folder / "history.csv").is_file():
            shutil.copyfile(folder / "history.csv", run / "history.csv")
        facts = {name: result[name] for name in ("strategy", "kept", "views", "phases")} | {"adapted": adapted}
        note = (
            f"Adapted by {method}: {told.what}. The figures are on the photographs of the first run, "
            f"{recipe.data.source}."
        )
        more = {}
        if new is not None:  # an int8 file must be able to hold what it will be shown, and what its proof is of
            more["calibration"] = both_kinds(own, new, recipe.seed)
        return finish(run, recipe, own, model, clock, facts, notes=[note], **more)


def _place(photographs: str | Path) -> str:
    return str(Path(photographs).absolute()) if Path(photographs).exists() else str(photographs)


def both_kinds(own: Any, new: "Split", seed: int) -> Any:
    """New photographs and as many of the run's own training ones, which together calibrate its int8 file."""
    from keras_transfer.data.folds import joined

    return joined([unlabelled(own.train.stratified(len(new), seed)), unlabelled(new)], "both kinds")
