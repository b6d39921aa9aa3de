"""The main job: from labelled items to proven files, in one run directory, resumable at any moment."""

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from keras_transfer.jobs.audition import choose_backbone, held, with_network
from keras_transfer.jobs.finish import Clock, RunFacts, calibrate, finish, finished, phase_entry, save_run_model
from keras_transfer.jobs.fit import for_budget, has_budget
from keras_transfer.jobs.parts import (
    build_classifier_of,
    check_files,
    epoch_recorder,
    fit_recipe,
    load_data,
    plan_of,
    prepared_for,
    write_history,
)
from keras_transfer.jobs.rejection import check_rejection
from keras_transfer.modalities import open_modality, settled
from keras_transfer.progress import say
from keras_transfer.recipe import AUTO, DOWNLOADED, Recipe
from keras_transfer.run import begin, open_run, read_result
from keras_transfer.schemas import Audition, Result

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.training import History
    from keras_transfer.training.plan import Plan


def train(recipe: Recipe, folder: str | Path) -> Result | None:
    """Runs or resumes the job of a recipe in the run directory `folder`.

    Loads and checks the data, trains, evaluates on the test split once, exports the files and proves each of them,
    and writes the report.

    Args:
        recipe: see `Recipe`.
        folder: the run directory: new, empty, or one in which the same recipe was stopped.

    Returns:
        What stands in `RUN/result.json`; None at a worker that only helps (see `training.workers`).

    Raises:
        InputError: the input is wrong, or the folder holds something else.
        GateError: all is written, but a file fell below its tolerance; `result.json` has the details.
        WorkerError: another worker has stopped.
    """
    recipe, audition, strategy = settled(for_budget(recipe)), None, None
    if recipe.backbone == AUTO or has_budget(recipe):
        recipe, audition = held(recipe, Path(folder))
    if os.environ.get("TF_CONFIG"):  # TensorFlow is not imported before it is needed
        from keras_transfer.training.workers import join_workers, send, watch_workers, worker_index

        strategy = join_workers()
    if strategy is None:
        with open_run(folder, recipe) as run:
            return finished(run) or _train(recipe, run, audition)
    with watch_workers():
        if worker_index(strategy):
            _help(recipe, strategy)
            return None
        with open_run(folder, recipe) as run:
            send(strategy, _FINISHED if read_result(run) else _BEGUN)
            return finished(run) or _train(recipe, run, audition, strategy)


_BEGUN, _FINISHED = b"begun", b"finished"


def _help(recipe: Recipe, strategy: "tf.distribute.Strategy") -> None:
    """What the workers do that are not the chief: they train with it, and keep nothing."""
    from keras_transfer.training.workers import send

    if send(strategy, b"") == _FINISHED:
        return
    with tempfile.TemporaryDirectory(prefix="keras-transfer-") as folder:
        data = load_data(recipe, Path(folder))
        recipe = with_network(recipe, json.loads(send(strategy, b"")))
        data = prepared_for(recipe, data)
        model, recipe, plan = build_model(recipe, data, strategy)
        chosen = json.loads(send(strategy, b""))
        recipe, data = open_modality(data.train.preparer.modality).prepared(recipe, data, chosen)
        _fit(model, data, recipe, plan, Path(folder))
    say("This worker is done; the chief goes on alone and writes the run.")


def _train(
    recipe: Recipe, run: Path, audition: Audition | None, strategy: "tf.distribute.Strategy | None" = None
) -> Result:
    from keras_transfer.litert import warm_up

    check_files(recipe)
    clock = Clock(run)
    warm_up()  # the converter's process starts while the data are read
    with clock.part("data"):
        data = load_data(recipe, run)
    if audition is None and (recipe.backbone == AUTO or has_budget(recipe)):
        with clock.part("audition"):
            recipe, data, audition = choose_backbone(recipe, data, run, fitting=has_budget(recipe))
    if strategy is not None:
        from keras_transfer.training.workers import send

        send(strategy, recipe.model.model_dump_json().encode())
    with clock.part("model"):
        from keras_transfer.evaluation import load_keras

        model, recipe, plan = build_model(recipe, data, strategy)
    if recipe.export.reject:
        check_rejection(data, model)
    with clock.part("geometry"):
        modality = open_modality(data.train.preparer.modality)
        chosen = modality.choose_preparation(recipe, data, model, run)
        recipe, data = modality.prepared(recipe, data, chosen)
        if strategy is not None:
            send(strategy, json.dumps(chosen).encode())
    with clock.part("model"):
        notes = modality.advice(recipe) if audition is None else []
        for note in notes:
            say(f"Note: {note}")
        begin(run, recipe, weights=_weights_origin(recipe.backbone, recipe.model.weights))
    with clock.part("training"):
        history = _fit(model, data, recipe, plan, run)
    with clock.part("model"):
        learned = history.held_out is not None or modality.fitted_to_val(recipe)
        temperature = calibrate(model, data, history.held_out, learned=learned)
        save_run_model(run, model, data)
        if strategy is not None:
            model = load_keras(run / "model.keras")  # on this machine alone
    facts: RunFacts = {
        "preparation": chosen,
        "strategy": history.strategy,
        "kept": history.kept,
        "views": history.views,
        "phases": [phase_entry(phase.name, phase.rows, phase.val_accuracy) for phase in history.phases],
        "temperature": temperature,
        "fitted_to_val": learned,
    }
    if audition is not None:
        facts["audition"] = audition
    return finish(run, recipe, data, model, clock, facts, notes=[*notes, *history.remarks])


def build_model(
    recipe: Recipe, data: "Dataset", strategy: "tf.distribute.Strategy | None" = None
) -> "tuple[keras.Model, Recipe, Plan]":
    """The classifier of a recipe, the recipe with what it left open, and how the classifier trains."""
    model = build_classifier_of(recipe, data, strategy)
    plan = plan_of(recipe, model, data)
    return model, complete(recipe, model, data, plan), plan


def complete(recipe: Recipe, model: "keras.Model", data: "Dataset", plan: "Plan") -> Recipe:
    """The recipe with what it left open, as it was chosen for this model and data."""

    modality = open_modality(data.train.preparer.modality)
    recipe = recipe.replace(modality=modality.name, phases=plan.phases, views=plan.views)
    return modality.complete(recipe, model)


def _fit(model: "keras.Model", data: "Dataset", recipe: Recipe, plan: "Plan", run: Path) -> "History":
    history = fit_recipe(model, data, recipe, plan, run / "checkpoints", epoch_recorder(run, plan.phases))
    write_history(run, history.rows)  # what was recorded in a checkpoint just before a kill is in it too
    return history


def _weights_origin(backbone: str, weights: str) -> dict[str, str | None]:
    import hashlib

    path = Path(weights)
    if weights == DOWNLOADED:  # or the file of a KerasHub preset's folder
        path = Path(backbone.removeprefix("kerashub:")) / "model.weights.h5"
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    return {"told": weights, "sha256": digest}
