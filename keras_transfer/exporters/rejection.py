"""What a file's score of unknown items is worth: beside the Keras model's, on test items and on pieces of them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from keras_transfer.decisions import RejectionLimit, auroc
from keras_transfer.exporters.task import File, Task
from keras_transfer.inputs import Array, as_tuple
from keras_transfer.litert import open_litert
from keras_transfer.litert.frozen import CALIBRATED
from keras_transfer.litert.runtime import LiteRT
from keras_transfer.models.rejection import Floats
from keras_transfer.progress import track
from keras_transfer.recipe import OTHER_RUNTIMES
from keras_transfer.schemas import FileRejection

if TYPE_CHECKING:
    import keras

_BATCH = 64
_GRID = 4  # pieces along each axis
_RESAMPLES = 200
MOST_DROP = 0.01
"""What a file's score may lose of the Keras model's AUROC."""


def of_pieces(arrays: Sequence[Array], seed: int) -> tuple[Array, ...]:
    """Items made of pieces of others: each cell of a grid over an item's places comes from any of the items.

    What is in the pieces is as in real items, and the whole is like none: it needs no data, and any modality has it.

    Args:
        arrays: `[n, ...]` for each input; of four axes or more, two are cut, of others the first.
        seed: of the choice.

    Returns:
        Arrays of the same shapes.

    >>> of_pieces([np.zeros((3, 8, 8, 1))], 0)[0].shape
    (3, 8, 8, 1)
    """
    n_items = len(arrays[0])
    sources = np.random.default_rng(seed).integers(0, n_items, (n_items, _GRID, _GRID))
    made = []
    for array in arrays:
        sides = array.shape[1:3] if array.ndim > 3 else array.shape[1:2]
        places = [np.arange(side) * _GRID // max(1, side) for side in sides]
        if len(places) == 2:
            rows, columns = np.ix_(*map(np.arange, sides))
            chosen = sources[:, places[0][:, None], places[1][None]]
            made.append(array[chosen, rows[None], columns[None]])
        else:
            made.append(array[sources[:, places[0], 0], np.arange(sides[0])[None]] if sides else array)
    return tuple(made)


def file_rejections(task: Task, files: Sequence[File]) -> dict[str, FileRejection]:
    """The figures of each LiteRT file by its name, on the whole proof split; empty where there is no score.

    Those that targets made of other files are left out: they compute the same.

    Args:
        task: of the export.
        files: to prove.
    """
    own = [file for file in files if file.format not in OTHER_RUNTIMES and "/" not in file.name]
    if task.rejection is None:
        return {}
    references: dict[bool, _Scores] = {}
    figures = {}
    for file in track(own, "Proving the score of unknown items", total=len(own)):
        calibrated = file.format in CALIBRATED
        if calibrated not in references:
            references[calibrated] = _scores(task, file, _keras_run(task.network(file.format).model))
        opened = open_litert(file.content, inputs=file.inputs)
        scores = _scores(task, file, partial(_litert_run, opened))
        figures[file.name] = _figures(file.limit or task.rejection.limit, references[calibrated], scores)
    return figures


class _Scores(NamedTuple):
    """Scores of the test items, and of items made of their pieces."""

    known: Floats
    made: Floats


def _scores(task: Task, file: File, run: Callable[[tuple[Array, ...]], Floats]) -> _Scores:
    known, made = [], []
    for number, (arrays, _) in enumerate(task.proof.batches(file.inputs.tensors, _BATCH)):
        values = as_tuple(arrays)
        known.append(run(values))
        made.append(run(of_pieces(values, number)))
    return _Scores(np.concatenate(known), np.concatenate(made))


def _litert_run(opened: LiteRT, values: tuple[Array, ...]) -> Floats:
    return opened.predict_with_scores(values if len(values) > 1 else values[0])[1]


def _keras_run(model: "keras.Model") -> Callable[[tuple[Array, ...]], Floats]:
    def run(values: tuple[Array, ...]) -> Floats:
        inputs = [array.astype(tensor.dtype) for array, tensor in zip(values, model.inputs, strict=True)]
        return np.asarray(model.predict_on_batch(inputs if len(inputs) > 1 else inputs[0])[1], np.float32)[:, 0]

    return run


def _figures(limit: RejectionLimit, keras_scores: _Scores, scores: _Scores) -> FileRejection:
    before, after = auroc(*keras_scores), auroc(*scores)
    random, count = np.random.default_rng(0), len(scores.known)
    drops = []
    for _ in range(_RESAMPLES):
        first, second = random.integers(0, count, (2, count))
        drawn = [_Scores(both.known[first], both.made[second]) for both in (keras_scores, scores)]
        drops.append(auroc(*drawn[0]) - auroc(*drawn[1]))
    return {
        "accepted": round(float((scores.known <= limit.threshold).mean()), 6),
        "auroc": round(after, 6),
        "keras_auroc": round(before, 6),
        "drop": round(before - after, 6),
        "drop_low": round(float(np.quantile(drops, 0.05)), 6),
    }


def judge_rejection(figures: FileRejection) -> str:
    """What is wrong with a file's score: it lost more than 0.01 of the AUROC beyond doubt; empty where nothing is.

    >>> judge_rejection({"accepted": 0.95, "auroc": 0.9, "keras_auroc": 0.9, "drop": 0.0, "drop_low": 0.0})
    ''
    """
    if figures["drop_low"] <= MOST_DROP:
        return ""
    return (
        f"Its score of unknown items lost {figures['drop']:.3f} of {figures['keras_auroc']:.3f} AUROC, over the "
        f"tolerance of {MOST_DROP}."
    )
