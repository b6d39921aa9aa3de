"""On which kinds of items a run fails, and how well it does on worse ones."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.files import write_json
from keras_transfer.modalities import open_modality
from keras_transfer.progress import track
from keras_transfer.schemas import N_ITEMS, CorruptionRow, Corruptions, Difference, Segments

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split

FILE = "corruptions.json"
CORRUPTED = 200
"""The most test items that are made worse, a stratified part of more: 25 ways and strengths of so many."""
_SHOWN = 5  # segments that a report names; all stand in `report.json`


def segment_figures(data: "Dataset", test: "Split", probabilities: NDArray[np.float32]) -> Segments:
    """Accuracy by the properties that the modality knows, and by each column of the data's table.

    Args:
        data: the run's items.
        test: their test split, stored.
        probabilities: the run's answers on it, `float32 [n, classes]`.

    Returns:
        `rows`: see `segments`; `named`: a sentence for each of the worst that are worse beyond chance.
    """
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation.segments import segments, sentence

    strata = None if test.multi_label else test.labels.astype(np.int64)
    rows = segments(segment_columns(data, test), correct(test.labels, probabilities), strata)
    worse = sorted((row for row in rows if row["worse"]), key=lambda row: row["adjusted_p"])
    return {"rows": rows, "named": [sentence(row, len(rows)) for row in worse[:_SHOWN]]}


def segment_columns(data: "Dataset", test: "Split") -> dict[str, list[float | str | None]]:
    """What is known of each test item, whatever it shows: by its modality, and from its row in a table."""
    own = data.records_of(test)
    columns = open_modality(test.preparer.modality).properties(data, test)
    for name in dict.fromkeys(name for record in own for name in record.columns):
        columns[f"column {name}"] = [record.columns.get(name) for record in own]
    return columns


def corruption_figures(run: Path, model: "keras.Model", test: "Split", seed: int = 0) -> Corruptions:
    """Accuracy on test items made worse, five strengths of each way; writes `RUN/corruptions.json`.

    Args:
        run: the run directory. Its float32 file answers where there is one, which is faster than the model itself.
        model: the trained Keras model.
        test: the test split stored.
        seed: of the choice of items and of the noise.

    Returns:
        What stands in the file.
    """
    from keras_transfer.data.split import stratified_order
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation import keras_classifier, open_classifier
    from keras_transfer.evaluation.intervals import paired_difference, share_interval
    from keras_transfer.models.graph import model_inputs

    modality = open_modality(test.preparer.modality)
    if not modality.corruptions:
        raise InputError(f"There are no ways to make {test.preparer.modality} items worse: leave --corruptions out.")
    started = time.perf_counter()
    file, inputs = run / "export" / "model_float32.tflite", test.spec(model_inputs(model))
    classifier = open_classifier(file) if file.is_file() else keras_classifier(model, inputs=inputs)
    chosen = np.sort(stratified_order(test.labels, np.random.default_rng(seed))[:CORRUPTED])
    labels = np.asarray(test.labels)[chosen]
    clean = correct(labels, classifier.predict(test.rows(chosen)))
    rows: list[CorruptionRow] = []
    steps = [(name, i) for name, row in modality.corruptions.items() for i in range(1, len(row.strengths) + 1)]
    right = {
        step: correct(labels, classifier.predict(modality.corrupt(test, chosen, *step, seed)))
        for step in track(steps, "Making items worse", total=len(steps))
    }
    for name, row in modality.corruptions.items():
        shares = [float(right[name, i + 1].mean()) for i in range(len(row.strengths))]
        middle = paired_difference(clean, right[name, (len(shares) + 1) // 2])
        drop: Difference = {"value": middle["value"], "low": middle["low"], "high": middle["high"]}
        mean = float(np.mean(shares))
        rows.append({"name": name, "words": row.words, "by_strength": shares, "mean": mean, "drop": drop})
    low, high = share_interval(int(clean.sum()), len(clean))
    figures: Corruptions = {
        "format": 1,
        N_ITEMS: len(chosen),
        "clean": {"value": float(clean.mean()), "low": low, "high": high},
        "rows": rows,
        "seconds": round(time.perf_counter() - started, 1),
    }
    write_json(run / FILE, figures)
    return figures
