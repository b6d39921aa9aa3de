"""How good a classifier is at finding events in long recordings: misses, and false accepts an hour."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.listing import Layout
from keras_transfer.data.stretches import MarkedRecording
from keras_transfer.errors import InputError
from keras_transfer.evaluation import open_classifier
from keras_transfer.evaluation.classifier import Classifier
from keras_transfer.evaluation.events import NOTHING, Event, detect, match, rate_interval
from keras_transfer.evaluation.intervals import grouped_interval, share_interval
from keras_transfer.evaluation.seen import trained_files
from keras_transfer.evaluation.timeline import moments
from keras_transfer.modalities import open_modality
from keras_transfer.models.silent import OwnModelOptions
from keras_transfer.progress import say, track
from keras_transfer.schemas import EventFigures, EventScores, Interval, Share

THRESHOLDS = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_HOUR = 3600.0


class EventOptions(TypedDict, total=False):
    """See `evaluate_stream`."""

    threshold: float
    tolerance: float | None
    nothing: Sequence[str] | None


def evaluate_stream(
    model: Classifier | str | Path,
    source: str,
    *,
    threshold: float = 0.5,
    tolerance: float | None = None,
    nothing: Sequence[str] | None = None,
    layout: Layout | None = None,
    **options: Unpack[OwnModelOptions],
) -> EventScores:
    """Scores what a classifier finds in long recordings against what happens in them.

    Args:
        model: from `open_classifier`, or a run directory, a `.keras` or `.tflite` file.
        source: recordings beside label tracks, a table of their stretches, or of series a table with a row for each
            moment. Where nothing is labelled, nothing happens.
        threshold: the least probability of what is found, 0..1; `curve` has others.
        tolerance: seconds by which a detection may begin before an event, or end after it: half of the model's window
            unless given.
        nothing: classes that are no events; those of `NOTHING` unless given.
        layout: how the source is arranged; `group_by` names what is alike in recordings, such as who speaks, `hop` says
            how many seconds pass from one window to the next (a quarter of the model's window unless given).
        **options: of a model that does not say what it takes.

    Returns:
        Events, misses and false accepts an hour: in all, of each class, of each group, and at several thresholds.

    Raises:
        InputError: the source has no events of the model's classes, cannot be read, or an option makes no sense.
    """
    layout = layout or Layout()
    _check(layout.hop, threshold, tolerance)
    classifier = model if isinstance(model, Classifier) else open_classifier(model, **options)
    modality, names = open_modality(classifier.inputs.modality), classifier.class_names
    recordings, window = modality.marked_recordings(source, replace(layout, hop=None), classifier.inputs)
    hop, tolerance = layout.hop or window / 4, window / 2 if tolerance is None else tolerance
    quiet = _quiet(nothing, names)
    truth = [_events(each, set(names) - quiet) for each in recordings]
    if not any(truth):
        raise InputError(_no_events(source, recordings, set(names) - quiet))
    heard = [moments(classifier, each.file, hop) for each in track(recordings, "Listening", total=len(recordings))]
    hours = sum(each.seconds for each in recordings) / _HOUR
    outcomes = {
        least: _outcome(classifier, truth, heard, least, quiet, tolerance) for least in sorted({*THRESHOLDS, threshold})
    }
    chosen, groups = outcomes[threshold], [group for own in truth for _, group in own]
    named = sorted({mark.group for each in recordings for mark in each.marks if mark.group})
    return {
        "threshold": threshold,
        "hop": hop,
        "tolerance": tolerance,
        "nothing": sorted(quiet),
        "recordings": len(recordings),
        "hours": hours,
        "trained_on": _trained_on(classifier, recordings),
        "all": _figures(chosen, hours, np.unique(groups, return_inverse=True)[1]),
        "per_class": {name: _figures(chosen.of_class(name), hours) for name in names if name not in quiet},
        "per_group": {name: _figures(chosen.only([group == name for group in groups]), hours) for name in named},
        "curve": [{"threshold": least, **_figures(outcome, hours)} for least, outcome in outcomes.items()],
    }


class _Outcome(NamedTuple):
    """Events, whether each was found, and detections that were wrong."""

    events: list[Event]
    found: list[bool]
    wrong: list[Event]

    def only(self, kept: Sequence[bool]) -> "_Outcome":
        """Some of the events; what was wrong belongs to none of them."""
        chosen = [n for n, keep in enumerate(kept) if keep]
        return _Outcome([self.events[n] for n in chosen], [self.found[n] for n in chosen], [])

    def of_class(self, label: str) -> "_Outcome":
        """Those of a class."""
        own = self.only([event.label == label for event in self.events])
        return own._replace(wrong=[event for event in self.wrong if event.label == label])


_Truth = Sequence[list[tuple[Event, str]]]  # of each recording its events, and the group of each
_Heard = Sequence[tuple[list[float], NDArray[np.float32]]]  # see `moments`


def _outcome(
    classifier: Classifier, truth: _Truth, heard: _Heard, threshold: float, quiet: Collection[str], tolerance: float
) -> _Outcome:
    """What a classifier finds at a threshold."""
    limit = classifier.limit.threshold if classifier.limit is not None else math.inf
    names, several, outcome = classifier.class_names, bool(classifier.multi_label), _Outcome([], [], [])
    for own, each in zip(truth, heard, strict=True):
        events = [event for event, _ in own]
        found = detect(*each, names, threshold, nothing=quiet, several=several, limit=limit)
        matched = match(events, found, tolerance)
        outcome.events.extend(events)
        outcome.found.extend(matched.found.tolist())
        outcome.wrong.extend(event for event, ok in zip(found, matched.right, strict=True) if not ok)
    return outcome


def _figures(outcome: _Outcome, hours: float, groups: NDArray[np.int64] | None = None) -> EventFigures:
    """Misses, their share of the events, and false accepts an hour, with intervals."""
    missed, share = ~np.array(outcome.found, bool), None
    if len(missed):
        low, high = share_interval(int(missed.sum()), len(missed))
        if groups is not None and len(np.unique(groups)) > 1:
            low, high = grouped_interval(missed, np.ones(len(missed), bool), groups)
        share = Share(value=float(missed.mean()), low=low, high=high)
    low, high = rate_interval(len(outcome.wrong), hours)
    rate = Interval(value=len(outcome.wrong) / hours, low=low, high=high)
    return EventFigures(
        events=len(missed), misses=int(missed.sum()), missed=share, false_accepts=len(outcome.wrong), an_hour=rate
    )


def _events(recording: MarkedRecording, classes: Collection[str]) -> list[tuple[Event, str]]:
    """What happens in a recording, and the group of each: by default the recording."""
    return [
        (Event(label, mark.start, mark.end), mark.group or recording.file)
        for mark in recording.marks
        for label in mark.labels
        if label in classes
    ]


def _trained_on(classifier: Classifier, recordings: Sequence[MarkedRecording]) -> list[str]:
    """The recordings of which a part trained the model."""
    trained = trained_files(classifier.path) if classifier.path is not None else set()
    known = sorted(each.file for each in recordings if str(Path(each.file).absolute()) in trained)
    if known:
        say(f"Warning: the model was trained on parts of {len(known)} of these {len(recordings)} recordings.")
    return known


def _quiet(nothing: Sequence[str] | None, names: Sequence[str]) -> set[str]:
    """The classes that are no events."""
    if nothing is None:
        return {each for each in names if each.lower() in NOTHING}
    if unknown := sorted(set(nothing) - set(names)):
        raise InputError(f"`nothing` (--nothing) must be classes of the model. Received: {', '.join(unknown)}.")
    return set(nothing)


def _no_events(source: str, recordings: Sequence[MarkedRecording], classes: Collection[str]) -> str:
    said = sorted({label for each in recordings for mark in each.marks for label in mark.labels})
    return (
        f"{source} has no events of the model's classes ({', '.join(sorted(classes))[:200]}). Received: "
        f"{', '.join(said)[:200] or 'no labels'}."
    )


def _check(hop: float | None, threshold: float, tolerance: float | None) -> None:
    for name, value, least, most in (
        ("hop", hop, 0.01, math.inf),
        ("threshold", threshold, 0.0, 1.0),
        ("tolerance", tolerance, 0.0, math.inf),
    ):
        if value is not None and not least <= value <= most:
            raise InputError(f"`{name}` (--{name}) must lie in {least}..{most}. Received: {value}.")
