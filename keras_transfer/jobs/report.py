"""The verdict on a run: `report.html` for people, `report.json` for programs, `report.md` to go with the model."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.files import write_json, write_text
from keras_transfer.inputs import InputSpec
from keras_transfer.jobs.learning_curve import FILE as CURVE
from keras_transfer.jobs.learning_curve import learning_curve
from keras_transfer.jobs.parts import load_data, read_history
from keras_transfer.jobs.see import changed_stages
from keras_transfer.jobs.segments import FILE as CORRUPTIONS
from keras_transfer.jobs.segments import corruption_figures, read_figures, segment_figures
from keras_transfer.modalities import open_modality
from keras_transfer.recipe import Recipe
from keras_transfer.run import add_to_run, beside, command_line, data_option, read_run

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split

_PAIRS, _PER_PAIR, _SHOWN = 4, 6, 8  # pairs of classes, pictures of each, and of the mistakes and doubts


def report_run(
    folder: str | Path,
    *,
    data: str | None = None,
    baselines: str | None = None,
    compare_backbones: Sequence[str] = (),
    corruptions: bool = False,
    curve: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes the report of a finished run again.

    Args:
        folder: a run directory.
        data: where the run's photographs are now, if they have moved.
        baselines: `"auto"`, `"none"` or `"scratch"`; what the run's recipe says unless given.
        compare_backbones: more backbones to compare with, `NAME[@ALPHA][=WEIGHTS]` each.
        corruptions: score the run on test images made worse as well; once done, later reports show it too.
        curve: options of `learning_curve`, whose curves are computed first; later reports show them too.

    Returns:
        What stands in `RUN/report.json`.

    Raises:
        InputError: the folder holds no finished run, or its photographs have changed.
    """
    run = Path(folder)
    recipe, result = read_run(run, data=data, baselines=baselines, compare_backbones=tuple(compare_backbones) or None)
    with add_to_run(run):
        return report_again(run, recipe, result, corruptions=corruptions, curve=curve)


def report_again(
    run: Path,
    recipe: Recipe,
    result: dict[str, Any],
    *,
    corruptions: bool = False,
    curve: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes the report of a finished run that is open; the arguments are those of `report_run` and `write_report`."""
    from keras_transfer.evaluation import load_keras, predict_pixels
    from keras_transfer.models.graph import model_inputs

    photographs = load_data(recipe, run)
    model = load_keras(run / "model.keras")
    test = photographs.test.stored(model_inputs(model))
    if curve is not None:
        learning_curve(run, recipe, photographs, model, **curve)
    if corruptions:
        corruption_figures(run, model, test, recipe.seed)
    figures = model_figures(recipe, result["kept"], photographs, model, test, lambda: predict_pixels(model, test))
    return write_report(run, recipe, photographs, test, figures, result)


@dataclass(frozen=True)
class Figures:
    """What a report says of the trained model itself, whatever its files are.

    Attributes:
        probabilities: the model's answers on the test split, `float32 [n, classes]`.
        report: entries of `report.json`.
        pictures: of the test images that the page shows, by their index.
    """

    probabilities: np.ndarray
    report: dict[str, Any]
    pictures: dict[int, dict[str, str]]


def model_figures(
    recipe: Recipe, kept: str, data: "Dataset", model: "keras.Model", test: "Split", answers: Callable[[], np.ndarray]
) -> Figures:
    """Computes what needs the model and its answers alone: a run does so while its files are converted.

    Args:
        recipe: of the run, complete.
        kept: the phase that it kept.
        data: its photographs.
        model: its trained model.
        test: its test split stored.
        answers: gives the model's on it, `float32 [n, classes]`, when they are needed.
    """
    from keras_transfer.evaluation import examples, metrics
    from keras_transfer.evaluation.intervals import score_intervals

    # First what is mostly tracing, on one core, and needs no answers.
    changed = changed_stages(recipe, kept, model, data)
    probabilities = np.asarray(answers(), np.float32)
    names, labels, several = data.class_names, np.asarray(test.labels), data.multi_label
    report: dict[str, Any] = {**score_intervals(labels, probabilities, names, seed=recipe.seed)}
    report["confusion"] = None
    if not several:
        pairs = [
            {
                "true": pair.true,
                "predicted": pair.predicted,
                "count": pair.count,
                "of": pair.of,
                "images": [_example(i, test, probabilities) for i in pair.indices],
            }
            for pair in examples.confused_pairs(labels, probabilities, names, _PAIRS, _PER_PAIR)
        ]
        matrix = metrics(labels, probabilities, names)["confusion_matrix"]
        report["confusion"] = {"matrix": matrix, "pairs": pairs}
    mistakes = examples.most_confident_mistakes(labels, probabilities, _SHOWN)
    doubts = examples.least_confident(probabilities, _SHOWN, several)
    report["mistakes"] = [_example(i, test, probabilities) for i in mistakes]
    report["least_confident"] = [_example(i, test, probabilities) for i in doubts]
    report["calibration"] = _calibration(model, data.val, test, probabilities)
    report["segments"] = segment_figures(data, test, probabilities)
    report["changed"] = changed
    return Figures(probabilities, report, _pictures(model, test, report))


def write_report(
    run: Path, recipe: Recipe, data: "Dataset", test: "Split", figures: Figures, result: dict[str, Any]
) -> dict[str, Any]:
    """Writes `report.html`, `report.json`, `report.md` and `calibration.json` of a run that is open.

    Args:
        run: the run directory.
        recipe: its recipe, complete.
        data: its photographs.
        test: its test split stored.
        figures: of its model.
        result: what stands in `result.json`.

    Returns:
        What stands in `report.json`.
    """
    from keras_transfer.evaluation.calibration import FILE
    from keras_transfer.jobs.baselines import make_baselines
    from keras_transfer.report import report_html, report_markdown

    started = time.perf_counter()
    report: dict[str, Any] = {
        "format": 1,
        "run": str(run),
        "data": Path(recipe.data.source).name or recipe.data.source,
        **{key: result[key] for key in ("backbone", "alpha", "weights", "image_size", "classes", "strategy", "kept")},
        "inputs": result.get("inputs"),
        **_preparation(data, result),
        "multi_label": data.multi_label,
        "images": result["images"],
        "seconds": {"run": result["seconds"]},
        "phases": result["phases"],
        "steps": result.get("steps", []),
        "files": result["artifacts"],
        "recommended": result.get("recommended"),
        "gate": result["gate"],
        "gate_notes": result.get("gate_notes", []),
        "warnings": result["warnings"],
        "recipe": recipe.model_dump(mode="json"),
        **figures.report,
    }
    write_json(run / FILE, {key: report["calibration"][key] for key in ("temperature", "images", "val", "test")})
    made = make_baselines(recipe, data, test, recipe.report.compare_backbones)
    report["baselines"] = _compared(made, data, test, figures.probabilities)
    report["corruptions"], report["learning_curve"] = read_figures(run, (CORRUPTIONS, CURVE))
    report |= _verdict(run, recipe, data, report)
    report["history"] = [_numbers(row) for row in read_history(run / "history.csv")]
    report["seconds"]["report"] = round(time.perf_counter() - started, 1)
    write_json(run / "report.json", report)
    write_text(run / "report.md", report_markdown(report))
    write_text(run / "report.html", report_html(report, figures.pictures))
    return report


def _example(index: int, test: "Split", probabilities: np.ndarray) -> dict[str, Any]:
    from keras_transfer.decisions import THRESHOLD

    row, label, path = probabilities[index], test.labels[index], test.paths[index]
    if np.ndim(label):
        true, found = np.flatnonzero(label >= THRESHOLD), np.flatnonzero(row >= THRESHOLD)
        wrong = np.flatnonzero((label >= THRESHOLD) != (row >= THRESHOLD))
        asked = wrong if len(wrong) else np.arange(len(row))
        column = int(asked[np.abs(row[asked] - THRESHOLD).argmax()])
        confidence = float(max(row[column], 1 - row[column]))
    else:
        true, found = np.array([label]), np.array([row.argmax()])
        column, confidence = int(row.argmax()), float(row.max())
    return {
        "index": int(index),
        "file": f"{path.parent.name}/{path.name}",
        "true": [test.class_names[i] for i in true],
        "predicted": [test.class_names[i] for i in found],
        "asked": test.class_names[column],
        "confidence": confidence,
        "of_truth": float(row[true].min()) if len(true) else None,
    }


def _calibration(model: "keras.Model", val: "Split", test: "Split", probabilities: np.ndarray) -> dict[str, Any]:
    """The temperature, fitted on validation, and what it does to the test split."""
    from keras_transfer.evaluation.calibration import apply_temperature, fit_temperature, reliability
    from keras_transfer.training.features import predict_cached

    several = np.ndim(test.labels) == 2
    answers = predict_cached(model, val)
    temperature = fit_temperature(val.labels, answers)
    found: dict[str, Any] = {"temperature": temperature, "images": len(val)}
    for name, labels, values in (("val", val.labels, answers), ("test", test.labels, probabilities)):
        found[name] = {
            "before": reliability(labels, values),
            "after": reliability(labels, apply_temperature(values, temperature, several)),
        }
    return found


def _compared(made: Sequence[Any], data: "Dataset", test: "Split", probabilities: np.ndarray) -> list[dict[str, Any]]:
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation import metrics
    from keras_transfer.evaluation.intervals import paired_difference, share_interval

    ours, rows = correct(test.labels, probabilities), []
    for baseline in made:
        row: dict[str, Any] = {"name": baseline.name, "kind": baseline.kind, "what": baseline.what}
        row |= {"seconds": round(baseline.seconds, 1), "accuracy": None, "macro_f1": None, "difference": None}
        if baseline.probabilities is not None:
            right = correct(test.labels, baseline.probabilities)
            low, high = share_interval(int(right.sum()), len(right))
            row["accuracy"] = {"value": float(right.mean()), "low": low, "high": high}
            row["macro_f1"] = metrics(test.labels, baseline.probabilities, data.class_names)["macro_f1"]
            row["difference"] = paired_difference(ours, right)
        rows.append(row)
    return rows


def _verdict(run: Path, recipe: Recipe, data: "Dataset", report: dict[str, Any]) -> dict[str, Any]:
    from keras_transfer.evaluation.verdict import compression_verdict, verdict

    accuracy, images = report["metrics"]["accuracy"], len(data.test)
    if report["steps"]:
        said = compression_verdict(accuracy, images, report["steps"])
    else:
        said = verdict(
            accuracy, images, report["baselines"], transfers=recipe.model.pretrained or recipe.model.file is not None
        )
    return {"verdict": said, "next": _next(run, recipe, data, said["outcome"], report)}


def _next(run: Path, recipe: Recipe, data: "Dataset", outcome: str, report: dict[str, Any]) -> list[dict[str, str]]:
    """What to do now, the most useful first; each with its command."""
    steps: list[dict[str, str]] = []
    moved = data_option(run, recipe)
    told: list[Any] = ["train", recipe.data.source, "--backbone", recipe.model.backbone]
    told += ["--alpha", recipe.model.alpha] if recipe.model.alpha is not None else []
    told += ["--image-size", recipe.model.image_size] if recipe.model.image_size else []
    made = {row["kind"] for row in report["baselines"] if row["accuracy"] is not None}
    if outcome == "negative":
        why = "Train from scratch, which is better here, or try another backbone (`keras-transfer backbones`)."
        steps.append({"why": why, "command": command_line(*told, "--weights", "none", "--out", beside(run, "scratch"))})
    if outcome in ("helped", "unclear") and report["strategy"] == "feature-extraction":
        told += ["--weights", recipe.model.weights, "--strategy", "fine-tuning", "--out", beside(run, "fine-tuning")]
        why = "Only the head was trained: fine-tuning the top of the backbone may add some points."
        steps.append({"why": why, "command": command_line(*told)})
    if report["steps"]:
        why = "Set its files beside those of the run that it began with."
        steps.append({"why": why, "command": command_line("compare", recipe.base, run)})
    elif outcome in ("helped", "unclear") and "scratch" not in made:
        steps.append(
            {
                "why": "Compare with the same network from scratch, the strictest judge (it takes a while).",
                "command": command_line("report", run, "--baselines", "scratch", *moved),
            }
        )
    if outcome in ("helped", "unclear") and report["learning_curve"] is None and recipe.model.pretrained:
        why = "See whether more photographs or more unfreezing would help."
        steps.append({"why": why, "command": command_line("learning-curve", run, *moved)})
    corruptions = open_modality(data.test.preparer.modality).corruptions
    if corruptions and report["corruptions"] is None:
        ways = ", ".join(corruption.words for corruption in corruptions.values())
        why = f"See how well it does on worse {data.reader.kind.items}: {ways}."
        steps.append({"why": why, "command": command_line("report", run, "--corruptions", *moved)})
    recommended = report["recommended"]
    if recommended and recommended.endswith(".tflite"):
        why = "See what the recommended file says of a photograph."
        steps.append({"why": why, "command": command_line("predict", run / recommended, "PHOTO.jpg")})
    if report["calibration"]["temperature"] != 1:
        steps.append(
            {
                "why": "Ask for probabilities that mean what they say.",
                "command": command_line("predict", run, "PHOTO.jpg", "--calibrated"),
            }
        )
    return steps


def _preparation(data: "Dataset", result: dict[str, Any]) -> dict[str, Any]:
    """How items become inputs: as the run's result tells it, or as it follows from the data."""
    modality = open_modality(data.test.preparer.modality)
    spec = InputSpec.from_dict(result["inputs"]) if result.get("inputs") else data.test.spec(result["image_size"])
    described = modality.describe(data.test.preparer, spec)
    found = {name: result.get(name) or value for name, value in described.items()}
    return {**found, "input": modality.input_words(found)}


def _pictures(model: "keras.Model", test: "Split", report: dict[str, Any]) -> dict[int, dict[str, str]]:
    """For each test item that the page shows: its picture, and where the asked class was seen, if that is known."""
    explained = {row["index"]: row for row in [*report["mistakes"], *report["least_confident"]]}
    pairs = (report["confusion"] or {"pairs": []})["pairs"]
    wanted = sorted({*explained, *(row["index"] for pair in pairs for row in pair["images"])})
    if not wanted:
        return {}
    names = list(test.class_names)
    asked = {index: names.index(row["asked"]) for index, row in explained.items()}
    return open_modality(test.preparer.modality).views(model, test, wanted, asked)


def _numbers(row: dict[str, str]) -> dict[str, Any]:
    figures = {key: float(value or "nan") for key, value in row.items() if key not in ("phase", "epoch")}
    return {
        "phase": row["phase"],
        "epoch": int(row["epoch"]),
        **{key: value if np.isfinite(value) else None for key, value in figures.items()},
    }
