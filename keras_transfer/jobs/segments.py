"""On which kinds of images a run fails, and how it bears worse ones."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.files import write_json
from keras_transfer.inputs import only
from keras_transfer.modalities import open_modality
from keras_transfer.progress import track

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split

FILE = "corruptions.json"
CORRUPTED = 200
"""Test images that are made worse at most, a stratified part of more: 25 ways and strengths of so many."""
_SHOWN = 5  # segments that a report names; all stand in `report.json`


def segment_figures(data: "Dataset", test: "Split", probabilities: np.ndarray) -> dict[str, Any]:
    """Accuracy by size, brightness, contrast, colour and sharpness, and by each column of the data's table.

    Args:
        data: the run's photographs.
        test: their test split stored.
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


def segment_columns(data: "Dataset", test: "Split") -> dict[str, list[Any]]:
    """What is known of each test item, whatever it shows: by its modality, and from its row in a table."""
    records = {record.path: record for record in data.records if record.split == test.name}
    own = [records[path] for path in test.paths]
    columns = open_modality(test.preparer.modality).properties(data, test)
    for name in dict.fromkeys(name for record in own for name in record.columns):
        columns[f"column {name}"] = [record.columns.get(name) for record in own]
    return columns


def corruption_figures(run: Path, model: "keras.Model", test: "Split", seed: int = 0) -> dict[str, Any]:
    """Accuracy on test images made worse, five strengths a way; writes `RUN/corruptions.json`.

    Args:
        run: the run directory. Its float32 file answers where there is one, which is faster than the model itself.
        model: the trained Keras model.
        test: the test split stored.
        seed: of the choice of images and of the noise.

    Returns:
        What stands in the file: `images`, `clean` (their accuracy as they are, with its interval) and `rows`: `name`,
        `words`, `by_strength` (five accuracies), `mean` and the `drop` at the middle strength with `low` and `high`.
    """
    from keras_transfer.data.split import stratified_order
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation import keras_classifier, open_classifier
    from keras_transfer.evaluation.intervals import paired_difference, share_interval

    modality = open_modality(test.preparer.modality)
    if not modality.corruptions:
        raise InputError(f"There are no ways to make {test.preparer.modality} items worse: leave --corruptions out.")
    started = time.perf_counter()
    file = run / "export" / "model_float32.tflite"
    classifier = open_classifier(file) if file.is_file() else keras_classifier(model)
    chosen = np.sort(stratified_order(test.labels, np.random.default_rng(seed))[:CORRUPTED])
    pixels, labels = only(test.rows(chosen)), np.asarray(test.labels)[chosen]
    clean = correct(labels, classifier.predict(pixels))
    rows = []
    steps = [(name, i) for name, row in modality.corruptions.items() for i in range(1, row.strengths + 1)]
    right = {
        step: correct(labels, classifier.predict(modality.corrupt(pixels, *step, seed)))
        for step in track(steps, "Making items worse", total=len(steps))
    }
    for name, row in modality.corruptions.items():
        shares = [float(right[name, i + 1].mean()) for i in range(row.strengths)]
        middle = paired_difference(clean, right[name, (len(shares) + 1) // 2])
        rows.append({"name": name, "words": row.words, "by_strength": shares, "mean": float(np.mean(shares)),
                     "drop": {key: middle[key] for key in ("value", "low", "high")}})  # fmt: skip
    low, high = share_interval(int(clean.sum()), len(clean))
    found = {
        "format": 1,
        "images": len(chosen),
        "clean": {"value": float(clean.mean()), "low": low, "high": high},
        "rows": rows,
        "seconds": round(time.perf_counter() - started, 1),
    }
    write_json(run / FILE, found)
    return found


def read_figures(run: Path, files: Sequence[str]) -> list[dict[str, Any] | None]:
    """What earlier calls wrote to the run directory: None for what was not asked for yet.

    Raises:
        InputError: a file is no sound JSON.
    """
    import json

    found: list[dict[str, Any] | None] = []
    for name in files:
        try:
            found.append(json.loads((run / name).read_text()))
        except FileNotFoundError:
            found.append(None)
        except (OSError, ValueError) as error:
            raise InputError(f"{run / name} cannot be read ({error}): remove it and make it again.") from error
    return found
