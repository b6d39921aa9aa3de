"""How far items lie from those a model was trained on: in what the network sees, and in plain words."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_transfer.decisions import correct
from keras_transfer.schemas import (
    N_ITEMS,
    Discrepancy,
    PropertyDifference,
    Share,
    ShiftVerdict,
    TwoSample,
    TwoSampleResult,
)

Floats = NDArray[np.float64]
Item = TypeVar("Item")
Rows = NDArray[np.floating]
LEVEL = 0.05
"""Differences count below this probability of chance, shared out over all that are asked for (Bonferroni)."""
_MOST = 500  # rows of a side that are compared: the kernel's matrix grows with their square
_SMALL, _LARGE = 0.3, 0.8  # standardized differences (Cohen's d) under which nothing is said, and above which "much" is
_APART = 0.75  # sorted right into new and old: from here on they are of another kind
_TITLES = {"same": "The same kind of data", "some": "Some shift", "far": "Another kind of data"}


def mmd(rows: Rows, others: Rows, *, permutations: int = 200, seed: int = 0, evenly: bool = False) -> Discrepancy:
    """Maximum mean discrepancy of two sets of features, with its permutation test.

    Gretton et al. 2012, "A Kernel Two-Sample Test" (https://jmlr.org/papers/v13/gretton12a.html): the unbiased estimate
    with a Gaussian kernel whose width is the median distance. The features are scaled to the first set's deviations;
    `evenly` to those of both together, whereby the p-value becomes exact.

    Args:
        rows: float `[n, features]`, n of 2 or more; 500 at most are used, drawn at random.
        others: float `[m, features]`.
        permutations: how often the two sets are shuffled.
        seed: of the draws.
        evenly: see above.

    Returns:
        `mmd2`, near 0 (and as often below as above) where both are of one distribution, 2 at the most; `distance`, its
        root, 0 below 0; and `p_value`, at least 1 / (1 + permutations).

    >>> random = np.random.default_rng(0)
    >>> distance = mmd(random.normal(size=(50, 3)), random.normal(2, size=(40, 3)))
    >>> distance["mmd2"] > 0.3, round(distance["p_value"], 3)
    (True, 0.005)
    """
    from scipy.spatial.distance import pdist, squareform

    random = np.random.default_rng(seed)
    first, second = _draw(rows, random), _draw(others, random)
    both = np.concatenate([first, second])
    both /= (both if evenly else first).std(axis=0) + 1e-6
    squares = pdist(both, "sqeuclidean")
    width = float(np.median(squares)) or 1.0
    kernel = squareform(np.exp(-squares / width))  # zeros on the diagonal, as the unbiased estimate wants it
    n, m, total, sums = len(first), len(second), kernel.sum(), kernel.sum(axis=0)

    def estimate(sides: Floats) -> Floats:  # 1 for the first set and 0 for the second, one column per shuffle
        inner = np.einsum("ij,ij->j", sides, kernel @ sides)
        cross = sums @ sides - inner
        within: Floats = inner / (n * (n - 1)) + (total - inner - 2 * cross) / (m * (m - 1)) - 2 * cross / (n * m)
        return within

    own = np.repeat([1.0, 0.0], [n, m])
    shuffled = random.permuted(np.tile(own[:, None], (1, permutations)), axis=0)
    mmd2, chance = float(estimate(own[:, None])[0]), estimate(shuffled)
    p_value = (1 + int((chance >= mmd2).sum())) / (1 + permutations)
    return {"mmd2": mmd2, "distance": float(np.sqrt(max(mmd2, 0.0))), "p_value": p_value}


def classifier_two_sample(rows: Rows, others: Rows, *, seed: int = 0) -> TwoSample:
    """Can a classifier tell two sets of features apart? (Lopez-Paz & Oquab 2017, https://arxiv.org/abs/1610.06545)

    A logistic regression is fitted on half of as many rows of each set, and asked about the other half.

    Args:
        rows: float `[n, features]`, n of 4 or more; 500 at most are used, drawn at random.
        others: float `[m, features]`.
        seed: of the halves.

    Returns:
        `accuracy` on the half not seen: 0.5 where nothing tells them apart, 1 where everything does; the number of
        items (`schemas.N_ITEMS`) that it was asked about; `p_value` of so many right answers by tossing a coin (exact);
        and `typical`, the index into `others` of those drawn, from the most to the least sure to be new.

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

    def scaled(start: int, end: int) -> Floats:
        return np.asarray(scaler.transform(np.concatenate([first[start:end], second[start:end]])))

    judging = LogisticRegression(C=1e-2, max_iter=300)
    with threadpool_limits(1, user_api="blas"):
        judging.fit(scaled(0, half), np.repeat([0, 1], half))
    new = judging.predict_proba(scaled(half, count))[:, 1]
    truth = np.repeat([False, True], count - half)
    right = int(((new > 0.5) == truth).sum())
    return {
        "accuracy": right / len(truth),
        N_ITEMS: len(truth),
        "p_value": float(binomtest(right, len(truth), alternative="greater").pvalue),
        "typical": chosen[half:][np.argsort(-new[truth], kind="stable")].tolist(),
    }


def expected_accuracy(labels: ArrayLike, probabilities: Rows, new: Rows) -> float | None:
    """The accuracy to expect on items without labels, from how sure the model is of them.

    Average thresholded confidence (Garg et al. 2022, https://arxiv.org/abs/2201.04234): the confidence above which as
    many validation answers lie as are right, and the share of the new answers above it. It trusts the model to be as
    sure of shifted items as it should be: on simulated shifts of food and flowers half of its guesses were within 4
    to 12 points, and the worst 12 below and 53 above the truth (`docs/shift.md`).

    Args:
        labels: int `[n]` of validation items.
        probabilities: float `[n, classes]`, the model's answers to them.
        new: float `[m, classes]`, its answers to the new items.

    Returns:
        A share in 0..1; None where there is nothing to tell it from, as with several labels per item.

    >>> answers = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    >>> expected_accuracy(np.array([0, 0, 0, 1]), answers, answers)
    0.75
    """
    truth = np.asarray(labels)
    if truth.ndim != 1 or not len(truth) or not len(new):
        return None
    wrong = int((~correct(truth, probabilities)).sum())
    sure = np.sort(_certainty(probabilities))
    threshold = -np.inf if wrong == 0 else np.inf if wrong == len(sure) else (sure[wrong - 1] + sure[wrong]) / 2
    return float((_certainty(np.asarray(new)) > threshold).mean())


def _certainty(probabilities: Rows) -> Floats:
    """Negative entropy, which ranks answers somewhat better than their largest probability (Garg et al. 2022)."""
    values = np.clip(probabilities, 1e-12, 1)
    total: Floats = (values * np.log(values)).sum(axis=1)
    return total


def _draw(rows: Rows, random: np.random.Generator) -> Floats:
    values = np.asarray(rows, np.float64)
    return values if len(values) <= _MOST else values[random.permutation(len(values))[:_MOST]]


def property_gap(first: Floats, second: Floats) -> tuple[float, float]:
    """How far a figure of new items lies from that of a run's, and how probable that is by chance.

    Args:
        first: of each of the run's items, float `[n]`.
        second: of each new one, float `[m]`.

    Returns:
        Cohen's d, and the p-value of the Mann-Whitney test.
    """
    from scipy.stats import mannwhitneyu

    pooled = float(np.sqrt((first.var() + second.var()) / 2))
    gap = float(second.mean() - first.mean())
    return gap / max(pooled, 1e-9) if gap else 0.0, float(mannwhitneyu(first, second).pvalue)


def how_much(size: float) -> str:
    """A standardized difference in a word; empty where it is small.

    >>> [how_much(size) for size in (0.1, -0.5, 2.0)]
    ['', 'somewhat', 'much']
    """
    return "" if abs(size) < _SMALL else "much" if abs(size) > _LARGE else "somewhat"


def judge(
    *,
    two_sample: TwoSampleResult,
    differences: Sequence[PropertyDifference],
    own_accuracy: float,
    expected_accuracy: float | None,
    accuracy: Share | None,
) -> ShiftVerdict:
    """Says in words how far new items lie from a run's own, and what that will cost.

    Args:
        two_sample: from `classifier_two_sample`, of their features.
        differences: properties of the items themselves.
        own_accuracy: on the run's own test split.
        expected_accuracy: on the new items, by how sure the model is of them.
        accuracy: on the new items; None where they have no labels.

    Returns:
        `outcome`: `"same"`, `"some"` or `"far"`; its `title`; `sentences`.

    >>> sorted_right = {"accuracy": 0.52, "p_value": 0.4, N_ITEMS: 100, "typical": []}
    >>> judge(two_sample=sorted_right, differences=[], own_accuracy=0.8, expected_accuracy=0.79, accuracy=None)["title"]
    'The same kind of data'
    """
    share = two_sample["accuracy"]
    outcome: Literal["same", "some", "far"] = (
        "same" if two_sample["p_value"] >= LEVEL else "some" if share < _APART else "far"
    )
    by = f"by what the network sees in them {share:.0%} are sorted right into new and old, where 50% is chance"
    first = {
        "same": f"The new items cannot be told from the run's own: {by}.",
        "some": f"The new items differ somewhat from the run's own: {by}.",
        "far": f"The new items are of another kind than the run's own: {by}.",
    }[outcome]
    words = [row["words"] for row in differences if row["words"]]
    sentences = [first]
    if words:
        sentences.append(f"They are {'; '.join(words)}.")
    elif outcome != "same":
        sentences.append("The properties that are measured do not explain it: look at what the items show.")
    against = f"against {own_accuracy:.1%} on the run's own test items"
    if accuracy is not None:
        low, high = f"{accuracy['low']:.1%}", f"{accuracy['high']:.1%}"
        sentences.append(f"{accuracy['value']:.1%} of its answers are right ({low} to {high}), {against}.")
    elif expected_accuracy is not None:
        sentences.append(
            f"Going by how sure the model is, about {expected_accuracy:.0%} of its answers will be right (an "
            f"estimate), {against}."
        )
    return {"outcome": outcome, "title": _TITLES[outcome], "sentences": sentences}


class Property(NamedTuple, Generic[Item]):
    """A row of a table: how an item is measured, the title, and the words for lower and higher values."""

    measure: Callable[[Item], float]
    title: str
    lower: str
    higher: str


def differences(
    properties: Mapping[str, Property[Item]], ours: Iterable[Item], theirs: Iterable[Item]
) -> list[PropertyDifference]:
    """In which properties two sets of items differ, the largest difference first.

    Args:
        properties: the table, by name.
        ours: the items of a run.
        theirs: the new ones.

    >>> table = {"words": Property(lambda text: len(text.split()), "Words", "shorter", "longer")}
    >>> row = differences(table, ["so good"] * 20, ["it is as good as ever"] * 20)[0]
    >>> row["property"], row["words"]
    ('words', 'much longer')
    """
    sides = [[[row.measure(item) for row in properties.values()] for item in items] for items in (ours, theirs)]
    rows: list[PropertyDifference] = []
    for column, (name, kind) in enumerate(properties.items()):
        first, second = (np.array([figures[column] for figures in side], np.float64) for side in sides)
        size, p_value = property_gap(first, second)
        strength = how_much(size) if p_value < LEVEL / len(properties) else ""
        rows.append(
            {
                "property": name,
                "title": kind.title,
                "ours": float(np.median(first)),
                "theirs": float(np.median(second)),
                "size": float(np.clip(size, -99, 99)),
                "p_value": p_value,
                "words": strength and f"{strength} {kind.lower if size < 0 else kind.higher}",
                "augmentation": {},
            }
        )
    return sorted(rows, key=lambda row: (row["words"] == "", -abs(row["size"])))
