"""What a classifier hears in long recordings, over time: smoothed, and equal neighbours joined."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.stretches import parse_stretch
from keras_transfer.decisions import THRESHOLD
from keras_transfer.errors import InputError
from keras_transfer.evaluation.classifier import Classifier
from keras_transfer.evaluation.predictions import answer, answers
from keras_transfer.inputs import open_modality, open_preparer, stacked

SMOOTHED = 3
"""Windows over which probabilities are averaged: a window alone, between others, is often wrong."""
Row = NDArray[np.float32]


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording in which the same is heard.

    Attributes:
        path: the recording.
        start: in seconds.
        end: in seconds.
        labels: the classes that are heard: one, or for a multi-label classifier any number; none where a classifier
            that has a limit says that it is none of them.
        confidence: their mean probability, 0..1; of none the largest one.
        problem: why nothing could be heard; empty if it could.
    """

    path: str
    start: float = 0.0
    end: float = 0.0
    labels: tuple[str, ...] = ()
    confidence: float = 0.0
    problem: str = ""


def timeline(classifier: Classifier, path: str, hop: float) -> Iterator[Segment]:
    """What is heard in a recording, from when to when.

    A moment belongs to the window whose middle is nearest.

    Args:
        classifier: from `open_classifier`, of a modality whose items may be stretches of files.
        path: the recording.
        hop: seconds from one window to the next.

    Yields:
        Segments in order; one with a `problem` where a window cannot be read.

    Raises:
        InputError: items of the classifier have no length in time.
    """
    try:
        borders, rows = moments(classifier, path, hop)
    except ItemError as error:
        yield Segment(path, problem=str(error))
        return
    yield from _joined(path, classifier, ((*span, row) for span, row in zip(pairwise(borders), rows, strict=True)))


class ItemError(InputError):
    """A window of a recording cannot be read."""


def moments(classifier: Classifier, path: str, hop: float) -> tuple[list[float], NDArray[np.float32]]:
    """What a classifier hears in a recording at each moment, averaged over three windows.

    Args:
        classifier: as for `timeline`.
        path: the recording.
        hop: seconds from one window to the next.

    Returns:
        The ends of the moments in seconds, `[n + 1]`, and what `predictions.answers` says in each, float32 `[n, ...]`.

    Raises:
        ItemError: a window cannot be read.
        InputError: see `timeline`.
    """
    names = open_modality(classifier.inputs.modality).parts(path, classifier.inputs, hop)
    spans = [(parse_stretch(name) or (path, 0.0, 0.0))[1:] for name in names]
    rows: list[Row] = []
    for row in answers(classifier, names):
        if isinstance(row, str):
            raise ItemError(row)
        rows.append(row)
    middles = [(start + end) / 2 for start, end in spans]
    borders = [spans[0][0], *((a + b) / 2 for a, b in pairwise(middles)), spans[-1][1]]
    return borders, np.stack(list(_centred(rows)))


def live(classifier: Classifier, windows: Iterable[tuple[float, float, bytes]]) -> Iterator[Segment]:
    """What is heard in each window of a stream, as it comes; averaged with the two windows before.

    Args:
        classifier: from `open_classifier`.
        windows: start and end in seconds, and the bytes of an item.
    """
    recent: deque[Row] = deque(maxlen=SMOOTHED)
    preparer = classifier.preparer or open_preparer(classifier.inputs.modality, {})
    spec = preparer.spec(classifier.inputs.tensors)
    for start, end, content in windows:
        recent.append(answer(classifier, stacked([preparer.prepare(content, spec)]))[0])
        yield _segment("-", classifier, start, end, np.mean(recent, axis=0))


def _centred(rows: list[Row]) -> Iterator[Row]:
    """Each row averaged with its neighbours."""
    half = SMOOTHED // 2
    return (np.mean(rows[max(0, i - half) : i + half + 1], axis=0) for i in range(len(rows)))


def _segment(path: str, classifier: Classifier, start: float, end: float, row: Row) -> Segment:
    classes, limit = len(classifier.class_names), classifier.limit
    unknown = limit is not None and bool(row[classes] > limit.threshold)
    row = row[:classes]
    chosen = [int(row.argmax())]
    if classifier.multi_label:
        chosen = np.flatnonzero(row >= THRESHOLD).tolist()
    if unknown:
        chosen = []
    confidence = float(row[chosen].mean() if chosen else row.max())
    return Segment(path, start, end, tuple(classifier.class_names[i] for i in chosen), confidence)


def _joined(path: str, classifier: Classifier, heard: Iterable[tuple[float, float, Row]]) -> Iterator[Segment]:
    waiting: list[Segment] = []
    segments = (_segment(path, classifier, *each) for each in heard)
    for segment in chain(segments, [None]):
        if waiting and (segment is None or segment.labels != waiting[0].labels):
            confidence = sum(each.confidence for each in waiting) / len(waiting)
            yield Segment(path, waiting[0].start, waiting[-1].end, waiting[0].labels, confidence)
            waiting = []
        if segment is not None:
            waiting.append(segment)
