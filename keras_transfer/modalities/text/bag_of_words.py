"""The simple rival of every text network: logistic regression on TF-IDF of words and pairs of words."""

import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.dataset import Dataset
from keras_transfer.data.labels import log_loss
from keras_transfer.data.split import Split

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Inverse strengths of the L2 penalty that are tried."""
_FEATURES = 200_000  # of words and pairs the most frequent
_ITERATIONS = 300


def answers(data: Dataset, test: Split, seed: int = 0) -> tuple[str, NDArray[np.float32]]:
    """What the rival says of a test split.

    Args:
        data: its training texts are learned from; validation chooses the penalty.
        test: texts to classify.
        seed: of the solver.

    Returns:
        How it was made, and probabilities `float32 [n, classes]`.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=_FEATURES, token_pattern=r"\w+|[!?]")
    rows = [vectors.fit_transform(texts(data.train))]
    rows += [vectors.transform(texts(split)) for split in (data.val, test)]
    labels, classes = data.train.labels, len(data.class_names)
    best: tuple[float, float, NDArray[np.float32]] | None = None
    for strength in STRENGTHS:
        single = LogisticRegression(C=strength, max_iter=_ITERATIONS, random_state=seed)
        rival = OneVsRestClassifier(single) if labels.ndim == 2 else single
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", UserWarning)  # a label that all training texts have, or none
            rival.fit(rows[0], labels)
        loss = log_loss(data.val.labels, _probabilities(rival, rows[1], classes))
        if best is None or loss < best[0]:
            best = loss, strength, _probabilities(rival, rows[2], classes)
    assert best is not None
    words = f"{len(vectors.vocabulary_):,} words and pairs of words, inverse penalty {best[1]:g} chosen on validation"
    return words, best[2]


def texts(split: Split) -> list[str]:
    """The texts of a split."""
    return [split.preparer.load(str(path)).decode("utf-8", "replace") for path in split.paths]


def _probabilities(
    rival: "LogisticRegression | OneVsRestClassifier", rows: object, classes: int
) -> NDArray[np.float32]:
    """Of all classes; 0 for those that the rival has not met."""
    found = np.zeros((rows.shape[0], classes), np.float32)  # type: ignore[attr-defined]  # a sparse matrix
    columns = np.arange(classes) if getattr(rival, "multilabel_", False) else rival.classes_
    found[:, columns] = rival.predict_proba(rows)
    return found
