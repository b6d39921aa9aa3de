"""Figures by file, where items are windows of longer ones."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.stretches import whole_file
from keras_transfer.evaluation.scores import metrics
from keras_transfer.schemas import FileScores


def file_scores(
    paths: Sequence[Path], labels: NDArray[np.generic], probabilities: NDArray[np.float32], class_names: Sequence[str]
) -> FileScores | None:
    """How good a classifier is on whole files: the probabilities of a file's windows are averaged.

    Windows of one file with other labels count as another file.

    Args:
        paths: of the items, some of them `FILE#t=START,END`.
        labels: int `[n]`, or 0/1 `[n, classes]`.
        probabilities: float `[n, classes]`.
        class_names: in the order of the columns.

    Returns:
        The figures; None where every item is a file of its own.

    >>> paths = [Path("a.wav#t=0,1"), Path("a.wav#t=1,2"), Path("b.wav")]
    >>> rows = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], np.float32)
    >>> file_scores(paths, np.array([0, 0, 1], np.int32), rows, ["cat", "dog"])["accuracy"]
    1.0
    """
    keys = [(whole_file(str(path)), np.asarray(label).tobytes()) for path, label in zip(paths, labels, strict=True)]
    places: dict[tuple[str, bytes], list[int]] = {}
    for i, key in enumerate(keys):
        places.setdefault(key, []).append(i)
    if len(places) == len(keys):
        return None
    rows = np.stack([probabilities[own].mean(axis=0) for own in places.values()])
    scores = metrics(labels[[own[0] for own in places.values()]], rows, class_names)
    return {"count": len(places), "accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"]}
