"""How every run ends: scored on the test split once, exported, proved, written down, reported."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NotRequired, TypedDict, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import GateError, InputError
from keras_transfer.files import write_json, write_text
from keras_transfer.inputs import InputSpec, Json
from keras_transfer.jobs.fit import check_file, has_budget
from keras_transfer.jobs.parts import FileOptions, export_files
from keras_transfer.modalities import open_modality
from keras_transfer.process import at_stop, seconds_since_start
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe
from keras_transfer.run import command_line, read_result, read_run
from keras_transfer.schemas import (
    N_ITEMS,
    Adaptation,
    AddedClass,
    Audition,
    HistoryRow,
    Metrics,
    PhaseSummary,
    Rejecting,
    Result,
    Step,
)

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split
    from keras_transfer.exporters import Artifacts
    from keras_transfer.jobs.report import Figures


class RunFacts(TypedDict):
    """What a job says of its run."""

    strategy: str
    kept: str  # the phase or step whose weights the model has
    views: int
    phases: list[PhaseSummary]
    preparation: NotRequired[Mapping[str, Json]]  # as it was chosen, see `Modality.choose_preparation`
    base: NotRequired[str | None]
    adapted: NotRequired[Adaptation]
    added: NotRequired[AddedClass]
    audition: NotRequired[Audition]
    temperature: NotRequired[float]  # see `calibrate`
    fitted_to_val: NotRequired[bool]  # whether the model has learned from validation items, too
    rejection: NotRequired[Rejecting]  # where it was asked for


class ScoredSteps(NamedTuple):
    """The steps of a compression on the test split; sentences on a gate that failed, and on one that is a warning."""

    entries: list[Step]
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()


class Clock:
    """Seconds of a run: of each part of its job, and in all, over all the processes that worked on it.

    The whole counts from the start of a command's process (from here in other programs), imports and report included;
    of a process that was killed it counts what went before the end of its last part.
    """

    def __init__(self, run: Path) -> None:
        self._file = run / "checkpoints" / "clock.json"
        self._begun = time.perf_counter() - (seconds_since_start() or 0.0)
        try:
            saved = json.loads(self._file.read_text())
            self.parts: dict[str, float] = saved["parts"]
            self._before: float = saved["wall_seconds"]
        except (OSError, ValueError, KeyError):
            self.parts, self._before = {}, 0.0
        at_stop(self._save)

    def total(self) -> float:
        """Seconds of all parts."""
        return sum(self.parts.values())

    def wall_seconds(self) -> float:
        """Seconds of all processes so far."""
        return round(self._before + time.perf_counter() - self._begun, 1)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Adds the time inside to the part called `name`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.parts[name] = round(self.parts.get(name, 0.0) + time.perf_counter() - started, 2)
            self._save()

    def _save(self) -> None:
        write_json(self._file, {"parts": self.parts, "wall_seconds": self.wall_seconds()})


def calibrate(
    model: "keras.Model", data: "Dataset", answers: "NDArray[np.float32] | None" = None, *, learned: bool = False
) -> float:
    """Makes a trained model's probabilities mean what they say, in place: its logits are divided by a temperature.

    It is fitted on the validation split (`keras_transfer.evaluation.calibration`). No decision changes.

    Args:
        model: a classifier.
        data: its items.
        answers: probabilities of the validation items, such as `History.held_out`; the model's unless given.
        learned: whether the model has learned from the validation items: then its own answers to them say nothing.

    Returns:
        The temperature; 1 where none is better beyond chance or to be had, or the model does not end in a Dense layer.
    """
    from keras_transfer.evaluation.calibration import fit_temperature
    from keras_transfer.models.head import divide_logits
    from keras_transfer.training.features import predict_cached

    if len(data.val) == 0 or (learned and answers is None):
        return 1.0
    if answers is None:
        answers = predict_cached(model, data.val)
    temperature = fit_temperature(data.val.labels, answers)
    return temperature if temperature != 1 and divide_logits(model, temperature) else 1.0


def save_run_model(run: Path, model: "keras.Model", data: "Dataset") -> None:
    """Writes `RUN/model.keras`, with what its inputs are inside, and `RUN/labels.txt`."""
    from keras_transfer.models import model_inputs, save_model

    write_text(run / "labels.txt", "".join(f"{name}\n" for name in data.class_names))
    save_model(model, run / "model.keras", data.train.spec(model_inputs(model)))


def phase_entry(name: str, rows: Sequence[HistoryRow], val_accuracy: float | None) -> PhaseSummary:
    """What `result.json` says of a phase."""
    seconds = sum(row["seconds"] for row in rows)
    epochs = rows[-1]["epoch"] if rows else 0
    return {"name": name, "epochs": epochs, "seconds": round(seconds, 1), "val_accuracy": val_accuracy}


def finish(
    run: Path,
    recipe: Recipe,
    data: "Dataset",
    model: "keras.Model",
    clock: Clock,
    facts: RunFacts,
    *,
    notes: Sequence[str] = (),
    steps: "Callable[[Split, NDArray[np.float32]], ScoredSteps] | None" = None,
    **options: Unpack[FileOptions],
) -> Result:
    """Scores a trained model on the test split, exports and proves its files, writes `result.json` and the report.

    Args:
        run: the open run directory.
        recipe: its recipe, complete.
        data: its items.
        model: what was trained.
        clock: the job's.
        facts: what the job itself says of the run.
        notes: warnings beside those of the data.
        steps: scores what a compression did step by step, from the test split and the model's probabilities on it.
        **options: for `export`.

    Returns:
        What stands in `RUN/result.json`.

    Raises:
        InputError: there are no test items.
        GateError: all is written, but a file or a step fell below its tolerance.
    """
    _check_test(recipe, data)
    from keras_transfer.jobs.report import write_report
    from keras_transfer.models.graph import model_inputs

    inputs = data.test.spec(model_inputs(model))
    test = data.test.stored(inputs)
    _add_rejection(run, recipe, data, model, clock, facts, options)
    # The model answers, and its figures for the report are computed, while the files are converted in another process.
    with ThreadPoolExecutor(2) as pool:
        start = _background(pool, recipe, facts, data, model, test)
        with clock.part("export"):
            options.setdefault("keras_probabilities", lambda: start()[0].result())
            options.setdefault("on_frozen", start)
            artifacts = export_files(model, recipe, data, test, run / "export", **options)
        answers, figures = start()
        with clock.part("evaluation"):
            probabilities = answers.result()
            scores = _scores(test, probabilities, data.class_names)
            scored = steps(test, probabilities) if steps is not None else None
            wait([figures])
    result = result_of(recipe, data, inputs, clock, facts, scores, notes)
    _add_files(run, recipe, result, artifacts, scored)
    write_json(run / "result.json", result)
    _report(run, result, clock, lambda: write_report(run, recipe, data, test, figures.result(), result))
    test.close()
    if result["gate"]:
        raise GateError(result["gate"])
    return result


def _check_test(recipe: Recipe, data: "Dataset") -> None:
    if len(data.test) == 0:
        raise InputError(
            f"{recipe.data.source} has no test split, so nothing can be proved: give it a test/ folder or test=0.15."
        )


def _scores(test: "Split", probabilities: NDArray[np.float32], class_names: Sequence[str]) -> Metrics:
    """The metrics of a model's answers; of items that are parts of files, those of whole files, too."""
    from keras_transfer.evaluation import metrics
    from keras_transfer.evaluation.by_file import file_scores

    scores = metrics(test.labels, probabilities, class_names)
    if (whole := file_scores(test.paths, test.labels, probabilities, class_names)) is not None:
        scores["files"] = whole
    return scores


def _add_rejection(
    run: Path,
    recipe: Recipe,
    data: "Dataset",
    model: "keras.Model",
    clock: Clock,
    facts: RunFacts,
    options: FileOptions,
) -> None:
    """Fits the score of unknown items where the recipe asks for it, and has the files give it."""
    if not recipe.export.reject:
        return
    if "converted" in options:
        say('Note: files of quantization-aware training cannot say "none of these"; none of this run\'s files does.')
        return
    from keras_transfer.jobs.rejection import add_rejection

    with clock.part("rejection"):
        options["rejection"], facts["rejection"] = add_rejection(run, recipe, data, model)


def _add_files(run: Path, recipe: Recipe, result: Result, artifacts: "Artifacts", scored: ScoredSteps | None) -> None:
    """Adds the files, and the steps of a compression, with what their gates and the recipe's budget say."""
    problems, notes = list(artifacts.problems), list(artifacts.notes)
    if scored is not None:
        result["steps"] = scored.entries
        problems += scored.problems
        notes += scored.notes
    result["artifacts"] = artifacts
    result["recommended"] = artifacts.recommended
    result["gate"], result["gate_notes"] = " ".join(problems) or None, notes
    if has_budget(recipe):
        check_file(recipe, result, run)


def _background(
    pool: ThreadPoolExecutor, recipe: Recipe, facts: RunFacts, data: "Dataset", model: "keras.Model", test: "Split"
) -> "Callable[[], tuple[Future[NDArray[np.float32]], Future[Figures]]]":
    """Starts, at its first call, what needs no files: the model's answers and the report's figures of the model."""
    from keras_transfer.evaluation import predict_split
    from keras_transfer.jobs.report import model_figures

    @cache
    def start() -> "tuple[Future[NDArray[np.float32]], Future[Figures]]":
        answers, kept = pool.submit(predict_split, model, test), None if "added" in facts else facts["kept"]
        return answers, pool.submit(model_figures, recipe, kept, facts, data, model, test, answers.result)

    return start


def result_of(
    recipe: Recipe,
    data: "Dataset",
    inputs: InputSpec,
    clock: Clock,
    facts: RunFacts,
    scores: Metrics,
    notes: Sequence[str],
) -> Result:
    """What `result.json` says of a run that has a model and no files yet."""
    described = open_modality(inputs.modality).describe(data.test.preparer, inputs)
    known = {key: value for key, value in facts.items() if key != "preparation"}
    result = {
        "backbone": recipe.backbone,
        "alpha": recipe.model.alpha,
        "weights": recipe.model.weights,
        "inputs": inputs.to_dict(),
        **described,
        **facts.get("preparation", {}),
        "classes": data.class_names,
        **known,
        N_ITEMS: {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
        "wall_seconds": clock.wall_seconds(),
        "seconds": round(clock.total(), 1),
        "parts": clock.parts,
        "test": scores,
        "artifacts": [],
        "recommended": None,
        "gate": None,
        "gate_notes": [],
        "warnings": [*data.warnings, *notes],
    }
    return cast(Result, result)  # beside its fields stand those of the modality


def _report(run: Path, result: Result, clock: Clock, write: Callable[[], object]) -> None:
    """Writes the report, and how long all of it took."""
    try:
        write()
    except InputError as error:  # the run is done and stands; an item that vanished does not undo it
        say(f"Note: no report ({error}) `{command_line('report', run)}` tries again.")
    result["wall_seconds"] = clock.wall_seconds()
    write_json(run / "result.json", result)


def finished(run: Path) -> Result | None:
    """What stands in `RUN/result.json` if the run has ended, said aloud; None if it is still to be done.

    A run that was stopped while its report was made has it made now.

    Raises:
        GateError: it has ended with a gate that failed.
    """
    from keras_transfer.jobs.report import report_again

    result = read_result(run)
    if result is None:
        return None
    if (run / "report.html").is_file():
        say(f"{run} is finished already: choose another --out to start anew.")
    else:
        say(f"{run} is finished but for its report.")
        recipe, _ = read_run(run)
        _report(run, result, Clock(run), lambda: report_again(run, recipe, result))
    gate = result.get("gate")
    if gate:
        raise GateError(gate)
    return result
