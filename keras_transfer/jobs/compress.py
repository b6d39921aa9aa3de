"""The compressing job: from a finished run to a smaller one, each step measured against the one before."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.files import replacing, write_bytes, write_json
from keras_transfer.jobs.finish import Clock, finish, finished, phase_entry, save_run_model
from keras_transfer.jobs.parts import build_classifier_of, check_files, epoch_recorder, load_data
from keras_transfer.progress import say
from keras_transfer.recipe import Compression, ModelOptions, Recipe, make_recipe
from keras_transfer.run import begin, open_run, read_run

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.split import Split


@dataclass(frozen=True)
class Work:
    """What a step may use: the model so far, the model that the run began with, and all that was told."""

    model: Any
    teacher: Any
    data: Any
    recipe: Recipe
    told: Compression
    options: dict[str, Any]  # seed, augmentation, epochs where told, and what is called with each epoch's row


@dataclass(frozen=True)
class Step:
    """One technique: when it is asked for, what it does, in words.

    Attributes:
        name: as `result.json` has it.
        asked: whether a `Compression` tells it.
        what: the sentence for tables and the report.
        run: makes the new model; and its int8 file where only the technique itself can make it, else None.
    """

    name: str
    asked: Callable[[Compression], bool]
    what: Callable[[Recipe, Compression], str]
    run: Callable[[Work], tuple[Any, bytes | None]]


def _distill(work: Work) -> tuple[Any, None]:
    from keras_transfer.compression import distill

    student = build_classifier_of(work.recipe, work.data)
    options = dict(work.options)
    if options["augmentation"] == "auto":  # what suits a student is not what suits training on labels
        del options["augmentation"]
    distill(student, work.teacher, work.data, **options)
    return student, None


def _remove_channels(work: Work) -> tuple[Any, None]:
    from keras_transfer.compression import shrink

    left = work.told.multiply_adds
    assert left is not None
    return shrink(work.model, work.data, multiply_adds=left, teacher=work.teacher, **work.options), None


def _prune(work: Work) -> tuple[Any, None]:
    from keras_transfer.compression import prune

    assert work.told.sparsity is not None
    return prune(work.model, work.data, work.told.sparsity, pattern=work.told.pattern, **work.options), None


def _cluster(work: Work) -> tuple[Any, None]:
    from keras_transfer.compression import cluster

    assert work.told.clusters is not None
    return cluster(work.model, work.data, work.told.clusters, **work.options), None


def _quantize(work: Work) -> tuple[Any, bytes]:
    from keras_transfer.compression import quantize_aware

    preserve = [name for name, told in (("sparsity", work.told.sparsity), ("clusters", work.told.clusters)) if told]
    found = quantize_aware(
        work.model,
        work.data,
        stages=work.told.qat_stages,
        per_tensor=work.told.per_tensor,
        preserve=preserve,
        **work.options,
    )
    return found.model, found.convert()


STEPS = (
    Step(
        "distill",
        lambda told: told.distill,
        lambda recipe, _: (
            f"distilled into {recipe.model.backbone}" + (f" x {recipe.model.alpha:g}" if recipe.model.alpha else "")
        ),
        _distill,
    ),
    Step(
        "channels",
        lambda told: told.multiply_adds is not None,
        lambda _, told: f"channels removed down to {told.multiply_adds:.0%} of the multiply-adds",
        _remove_channels,
    ),
    Step(
        "prune",
        lambda told: told.sparsity is not None,
        lambda _, told: f"{told.sparsity:.0%} of the weights pruned" + (f", {told.pattern}" if told.pattern else ""),
        _prune,
    ),
    Step(
        "cluster",
        lambda told: told.clusters is not None,
        lambda _, told: f"weights clustered to {told.clusters} values a layer",
        _cluster,
    ),
    Step(
        "qat",
        lambda told: told.qat,
        lambda _, told: (
            "quantization-aware training"
            + (f" of the top {told.qat_stages} stages" if told.qat_stages else "")
            + (", one scale a tensor" if told.per_tensor else "")
        ),
        _quantize,
    ),
)
"""The techniques, in the order in which they happen."""


def compress(base: str | Path, folder: str | Path, compression: Compression, **changes: Any) -> dict[str, Any]:
    """Makes a finished run smaller: a new run directory, resumable at each step.

    Each step is trained on the run's training images and judged on its validation images; all of them are then scored
    on the whole test split, each against the one before.

    Args:
        base: the run directory of a finished `train` or `compress`.
        folder: the new run directory.
        compression: which steps, and how strong.
        **changes: fields of `Recipe` in which the new run differs (`data` where the photographs have moved,
            `tolerance`, `targets`, `formats`; a student's `backbone`, `alpha`, `weights`, `image_size`).

    Returns:
        What stands in the new `result.json`: that of `train`, with `base` and `steps`.

    Raises:
        InputError: `base` holds no finished run, no step was told, or the photographs have changed.
        GateError: all is written, but more than `tolerance` of top-1 was lost, over all steps or by a file.
    """
    base = Path(base)
    told, _ = read_run(base, data=changes.get("data"))
    steps = [step for step in STEPS if step.asked(compression)]
    if not steps:
        raise InputError("Nothing to do: tell at least one of --student, --channels, --prune, --cluster and --qat.")
    recipe = _recipe_of(base, told, compression, changes)
    with open_run(folder, recipe) as run:
        return finished(run) or _compress(recipe, compression, base, steps, run)


def _recipe_of(base: Path, recipe: Recipe, compression: Compression, changes: Mapping[str, object]) -> Recipe:
    """The recipe of `base` with what this run asks for."""
    if compression.distill:  # the student is a network of its own, not a variant of its teacher
        recipe = recipe.model_copy(update={"model": ModelOptions()}).replace(phases=None)
    fields = recipe.fields() | {"base": str(base), "compression": compression}
    fields |= {"baselines": "none", "compare_backbones": ()}
    return make_recipe(None, **fields | {name: value for name, value in changes.items() if value is not None})


def _compress(recipe: Recipe, told: Compression, base: Path, steps: Sequence[Step], run: Path) -> dict[str, Any]:
    from keras_transfer.evaluation import load_keras

    check_files(recipe)
    clock = Clock(run)
    with clock.part("data"):
        if not (run / "data.csv").is_file():  # the photographs must be those of `base`: `load_data` compares
            write_bytes(run / "data.csv", (base / "data.csv").read_bytes())
        data = load_data(recipe, run)
    with clock.part("model"):
        teacher = load_keras(base / "model.keras")
        begin(run, recipe)
    record = epoch_recorder(run)
    work = Work(load_keras(base / "model.keras"), teacher, data, recipe, told, {})
    done, files = [], {}
    for number, step in enumerate(steps):
        place = run / "checkpoints" / f"{number}-{step.name}.keras"
        with clock.part(step.name):
            entry = _read_entry(place)
            if entry is None:
                say(f"Step {number + 1} of {len(steps)}: {step.what(recipe, told)}")
                rows: list[dict[str, Any]] = []

                def on_epoch(row: dict[str, Any], name: str = step.name, rows: list[Any] = rows) -> None:
                    rows.append(row)
                    record(name, row)

                options = _options(recipe, told) | {"on_epoch": on_epoch}
                entry = _run_step(step, replace(work, options=options), rows, place)
            work = replace(work, model=load_keras(place))
        done.append((step, entry, place))
        if place.with_suffix(".tflite").is_file():
            files = {"int8": place.with_suffix(".tflite").read_bytes()}
    save_run_model(run, work.model, data)

    def score(test: "Split", probabilities: np.ndarray) -> tuple[list[dict[str, Any]], list[str], list[str]]:
        return _score(done, teacher, test, probabilities, recipe, told)

    facts = {
        "strategy": "compression",
        "kept": done[-1][0].name,
        "views": 1,
        "base": recipe.base,
        "phases": [phase_entry(step.name, entry["rows"], entry["val_accuracy"]) for step, entry, _ in done],
    }
    return finish(run, recipe, data, work.model, clock, facts, steps=score, converted=files)


def _options(recipe: Recipe, told: Compression) -> dict[str, Any]:
    """What every step is told alike."""
    options: dict[str, Any] = {"seed": recipe.seed, "augmentation": recipe.training.augmentation}
    return options | ({"epochs": told.epochs} if told.epochs else {})


def _run_step(step: Step, work: Work, rows: list[dict[str, Any]], place: Path) -> dict[str, Any]:
    """Runs a step and keeps what it made, its entry last: where that is, the step is done."""
    started = time.perf_counter()
    model, content = step.run(work)
    if content is not None:
        write_bytes(place.with_suffix(".tflite"), content)
    place.parent.mkdir(parents=True, exist_ok=True)
    with replacing(place) as temporary:
        model.save(temporary)
    entry = {
        "rows": rows,
        "val_accuracy": max((row["val_accuracy"] for row in rows), default=None),
        "seconds": round(time.perf_counter() - started, 1),
        **_costs(model),
    }
    write_json(place.with_suffix(".json"), entry)
    return entry


def _costs(model: "keras.Model") -> dict[str, Any]:
    from keras_transfer.compression import weight_figures
    from keras_transfer.models.cost import multiply_adds

    zeros = weight_figures(model)["sparsity"]
    return {"parameters": model.count_params(), "multiply_adds": multiply_adds(model), "zeros": zeros}


def _read_entry(place: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(place.with_suffix(".json").read_text())
        return found
    except (OSError, ValueError):
        return None


def _score(
    done: Sequence[tuple[Step, dict[str, Any], Path]],
    teacher: Any,
    test: "Split",
    probabilities: np.ndarray,
    recipe: Recipe,
    told: Compression,
) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """Each step on the test split against the one before; and whether all of them lost too much, or perhaps."""
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation import load_keras, predict_pixels
    from keras_transfer.evaluation.intervals import paired_difference
    from keras_transfer.exporters import judge_drop

    base = before = correct(test.labels, predict_pixels(teacher, test))
    first = {
        "name": "base",
        "what": f"as {Path(recipe.base or '').name} left it",
        "difference": None,
        "since_base": None,
    }
    entries: list[dict[str, Any]] = [first | {"accuracy": float(base.mean()), **_costs(teacher)}]
    for step, entry, place in done:
        last = place == done[-1][2]
        after = correct(test.labels, probabilities if last else predict_pixels(load_keras(place), test))
        entries.append(
            {
                "name": step.name,
                "what": step.what(recipe, told),
                **{key: value for key, value in entry.items() if key != "rows"},
                "accuracy": float(after.mean()),
                "difference": paired_difference(after, before),
                "since_base": paired_difference(after, base),
            }
        )
        before = after
    lost, gained = int((base & ~before).sum()), int((before & ~base).sum())
    gate = judge_drop(lost, gained, len(base), recipe.export.tolerance)
    said = f"The compressed model against the one it began with: {gate.words()}"
    if gate.outcome == "fail":
        return entries, [f"{said} Compress less, train longer (--epochs) or accept it (--tolerance)."], []
    return entries, [], [said] if gate.outcome == "warn" else []
