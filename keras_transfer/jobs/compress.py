"""The compressing job: from a finished run to a smaller one, each step measured against the one before."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.files import replacing, write_bytes, write_json
from keras_transfer.jobs.finish import (
    Clock,
    RunFacts,
    ScoredSteps,
    calibrate,
    finish,
    finished,
    phase_entry,
    save_run_model,
)
from keras_transfer.jobs.parts import FileOptions, build_classifier_of, check_files, epoch_recorder, load_data
from keras_transfer.modalities import check_formats, recipe_modality, settled
from keras_transfer.progress import say
from keras_transfer.recipe import Compression, ModelOptions, Recipe, make_recipe
from keras_transfer.run import begin, open_run, read_run
from keras_transfer.schemas import HistoryRow, Result
from keras_transfer.schemas import Step as StepEntry

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split
    from keras_transfer.inputs import Strength


class StepOptions(TypedDict, total=False):
    """Keywords of every technique; one that is absent has the technique's own default."""

    seed: int
    augmentation: "Strength"
    epochs: int
    on_epoch: Callable[[HistoryRow], None]


@dataclass(frozen=True)
class Work:
    """What a step may use: the model so far, the model that the run began with, and what was asked for."""

    model: "keras.Model"
    teacher: "keras.Model"
    data: "Dataset"
    recipe: Recipe
    compression: Compression
    options: StepOptions


class Made(NamedTuple):
    """A new model; and its int8 file where only the technique itself can make it."""

    model: "keras.Model"
    int8: bytes | None = None


@dataclass(frozen=True)
class Step:
    """One technique.

    Attributes:
        name: as `result.json` has it.
        asked: whether a `Compression` asks for it.
        what: the sentence for tables and the report.
        run: makes the new model.
    """

    name: str
    asked: Callable[[Compression], bool]
    what: Callable[[Recipe, Compression], str]
    run: Callable[[Work], Made]


class _Costs(TypedDict):
    parameters: int
    multiply_adds: int
    zeros: float  # share of the weights that are zero


class _Entry(_Costs):
    """What is kept of a finished step beside its model."""

    rows: list[HistoryRow]
    val_accuracy: float | None
    seconds: float


class _Done(NamedTuple):
    step: Step
    entry: _Entry
    place: Path


def _distilled(recipe: Recipe, _: Compression) -> str:
    alpha = recipe.model.alpha
    return f"distilled into {recipe.backbone}" + (f" x {alpha:g}" if alpha else "")


def _distill(work: Work) -> Made:
    from keras_transfer.compression import distill

    student = build_classifier_of(work.recipe, work.data)
    options = work.options.copy()
    if options.get("augmentation") == "auto":  # what suits a student is not what suits training on labels
        del options["augmentation"]
    distill(student, work.teacher, work.data, **options)
    return Made(student)


def _channels_removed(_: Recipe, asked: Compression) -> str:
    return f"channels removed down to {asked.multiply_adds:.0%} of the multiply-adds"


def _remove_channels(work: Work) -> Made:
    from keras_transfer.compression import shrink

    left = work.compression.multiply_adds
    assert left is not None
    return Made(shrink(work.model, work.data, multiply_adds=left, teacher=work.teacher, **work.options))


def _pruned(_: Recipe, asked: Compression) -> str:
    return f"{asked.sparsity:.0%} of the weights pruned" + (f", {asked.pattern}" if asked.pattern else "")


def _prune(work: Work) -> Made:
    from keras_transfer.compression import prune

    sparsity, pattern = work.compression.sparsity, work.compression.pattern
    assert sparsity is not None
    return Made(prune(work.model, work.data, sparsity, pattern=pattern, **work.options))


def _clustered(_: Recipe, asked: Compression) -> str:
    return f"weights clustered to {asked.clusters} values a layer"


def _cluster(work: Work) -> Made:
    from keras_transfer.compression import cluster

    assert work.compression.clusters is not None
    return Made(cluster(work.model, work.data, work.compression.clusters, **work.options))


def _quantized(_: Recipe, asked: Compression) -> str:
    stages = f" of the top {asked.qat_stages} stages" if asked.qat_stages else ""
    return f"quantization-aware training{stages}" + (", one scale a tensor" if asked.per_tensor else "")


def _quantize(work: Work) -> Made:
    from keras_transfer.compression import quantize_aware

    asked = work.compression
    preserve = [name for name, value in (("sparsity", asked.sparsity), ("clusters", asked.clusters)) if value]
    trained = quantize_aware(
        work.model,
        work.data,
        stages=asked.qat_stages,
        per_tensor=asked.per_tensor,
        preserve=preserve,
        **work.options,
    )
    return Made(trained.model, trained.convert())


STEPS = (
    Step("distill", lambda asked: asked.distill, _distilled, _distill),
    Step("channels", lambda asked: asked.multiply_adds is not None, _channels_removed, _remove_channels),
    Step("prune", lambda asked: asked.sparsity is not None, _pruned, _prune),
    Step("cluster", lambda asked: asked.clusters is not None, _clustered, _cluster),
    Step("qat", lambda asked: asked.qat, _quantized, _quantize),
)
"""The techniques, in the order in which they happen."""


def compress(base: str | Path, folder: str | Path, compression: Compression, **changes: object) -> Result:
    """Makes a finished run smaller: a new run directory, resumable at each step.

    Each step is trained on the run's training items and judged on its validation items; all of them are then scored
    on the whole test split, each against the one before.

    Args:
        base: the run directory of a finished `train` or `compress`.
        folder: the new run directory.
        compression: which steps, and how strong.
        **changes: fields of the recipe in which the new run differs (`data` where the items have moved, `tolerance`,
            `targets`, `formats`; a student's `backbone`, `alpha`, `weights`).

    Returns:
        What stands in the new `result.json`: that of `train`, with `base` and `steps`.

    Raises:
        InputError: `base` holds no finished run, no step was asked for, or the items have changed.
        GateError: all is written, but more than `tolerance` of top-1 was lost, over all steps or by a file.
    """
    base = Path(base)
    before, result = read_run(base, data=changes.get("data"))
    steps = [step for step in STEPS if step.asked(compression)]
    if not steps:
        raise InputError("Nothing to do: give at least one of --student, --channels, --prune, --cluster and --qat.")
    modality = recipe_modality(before)
    for step in steps:
        if step.name in modality.unfit:
            serving = ", ".join(f"--{_option(each)}" for each in STEPS if each.name not in modality.unfit)
            raise InputError(
                f"The step {step.name} does not serve {modality.kind.items}: {modality.unfit[step.name]}. What does: "
                f"{serving}; and without training `keras-transfer export {base} --format dynamic`, or int8 --repair."
            )
    recipe = _recipe_of(base, before, compression, changes)
    check_formats(recipe, modality)
    with open_run(folder, recipe) as run:
        return finished(run) or _compress(recipe, compression, base, steps, run, result)


def _option(step: Step) -> str:
    return "student" if step.name == "distill" else step.name


def _recipe_of(base: Path, recipe: Recipe, compression: Compression, changes: Mapping[str, object]) -> Recipe:
    """The recipe of `base` with what this run asks for."""
    if compression.distill:  # the student is a network of its own, not a variant of its teacher
        recipe = recipe.model_copy(update={"model": ModelOptions()}).replace(phases=None)
    fields = recipe.fields() | {"base": str(base), "compression": compression}
    fields |= {"baselines": "none", "compare_backbones": ()}
    made = make_recipe(None, **fields | {name: value for name, value in changes.items() if value is not None})
    return settled(made) if compression.distill else made  # a student's weights are its modality's choice


def _compress(
    recipe: Recipe, asked: Compression, base: Path, steps: Sequence[Step], run: Path, before: Result
) -> Result:
    from keras_transfer.evaluation import load_keras

    check_files(recipe)
    clock = Clock(run)
    with clock.part("data"):
        if not (run / "data.csv").is_file():  # the items must be those of `base`: `load_data` compares
            write_bytes(run / "data.csv", (base / "data.csv").read_bytes())
        data = load_data(recipe, run)
    with clock.part("model"):
        teacher = load_keras(base / "model.keras")
        begin(run, recipe)
    record = epoch_recorder(run)
    work = Work(load_keras(base / "model.keras"), teacher, data, recipe, asked, {})
    done: list[_Done] = []
    for number, step in enumerate(steps):
        place = run / "checkpoints" / f"{number}-{step.name}.keras"
        with clock.part(step.name):
            entry = _read_entry(place)
            if entry is None:
                say(f"Step {number + 1} of {len(steps)}: {step.what(recipe, asked)}")
                entry = _run_step(step, work, partial(record, step.name), place)
            work = replace(work, model=load_keras(place))
        done.append(_Done(step, entry, place))
    files = [place.with_suffix(".tflite") for _, _, place in done if place.with_suffix(".tflite").is_file()]
    learned = before.get("fitted_to_val", False) and not asked.distill
    # Files that are made already stay as they are.
    temperature = calibrate(work.model, data, learned=learned) if not files else 1.0
    save_run_model(run, work.model, data)
    facts: RunFacts = {
        "strategy": "compression",
        "kept": done[-1].step.name,
        "views": 1,
        "base": recipe.base,
        "phases": [phase_entry(step.name, entry["rows"], entry["val_accuracy"]) for step, entry, _ in done],
        "temperature": temperature,
        "fitted_to_val": learned,
    }
    options: FileOptions = {"converted": {"int8": files[-1].read_bytes()}} if files else {}
    return finish(run, recipe, data, work.model, clock, facts, steps=partial(_score, done, teacher, recipe), **options)


def _run_step(step: Step, work: Work, record: Callable[[HistoryRow], None], place: Path) -> _Entry:
    """Runs a step and keeps what it made, its entry last: where that is, the step is done."""
    started = time.perf_counter()
    rows: list[HistoryRow] = []

    def on_epoch(row: HistoryRow) -> None:
        rows.append(row)
        record(row)

    options: StepOptions = {"seed": work.recipe.seed, "augmentation": work.recipe.training.augmentation}
    options["on_epoch"] = on_epoch
    if work.compression.epochs is not None:
        options["epochs"] = work.compression.epochs
    model, content = step.run(replace(work, options=options))
    if content is not None:
        write_bytes(place.with_suffix(".tflite"), content)
    place.parent.mkdir(parents=True, exist_ok=True)
    with replacing(place) as temporary:
        model.save(temporary)
    entry: _Entry = {
        "rows": rows,
        "val_accuracy": max((row["val_accuracy"] for row in rows), default=None),
        "seconds": round(time.perf_counter() - started, 1),
        **_costs(model),
    }
    write_json(place.with_suffix(".json"), entry)
    return entry


def _costs(model: "keras.Model") -> _Costs:
    from keras_transfer.compression import weight_figures
    from keras_transfer.models.cost import multiply_adds

    zeros = weight_figures(model)["sparsity"]
    return {"parameters": model.count_params(), "multiply_adds": multiply_adds(model), "zeros": zeros}


def _read_entry(place: Path) -> _Entry | None:
    try:
        entry: _Entry = json.loads(place.with_suffix(".json").read_text())
    except (OSError, ValueError):
        return None
    return entry


def _score(
    done: Sequence[_Done], teacher: "keras.Model", recipe: Recipe, test: "Split", probabilities: NDArray[np.float32]
) -> ScoredSteps:
    """Each step on the test split against the one before; and whether all of them lost too much, or perhaps."""
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation import load_keras, predict_split
    from keras_transfer.evaluation.intervals import paired_difference
    from keras_transfer.exporters import judge_drop

    asked = recipe.compression or Compression()
    base = before = correct(test.labels, predict_split(teacher, test))
    costs = _costs(teacher)
    entries: list[StepEntry] = [
        {
            "name": "base",
            "what": f"as {Path(recipe.base or '').name} left it",
            "accuracy": float(base.mean()),
            "difference": None,
            "since_base": None,
            "parameters": costs["parameters"],
            "multiply_adds": costs["multiply_adds"],
            "zeros": costs["zeros"],
        }
    ]
    for step, entry, place in done:
        last = place == done[-1].place
        after = correct(test.labels, probabilities if last else predict_split(load_keras(place), test))
        entries.append(
            {
                "name": step.name,
                "what": step.what(recipe, asked),
                "accuracy": float(after.mean()),
                "difference": paired_difference(after, before),
                "since_base": paired_difference(after, base),
                "parameters": entry["parameters"],
                "multiply_adds": entry["multiply_adds"],
                "zeros": entry["zeros"],
                "seconds": entry["seconds"],
                "val_accuracy": entry["val_accuracy"],
            }
        )
        before = after
    lost, gained = int((base & ~before).sum()), int((before & ~base).sum())
    gate = judge_drop(lost, gained, len(base), recipe.export.tolerance)
    sentence = f"The compressed model against the one it began with: {gate.words()}"
    if gate.outcome == "fail":
        advice = "Compress less, train longer (--epochs) or accept it (--tolerance)."
        return ScoredSteps(entries, problems=[f"{sentence} {advice}"])
    return ScoredSteps(entries, notes=[sentence] if gate.outcome == "warn" else [])
