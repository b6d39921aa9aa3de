"""The main job: from photographs to proven files, in one run directory, resumable at any moment."""

import csv
import io
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_transfer.errors import GateError, InputError
from keras_transfer.files import replacing, write_json, write_text
from keras_transfer.jobs.parts import build_classifier_of, export_files, load_data, read_history
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe
from keras_transfer.run import begin, open_run, read_result

_COLUMNS = ("phase", "epoch", "seconds", "loss", "accuracy", "val_loss", "val_accuracy")


def train(recipe: Recipe, folder: str | Path) -> dict[str, Any]:
    """Runs or resumes the job that `recipe` tells in the run directory `folder`.

    Loads and checks the data, trains, evaluates on the test split once, exports the files and proves each of them,
    and writes the report.

    Args:
        recipe: see `Recipe`.
        folder: the run directory: new, empty, or one in which the same recipe was stopped.

    Returns:
        What stands in `RUN/result.json`.

    Raises:
        InputError: the input is wrong, or the folder holds something else.
        GateError: all is written, but a file fell below its tolerance; `result.json` has the details.
    """
    with open_run(folder, recipe) as run:
        finished = read_result(run)
        if finished is not None:
            say(f"{run} is finished already: choose another --out to train again.")
            if not (run / "report.html").is_file():
                say(f"It has no report: `keras-transfer report {run}` writes it.")
            if finished.get("gate"):
                raise GateError(finished["gate"])
            return finished
        return _train(recipe, run)


def _train(recipe: Recipe, run: Path) -> dict[str, Any]:
    from keras_transfer.litert import warm_up
    from keras_transfer.models import bundled

    clock = _Clock(run)
    warm_up()  # the converter's process starts while photographs are read
    with clock.part("data"):
        data = load_data(recipe, run)
    with clock.part("model"):
        model, recipe = build_model(recipe, data)
        notes = [bundled.ADVICE] if recipe.weights == "bundled" else []
        for note in notes:
            say(f"Note: {note}")
        begin(run, recipe, weights=_weights_origin(recipe))
    with clock.part("training"):
        history = _fit(model, data, recipe, run)
        names = data.class_names
        write_text(run / "labels.txt", "".join(f"{name}\n" for name in names))
        with replacing(run / "model.keras") as temporary:
            model.save(temporary)
    if len(data.test) == 0:
        raise InputError(
            f"{recipe.data} has no test photographs, so nothing can be proved: give it a test/ folder or test=0.15."
        )

    from keras_transfer.data.stored import StoredSplit
    from keras_transfer.evaluation import metrics, predict_pixels
    from keras_transfer.export import ExportGateError
    from keras_transfer.jobs.report import write_report

    size = tuple(model.input_shape[1:3])
    with clock.part("evaluation"):
        test = StoredSplit(data.test, size)
        probabilities = predict_pixels(model, test)
        scores = metrics(test.labels, probabilities, names)
    gate: GateError | None = None
    with clock.part("export"):
        try:
            artifacts = export_files(model, recipe, data, test, run / "export", keras_probabilities=probabilities)
        except ExportGateError as error:
            gate, artifacts = error, error.artifacts
    result = {
        "backbone": recipe.backbone,
        "alpha": recipe.alpha,
        "weights": recipe.weights,
        "image_size": list(size),
        "classes": names,
        "strategy": history.strategy,
        "kept": history.kept,
        "views": history.views,
        "images": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
        "seconds": round(clock.total(), 1),
        "parts": clock.parts,
        "phases": [
            {
                "name": phase.name,
                "epochs": len(phase.rows),
                "seconds": round(phase.seconds, 1),
                "val_accuracy": phase.val_accuracy,
            }
            for phase in history.phases
        ],
        "test": scores,
        "artifacts": artifacts,
        "gate": str(gate) if gate else None,
        "warnings": [*data.warnings, *notes, *history.remarks],
    }
    write_json(run / "result.json", result)
    try:
        write_report(run, recipe, data, model, test, probabilities, result)
    except InputError as error:  # the run is done and stands; a photograph that vanished does not undo it
        say(f"Note: no report ({error}) `keras-transfer report {run}` tries again.")
    test.close()
    if gate is not None:
        raise gate
    return result


def build_model(recipe: Recipe, data: Any) -> tuple[Any, Recipe]:
    model = build_classifier_of(recipe, data)
    return model, complete(recipe, model, data)


def complete(recipe: Recipe, model: Any, data: Any) -> Recipe:
    """The recipe with what it left open chosen for this model and data."""
    from keras_transfer.models import bundled, stages
    from keras_transfer.training.plan import make_phases, resolve_strategy

    strategy = resolve_strategy(
        recipe.strategy, len(data.train), len(data.class_names), recipe.weights not in ("none", None)
    )
    chosen: dict[str, Any] = {"image_size": recipe.image_size or model.input_shape[1]}
    if recipe.weights == "bundled":
        chosen["alpha"] = bundled.ALPHA
    if recipe.phases is None:
        chosen["phases"] = make_phases(
            strategy, stage_count=len(stages(model)), images=len(data.train), gradual=recipe.gradual
        )
    return recipe.model_copy(update=chosen)


def _fit(model: Any, data: Any, recipe: Recipe, run: Path) -> Any:
    from keras_transfer.training import fit

    rows = {(row["phase"], row["epoch"]): row for row in read_history(run / "history.csv")}

    def on_epoch(phase: str, row: dict[str, Any]) -> None:
        rows[phase, str(row["epoch"])] = {"phase": phase, **row}
        write_history(run / "history.csv", list(rows.values()))
        say(
            f"{phase} {row['epoch']:>3}  loss {row['loss']:.3f}  accuracy {row['accuracy']:.3f}  "
            f"val loss {row['val_loss']:.3f}  val accuracy {row['val_accuracy']:.3f}  {row['seconds']:.1f} s"
        )

    history = fit(
        model,
        data,
        strategy=recipe.strategy,
        phases=recipe.phases,
        pretrained=recipe.weights not in ("none", None),
        augmentation=recipe.augmentation,
        views=recipe.views,
        label_smoothing=recipe.label_smoothing,
        class_weights=recipe.class_weights,
        seed=recipe.seed,
        checkpoints=run / "checkpoints",
        on_epoch=on_epoch,
    )
    write_history(run / "history.csv", history.rows)
    return history


def write_history(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes one CSV row an epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _weights_origin(recipe: Recipe) -> dict[str, str | None]:
    import hashlib

    path = Path(recipe.weights)
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    return {"told": recipe.weights, "sha256": digest}


class _Clock:
    """Seconds of each part of the job, over all the processes that worked on it."""

    def __init__(self, run: Path) -> None:
        self._file = run / "checkpoints" / "clock.json"
        try:
            self.parts: dict[str, float] = json.loads(self._file.read_text())
        except (OSError, ValueError):
            self.parts = {}

    def total(self) -> float:
        return sum(self.parts.values())

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.parts[name] = round(self.parts.get(name, 0.0) + time.perf_counter() - started, 2)
            write_json(self._file, self.parts)
