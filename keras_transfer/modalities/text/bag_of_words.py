"""The simple rival of every text network: logistic regression on TF-IDF of words and pairs of words.

It is a baseline of every report, and by `--backbone tfidf` a run of its own, whose model is a Keras network like any:
two tables and a few divisions. Then its files are proved like others, too.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.dataset import Dataset
from keras_transfer.data.labels import log_loss
from keras_transfer.data.split import Split
from keras_transfer.inputs import keep_asset
from keras_transfer.modalities.text.preparer import TextPreparer, grams
from keras_transfer.progress import track

if TYPE_CHECKING:
    import keras
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    Estimator: TypeAlias = LogisticRegression | OneVsRestClassifier

BACKBONE = "tfidf"
"""What the rival is called as a backbone."""
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Inverse strengths of the L2 penalty that are tried."""
_FEATURES = 50_000  # of words and pairs the most frequent
_LONGEST = 4096  # words and pairs of one text
_ITERATIONS = 300
_NEVER = -30.0  # the logit of a class that no training text has


@dataclass(frozen=True)
class BagOfWords:
    """A fitted rival.

    Attributes:
        words: its words and pairs of words.
        idf: of each, float32 `[words]`.
        weights: of each for each class, float32 `[words, classes]`.
        bias: float32 `[classes]`.
        strength: the inverse penalty that validation chose.
    """

    words: Sequence[str]
    idf: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    strength: float

    def scores(self, rows: "csr_matrix") -> NDArray[np.float32]:
        """Logits of TF-IDF rows, `[n, classes]`."""
        found: NDArray[np.float32] = rows @ self.weights + self.bias
        return found


def fit_bag(data: Dataset, seed: int = 0) -> BagOfWords:
    """Fits the rival on training texts; validation chooses the penalty."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    words, train_counts = _counted_words(data.train)
    counts = [train_counts, _counted(data.val, words)]
    documents = np.asarray((counts[0] > 0).sum(axis=0)).ravel()
    idf = (np.log((1 + len(data.train)) / (1 + documents)) + 1).astype(np.float32)
    train, val = (weighted(each, idf) for each in counts)
    labels, classes = data.train.labels, len(data.class_names)
    best: tuple[float, BagOfWords] | None = None
    for strength in track(STRENGTHS, "Fitting TF-IDF", total=len(STRENGTHS)):
        single = LogisticRegression(C=strength, max_iter=_ITERATIONS, random_state=seed)
        rival = OneVsRestClassifier(single) if labels.ndim == 2 else single
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", UserWarning)  # a label that all training texts have, or none
            rival.fit(train, labels)
        bag = BagOfWords(words, idf, *_linear(rival, classes), strength)
        loss = log_loss(data.val.labels, _probabilities(bag, val, data.multi_label)) if len(data.val) else 0.0
        if best is None or loss < best[0]:
            best = loss, bag
    assert best is not None
    return best[1]


def answers(data: Dataset, test: Split, seed: int = 0) -> tuple[str, NDArray[np.float32]]:
    """What the rival says of a test split.

    Args:
        data: its training texts are learned from; validation chooses the penalty.
        test: texts to classify.
        seed: of the solver.

    Returns:
        How it was made, and probabilities `float32 [n, classes]`.
    """
    bag = fit_bag(data, seed)
    rows = weighted(_counted(test, bag.words), bag.idf)
    what = f"{len(bag.words):,} words and pairs of words, inverse penalty {bag.strength:g} chosen on validation"
    return what, _probabilities(bag, rows, data.multi_label)


def words_preparer(split: Split, length: int | None = None) -> TextPreparer:
    """Cuts texts into the words and pairs of words of a split.

    Args:
        split: training texts.
        length: how many are read of a text; None to leave it open.
    """
    content = "".join(f"{gram}\n" for gram in _counted_words(split)[0]).encode()
    return TextPreparer("words", {"words.txt": keep_asset(content)}, length, _LONGEST)


def build_bag(data: Dataset, seed: int = 0) -> "keras.Model":
    """The rival as a Keras model, trained: from ids of words and pairs, int32 `[n, length]`, to probabilities.

    Args:
        data: see `fit_bag`; its preparer is `words_preparer(data.train)`.
        seed: of the solver.

    Returns:
        A plain functional model, compiled. Ids are places in the vocabulary plus 1; 0 fills up.
    """
    import keras

    from keras_transfer.models import compile_classifier

    ops, layers = keras.ops, keras.layers
    bag = fit_bag(data, seed)
    classes = bag.weights.shape[1]
    ids = keras.Input((None,), dtype="int32", name="ids")
    known = ops.cast(ops.not_equal(ids, 0), "float32")
    alike = ops.equal(ops.expand_dims(ids, 2), ops.expand_dims(ids, 1))
    times = ops.sum(ops.cast(alike, "float32"), axis=2)  # how often the word of each place stands in the text
    idf = layers.Flatten(name="flat")(layers.Embedding(len(bag.words) + 1, 1, name="idf")(ids))
    value = idf * (ops.log(times) + 1) * known
    norm = ops.sqrt(ops.sum(value * value / times, axis=1, keepdims=True) + 1e-6)  # which float16 holds
    weights = layers.Embedding(len(bag.words) + 1, classes, name="words")(ids)
    scores = ops.sum(weights * ops.expand_dims(value / times, 2), axis=1) / norm
    x = layers.Dense(classes, name="logits")(scores)
    activation = "sigmoid" if data.multi_label else "softmax"
    model = keras.Model(ids, layers.Activation(activation, name="predictions")(x), name=BACKBONE)
    model.get_layer("idf").set_weights([np.concatenate([[0], bag.idf])[:, None]])
    model.get_layer("words").set_weights([np.concatenate([np.zeros((1, classes)), bag.weights])])
    model.get_layer("logits").set_weights([np.eye(classes), bag.bias])
    compile_classifier(model, multi_label=data.multi_label)
    return model


def texts(split: Split) -> list[str]:
    """The texts of a split."""
    return [split.preparer.load(str(path)).decode("utf-8", "replace") for path in split.paths]


def _counted_words(split: Split) -> tuple[list[str], "csr_matrix"]:
    """The words and pairs of a split's texts, the most frequent of very many; and how often each text has each."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(analyzer=grams, max_features=_FEATURES, dtype=np.float32)
    counts = counter.fit_transform(texts(split))
    return list(counter.get_feature_names_out()), counts


def _counted(split: Split, words: Sequence[str]) -> "csr_matrix":
    from sklearn.feature_extraction.text import CountVectorizer

    return CountVectorizer(analyzer=grams, vocabulary=list(words), dtype=np.float32).transform(texts(split))


def weighted(counts: "csr_matrix", idf: NDArray[np.float32]) -> "csr_matrix":
    """TF-IDF of counts, `(1 + log(count)) * idf`, each row of length 1: scikit-learn's, with sublinear counts."""
    from sklearn.preprocessing import normalize

    rows = counts.astype(np.float32)
    rows.data = (np.log(rows.data) + 1).astype(np.float32)
    normalized: csr_matrix = normalize(rows.multiply(idf).tocsr())
    return normalized


def _linear(rival: "Estimator", classes: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights `[words, classes]` and biases; of a class that was not met the bias says no."""
    if getattr(rival, "multilabel_", False):
        each = rival.estimators_
        known = [hasattr(one, "coef_") for one in each]
        width = next((one.coef_.shape[1] for one in each if hasattr(one, "coef_")), 0)
        columns = [one.coef_[0] if ok else np.zeros(width) for one, ok in zip(each, known, strict=True)]
        offsets = [
            float(one.intercept_[0]) if ok else _NEVER * (1 - 2 * float(one.predict([[0]])[0]))
            for one, ok in zip(each, known, strict=True)
        ]
        return np.stack(columns, axis=1).astype(np.float32), np.array(offsets, np.float32)
    weights = np.zeros((rival.coef_.shape[1], classes), np.float32)
    bias = np.full(classes, _NEVER, np.float32)
    own, intercepts = rival.coef_.T, rival.intercept_
    if own.shape[1] == 1:  # two classes share one column
        own, intercepts = np.concatenate([np.zeros_like(own), own], axis=1), np.array([0.0, intercepts[0]])
    weights[:, rival.classes_] = own
    bias[rival.classes_] = intercepts
    return weights, bias


def _probabilities(bag: BagOfWords, rows: "csr_matrix", several: bool) -> NDArray[np.float32]:
    scores = bag.scores(rows)
    if several:
        return (1 / (1 + np.exp(-scores))).astype(np.float32)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return np.asarray(shares, np.float32)
