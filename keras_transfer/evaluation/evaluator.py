"""Scoring a model, in memory or in a file, on a split it has not seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError, check_options
from keras_transfer.evaluation.by_file import file_scores
from keras_transfer.evaluation.classifier import Classifier
from keras_transfer.evaluation.opening import keras_classifier, open_classifier
from keras_transfer.evaluation.scores import metrics
from keras_transfer.evaluation.seen import seen_in_training
from keras_transfer.models.silent import MODALITY, OwnModelOptions, geometry_inputs, options_of
from keras_transfer.progress import say, track
from keras_transfer.schemas import Metrics, Seen

if TYPE_CHECKING:
    import keras

    from keras_transfer.data import Split


def evaluate(
    model: "keras.Model | Classifier | str | Path",
    split: "Split",
    *,
    batch_size: int = 32,
    **options: Unpack[OwnModelOptions],
) -> Metrics:
    """Scores a classifier on a split.

    Where both sides name their classes they are matched by name, in whatever order each has them, and the split may
    lack some of the model's; otherwise there must be as many on each side, in the same order.

    Args:
        model: a `Classifier`, what `open_classifier` opens, or a Keras model.
        split: such as `load(...).test`.
        batch_size: how many items are prepared and predicted at a time.
        **options: of a model from elsewhere that does not say what it takes, see
            `keras_transfer.models.silent.OwnModelOptions`; what is not given follows from the split.

    Returns:
        See `keras_transfer.evaluation.metrics`. Classes are in the model's order, with the split's names where the
        model has none. Where the model's file lies in a run directory and the run was trained on some of these very
        items, there is also `seen`: `train` and `val`, how many of either, and `without`, the same figures without
        them (None where nothing is left).

    Raises:
        InputError: the classes do not fit, the split is empty, or the model is no classifier of such items.
    """
    classifier = classifier_of(model, split, **options)
    columns = _columns(classifier, split)
    if len(split) == 0:
        name = f"{split.name} split" if split.name else "split"
        raise InputError(f"The {name} holds no items. Give a split or a folder that holds some.")
    names = classifier.class_names if classifier.named else split.class_names
    truth = _in_columns(split, columns, len(names))
    probabilities = predict_split(classifier, split, batch_size=batch_size)
    scores = metrics(truth, probabilities, names)
    paths = getattr(split, "paths", None)  # arrays in memory have none
    if paths is not None and (whole := file_scores(paths, truth, probabilities, names)) is not None:
        scores["files"] = whole
    uses = seen_in_training(classifier.path, getattr(split, "hashes", ())) if classifier.path is not None else []
    if any(uses):
        new = np.array([not use for use in uses])
        without = metrics(truth[new], probabilities[new], names) if new.any() else None
        scores["seen"] = Seen(train=uses.count("train"), val=uses.count("val"), without=without)
        say(_seen_sentence(scores["seen"], len(uses)))
    return scores


def _in_columns(split: "Split", columns: NDArray[np.int64], classes: int) -> NDArray[np.int64] | NDArray[np.float32]:
    """The labels of a split in the columns of a model's answer."""
    labels = np.asarray(split.labels)
    if labels.ndim == 1:
        return np.asarray(columns[labels])
    truth = np.zeros((len(labels), classes), np.float32)
    truth[:, columns] = labels
    return truth


def _seen_sentence(seen: Seen, n_items: int) -> str:
    rest = "No other is among them." if seen["without"] is None else "The figures without them stand beside."
    return (
        f"Warning: {seen['train'] + seen['val']} of these {n_items} items were used to train this model "
        f"({seen['train']}) or to validate it ({seen['val']}), which flatters its figures. {rest}"
    )


def predict_split(
    model: "keras.Model | Classifier | str | Path", split: "Split", *, batch_size: int = 32
) -> NDArray[np.float32]:
    """Predicts every item of a split, prepared as the model's file says, or else as the split has it.

    Args:
        model: as for `evaluate`.
        split: the items, in whose order the answer is.
        batch_size: how many items are prepared and predicted at a time.

    Returns:
        Probabilities, `float32 [n, classes]`, in the order of the model's classes.

    Raises:
        InputError: an item vanished, or the model is no classifier of such items.
    """
    classifier = classifier_of(model, split)
    preparer = classifier.preparer
    if preparer is not None and preparer != getattr(split, "preparer", preparer):  # arrays in memory have none
        split = split.prepared_by(preparer)
    batches = split.batches(classifier.inputs.tensors, batch_size)
    answers = [
        classifier.predict(arrays) for arrays, _ in track(batches, "Predicting", total=-(-len(split) // batch_size))
    ]
    return np.concatenate(answers) if answers else np.zeros((0, len(classifier.class_names)), np.float32)


def classifier_of(
    model: "keras.Model | Classifier | str | Path", split: "Split", **options: Unpack[OwnModelOptions]
) -> Classifier:
    """What `evaluate` scores on a split: a classifier that is open is taken as it is, others are opened for the split.

    Args:
        model: as for `evaluate`.
        split: says which shape a model gets that takes any, and of logits whether they are several labels.
        **options: as for `evaluate`.
    """
    check_options("evaluate", options, OwnModelOptions)
    if isinstance(model, Classifier):
        return model
    geometry = options.get("geometry")
    known = options_of(split, options)
    if isinstance(model, str | Path):
        return open_classifier(model, geometry=geometry, **known)
    from keras_transfer.models import model_inputs

    inputs = None
    preparer = getattr(split, "preparer", None)
    if preparer is not None and preparer.modality != MODALITY:
        inputs = split.spec(model_inputs(model))
    elif geometry is not None:
        inputs = geometry_inputs(geometry)
    return keras_classifier(model, inputs=inputs, **known)


def _columns(classifier: Classifier, split: "Split") -> NDArray[np.int64]:
    """For each class of the split, its column in the classifier's answer."""
    ours, theirs = classifier.class_names, list(split.class_names)
    if classifier.multi_label is not None and classifier.multi_label != (np.ndim(split.labels) == 2):
        kinds = "several labels per item", "one label per item"
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


def _some(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
