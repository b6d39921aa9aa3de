"""What a classifier sees in files from anywhere."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data import decode_image
from keras_transfer.data.parallel import ordered
from keras_transfer.errors import InputError
from keras_transfer.evaluation.classifier import Classifier
from keras_transfer.evaluation.scores import THRESHOLD
from keras_transfer.geometry import LEGACY

_BATCH = 32


@dataclass(frozen=True)
class Prediction:
    """What one file shows.

    Attributes:
        path: the file, as it was given.
        label: the most probable class; empty if the file could not be read.
        confidence: its probability, 0..1.
        top: the most probable classes with their probabilities, best first.
        labels: the classes found: `label` alone, or each of at least 0.5 for a multi-label classifier.
        problem: why the file could not be read; empty if it could.
    """

    path: str
    label: str = ""
    confidence: float = 0.0
    top: tuple[tuple[str, float], ...] = ()
    labels: tuple[str, ...] = ()
    problem: str = ""


def predict_files(
    classifier: Classifier, paths: Iterable[str | Path | tuple[str, bytes]], top_k: int = 3
) -> Iterator[Prediction]:
    """Predicts image files in order; threads decode the next ones meanwhile.

    Args:
        classifier: from `open_classifier`.
        paths: image files, or a name with the bytes of a picture. One that cannot be read gives a `Prediction` with its
            `problem`, in its place.
        top_k: how many classes `Prediction.top` names, 1 or more; no more than there are.

    Yields:
        One `Prediction` a path.

    Raises:
        InputError: `top_k` is below 1.
    """
    if top_k < 1:
        raise InputError(f"`top_k` must be 1 or more. Received: top_k={top_k}.")

    def decode(source: str | Path | tuple[str, bytes]) -> tuple[str, np.ndarray[Any, Any] | str]:
        path, content = source if isinstance(source, tuple) else (source, source)
        try:
            return str(path), decode_image(content, classifier.image_shape, classifier.geometry or LEGACY)
        except InputError as error:
            return str(path), str(error).removeprefix(f"{path}: ")

    decoded = ordered(decode, paths, ahead=2 * _BATCH)
    while batch := list(islice(decoded, _BATCH)):
        pictures = [found for _, found in batch if not isinstance(found, str)]
        rows = iter(classifier.predict(np.stack(pictures)) if pictures else ())
        for path, found in batch:
            if isinstance(found, str):
                yield Prediction(path, problem=found)
            else:
                yield _prediction(path, next(rows), classifier, top_k)


def _prediction(path: str, row: np.ndarray[Any, Any], classifier: Classifier, top_k: int) -> Prediction:
    order = np.argsort(-row, kind="stable")
    top = tuple((classifier.class_names[i], float(row[i])) for i in order[:top_k])
    labels = (top[0][0],)
    if classifier.multi_label:
        labels = tuple(classifier.class_names[i] for i in order if row[i] >= THRESHOLD)
    return Prediction(path, *top[0], top=top, labels=labels)
