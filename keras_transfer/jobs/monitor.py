"""Watching the log of a deployed model: against its run's own test split, as its file answers it."""

import http.client
import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.files import read_file, write_bytes, write_json, write_text
from keras_transfer.inputs import as_tuple
from keras_transfer.jobs.log import TOP, feature_reader, observed
from keras_transfer.jobs.parts import load_data
from keras_transfer.modalities import open_modality
from keras_transfer.operations.log import (
    Entry,
    Log,
    items_of,
    line_of,
    model_hash,
    read_logs,
    sketches_of,
    unsketched,
)
from keras_transfer.progress import say, track
from keras_transfer.recipe import Recipe
from keras_transfer.run import command_line, data_option, read_run
from keras_transfer.schemas import ClassShare, Monitor, MonitorLook, NextStep, Share

if TYPE_CHECKING:
    from keras_transfer.evaluation.drift import Floats, Predictions

ALPHA, LOOKS = 0.05, 7
"""The chance of a false alarm in so many looks; each has its share of it."""
WINDOW = 300
TO_LABEL = 50
_MOST_REFERENCE = 2000
_LEAST_ITEMS = 30
_MOST_CLASSES, _SHOWN = 30, 30  # classes and looks of the page
_SECONDS = 10  # that a webhook may take


@dataclass(frozen=True)
class Watch:
    """How a log is looked at.

    Attributes:
        window: how many items a look takes, the last ones.
        every: after how many new ones the next look is.
        alpha: the chance that any of `looks` looks alarms although nothing has changed.
        looks: see `alpha`.
    """

    window: int = WINDOW
    every: int = WINDOW
    alpha: float = ALPHA
    looks: int = LOOKS

    def __post_init__(self) -> None:
        """Raises `InputError` for what makes no sense."""
        if self.window < _LEAST_ITEMS or self.every < 1 or self.looks < 1 or not 0 < self.alpha < 1:
            raise InputError(
                f"`window` must be {_LEAST_ITEMS} or more, `every` and `looks` 1 or more, and `alpha` between 0 and 1. "
                f"Received: window={self.window}, every={self.every}, looks={self.looks}, alpha={self.alpha}."
            )


def monitor_run(
    folder: str | Path,
    logs: Sequence[str | Path],
    out: str | Path,
    *,
    watch: Watch | None = None,
    data: str | None = None,
    label_next: str | Path | None = None,
) -> Monitor:
    """Compares the last predictions of a log with those of the run's test split, and writes a page.

    Args:
        folder: a finished run, of which one file made the predictions.
        logs: files, or folders of them.
        out: where `monitor.html` and `monitor.json` go, and the reference, which is computed once.
        watch: how to look.
        data: where the run's items are now, if they have moved.
        label_next: a new folder for copies of the items that are most worth a label, in class folders.

    Returns:
        What stands in `monitor.json`.

    Raises:
        InputError: there is no finished run, no log of it, or it is too short.
    """
    from keras_transfer.report.monitoring import monitor_html

    folder, out, watch = Path(folder), Path(out), watch or Watch()
    recipe, result = read_run(folder, data=data)
    log = read_logs(logs)
    model, file = _file_of_last(folder, log, logs)
    entries = [entry for entry in log.entries if entry.model == model]
    if len(entries) < _LEAST_ITEMS:
        raise InputError(f"The log has {len(entries)} items of {file}: {_LEAST_ITEMS} are the least to look at.")
    reference = _reference(out, folder, file, model, recipe)
    looks = [_look(reference, entries, end, watch) for end in _ends(len(entries), watch)]
    found: Monitor = {
        "format": 1,
        "run": str(folder),
        "file": str(file.relative_to(folder)),
        "model": model,
        "logs": [str(path) for path in logs],
        "reference_items": len(reference),
        "own_accuracy": _own_accuracy(reference),
        "items": len(entries),
        "skipped": log.skipped,
        "others": len(log.entries) - len(entries),
        "window": watch.window,
        "every": watch.every,
        "alpha": watch.alpha,
        "looks_planned": watch.looks,
        "looks": looks,
        "classes": _class_shares(reference, entries[: looks[-1]["end"]][-watch.window :]),
        "alert": looks[-1]["alert"],
        "title": "Something has changed" if looks[-1]["alert"] else "Nothing has changed beyond chance",
        "sentences": [],
        "next": [],
    }
    found["sentences"] = _sentences(found)
    found["next"] = _next(found, recipe, folder)
    if label_next is not None:
        count = copy_to_label(entries, logs, Path(label_next), result["classes"])
        say(f"{label_next}: {count} items to sort. Move each into the folder of its class.")
    write_json(out / "monitor.json", found)
    write_text(out / "monitor.html", monitor_html(found))
    return found


def _file_of_last(folder: Path, log: Log, logs: Sequence[str | Path]) -> tuple[str, Path]:
    """The file of the run that made the last prediction that any of its files made."""
    files = [folder / "model.keras", *sorted((folder / "export").glob("*.tflite"))]
    known = {model_hash(file): file for file in files if file.is_file()}
    last = next((entry.model for entry in reversed(log.entries) if entry.model in known), None)
    if last is None:
        seen = ", ".join(sorted({entry.model for entry in log.entries})[:5]) or "no predictions"
        raise InputError(
            f"No prediction in {', '.join(map(str, logs))} is of a file of {folder}: the log has {seen}, and the run "
            f"{', '.join(known)}. Give the run that made the model."
        )
    return last, known[last]


def _reference(out: Path, folder: Path, file: Path, model: str, recipe: Recipe) -> list[Entry]:
    """What a file says of the run's test split, as a log; computed once."""
    place = out / f"reference-{model}.jsonl"
    if not place.is_file():
        say(f"Asking {file} about the run's test split, once.")
        lines = [line_of(entry) for entry in _answers(folder, file, model, recipe)]
        write_text(place, "\n".join([*lines, ""]))
    return read_logs([place]).entries


def _answers(folder: Path, file: Path, model: str, recipe: Recipe) -> Iterator[Entry]:
    from keras_transfer.evaluation import open_classifier

    data, classifier = load_data(recipe, folder), open_classifier(file)
    test = data.test if len(data.test) <= _MOST_REFERENCE else data.test.stratified(_MOST_REFERENCE, recipe.seed)
    preparer, modality = classifier.preparer, open_modality(classifier.inputs.modality)
    split = test if preparer is None else test.prepared_by(preparer)
    try:
        features = feature_reader(classifier)
    except InputError:  # a LiteRT file, or a model without such features
        features = None
    batches = split.batches(classifier.inputs.tensors, 32)
    for inputs, labels in track(batches, "Predicting", total=-(-len(split) // 32)):
        probabilities, scores = classifier.predict_with_scores(inputs)
        sketches = sketches_of(features(as_tuple(inputs))) if features is not None else [(None, 0)] * len(labels)
        for i, (row, label, (sketch, scale)) in enumerate(zip(probabilities, labels, sketches, strict=True)):
            own = tuple(array[i] for array in as_tuple(inputs))
            best = np.argsort(-row, kind="stable")[:TOP]
            yield Entry(
                model,
                tuple((classifier.class_names[j], float(row[j])) for j in best),
                score=None if scores is None else float(scores[i]),
                **observed(modality, own if isinstance(inputs, tuple) else own[0]),
                sketch=sketch,
                scale=scale,
                label=None if data.multi_label else data.class_names[int(label)],
            )


def _ends(count: int, watch: Watch) -> list[int]:
    """How many items the log had at each look, the oldest first.

    They follow from the number of items alone, so that reading a log more often makes no further looks.
    """
    ends = range(watch.window, count + 1, watch.every) if count > watch.window else [count]
    return list(ends[-_SHOWN:])


def _look(reference: Sequence[Entry], entries: Sequence[Entry], end: int, watch: Watch) -> MonitorLook:
    from keras_transfer.evaluation.drift import INPUT, drift_tests, estimate_accuracy

    start = max(0, end - watch.window)
    window = entries[start:end]
    own, new = columns(reference), columns(window)
    before = columns(entries[max(0, start - 2 * watch.window) : start]).ms if start else None
    tests = drift_tests(own, new, alpha=watch.alpha / watch.looks, before=before)
    estimate = None
    if all(entry.label is not None for entry in reference):
        seen = [test for test in tests if test["name"] in INPUT]
        measures = [test for test in tests if test["name"] in own.measures]
        trust = not any(test["alarm"] for test in (*seen, *measures)) if seen else None
        right = np.array([entry.label == entry.top[0][0] for entry in reference])
        estimate = estimate_accuracy(own.confidence, right, new.confidence, trust=trust)
    return {
        "end": end,
        "items": len(window),
        "since": _iso(window[0].time),
        "until": _iso(window[-1].time),
        "tests": tests,
        "estimate": estimate,
        "accuracy": _known_accuracy(window),
        "alert": any(test["alarm"] for test in tests),
    }


def columns(entries: Sequence[Entry]) -> "Predictions":
    """Entries as the tests take them."""
    from keras_transfer.evaluation.drift import Predictions

    def figures(values: Sequence[float | None]) -> "Floats | None":
        known = np.array([np.nan if value is None else value for value in values], np.float64)
        return known if np.isfinite(known).any() else None

    names = sorted({name for entry in entries for name in entry.measures})
    measures = {name: figures([entry.measures.get(name) for entry in entries]) for name in names}
    prints = [entry.fingerprint for entry in entries]
    repeats = [None if None in pair else float(pair[0] == pair[1]) for pair in pairwise(prints)]
    sketch = None
    if any(entry.sketch is not None for entry in entries):
        empty = (0,) * 64
        sketch = unsketched([entry.sketch or empty for entry in entries], [entry.scale for entry in entries])
        sketch[[entry.sketch is None for entry in entries]] = np.nan
    return Predictions(
        np.array([entry.top[0][0] for entry in entries]),
        np.array([entry.top[0][1] for entry in entries], np.float64),
        figures([entry.score for entry in entries]),
        sketch,
        {name: values for name, values in measures.items() if values is not None},
        figures(repeats),
        figures([entry.ms for entry in entries]),
    )


def _iso(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M}"


def _known_accuracy(window: Sequence[Entry]) -> Share | None:
    from keras_transfer.evaluation.intervals import share_interval

    known = [entry.label == entry.top[0][0] for entry in window if entry.label is not None]
    if not known:
        return None
    low, high = share_interval(sum(known), len(known))
    return {"value": sum(known) / len(known), "low": low, "high": high}


def _own_accuracy(reference: Sequence[Entry]) -> float | None:
    share = _known_accuracy(reference)
    return None if share is None else share["value"]


def _class_shares(reference: Sequence[Entry], window: Sequence[Entry]) -> list[ClassShare]:
    """How often each class is predicted, on both sides; those that are predicted most, in the order of their change."""
    sides = [Counter(entry.top[0][0] for entry in side) for side in (reference, window)]
    rows: list[ClassShare] = [
        {"name": name, "reference": sides[0][name] / len(reference), "window": sides[1][name] / len(window)}
        for name in sides[0] | sides[1]
    ]
    most = sorted(rows, key=lambda row: -max(row["reference"], row["window"]))[:_MOST_CLASSES]
    return sorted(most, key=lambda row: row["reference"] - row["window"])


def _sentences(found: Monitor) -> list[str]:
    look = found["looks"][-1]
    sentences = [
        f"{test['title']}: {test['words']} (p {_p(test['adjusted'])})." for test in look["tests"] if test["alarm"]
    ]
    estimate, own = look["estimate"], found["own_accuracy"]
    if estimate is not None and own is not None:
        about = f"about {estimate['value']:.0%} ({estimate['low']:.0%} to {estimate['high']:.0%})"
        against = f"{own:.0%} on its test split"
        sentences.append(
            f"How many of its answers are right cannot be known without labels: what it sees has changed. If its "
            f"confidence meant what it did, it would be {about}; it was {against}."
            if estimate["trust"] is False
            else f"Going by how sure it is, {about} of its answers are right; it was {against}."
        )
        if estimate["trust"] is None:
            sentences.append(
                "Nothing in the log shows whether its confidence still means what it did: a model with --reject does, "
                "or --log-sketch."
            )
    if (known := look["accuracy"]) is not None:
        sentences.append(
            f"Of those with a label {known['value']:.0%} are right ({known['low']:.0%} to {known['high']:.0%})."
        )
    waiting = found["items"] - look["end"]
    notes = (
        (not look["tests"], "Twenty items on both sides are the least to test anything."),
        (waiting, f"{waiting} newer items wait for the next look, at {look['end'] + found['every']}."),
        (found["others"], f"{found['others']} predictions are of other models."),
        (found["skipped"], f"{found['skipped']} lines of the log make no sense."),
    )
    return [*sentences, *(words for count, words in notes if count)]


def _p(value: float) -> str:
    return f"= {value:.1g}" if value >= 1e-4 else "< 0.0001"


def _next(found: Monitor, recipe: Recipe, folder: Path) -> list[NextStep]:
    if not found["alert"]:
        return []
    moved = data_option(folder, recipe)
    again = ("monitor", folder, *map(Path, found["logs"]), *moved, "--label-next", "to_sort")
    return [
        {
            "why": "Label what tells the most: copies of it, to be moved into the folders of their classes. The log "
            "must keep items (predict --log-items).",
            "command": command_line(*again),
        },
        {
            "why": "Train on with them; the new model is promoted only if it is better.",
            "command": command_line("retrain", folder, "--add", "to_sort", *moved),
        },
    ]


def copy_to_label(entries: Sequence[Entry], logs: Sequence[str | Path], place: Path, class_names: Sequence[str]) -> int:
    """Copies the items that are most worth a label into folders of the classes that were predicted.

    Args:
        entries: of one model.
        logs: from which they come; kept items lie beside them.
        place: a new folder.
        class_names: of the run.

    Returns:
        How many there are.

    Raises:
        InputError: the folder is not empty, or no items were kept.
    """
    from keras_transfer.evaluation.drift import to_label

    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise InputError(f"{place} is not empty: name a new folder.")
    files = [file for log in map(Path, logs) for file in (sorted(log.glob("*.jsonl")) if log.is_dir() else [log])]
    kept: dict[str, tuple[Entry, Path]] = {}
    for entry in entries:
        found = (items_of(file) / entry.item for file in files) if entry.item and entry.label is None else iter(())
        path = next((path for path in found if path.is_file() and not path.is_symlink()), None)
        if path is not None and entry.top[0][0] in class_names:
            kept[path.name] = entry, path
    if not kept:
        raise InputError("The log keeps no items to label: log with `predict --log FILE --log-items`.")
    rows = list(kept.values())[-_MOST_REFERENCE:]
    chosen = to_label(columns([entry for entry, _ in rows]), TO_LABEL)
    for entry, path in (rows[index] for index in chosen):
        write_bytes(place / _folder_name(entry.top[0][0]) / path.name, read_file(path))
    return len(chosen)


def _folder_name(name: str) -> str:
    return name.replace("/", "_").replace("\\", "_").lstrip(".") or "_"


def post(address: str, found: Monitor) -> str:
    """Tells a webhook what `monitor` found; returns what went wrong, without the address, which may hold a secret."""
    if not address.startswith(("https://", "http://")):
        raise InputError("A webhook begins with https:// or http://.")
    last = found["looks"][-1]
    body = {name: found[name] for name in ("run", "file", "model", "items", "alert", "title", "sentences")}
    content = json.dumps(body | {"alarms": [test["name"] for test in last["tests"] if test["alarm"]]}).encode()
    try:
        request = urllib.request.Request(address, content, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return type(error).__name__
