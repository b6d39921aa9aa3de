"""How far photographs lie from those a model was trained on: in what the network sees, and in plain words."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_transfer.decisions import correct

Array = np.ndarray[Any, Any]
LEVEL = 0.05
"""Differences count below this probability of chance, shared out over all that are asked for (Bonferroni)."""
_MOST = 500  # rows of a side that are compared: the kernel's matrix grows with their square
_APART = 0.75  # sorted right into new and old: from here on they are of another kind
_TITLES = {"same": "The same kind of photographs", "some": "Some shift", "far": "Another kind of photographs"}


def mmd(rows: Array, others: Array, *, permutations: int = 200, seed: int = 0) -> dict[str, float]:
    """Maximum mean discrepancy of two sets of features, with its permutation test.

    Gretton et al. 2012, "A Kernel Two-Sample Test" (https://jmlr.org/papers/v13/gretton12a.html): the unbiased estimate
    with a Gaussian kernel whose width is the median distance. The features are scaled to the first set's deviations.

    Args:
        rows: float `[n, features]`, n of 2 or more; 500 at most are used, drawn at random.
        others: float `[m, features]`.
        permutations: how often the two sets are shuffled.
        seed: of the draws.

    Returns:
        `mmd2`, near 0 (and as often below as above) where both are of one distribution, 2 at the most; `distance`, its
        root, 0 below 0; and `p_value`, at least 1 / (1 + permutations).

    >>> random = np.random.default_rng(0)
    >>> found = mmd(random.normal(size=(50, 3)), random.normal(2, size=(40, 3)))
    >>> found["mmd2"] > 0.3, round(found["p_value"], 3)
    (True, 0.005)
    """
    from scipy.spatial.distance import pdist, squareform

    random = np.random.default_rng(seed)
    first, second = _draw(rows, random), _draw(others, random)
    both = np.concatenate([first, second]) / (first.std(axis=0) + 1e-6)
    squares = pdist(both, "sqeuclidean")
    width = float(np.median(squares)) or 1.0
    kernel = squareform(np.exp(-squares / width))  # zeros on the diagonal, as the unbiased estimate wants it
    n, m, total = len(first), len(second), kernel.sum()

    def estimate(sides: Array) -> Array:  # `sides` is 1 for the first set and 0 for the second, a column a shuffle
        inner = np.einsum("ij,ij->j", sides, kernel @ sides)
        cross = np.einsum("ij,ij->j", sides, kernel @ (1 - sides))
        return inner / (n * (n - 1)) + (total - inner - 2 * cross) / (m * (m - 1)) - 2 * cross / (n * m)

    own = np.repeat([1.0, 0.0], [n, m])
    shuffled = random.permuted(np.tile(own[:, None], (1, permutations)), axis=0)
    found, chance = float(estimate(own[:, None])[0]), estimate(shuffled)
    p_value = (1 + int((chance >= found).sum())) / (1 + permutations)
    return {"mmd2": found, "distance": float(np.sqrt(max(found, 0.0))), "p_value": p_value}


def classifier_two_sample(rows: Array, others: Array, *, seed: int = 0) -> dict[str, Any]:
    """Can a classifier tell two sets of features apart? (Lopez-Paz & Oquab 2017, https://arxiv.org/abs/1610.06545)

    A logistic regression is fitted on half of as many rows of each set, and asked about the other half.

    Args:
        rows: float `[n, features]`, n of 4 or more; 500 at most are used, drawn at random.
        others: float `[m, features]`.
        seed: of the halves.

    Returns:
        `accuracy` on the half not seen: 0.5 where nothing tells them apart, 1 where everything does; `images`, how many
        were asked about; `p_value` of so many right answers by tossing a coin (exact); and `typical`, the index into
        `others` of those drawn, from the most to the least sure to be new.

    >>> random = np.random.default_rng(0)
    >>> classifier_two_sample(random.normal(size=(40, 3)), random.normal(3, size=(40, 3)))["accuracy"] > 0.9
    True
    """
    from scipy.stats import binomtest
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    random = np.random.default_rng(seed)
    count = min(len(rows), len(others), _MOST)
    chosen = random.permutation(len(others))[:count]
    first, second = np.asarray(rows)[random.permutation(len(rows))[:count]], np.asarray(others)[chosen]
    half = count // 2
    scaler = StandardScaler().fit(np.concatenate([first[:half], second[:half]]))

    def scaled(start: int, end: int) -> Array:
        return np.asarray(scaler.transform(np.concatenate([first[start:end], second[start:end]])))

    judge = LogisticRegression(C=1e-2, max_iter=300)
    with threadpool_limits(1, user_api="blas"):
        judge.fit(scaled(0, half), np.repeat([0, 1], half))
    new = judge.predict_proba(scaled(half, count))[:, 1]
    truth = np.repeat([False, True], count - half)
    right = int(((new > 0.5) == truth).sum())
    return {
        "accuracy": right / len(truth),
        "images": len(truth),
        "p_value": float(binomtest(right, len(truth), alternative="greater").pvalue),
        "typical": chosen[half:][np.argsort(-new[truth], kind="stable")].tolist(),
    }


def expected_accuracy(labels: Array, probabilities: Array, new: Array) -> float | None:
    """The accuracy to expect on photographs without labels, from how sure the model is of them.

    Average thresholded confidence (Garg et al. 2022, https://arxiv.org/abs/2201.04234): the confidence above which as
    many validation answers lie as are right, and the share of the new answers above it. It trusts the model to be as
    sure of shifted photographs as it should be: on built shifts of food and flowers half of its guesses were within 4
    to 12 points, and the worst 12 below and 53 above the truth (`docs/shift.md`).

    Args:
        labels: int `[n]` of validation photographs.
        probabilities: float `[n, classes]`, the model's answers to them.
        new: float `[m, classes]`, its answers to the new photographs.

    Returns:
        A share in 0..1; None where there is nothing to tell it from, as with several labels an image.

    >>> answers = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    >>> expected_accuracy(np.array([0, 0, 0, 1]), answers, answers)
    0.75
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels) or not len(new):
        return None
    wrong = int((~correct(labels, probabilities)).sum())
    sure = np.sort(_certainty(probabilities))
    threshold = -np.inf if wrong == 0 else np.inf if wrong == len(sure) else (sure[wrong - 1] + sure[wrong]) / 2
    return float((_certainty(np.asarray(new)) > threshold).mean())


def _certainty(probabilities: Array) -> Array:
    """Negative entropy, which ranks answers somewhat better than their largest probability (Garg et al. 2022)."""
    values = np.clip(probabilities, 1e-12, 1)
    total: Array = (values * np.log(values)).sum(axis=1)
    return total


def _draw(rows: Array, random: np.random.Generator) -> Array:
    values = np.asarray(rows, np.float64)
    return values if len(values) <= _MOST else values[random.permutation(len(values))[:_MOST]]


def judge(found: Mapping[str, Any]) -> dict[str, Any]:
    """Says in words how far new photographs lie from a run's own, and what that will cost.

    Args:
        found: `two_sample` (`accuracy`, `p_value`), `differences`, `own_accuracy`, `expected_accuracy` and `accuracy`
            (`value`, `low`, `high`, or None).

    Returns:
        `outcome`: `"same"`, `"some"` or `"far"`; its `title`; `sentences`.

    >>> same = {"two_sample": {"accuracy": 0.52, "p_value": 0.4}, "differences": [], "own_accuracy": 0.8,
    ...         "expected_accuracy": 0.79, "accuracy": None}
    >>> judge(same)["title"]
    'The same kind of photographs'
    """
    told, share = found["two_sample"], found["two_sample"]["accuracy"]
    outcome = "same" if told["p_value"] >= LEVEL else "some" if share < _APART else "far"
    by = f"by what the network sees in them {share:.0%} are sorted right into new and old, where 50% is chance"
    first = {
        "same": f"The new photographs cannot be told from the run's own: {by}.",
        "some": f"The new photographs differ somewhat from the run's own: {by}.",
        "far": f"The new photographs are of another kind than the run's own: {by}.",
    }[outcome]
    words = [row["words"] for row in found["differences"] if row["words"]]
    sentences = [first]
    if words:
        sentences.append(f"They are {'; '.join(words)}.")
    elif outcome != "same":
        sentences.append("Their brightness, contrast, colour and sharpness do not tell why: look at what they show.")
    own, expected, accuracy = found["own_accuracy"], found["expected_accuracy"], found["accuracy"]
    against = f"against {own:.1%} on the run's own test photographs"
    if accuracy is not None:
        low, high = f"{accuracy['low']:.1%}", f"{accuracy['high']:.1%}"
        sentences.append(f"{accuracy['value']:.1%} of its answers are right ({low} to {high}), {against}.")
    elif expected is not None:
        sentences.append(
            f"Going by how sure the model is, some {expected:.0%} of its answers will be right (a guess), {against}."
        )
    return {"outcome": outcome, "title": _TITLES[outcome], "sentences": sentences}
