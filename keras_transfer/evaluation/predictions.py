"""What a classifier sees in files from anywhere."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.parallel import ordered
from keras_transfer.decisions import THRESHOLD
from keras_transfer.errors import InputError
from keras_transfer.evaluation.classifier import Classifier
from keras_transfer.inputs import Arrays, open_modality, open_preparer, stacked

_BATCH = 32
Source: TypeAlias = str | Path | tuple[str, bytes]
Watcher: TypeAlias = "Callable[[Source, Prediction, Arrays, float], object]"
"""Is told of each item that was read: the source, what the model says, the inputs, and the milliseconds it took."""


@dataclass(frozen=True)
class Prediction:
    """What the model sees in one file.

    Attributes:
        path: the file, as it was given.
        label: the most probable class; empty if the file could not be read.
        confidence: its probability, 0..1.
        top: the most probable classes with their probabilities, best first.
        labels: the predicted classes: `label` alone, or each of at least 0.5 for a multi-label classifier.
        problem: why the file could not be read; empty if it could.
        unlikeness: the share of the model's validation items that are less unlike its training items, 0..1; None where
            the model has no such score.
        rejected: whether it is none of the classes by that score; then there are no `labels`.
        score: that score itself, which has no bounds.
    """

    path: str
    label: str = ""
    confidence: float = 0.0
    top: tuple[tuple[str, float], ...] = ()
    labels: tuple[str, ...] = ()
    problem: str = ""
    unlikeness: float | None = None
    rejected: bool = False
    score: float | None = None


def predict_files(
    classifier: Classifier, paths: Iterable[Source], top_k: int = 3, watcher: "Watcher | None" = None
) -> Iterator[Prediction]:
    """Predicts files in order; threads prepare the next ones meanwhile.

    Of a file longer than an item of the classifier, such as a recording, the probabilities of all its parts are
    averaged.

    Args:
        classifier: from `open_classifier`.
        paths: files, or a name with the content of a file. One that cannot be read gives a `Prediction` with its
            `problem`, in its place.
        top_k: how many classes `Prediction.top` names, 1 or more; no more than there are.
        watcher: called for each item that can be read, before it is yielded; of a longer file with its first part's
            inputs.

    Yields:
        One `Prediction` per path.

    Raises:
        InputError: `top_k` is below 1.
    """
    if top_k < 1:
        raise InputError(f"`top_k` must be 1 or more. Received: top_k={top_k}.")

    modality, counts = open_modality(classifier.inputs.modality), deque[tuple[Source, int]]()

    def parts() -> Iterator[Source]:
        for source in paths:
            own = [source] if isinstance(source, tuple) else modality.parts(str(source), classifier.inputs)
            counts.append((source, len(own)))
            yield from own

    read: list[_Answered] = []
    problem, done = "", 0
    for answered in _rows(classifier, parts()):
        if isinstance(answered, str):
            problem = problem or answered
        else:
            read.append(answered)
        done += 1
        source, count = counts[0]
        if done < count:
            continue
        path = str(source[0] if isinstance(source, tuple) else source)
        if problem or not read:
            yield Prediction(path, problem=problem)
        else:
            total: NDArray[np.float32] = sum((part.row for part in read[1:]), read[0].row)
            found = _prediction(path, total / np.float32(count), classifier, top_k)
            if watcher is not None:
                watcher(source, found, read[0].inputs, sum(part.milliseconds for part in read))
            yield found
        counts.popleft()
        read, problem, done = [], "", 0


def answers(classifier: Classifier, sources: Iterable[Source]) -> Iterator[NDArray[np.float32] | str]:
    """What a classifier says of items, one by one and in order; threads prepare the next ones meanwhile.

    Args:
        classifier: from `open_classifier`.
        sources: files, or a name with the content of a file.

    Yields:
        See `answer`, `float32 [classes]` or `[classes + 1]`; or why the item cannot be read.
    """
    for answered in _rows(classifier, sources):
        yield answered if isinstance(answered, str) else answered.row


class _Answered(NamedTuple):
    """What a classifier says of an item: probabilities, behind them the score of one with a limit; and to what."""

    row: NDArray[np.float32]
    inputs: Arrays
    milliseconds: float


def _rows(classifier: Classifier, sources: Iterable[Source]) -> "Iterator[_Answered | str]":
    """The answer to each item in order, or why it cannot be read."""
    preparer = classifier.preparer or open_preparer(classifier.inputs.modality, {})
    spec = preparer.spec(classifier.inputs.tensors)

    def prepare(source: Source) -> Arrays | str:
        try:
            content = source[1] if isinstance(source, tuple) else preparer.load(str(source))
            return preparer.prepare(content, spec)
        except InputError as error:
            return str(error)

    prepared = ordered(prepare, sources, ahead=2 * _BATCH)
    while batch := list(islice(prepared, _BATCH)):
        items = [arrays for arrays in batch if not isinstance(arrays, str)]
        started = time.perf_counter()
        rows = iter(answer(classifier, stacked(items)) if items else ())
        milliseconds = 1000 * (time.perf_counter() - started) / max(1, len(items))
        for arrays in batch:
            yield arrays if isinstance(arrays, str) else _Answered(next(rows), arrays, milliseconds)


def answer(classifier: Classifier, values: Arrays) -> NDArray[np.float32]:
    """What a classifier says of inputs: probabilities, `float32 [n, classes]`, and where it has a limit a last column:
    the scores that are held against it.
    """
    probabilities, scores = classifier.predict_with_scores(values)
    return probabilities if scores is None else np.column_stack([probabilities, scores])


def _prediction(path: str, row: NDArray[np.float32], classifier: Classifier, top_k: int) -> Prediction:
    limit, classes = classifier.limit, len(classifier.class_names)
    score = None if limit is None else float(row[classes])
    unlikeness = None if limit is None else float(limit.unlikeness(row[classes]))
    rejected = limit is not None and bool(row[classes] > limit.threshold)
    row = row[:classes]
    order = np.argsort(-row, kind="stable")
    top = tuple((classifier.class_names[i], float(row[i])) for i in order[:top_k])
    labels: tuple[str, ...] = (top[0][0],)
    if classifier.multi_label:
        labels = tuple(classifier.class_names[i] for i in order if row[i] >= THRESHOLD)
    return Prediction(
        path,
        *top[0],
        top=top,
        labels=() if rejected else labels,
        unlikeness=unlikeness,
        rejected=rejected,
        score=score,
    )
