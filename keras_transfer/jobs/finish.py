"""How every run ends: scored on the test split once, exported, proved, written down, reported."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_transfer.errors import GateError, InputError
from keras_transfer.files import write_json, write_text
from keras_transfer.inputs import InputSpec
from keras_transfer.jobs.parts import export_files
from keras_transfer.modalities import open_modality
from keras_transfer.process import at_stop, seconds_since_start
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe
from keras_transfer.run import command_line, read_result, read_run

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset


class Clock:
    """Seconds of a run: of each part of its job, and in all, over all the processes that worked on it.

    The whole counts from the start of a command's process (from here in other programs), imports and report included;
    of a process that was killed it counts what went before the end of its last part.
    """

    def __init__(self, run: Path) -> None:
        self._file = run / "checkpoints" / "clock.json"
        self._begun = time.perf_counter() - (seconds_since_start() or 0.0)
        try:
            kept = json.loads(self._file.read_text())
            self.parts: dict[str, float] = kept["parts"]
            self._before: float = kept["wall_seconds"]
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


def save_run_model(run: Path, model: "keras.Model", data: "Dataset") -> None:
    """Writes `RUN/model.keras`, with what its inputs are inside, and `RUN/labels.txt`."""
    from keras_transfer.models import model_inputs, save_model

    write_text(run / "labels.txt", "".join(f"{name}\n" for name in data.class_names))
    save_model(model, run / "model.keras", data.train.spec(model_inputs(model)))


def phase_entry(name: str, rows: Sequence[Mapping[str, Any]], val_accuracy: float) -> dict[str, Any]:
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
    facts: Mapping[str, Any],
    *,
    notes: Sequence[str] = (),
    steps: Any = None,
    **export_options: Any,
) -> dict[str, Any]:
    """Scores a trained model on the test split, exports and proves its files, writes `result.json` and the report.

    Args:
        run: the open run directory.
        recipe: its recipe, complete.
        data: its photographs.
        model: what was trained.
        clock: the job's.
        facts: what the job itself says of the run: `strategy`, `kept`, `views`, `phases`...
        notes: warnings beside those of the data.
        steps: `(test, probabilities) -> (entries, problems, notes)` of what a compression did, step by step: sentences
            on a gate that failed, and on one that is a warning.
        **export_options: for `export`.

    Returns:
        What stands in `RUN/result.json`.

    Raises:
        InputError: there are no test photographs.
        GateError: all is written, but a file or a step fell below its tolerance.
    """
    if len(data.test) == 0:
        raise InputError(
            f"{recipe.data.source} has no test photographs, so nothing can be proved: give it a test/ folder or "
            "test=0.15."
        )

    from keras_transfer.evaluation import metrics, predict_pixels
    from keras_transfer.jobs.report import model_figures, write_report
    from keras_transfer.models.graph import model_inputs

    inputs = data.test.spec(model_inputs(model))
    more: dict[str, Any] = {}
    test = data.test.stored(inputs)
    # The model answers, and is looked at for the report, while the files are converted in a process of their own.
    with ThreadPoolExecutor(2) as pool:

        @cache
        def start() -> tuple[Future[Any], Future[Any]]:
            answers = pool.submit(predict_pixels, model, test)
            return answers, pool.submit(model_figures, recipe, facts["kept"], data, model, test, answers.result)

        with clock.part("export"):
            options = {"keras_probabilities": lambda: start()[0].result(), "on_frozen": start, **export_options}
            artifacts = export_files(model, recipe, data, test, run / "export", **options)
            problems, gate_notes = list(artifacts.problems), list(artifacts.notes)
        answers, figures = start()
        with clock.part("evaluation"):
            probabilities = answers.result()
            scores = metrics(test.labels, probabilities, data.class_names)
            if steps is not None:
                more["steps"], lost, doubtful = steps(test, probabilities)
                problems += lost
                gate_notes += doubtful
            wait([figures])
    result = result_of(recipe, data, inputs, clock, facts, scores, notes) | {
        **more,
        "artifacts": artifacts,
        "recommended": artifacts.recommended,
        "gate": " ".join(problems) or None,
        "gate_notes": gate_notes,
    }
    write_json(run / "result.json", result)
    _report(run, result, clock, lambda: write_report(run, recipe, data, test, figures.result(), result))
    test.close()
    if problems:
        raise GateError(" ".join(problems))
    return result


def result_of(
    recipe: Recipe,
    data: "Dataset",
    inputs: InputSpec,
    clock: Clock,
    facts: Mapping[str, Any],
    scores: Mapping[str, Any],
    notes: Sequence[str],
) -> dict[str, Any]:
    """What `result.json` says of a run that has a model and no files yet."""
    return {
        "backbone": recipe.model.backbone,
        "alpha": recipe.model.alpha,
        "weights": recipe.model.weights,
        "image_size": None,
        "inputs": inputs.to_dict(),
        **open_modality(inputs.modality).describe(data.test.preparer, inputs),
        "classes": data.class_names,
        **facts,
        "images": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
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


def _report(run: Path, result: dict[str, Any], clock: Clock, write: Callable[[], object]) -> None:
    """Writes the report, and how long all of it took."""
    try:
        write()
    except InputError as error:  # the run is done and stands; a photograph that vanished does not undo it
        say(f"Note: no report ({error}) `{command_line('report', run)}` tries again.")
    result["wall_seconds"] = clock.wall_seconds()
    write_json(run / "result.json", result)


def finished(run: Path) -> dict[str, Any] | None:
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
    if result.get("gate"):
        raise GateError(result["gate"])
    return result
