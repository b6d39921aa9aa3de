"""The verdict on a run: `report.html` for people, `report.json` for programs, `report.md` to go with the model."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from keras_transfer.files import write_json, write_text
from keras_transfer.inputs import InputSpec, Json
from keras_transfer.jobs.learning_curve import FILE as CURVE
from keras_transfer.jobs.learning_curve import CurveOptions, learning_curve
from keras_transfer.jobs.parts import load_data, read_history, read_json
from keras_transfer.jobs.see import changed_stages
from keras_transfer.jobs.segments import FILE as CORRUPTIONS
from keras_transfer.jobs.segments import corruption_figures, segment_figures
from keras_transfer.modalities import open_modality
from keras_transfer.recipe import Recipe
from keras_transfer.run import add_to_run, beside, command_line, data_option, read_run
from keras_transfer.schemas import (
    N_ITEMS,
    SIZE,
    BaselineRow,
    BeforeAfter,
    Calibration,
    Confusion,
    Corruptions,
    Epoch,
    Example,
    ItemView,
    LearnedFrom,
    LearningCurve,
    ModelFigures,
    NextStep,
    Report,
    Result,
    Verdict,
)

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split
    from keras_transfer.jobs.baselines import Baseline

_PAIRS, _PER_PAIR, _SHOWN = 4, 6, 8  # pairs of classes, items of each, and of the mistakes and doubts


def report_run(
    folder: str | Path,
    *,
    data: str | None = None,
    baselines: str | None = None,
    compare_backbones: Sequence[str] = (),
    corruptions: bool = False,
    curve: CurveOptions | None = None,
) -> Report:
    """Writes the report of a finished run again.

    Args:
        folder: a run directory.
        data: where the run's items are now, if they have moved.
        baselines: `"auto"`, `"none"` or `"scratch"`; as the run's recipe says unless given.
        compare_backbones: more backbones to compare with, `NAME[@ALPHA][=WEIGHTS]` each.
        corruptions: score the run on test items made worse as well; later reports show it too.
        curve: options of the learning curves, which are then computed first; later reports show them too.

    Returns:
        What stands in `RUN/report.json`.

    Raises:
        InputError: the folder holds no finished run, or its items have changed.
    """
    run = Path(folder)
    recipe, result = read_run(run, data=data, baselines=baselines, compare_backbones=tuple(compare_backbones) or None)
    with add_to_run(run):
        return report_again(run, recipe, result, corruptions=corruptions, curve=curve)


def report_again(
    run: Path,
    recipe: Recipe,
    result: Result,
    *,
    corruptions: bool = False,
    curve: CurveOptions | None = None,
) -> Report:
    """Writes the report of a finished run that is open; the arguments are those of `report_run` and `write_report`."""
    from keras_transfer.evaluation import load_keras, predict_split
    from keras_transfer.models.graph import model_inputs

    data = load_data(recipe, run)
    model = load_keras(run / "model.keras")
    test = data.test.stored(model_inputs(model))
    if curve is not None:
        learning_curve(run, recipe, data, model, **curve)
    if corruptions:
        corruption_figures(run, model, test, recipe.seed)
    figures = model_figures(recipe, result["kept"], result, data, model, test, lambda: predict_split(model, test))
    return write_report(run, recipe, data, test, figures, result)


@dataclass(frozen=True)
class Figures:
    """What a report says of the trained model itself, whatever its files are.

    Attributes:
        probabilities: the model's answers on the test split, `float32 [n, classes]`.
        report: entries of `report.json`.
        pictures: of the test items that the page shows, by their index.
    """

    probabilities: NDArray[np.float32]
    report: ModelFigures
    pictures: Mapping[int, ItemView]


def model_figures(
    recipe: Recipe,
    kept: str | None,
    facts: LearnedFrom,
    data: "Dataset",
    model: "keras.Model",
    test: "Split",
    answers: Callable[[], NDArray[np.float32]],
) -> Figures:
    """Computes what needs the model and its answers alone: a run does so while its files are converted.

    Args:
        recipe: of the run, complete.
        kept: the phase that it kept; None where nothing of the backbone was trained here.
        facts: by what temperature its last layer was divided, and whether it has learned from validation items.
        data: its items.
        model: its trained model.
        test: its test split, stored.
        answers: returns the model's answers to it, `float32 [n, classes]`.
    """
    from keras_transfer.data.folds import item_groups
    from keras_transfer.evaluation import examples
    from keras_transfer.evaluation.intervals import score_intervals

    # First what is mostly tracing, on one core, and needs no answers.
    changed = changed_stages(recipe, kept, model, data) if recipe.model.pretrained and kept is not None else []
    probabilities = np.asarray(answers(), np.float32)
    names, labels, several = data.class_names, np.asarray(test.labels), data.multi_label
    mistakes = examples.most_confident_mistakes(labels, probabilities, _SHOWN)
    doubts = examples.least_confident(probabilities, _SHOWN, several)
    report: ModelFigures = {
        **score_intervals(labels, probabilities, names, groups=item_groups(data, test), seed=recipe.seed),
        "confusion": None if several else _confusion(test, probabilities),
        "mistakes": [_example(i, test, probabilities) for i in mistakes],
        "least_confident": [_example(i, test, probabilities) for i in doubts],
        "calibration": _calibration(model, data.val, test, probabilities, facts),
        "segments": segment_figures(data, test, probabilities),
        "changed": changed,
    }
    return Figures(probabilities, report, _pictures(model, test, report))


def write_report(run: Path, recipe: Recipe, data: "Dataset", test: "Split", figures: Figures, result: Result) -> Report:
    """Writes `report.html`, `report.json`, `report.md` and `calibration.json` of a run that is open.

    Args:
        run: the run directory.
        recipe: its recipe, complete.
        data: its items.
        test: its test split, stored.
        figures: of its model.
        result: what stands in `result.json`.

    Returns:
        What stands in `report.json`.
    """
    from keras_transfer.evaluation.calibration import FILE
    from keras_transfer.jobs.baselines import make_baselines
    from keras_transfer.report import report_html, report_markdown

    started = time.perf_counter()
    write_json(run / FILE, figures.report["calibration"])
    made = make_baselines(recipe, data, test, recipe.report.compare_backbones)
    described = _preparation(data, result)
    fields = _fields(run, recipe, data, figures, result)
    fields["input"] = open_modality(data.test.preparer.modality).input_words(described)
    fields["baselines"] = _compared(made, data, test, figures.probabilities)
    fields["verdict"] = _verdict(recipe, data, fields)
    fields["next"] = _next(run, recipe, data, fields)
    fields["seconds"]["report"] = round(time.perf_counter() - started, 1)
    report = cast(Report, {**fields, **described})  # beside its fields stand those of the modality
    write_json(run / "report.json", report)
    write_text(run / "report.md", report_markdown(report))
    write_text(run / "report.html", report_html(report, figures.pictures))
    return report


def _fields(run: Path, recipe: Recipe, data: "Dataset", figures: Figures, result: Result) -> Report:
    """The report but for its baselines, its verdict, and what follows from them."""
    kind = data.reader.kind
    return {
        "format": 1,
        "run": str(run),
        "data": Path(recipe.data.source).name or recipe.data.source,
        "noun": {"one": kind.item, "many": kind.items},
        "backbone": result["backbone"],
        "alpha": result["alpha"],
        "weights": result["weights"],
        "classes": result["classes"],
        "strategy": result["strategy"],
        "kept": result["kept"],
        "inputs": result.get("inputs"),
        "input": {},
        "multi_label": data.multi_label,
        N_ITEMS: result[N_ITEMS],
        "seconds": {"run": result["seconds"], "report": 0.0},
        "phases": result["phases"],
        "audition": result.get("audition"),
        "rejection": result.get("rejection"),
        "steps": result.get("steps", []),
        "files": result["artifacts"],
        "recommended": result.get("recommended"),
        "gate": result["gate"],
        "gate_notes": result.get("gate_notes", []),
        "warnings": result["warnings"],
        "recipe": recipe.model_dump(mode="json"),
        **figures.report,
        "baselines": [],
        "corruptions": cast(Corruptions | None, read_json(run / CORRUPTIONS)),
        "learning_curve": cast(LearningCurve | None, read_json(run / CURVE)),
        "verdict": {"outcome": "", "title": "", "sentences": [], "remarks": []},
        "next": [],
        "history": [_epoch(row) for row in read_history(run / "history.csv")],
    }


def _confusion(test: "Split", probabilities: NDArray[np.float32]) -> Confusion:
    """The confusion matrix, and the classes that are most often taken for one another."""
    from keras_transfer.evaluation import examples, metrics

    labels, names = np.asarray(test.labels), list(test.class_names)
    pairs = examples.confused_pairs(labels, probabilities, names, _PAIRS, _PER_PAIR)
    return {
        "matrix": metrics(labels, probabilities, names)["confusion_matrix"],
        "pairs": [
            {
                "true": pair.true,
                "predicted": pair.predicted,
                "count": pair.count,
                "of": pair.of,
                N_ITEMS: [_example(i, test, probabilities) for i in pair.indices],
            }
            for pair in pairs
        ],
    }


def _example(index: int, test: "Split", probabilities: NDArray[np.float32]) -> Example:
    from keras_transfer.decisions import THRESHOLD

    row, label, path = probabilities[index], test.labels[index], test.paths[index]
    if np.ndim(label):
        true, predicted = np.flatnonzero(label >= THRESHOLD), np.flatnonzero(row >= THRESHOLD)
        wrong = np.flatnonzero((label >= THRESHOLD) != (row >= THRESHOLD))
        asked = wrong if len(wrong) else np.arange(len(row))
        column = int(asked[np.abs(row[asked] - THRESHOLD).argmax()])
        confidence = float(max(row[column], 1 - row[column]))
    else:
        true, predicted = np.array([label]), np.array([row.argmax()])
        column, confidence = int(row.argmax()), float(row.max())
    return {
        "index": int(index),
        "file": f"{path.parent.name}/{path.name}",
        "true": [test.class_names[i] for i in true],
        "predicted": [test.class_names[i] for i in predicted],
        "asked": test.class_names[column],
        "confidence": confidence,
        "of_truth": float(row[true].min()) if len(true) else None,
    }


def _calibration(
    model: "keras.Model",
    val: "Split",
    test: "Split",
    probabilities: NDArray[np.float32],
    facts: LearnedFrom,
) -> Calibration:
    """The temperature, fitted on validation, and what it and the one in the model do to the test split.

    A model that has learned from validation items has the one in it alone.
    """
    from keras_transfer.evaluation.calibration import apply_temperature, fit_temperature, reliability
    from keras_transfer.training.features import predict_cached

    several, folded, temperature = np.ndim(test.labels) == 2, facts.get("temperature", 1.0), 1.0
    answers = None if facts.get("fitted_to_val") else predict_cached(model, val)
    if answers is not None:
        temperature = fit_temperature(val.labels, answers)

    def both(labels: NDArray[np.generic], values: NDArray[np.float32]) -> BeforeAfter:
        trained = apply_temperature(values, 1 / folded, several) if folded != 1 else values
        scaled = apply_temperature(values, temperature, several)
        return {"before": reliability(labels, trained), "after": reliability(labels, scaled)}

    found: Calibration = {
        "temperature": temperature,
        "folded": folded,
        N_ITEMS: len(val),
        "test": both(test.labels, probabilities),
    }
    if answers is not None:
        found["val"] = both(val.labels, answers)
    return found


def _compared(
    made: "Sequence[Baseline]", data: "Dataset", test: "Split", probabilities: NDArray[np.float32]
) -> list[BaselineRow]:
    """Each baseline beside the run, on the same test split."""
    from keras_transfer.data.folds import item_groups
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation import metrics
    from keras_transfer.evaluation.intervals import grouped_interval, paired_difference

    ours, groups = correct(test.labels, probabilities), item_groups(data, test)
    rows: list[BaselineRow] = []
    for baseline in made:
        row: BaselineRow = {
            "name": baseline.name,
            "kind": baseline.kind,
            "what": baseline.what,
            "seconds": round(baseline.seconds, 1),
            "accuracy": None,
            "macro_f1": None,
            "difference": None,
        }
        if baseline.probabilities is not None:
            right = correct(test.labels, baseline.probabilities)
            low, high = grouped_interval(right, np.ones_like(right), groups)
            row["accuracy"] = {"value": float(right.mean()), "low": low, "high": high}
            row["macro_f1"] = metrics(test.labels, baseline.probabilities, data.class_names)["macro_f1"]
            row["difference"] = paired_difference(ours, right, groups)
        rows.append(row)
    return rows


def _verdict(recipe: Recipe, data: "Dataset", report: Report) -> Verdict:
    from keras_transfer.evaluation.verdict import compression_verdict, verdict

    accuracy, items = report["metrics"]["accuracy"], len(data.test)
    if report["steps"]:
        return compression_verdict(accuracy, items, report["steps"])
    transfers = recipe.model.pretrained or recipe.model.file is not None
    said = verdict(accuracy, items, report["baselines"], transfers=transfers)
    if report["audition"] is not None:  # negative transfer that it foresaw, and what a random split would hide
        said["remarks"] += report["audition"]["sentences"][1:]
    return said


def _next(run: Path, recipe: Recipe, data: "Dataset", report: Report) -> list[NextStep]:
    """What to do now, the most useful first; each with its command."""
    steps: list[NextStep] = []
    outcome, kind = report["verdict"]["outcome"], data.reader.kind
    transfer = outcome in ("helped", "unclear")  # and may help more
    modality = open_modality(data.test.preparer.modality)
    train = ("train", recipe.data.source, *modality.network_options(recipe))
    moved = data_option(run, recipe)

    def step(why: str, *words: object) -> None:
        steps.append({"why": why, "command": command_line(*words)})

    if outcome == "negative":
        why = "Train from scratch, or try another backbone (`keras-transfer backbones`)."
        step(why, *train, "--weights", "none", "--out", beside(run, "scratch"))
    if transfer and report["strategy"] == "feature-extraction":
        tuning = ("--weights", recipe.model.weights, "--strategy", "fine-tuning", "--out", beside(run, "fine-tuning"))
        step("Only the head was trained: fine-tuning the top of the backbone may add some points.", *train, *tuning)
    if report["steps"]:
        step("Set its files beside those of the run that it began with.", "compare", recipe.base, run)
    elif transfer and not any(row["kind"] == "scratch" and row["accuracy"] for row in report["baselines"]):
        why = "Compare with the same network from scratch, the strictest judge (it takes a while)."
        step(why, "report", run, "--baselines", "scratch", *moved)
    if transfer and report["learning_curve"] is None and recipe.model.pretrained:
        step(f"See whether more {kind.items} or more unfreezing would help.", "report", run, "--learning-curve", *moved)
    if modality.corruptions and report["corruptions"] is None:
        ways = ", ".join(corruption.words for corruption in modality.corruptions.values())
        step(f"See how well it does on worse {kind.items}: {ways}.", "report", run, "--corruptions", *moved)
    recommended = report["recommended"]
    if recommended and recommended.endswith(".tflite"):
        why = f"See what the recommended file says of a {kind.item}."
        step(why, "predict", run / recommended, kind.example)
    if report["calibration"]["temperature"] != 1:
        step("Ask for probabilities that mean what they say.", "predict", run, kind.example, "--calibrated")
    return steps


def _preparation(data: "Dataset", result: Result) -> dict[str, Json]:
    """How items become inputs: as the run's result has it, or as it follows from the data."""
    modality = open_modality(data.test.preparer.modality)
    inputs = cast(Mapping[str, Json], result.get("inputs"))
    known = cast(Mapping[str, Json], result)
    # Runs of before there were specs have a size alone.
    spec = InputSpec.from_dict(inputs) if inputs else data.test.spec(cast(Sequence[int], known[SIZE]))
    described = modality.describe(data.test.preparer, spec)
    return {name: known.get(name) or value for name, value in described.items()}


def _pictures(model: "keras.Model", test: "Split", report: ModelFigures) -> Mapping[int, ItemView]:
    """For each test item that the page shows: its view, with what explains the asked class, if that is known."""
    explained = {row["index"]: row for row in [*report["mistakes"], *report["least_confident"]]}
    pairs = report["confusion"]["pairs"] if report["confusion"] is not None else []
    wanted = sorted({*explained, *(row["index"] for pair in pairs for row in pair[N_ITEMS])})
    if not wanted:
        return {}
    names = list(test.class_names)
    asked = {index: names.index(row["asked"]) for index, row in explained.items()}
    return open_modality(test.preparer.modality).views(model, test, wanted, asked)


def _epoch(row: Mapping[str, str]) -> Epoch:
    """A row of the history as numbers; None where a figure is missing or no number."""

    def number(name: str) -> float | None:
        value = float(row.get(name) or "nan")
        return value if np.isfinite(value) else None

    return {
        "phase": row["phase"],
        "epoch": int(row["epoch"]),
        "seconds": number("seconds"),
        "loss": number("loss"),
        "accuracy": number("accuracy"),
        "val_loss": number("val_loss"),
        "val_accuracy": number("val_accuracy"),
    }
