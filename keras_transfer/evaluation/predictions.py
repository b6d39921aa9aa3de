"""What a classifier sees in files from anywhere."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.parallel import ordered
from keras_transfer.decisions import THRESHOLD
from keras_transfer.errors import InputError
from keras_transfer.evaluation.classifier import Classifier
from keras_transfer.inputs import Arrays, open_preparer, stacked

_BATCH = 32


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
    """Predicts files in order; threads prepare the next ones meanwhile.

    Args:
        classifier: from `open_classifier`.
        paths: files, or a name with the content of a file. One that cannot be read gives a `Prediction` with its
            `problem`, in its place.
        top_k: how many classes `Prediction.top` names, 1 or more; no more than there are.

    Yields:
        One `Prediction` per path.

    Raises:
        InputError: `top_k` is below 1.
    """
    if top_k < 1:
        raise InputError(f"`top_k` must be 1 or more. Received: top_k={top_k}.")

    preparer = classifier.preparer or open_preparer(classifier.inputs.modality, {})
    spec = preparer.spec(classifier.inputs.tensors)

    def prepare(source: str | Path | tuple[str, bytes]) -> tuple[str, Arrays | str]:
        path = str(source[0] if isinstance(source, tuple) else source)
        try:
            return path, preparer.prepare(source[1] if isinstance(source, tuple) else preparer.load(path), spec)
        except InputError as error:
            return path, str(error)

    prepared = ordered(prepare, paths, ahead=2 * _BATCH)
    while batch := list(islice(prepared, _BATCH)):
        items = [arrays for _, arrays in batch if not isinstance(arrays, str)]
        rows = iter(classifier.predict(stacked(items)) if items else ())
        for path, arrays in batch:
            if isinstance(arrays, str):
                yield Prediction(path, problem=arrays)
            else:
                yield _prediction(path, next(rows), classifier, top_k)


def _prediction(path: str, row: NDArray[np.float32], classifier: Classifier, top_k: int) -> Prediction:
    order = np.argsort(-row, kind="stable")
    top = tuple((classifier.class_names[i], float(row[i])) for i in order[:top_k])
    labels = (top[0][0],)
    if classifier.multi_label:
        labels = tuple(classifier.class_names[i] for i in order if row[i] >= THRESHOLD)
    return Prediction(path, *top[0], top=top, labels=labels)
