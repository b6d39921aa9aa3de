"""Scoring a model, in memory or in a file, on a split it has not seen."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.evaluation.classifier import Classifier, keras_classifier, open_classifier
from keras_transfer.evaluation.scores import metrics
from keras_transfer.evaluation.seen import seen_in_training
from keras_transfer.geometry import Geometry
from keras_transfer.inputs import InputSpec
from keras_transfer.progress import say, track
from keras_transfer.recipe import check_geometry

if TYPE_CHECKING:
    import keras

    from keras_transfer.data import Split


def evaluate(
    model: "keras.Model | Classifier | str | Path",
    split: "Split",
    *,
    batch_size: int = 32,
    image_size: int | tuple[int, int] | None = None,
    pixels: str | None = None,
    geometry: str | Mapping[str, Any] | Geometry | None = None,
) -> dict[str, Any]:
    """Scores a classifier on a split.

    Where both sides name their classes they are matched by name, in whatever order each has them, and the split may
    lack some of the model's; otherwise there must be as many on each side, in the same order.

    Args:
        model: a `Classifier`, what `open_classifier` opens, or what `keras_transfer.models.as_classifier` takes.
        split: such as `load_images(...).test`.
        batch_size: how many images are decoded and predicted at a time.
        image_size: for a Keras model that takes any size; that of the pictures where all have one, unless given.
        pixels: for a Keras model whose pixels were prepared outside of it, such as `"0..1"`; see
            `keras_transfer.as_classifier`.
        geometry: how pictures are fitted to it, for a model that does not say; that of the split unless given.

    Returns:
        See `keras_transfer.evaluation.metrics`. Classes are in the model's order, with the split's names where the
        model has none. Where the model's file lies in a run directory and the run was trained on some of these very
        photographs, there is also `seen`: `train` and `val`, how many of either, and `without`, the same figures
        without them (None where nothing is left).

    Raises:
        InputError: the classes do not fit, the split is empty, or the model is no image classifier.
    """
    classifier = classifier_of(model, split, image_size, pixels, geometry)
    columns = _columns(classifier, split)
    if len(split) == 0:
        raise InputError(
            f"The {split.name or 'given'} split holds no images. Give a split or a folder that holds some."
        )
    names = classifier.class_names if classifier.named else split.class_names
    labels = np.asarray(split.labels)
    if labels.ndim == 2:
        truth = np.zeros((len(labels), len(names)), np.float32)
        truth[:, columns] = labels
    else:
        truth = columns[labels]
    probabilities = predict_pixels(classifier, split, batch_size=batch_size)
    scores = metrics(truth, probabilities, names)
    uses = seen_in_training(classifier.path, getattr(split, "hashes", ())) if classifier.path is not None else []
    if any(uses):
        new = np.array([not use for use in uses])
        without = metrics(truth[new], probabilities[new], names) if new.any() else None
        scores["seen"] = {"train": uses.count("train"), "val": uses.count("val"), "without": without}
        say(_seen_sentence(**scores["seen"], images=len(uses)))
    return scores


def _seen_sentence(train: int, val: int, without: Mapping[str, Any] | None, images: int) -> str:
    rest = "No other is among them." if without is None else "The figures without them stand beside."
    return (
        f"Warning: {train + val} of these {images} photographs were used to train this model ({train}) or to validate "
        f"it ({val}), which flatters its figures. {rest}"
    )


def predict_pixels(
    model: "keras.Model | Classifier | str | Path", split: "Split", *, batch_size: int = 32
) -> "np.ndarray[Any, Any]":
    """Predicts every photograph of a split, fitted as the model's file says, or else as the split has it.

    Args:
        model: as for `evaluate`.
        split: the photographs, in whose order the answer is.
        batch_size: how many images are decoded and predicted at a time.

    Returns:
        Probabilities, `float32 [n, classes]`, in the order of the model's classes.

    Raises:
        InputError: a photograph vanished, or the model is no image classifier.
    """
    classifier = classifier_of(model, split)
    preparer = classifier.preparer
    if preparer is not None and preparer != getattr(split, "preparer", preparer):  # arrays in memory have none
        split = split.prepared_by(preparer)
    batches = split.batches(classifier.inputs.tensors, batch_size)
    answers = [
        classifier.predict(np.asarray(pixels))
        for pixels, _ in track(batches, "Predicting", total=-(-len(split) // batch_size))
    ]
    return np.concatenate(answers) if answers else np.zeros((0, len(classifier.class_names)), np.float32)


def classifier_of(
    model: "keras.Model | Classifier | str | Path",
    split: "Split",
    image_size: int | tuple[int, int] | None = None,
    pixels: str | None = None,
    geometry: str | Mapping[str, Any] | Geometry | None = None,
) -> Classifier:
    """What `evaluate` scores on a split: a classifier that is open is taken as it is, others are opened for the split.

    Args:
        model: as for `evaluate`.
        split: says of a model that takes any size which it gets, and of logits whether they are several labels.
        image_size: as for `evaluate`.
        pixels: as for `evaluate`.
        geometry: as for `evaluate`.
    """
    if isinstance(model, Classifier):
        return model
    told: dict[str, Any] = {
        "image_size": image_size if image_size is not None else getattr(split, "common_shape", None),
        "pixels": pixels,
        "multi_label": np.ndim(split.labels) == 2,
    }
    if isinstance(model, str | Path):
        return open_classifier(model, **told, geometry=geometry)
    from keras_transfer.models import model_inputs

    inputs = None
    if getattr(split, "preparer", None) is not None and split.preparer.modality != "image":
        inputs = split.spec(model_inputs(model))
    elif geometry is not None:
        inputs = InputSpec("image", (), {"geometry": check_geometry(geometry).to_dict()})
    return keras_classifier(model, inputs=inputs, **told)


def _columns(classifier: Classifier, split: "Split") -> "np.ndarray[Any, Any]":
    """For each class of the split, its column in the classifier's answer."""
    ours, theirs = classifier.class_names, list(split.class_names)
    if classifier.multi_label is not None and classifier.multi_label != (np.ndim(split.labels) == 2):
        kinds = "several labels an image", "one label an image"
        raise InputError(
            f"The model gives {kinds[not classifier.multi_label]} and the data have {kinds[classifier.multi_label]}. "
            "Evaluate it on data of the kind it was trained on."
        )
    if not classifier.named:
        if len(ours) != len(theirs):
            raise InputError(
                f"The model has {len(ours)} classes and the data have {len(theirs)} ({_some(theirs)}). "
                "Evaluate it on the classes it was trained on."
            )
        return np.arange(len(ours))
    unknown = sorted(set(theirs) - set(ours))
    if unknown:
        raise InputError(
            f"The data has classes that the model does not know ({_some(unknown)}); the model's are {_some(ours)}. "
            "Rename the folders or labels so that both agree."
        )
    return np.array([ours.index(name) for name in theirs])


def _some(names: list[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
