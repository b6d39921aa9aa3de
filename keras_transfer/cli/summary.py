"""The closing tables of a run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from keras_transfer.cli.output import print_json, print_table

if TYPE_CHECKING:
    from keras_transfer.data.listing import Kind
    from keras_transfer.recipe import Recipe
    from keras_transfer.schemas import Report, Result


def train_and_print(recipe: "Recipe", out: Path, json: bool, profile: bool = False) -> None:
    """Runs a recipe in the run directory `out` and prints its result; a gate that failed is raised after that."""

    def job() -> "Result | None":
        from keras_transfer.jobs.train import train

        return train(recipe, out)

    run_and_print(job, out, json, profile)


def run_and_print(job: "Callable[[], Result | None]", out: Path, json: bool, profile: bool = False) -> None:
    """Does a job that writes the run directory `out` and prints its result; a gate that failed is raised then."""
    from keras_transfer.errors import GateError
    from keras_transfer.progress import set_quiet
    from keras_transfer.run import read_result

    set_quiet(json)
    gate: GateError | None = None
    try:
        result = job()
    except GateError as error:  # all is written, and worth showing
        gate, result = error, read_result(out)
    if json:
        print_json(result or {})
    elif result is not None:  # a worker that only helps has none
        print_result(result, out, profile)
    if gate is not None:
        raise gate


def print_result(result: "Result", run: Path, profile: bool = False) -> None:
    """Prints what a run did: its phases, its files with their proofs, where all lies and what to do next."""
    from keras_transfer.run import command_line

    seconds = result.get("wall_seconds", result["seconds"])
    title = f"{Path(result['backbone']).name} on {len(result['classes'])} classes, {seconds:.0f} s"
    rows = [(p["name"], p["epochs"], f"{p['seconds']:.1f}", f"{p['val_accuracy']:.1%}") for p in result["phases"]]
    if rows:
        accuracy = "val accuracy" if not _several(result) else "val accuracy of single labels"
        print_table(("phase", "epochs", "seconds", accuracy), rows, title=title)
    else:  # a model that came trained
        print(title)
    print_audition(result)
    print_steps(result)
    print_artifacts(result)
    if profile:
        total = sum(result["parts"].values()) or 1.0
        print_table(
            ("part", "seconds", "share"),
            [(name, f"{seconds:.1f}", f"{seconds / total:.0%}") for name, seconds in result["parts"].items()],
            title="Where the time went",
        )
    for warning in (*result["warnings"], *result.get("gate_notes", ())):
        print(f"Note: {warning}")
    report = read_report(run)
    if report is not None and "base" not in result:
        print_verdict(report, run)
    recommended = result.get("recommended")
    print(f"\nAll of it is in {run}/")
    base = result.get("base")
    if base is not None:
        print(f"Next: {command_line('compare', Path(base), run)}")
    elif recommended is not None and recommended.endswith(".tflite"):  # `predict` opens no ONNX
        print(f"Next: {command_line('predict', run / recommended, _kind(result).example)}")


_RECOMMENDED = {
    "pass": "Use this: {}",
    "warn": "Use this: {}, with care: no file that fits passed its gate without a warning",
    "fail": "No file passed its gate. If one must be used: {}",
}


def print_artifacts(result: "Result") -> None:
    """Prints the model's and each file's figures on the test split, and which file to use."""
    test, artifacts, several = result["test"], result["artifacts"], _several(result)
    columns = ("file", "MB", "accuracy", *(("labels",) if several else ()), "agrees", "lost", "ms", "gate")
    rows: list[tuple[object, ...]] = [
        ("model.keras", None, f"{test['accuracy']:.1%}", *((f"{test['label_accuracy']:.1%}",) if several else ()),
         None, None, None, None)
    ]  # fmt: skip
    rows += [
        (_file_name(a["path"]), f"{a['bytes'] / 1e6:.2f}", f"{a['test_accuracy']:.1%}",
         *((_share(a.get("test_label_accuracy")),) if several else ()), f"{a['agreement']:.1%}",
         f"{100 * a['accuracy_drop']:+.1f}", f"{a['latency_ms']:.1f}", a.get("gate", {}).get("outcome"))
        for a in artifacts
    ]  # fmt: skip
    items = _kind(result).items
    title = f"On all {test['images']} test {items} (lost: points of accuracy)"
    if several:
        title += f"; accuracy: {items} with all labels right, labels: single labels right"
    print_table(columns, rows, title=title)
    best = next((a for a in artifacts if a["path"] == result.get("recommended")), None)
    if best is not None and "gate" in best:
        print(_RECOMMENDED[best["gate"]["outcome"]].format(_file_name(best["path"])))


def _kind(result: "Result") -> "Kind":
    """How the items of a run are called."""
    from keras_transfer.modalities import open_modality

    inputs = result.get("inputs")
    return open_modality(str(inputs["modality"]) if inputs is not None else "image").kind


def _several(result: "Result") -> bool:
    """Whether an image may have several labels."""
    return "label_accuracy" in result["test"]


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}"


def _file_name(path: str) -> str:
    """A file's name, with the target's folder where it is made for one."""
    return "/".join(Path(path).parts[1:]) or path


def print_audition(result: "Result") -> None:
    """Prints among which backbones the run chose, and why; nothing where it did not."""
    audition = result.get("audition")
    if audition is None:
        return
    rows = [
        (row["name"], f"{row['accuracy']:.1%} \N{PLUS-MINUS SIGN} {100 * row['error']:.1f}",
         f"{row['parameters'] / 1e6:.2f} M", f"{row['multiply_adds'] / 1e6:.0f} M",
         "chosen" if row["name"] == audition["chosen"] else "")
        for row in audition["candidates"]
    ]  # fmt: skip
    items = _kind(result).items
    title = f"Audition: probes on frozen features, cross-validated on {audition['images']} {items}"
    print_table(("backbone", "accuracy", "parameters", "multiply-adds", ""), rows, title=title)
    for sentence in (*audition["left_out"], *audition["sentences"]):
        print(sentence)


def print_steps(result: "Result") -> None:
    """Prints what each step of a compression did to accuracy and cost; nothing where there was none."""
    steps = result.get("steps")
    if not steps:
        return
    rows: list[tuple[object, ...]] = []
    for step in steps:
        difference = step["difference"]
        change = "" if difference is None else f"{100 * difference['value']:+.1f}"
        ends = "" if difference is None else f"{100 * difference['low']:+.1f} to {100 * difference['high']:+.1f}"
        counts = (f"{step[key] / 1e6:.2f} M" for key in ("parameters", "multiply_adds"))
        rows.append((step["what"], f"{step['accuracy']:.1%}", change, ends, *counts))
    columns = ("step", "test accuracy", "points", "95% interval", "parameters", "multiply-adds")
    print_table(columns, rows, title="What each step did to the Keras model")


def read_report(run: Path) -> "Report | None":
    """`report.json` of a run, or None where it has none yet."""
    try:
        report: Report = json.loads((run / "report.json").read_text())
    except (OSError, ValueError):
        return None
    return report


def print_verdict(report: "Report", run: Path) -> None:
    """Prints whether the transfer helped, against what, and where the report lies."""
    ours = report["metrics"]["accuracy"]
    rows: list[tuple[object, ...]] = [
        ("this run", f"{ours['value']:.1%}", f"{ours['low']:.1%} to {ours['high']:.1%}", None)
    ]
    for row in report["baselines"]:
        accuracy, difference = row["accuracy"], row["difference"]
        if accuracy is None or difference is None:
            rows.append((row["name"], None, row["what"], None))
        else:
            ends = f"{accuracy['low']:.1%} to {accuracy['high']:.1%}"
            rows.append((row["name"], f"{accuracy['value']:.1%}", ends, f"{100 * difference['value']:+.1f}"))
    print_table(("", "test accuracy", "95% interval", "points ours is better"), rows, title="Against what")
    print("\n" + " ".join(report["verdict"]["sentences"]))
    for remark in report["verdict"]["remarks"]:
        print(remark)
    print(f"\nReport: {run / 'report.html'}")
