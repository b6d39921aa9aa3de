"""What may be wrong with a model from elsewhere that answers no better than chance."""

import math
from dataclasses import replace

import numpy as np

from keras_transfer.data import Split
from keras_transfer.evaluation.classifier import Classifier
from keras_transfer.models.silent import PREPARED_OUTSIDE
from keras_transfer.progress import say
from keras_transfer.schemas import Metrics

_CONFIDENCE = 1.645  # standard errors: one-sided 95%


def beats_chance(scores: Metrics) -> bool:
    """Whether a classifier agrees with the labels more often than its own answers, shuffled, would.

    By Cohen's kappa (Cohen 1960), which is 0 for a model that always names one class, however frequent that is.

    Args:
        scores: from `metrics`; several labels per item are not judged.

    >>> beats_chance({"confusion_matrix": [[0, 30], [0, 70]]}), beats_chance({"confusion_matrix": [[20, 10], [20, 50]]})
    (False, True)
    """
    if "confusion_matrix" not in scores:
        return True
    counts = np.asarray(scores["confusion_matrix"], np.float64)
    n_items = counts.sum()
    right = np.trace(counts) / n_items
    by_chance = float(counts.sum(axis=0) @ counts.sum(axis=1)) / n_items**2
    return bool(right - _CONFIDENCE * math.sqrt(right * (1 - right) / n_items) > by_chance)


def chance_hint(classifier: Classifier, scores: Metrics) -> str:
    """A sentence on what to look at where a classifier does no better than chance; empty where it does."""
    if beats_chance(scores):
        return ""
    what = str(classifier.path) if classifier.path else "The model"
    hint = f"{what} does no better than chance here ({scores['accuracy']:.1%} right)."
    if classifier.path and classifier.path.suffix == ".keras":
        hint += f" {PREPARED_OUTSIDE}"
    if not classifier.named:
        order = ", ".join(list(scores["per_class"])[:5])
        hint += f" If it counts its classes in another order than {order}, put a labels.txt in that order beside it."
    return hint


def in_text_order(split: Split) -> Split:
    """The split with its classes in plain text order, as Keras's own loaders count them: `10` comes before `9`.

    For a model that does not name its classes; says so where that is another order.
    """
    names = sorted(split.class_names)
    if names == list(split.class_names):
        return split
    shown = ", ".join(names[:5])
    say(f"Note: the model does not name its classes; they are counted as Keras's loaders count them: {shown}...")
    columns = np.array([split.class_names.index(name) for name in names])
    labels = split.labels[:, columns] if split.multi_label else np.argsort(columns).astype(np.int32)[split.labels]
    return replace(split, class_names=names, labels=labels)
