"""Files again, from a finished run: other formats, other targets, more calibration items."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from keras_transfer.errors import InputError
from keras_transfer.files import write_json
from keras_transfer.jobs.parts import FileOptions, export_files, load_data
from keras_transfer.jobs.rejection import add_rejection
from keras_transfer.modalities import check_formats, recipe_modality
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe
from keras_transfer.run import add_to_run, moved_path, read_run
from keras_transfer.schemas import NEW_ITEMS, Result

if TYPE_CHECKING:
    from keras_transfer.data.dataset import Dataset
    from keras_transfer.exporters import Artifacts


def export_run(
    folder: str | Path,
    *,
    data: str | None = None,
    out: str | Path | None = None,
    formats: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    input_dtype: str = "uint8",
    calibration_items: int | None = None,
    tolerance: float | None = None,
    board: str | None = None,
    fit: str | None = None,
    repair: bool | Sequence[str] = False,
    reject: bool | None = None,
) -> Result:
    """Exports the model of a finished run and proves each file on the run's own test split.

    Args:
        folder: a run directory.
        data: where the run's items are now, if they have moved.
        out: where the files go; `RUN/export` unless given, whose entries in `RUN/result.json` are then replaced.
        formats: any of `keras_transfer.recipe.Format`; the run's own unless given. The gates of files named so are the
            export's own; of the default files only int8's is.
        targets: devices to judge the files for; the run's own unless given.
        input_dtype: of the int8 file, `"uint8"` or `"int8"`.
        calibration_items: how many training items calibrate the int8 file; the run's own number unless given.
        tolerance: top-1 that a file may lose; the run's own unless given.
        board: a name of `keras_transfer.exporters.targets.microcontroller.BOARDS`, on which the microcontroller's file
            must fit.
        fit: the room there is, such as `"flash=1MB,ram=256KB"`, in place of `board` or with it.
        repair: where the int8 file loses too much, try remedies from cheap to dear (or those named), chosen on the
            run's validation split; see `keras_transfer.exporters.repair`.
        reject: whether the files say how unlike all classes an item is; as the run's own unless given. Of a run that
            has no such score it is fitted, and written into its `model.keras`.

    Returns:
        `RUN/result.json` with the new artifacts.

    Raises:
        InputError: the folder holds no finished run, or its items have changed.
        ExportGateError: all is written, but a file that was asked for lost more than `tolerance` beyond doubt, or a
            target takes none of the files.
    """
    run = Path(folder)
    recipe, result = read_run(
        run,
        formats=formats and tuple(formats),
        targets=targets and tuple(targets),
        calibration_items=calibration_items,
        tolerance=tolerance,
        data=data,
        reject=reject,
    )
    check_formats(recipe, recipe_modality(recipe))
    options: FileOptions = {"input_dtype": input_dtype, "target_options": _target_options(recipe, board, fit)}
    changed = bool(repair) or calibration_items is not None or input_dtype != "uint8"
    with add_to_run(run) if out is None else nullcontext():
        return _export(run, recipe, result, out, repair, changed, options)


def _export(
    run: Path,
    recipe: Recipe,
    result: Result,
    out: str | Path | None,
    repair: bool | Sequence[str],
    changed: bool,
    options: FileOptions,
) -> Result:
    """Makes and proves the files; `changed` says whether the int8 file is another than the run's own."""
    from keras_transfer.evaluation import load_keras
    from keras_transfer.exporters import ExportGateError
    from keras_transfer.models.graph import model_inputs
    from keras_transfer.models.rejection import read_rejection

    dataset = load_data(recipe, run)
    model = load_keras(run / "model.keras")
    inputs = model_inputs(model)
    options |= _as_the_run_was_made(run, recipe, result, dataset)
    if changed:
        options.pop("converted", None)
    if repair:
        remedies = _fit_remedies(recipe) if repair is True else repair
        options |= {"repair": remedies, "validation": dataset.val.stored(inputs)}
    if recipe.export.reject and "converted" not in options:
        options["rejection"] = read_rejection(run / "model.keras")
        if options["rejection"] is None:
            with nullcontext() if out is None else add_to_run(run):
                options["rejection"], result["rejection"] = add_rejection(run, recipe, dataset, model)
    folder = run / "export" if out is None else Path(out)
    artifacts = export_files(model, recipe, dataset, dataset.test.stored(inputs), folder, **options)
    if out is None:
        kept = [old for old in result["artifacts"] if (run / old["path"]).is_file()]
        result = result_with({**result, "artifacts": kept}, artifacts, out, recipe.export.targets)
        write_json(run / "result.json", result)
    else:
        result = result_with(result, artifacts, out)
    if artifacts.problems:
        raise ExportGateError(" ".join(artifacts.problems), artifacts)
    return result


def _fit_remedies(recipe: Recipe) -> list[str]:
    """The remedies for an int8 file whose formats can run a network of the recipe's modality."""
    from keras_transfer.exporters.repair import REMEDIES

    unfit = recipe_modality(recipe).unfit
    return [name for name, remedy in REMEDIES.items() if remedy.format not in unfit]


def _target_options(recipe: Recipe, board: str | None, fit: str | None) -> dict[str, dict[str, str | None]]:
    """What targets are given beside the file, checked."""
    if board is None and fit is None:
        return {}
    from keras_transfer.exporters.targets.microcontroller.boards import room_of

    if "microcontroller" not in recipe.export.targets:
        raise InputError("`board` and `fit` are for the target microcontroller: add --target microcontroller.")
    room_of(fit, board)  # raises now where they are wrong
    return {"microcontroller": {"board": board, "fit": fit}}


def result_with(
    result: Result, artifacts: "Artifacts", out: str | Path | None = None, targets: Sequence[str] = ()
) -> Result:
    """A run's result with new files: beside those that it keeps, or alone where they lie elsewhere, in `out`.

    Args:
        result: of the run.
        artifacts: from `export`.
        out: the folder that they were written to; None for the run's own.
        targets: devices that the run's files are for.
    """
    from keras_transfer.exporters import recommend

    new = {artifact["path"] for artifact in artifacts}
    listed = [*(old for old in result["artifacts"] if old["path"] not in new), *artifacts]
    best = recommend(listed, targets)
    return {
        **result,
        "artifacts": listed if out is None else artifacts,
        "recommended": best["path"] if out is None and best is not None else artifacts.recommended,
        "gate": " ".join(artifacts.problems) or None,
        "gate_notes": list(artifacts.notes),
    }


def _as_the_run_was_made(run: Path, recipe: Recipe, result: Result, data: "Dataset") -> FileOptions:
    """Options of `export` without which an int8 file would not be the one that the run itself was given.

    Quantization-aware training made the file itself; an adaptation calibrated on both kinds of items.
    """
    from keras_transfer.data.listing import Layout
    from keras_transfer.jobs.adapt import both_kinds
    from keras_transfer.jobs.shift import open_new_items

    options: FileOptions = {}
    trained = sorted((run / "checkpoints").glob("*-qat.tflite"))
    wanted = recipe.export.formats is None or "int8" in recipe.export.formats
    if recipe.compression is not None and recipe.compression.qat and trained and wanted:
        options["converted"] = {"int8": trained[-1].read_bytes()}
    adapted = result.get("adapted")
    place = adapted[NEW_ITEMS] if adapted is not None else None
    if adapted is not None and place is not None:
        try:
            layout = Layout(**adapted.get("layout", {}))
            layout = replace(layout, root=layout.root and moved_path(run, layout.root))
            new = open_new_items(moved_path(run, place), data, layout).split
            options["calibration"] = both_kinds(data, new, recipe.seed)
        except InputError as error:
            say(f"Note: int8 is calibrated on the run's own data, not on that which it was adapted to ({error})")
    return options
