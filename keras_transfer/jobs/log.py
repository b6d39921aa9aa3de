"""Logging what `predict` says, for `keras-transfer monitor`."""

import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array, Arrays, as_tuple, open_preparer
from keras_transfer.modalities import Modality, open_modality
from keras_transfer.operations.log import Entry, LogWriter, model_hash, sketches_of

if TYPE_CHECKING:
    from keras_transfer.data.listing import Kind
    from keras_transfer.evaluation import Classifier, Prediction
    from keras_transfer.evaluation.predictions import Source, Watcher

TOP = 5
"""Classes of a line."""
_SUFFIXES = (".jpg", ".wav", ".txt", ".csv")  # of an item that came without a name


class Observed(TypedDict):
    """Fields of an `Entry` that are about the input alone."""

    measures: dict[str, float]
    fingerprint: str


def log_predictions(
    classifier: "Classifier", log: LogWriter, *, sketch: bool = False, items: bool = False
) -> "Watcher":
    """What writes a line of a log for each item, as `predict_files` takes it.

    Args:
        classifier: opened from a file.
        log: where to.
        sketch: also log 64 numbers of the features, which a Keras model has and a LiteRT file does not give.
        items: also keep the items themselves.

    Raises:
        InputError: a sketch is asked for of a model that has no features to show.
    """
    assert classifier.path is not None
    model, modality = model_hash(classifier.path), open_modality(classifier.inputs.modality)
    features = feature_reader(classifier) if sketch else None
    preparer = classifier.preparer or open_preparer(modality.name, {})

    def write(source: "Source", found: "Prediction", inputs: Arrays, milliseconds: float) -> None:
        numbers, scale = None, 0
        if features is not None:
            [(numbers, scale)] = sketches_of(features(tuple(array[None] for array in as_tuple(inputs))))
        kept = None
        if items:
            content = source[1] if isinstance(source, tuple) else preparer.load(str(source))
            kept = log.keep(content, _suffix(found.path, modality.kind))
        log.write(
            Entry(
                model=model,
                top=found.top[:TOP],
                time=time.time_ns() // 1_000_000,
                score=found.score,
                ms=milliseconds,
                **observed(modality, inputs),
                sketch=numbers,
                scale=scale,
                item=kept,
            )
        )

    return write


def observed(modality: Modality, inputs: Arrays) -> Observed:
    """What a log says of an input itself: its measures and its fingerprint."""
    checksum = 0
    for array in as_tuple(inputs):
        checksum = zlib.crc32(array.tobytes(), checksum)
    return {"measures": modality.measures(inputs), "fingerprint": f"{checksum:08x}"}


def feature_reader(classifier: "Classifier") -> Callable[[tuple[Array, ...]], Array]:
    """What gives the features that a classifier's last layer reads, `float32 [n, features]`, of its inputs.

    Raises:
        InputError: it is no Keras model, or one without such features.
    """
    from keras_transfer.evaluation import load_keras

    path = classifier.path
    if path is None or path.suffix == ".tflite":
        raise InputError(
            f"A sketch (--log-sketch) needs RUN or its model.keras: LiteRT files give none. Received: {path}."
        )
    import keras

    from keras_transfer.models.graph import start_of
    from keras_transfer.models.rejection import feature_tensor

    model = load_keras(path)
    features = keras.Model(start_of(model), feature_tensor(model))
    return lambda arrays: np.asarray(features(arrays if len(arrays) > 1 else arrays[0], training=False))


def _suffix(name: str, kind: "Kind") -> str:
    own = Path(name).suffix.lower()
    return own if own in kind.extensions else next((one for one in _SUFFIXES if one in kind.extensions), "")
