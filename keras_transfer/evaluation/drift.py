"""Has what a model meets changed? Tests of a window of predictions against a reference, and accuracy without labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_transfer.evaluation.shift import mmd
from keras_transfer.inputs import Array
from keras_transfer.schemas import DriftTest, EstimatedAccuracy

Floats = NDArray[np.float64]
PERMUTATIONS = 9_999
_FIRST = 199  # after which a permutation test whose answer is clear ends
_LEAST = 20  # values of a side without which nothing is tested
_RESAMPLES = 200
_TAIL = 0.05
_NEIGHBOURS = 20
_MOST = 500  # rows of a side
_SLOWER = 1.5  # times the median latency before
INPUT = ("score", "unlike", "features", "two_sample")
"""Tests of what the model sees: where one of them alarms, its confidence may mean something else than before."""


@dataclass(frozen=True)
class Predictions:
    """Predictions as columns. What an item lacks is NaN; what all lack is None.

    Attributes:
        classes: the most probable class of each, `[n]`.
        confidence: its probability.
        score: how unlike the training items each is.
        sketch: float `[n, 64]` of features.
        measures: name -> figures of the inputs.
        repeats: 1.0 where an input is the one before again, else 0.0.
        ms: latency.
    """

    classes: NDArray[np.str_]
    confidence: Floats
    score: Floats | None = None
    sketch: Floats | None = None
    measures: Mapping[str, Floats] = field(default_factory=dict)
    repeats: Floats | None = None
    ms: Floats | None = None


class _Found(NamedTuple):
    """What a test found: typical values of both sides, the probability of chance, and the difference in words."""

    reference: float | None
    window: float | None
    p_value: float
    words: str


def drift_tests(
    reference: Predictions, window: Predictions, *, alpha: float, before: Floats | None = None, seed: int = 0
) -> list[DriftTest]:
    """Tests everything that both sides have.

    The tests share `alpha` (Holm 1979, "A simple sequentially rejective multiple test procedure"): if nothing has
    changed, the chance of any alarm is `alpha` at most. They take items for independent of each other.

    Args:
        reference: predictions of items like those that the model was made for.
        window: the new ones.
        alpha: see above; in 0..1.
        before: latencies before the window, with which its own are compared.
        seed: of permutations.

    Returns:
        One for each test, in a fixed order.

    >>> random = np.random.default_rng(0)
    >>> def some(n, low): return Predictions(random.choice(["cat", "dog"], n), random.uniform(low, 1, n))
    >>> [test["alarm"] for test in drift_tests(some(300, 0.5), some(200, 0.5), alpha=0.05)]
    [False, False]
    >>> [test["alarm"] for test in drift_tests(some(300, 0.5), some(200, 0.2), alpha=0.05)]
    [False, True]
    """
    made: list[tuple[str, str, _Found]] = []

    def add(name: str, title: str, found: _Found | None) -> None:
        if found is not None:
            made.append((name, title, found))

    add("classes", "Mix of classes", _class_mix(reference, window, seed))
    add("confidence", "Confidence", _moved(reference.confidence, window.confidence))
    add("score", "Unlike the training items", _moved(reference.score, window.score))
    add("unlike", "Share of very unlike items", _beyond(reference.score, window.score))
    add("features", "Features (MMD)", _features(reference.sketch, window.sketch, seed))
    add("two_sample", "Features (told apart)", _told_apart(reference.sketch, window.sketch, seed))
    for name, values in reference.measures.items():
        add(name, name.replace("_", " ").capitalize(), _moved(values, window.measures.get(name)))
    add("repeats", "Input that is stuck", _repeated(reference.repeats, window.repeats))
    add("latency", "Latency (ms)", _slower(before, window.ms))
    adjusted = holm([found.p_value for _, _, found in made])
    return [
        {
            "name": name,
            "title": title,
            "reference": found.reference,
            "window": found.window,
            "p_value": found.p_value,
            "adjusted": p,
            "alarm": p <= alpha,
            "words": found.words,
        }
        for (name, title, found), p in zip(made, adjusted, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for how many there are (Holm 1979): each may be compared with the level that all share.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    adjusted, least = [0.0] * len(p_values), 0.0
    for place, index in enumerate(np.argsort(p_values, kind="stable")):
        least = max(least, min(1.0, p_values[index] * (len(p_values) - place)))
        adjusted[index] = least
    return adjusted


def _class_mix(reference: Predictions, window: Predictions, seed: int) -> _Found | None:
    """A chi-squared statistic whose distribution is that of permutations (Patefield 1981)."""
    names, places = np.unique(np.concatenate([reference.classes, window.classes]), return_inverse=True)
    n = len(reference.classes)
    if min(n, len(window.classes)) < _LEAST:
        return None
    before, now = (np.bincount(side, minlength=len(names)) for side in (places[:n], places[n:]))
    both = before + now

    def statistic(counts: NDArray[np.integer]) -> Floats:
        expected = both * (len(window.classes) / both.sum())
        values: Floats = ((counts - expected) ** 2 / expected).sum(axis=-1)
        return values

    drawn = np.random.default_rng(seed).multivariate_hypergeometric(both, len(window.classes), PERMUTATIONS)
    p_value = (1 + int((statistic(drawn) >= statistic(now) - 1e-9).sum())) / (1 + PERMUTATIONS)
    gaps = now / now.sum() - before / before.sum()
    most = int(np.abs(gaps).argmax())
    words = f"{names[most]} {before[most] / before.sum():.0%}, now {now[most] / now.sum():.0%}"
    return _Found(None, float(np.abs(gaps).sum() / 2), p_value, words)


def _moved(reference: Floats | None, window: Floats | None) -> _Found | None:
    """The Kolmogorov-Smirnov test of a figure."""
    sides = _known(reference, window)
    if sides is None:
        return None
    from scipy.stats import ks_2samp

    before, now = (float(np.median(side)) for side in sides)
    words = "lower" if now < before else "higher" if now > before else "spread otherwise"
    return _Found(before, now, float(ks_2samp(*sides).pvalue), words)


def _beyond(reference: Floats | None, window: Floats | None) -> _Found | None:
    """How many lie above 95% of the reference, which finds a few that are very unlike: the exact precedence test."""
    sides = _known(reference, window)
    if sides is None:
        return None
    from scipy.stats import hypergeom

    before, now = sides
    rank = max(1, round(_TAIL * len(before)))
    above = int((now > np.sort(before)[-rank]).sum())
    # As many come before the reference's item of that rank if, of the first so many of all, so many are of the window.
    p_value = float(hypergeom.sf(above - 1, len(before) + len(now), len(now), above + rank - 1))
    share = above / len(now)
    return _Found(rank / len(before), share, p_value, f"{share:.0%} are above 95% of the run's own")


def _known(*sides: Floats | None) -> list[Floats] | None:
    """The values that are known of both sides, or None where they are too few."""
    known = [side[np.isfinite(side)] for side in sides if side is not None]
    return known if len(known) == len(sides) and min(map(len, known)) >= _LEAST else None


def _features(reference: Floats | None, window: Floats | None, seed: int) -> _Found | None:
    sides = _rows(reference, window)
    if sides is None:
        return None
    found = mmd(*sides, permutations=_FIRST, seed=seed, evenly=True)
    if found["p_value"] <= 0.05:  # a smaller number is asked for than so few can give
        found = mmd(*sides, permutations=PERMUTATIONS, seed=seed, evenly=True)
    return _Found(0.0, found["distance"], found["p_value"], f"{found['distance']:.2f} apart, of 1.41 at most")


def _told_apart(reference: Floats | None, window: Floats | None, seed: int) -> _Found | None:
    """The classifier two-sample test with nearest neighbours as its classifier, by permutations.

    Lopez-Paz & Oquab 2017 (https://arxiv.org/abs/1610.06545), Schilling 1986 (doi:10.1080/01621459.1986.10478337):
    items of a new kind are each other's neighbours. Features are scaled to the deviations of both sides together.
    """
    sides = _rows(reference, window)
    if sides is None:
        return None
    from scipy.spatial import cKDTree

    random = np.random.default_rng(seed)
    first, second = (side[random.permutation(len(side))[:_MOST]] for side in sides)
    rows = np.concatenate([first, second])
    rows = rows / (rows.std(axis=0) + 1e-9)
    near = cKDTree(rows).query(rows, min(_NEIGHBOURS, len(rows) - 1) + 1)[1][:, 1:]
    links = np.zeros((len(rows), len(rows)), np.float32)
    np.put_along_axis(links, near, 1, axis=1)
    links, own = links + links.T, np.repeat(np.array([0, 1], np.float32), [len(first), len(second)])
    sums = links.sum(axis=0)

    def across(new: Array) -> Array:  # links between both sides: few where they are apart
        return np.asarray(sums @ new - np.einsum("ij,ij->j", new, links @ new))

    def p_value(permutations: int) -> float:
        shuffled = random.permuted(np.tile(own[:, None], (1, permutations)), axis=0)
        return (1 + int((across(shuffled) <= across(own[:, None])).sum())) / (1 + permutations)

    found = p_value(_FIRST)
    share, chance = float((near[len(first) :] >= len(first)).mean()), (len(second) - 1) / (len(rows) - 1)
    words = f"{share:.0%} of the neighbours of new items are new, where {chance:.0%} is chance"
    return _Found(chance, share, p_value(PERMUTATIONS) if found <= 0.05 else found, words)


def _rows(*sides: Floats | None) -> list[Floats] | None:
    known = [side[np.isfinite(side).all(axis=1)] for side in sides if side is not None]
    return known if len(known) == len(sides) and min(map(len, known)) >= _LEAST else None


def _repeated(reference: Floats | None, window: Floats | None) -> _Found | None:
    """Fisher's exact test: a camera gives no two frames that are equal in every bit, unless it is stuck."""
    sides = _known(reference, window)
    if sides is None:
        return None
    from scipy.stats import fisher_exact

    table = [[side.sum(), len(side) - side.sum()] for side in reversed(sides)]
    before, now = (float(side.mean()) for side in sides)
    p_value = float(fisher_exact(table, alternative="greater").pvalue)
    return _Found(before, now, p_value, f"{now:.0%} are the input before again")


def _slower(before: Floats | None, window: Floats | None) -> _Found | None:
    """Of latencies, which depend on the device, the earlier ones of the same log are the reference."""
    sides = _known(before, window)
    if sides is None:
        return None
    from scipy.stats import mannwhitneyu

    first, now = (float(np.median(side)) for side in sides)
    p_value = float(mannwhitneyu(*sides, alternative="less").pvalue) if now > _SLOWER * first else 1.0
    return _Found(first, now, p_value, "slower" if now > first else "not slower")


def estimate_accuracy(
    confidence: Floats, right: NDArray[np.bool_], window: Floats, *, trust: bool | None, seed: int = 0
) -> EstimatedAccuracy:
    """The accuracy to expect on items without labels, from how sure the model is of each.

    Confidence-based performance estimation (as NannyML calls it): the mean probability that an answer is right, which
    follows from its confidence by logistic regression on the reference (Platt 1999). The interval has both what the
    reference leaves open (bootstrap) and chance among so few items. It assumes that answers of a confidence are right
    as often as they were.

    Args:
        confidence: of the reference, `[n]` in 0..1.
        right: whether each of its answers is right.
        window: confidence of the new items, `[m]`.
        trust: whether what can be seen of that assumption holds; None where nothing can be seen.
        seed: of the bootstrap.

    Returns:
        `value` with its 95% interval, and `trust`.

    >>> random = np.random.default_rng(0)
    >>> sure = random.uniform(0.2, 1, 2000)
    >>> guess = estimate_accuracy(sure, random.random(2000) < sure, np.full(500, 0.6), trust=True)
    >>> abs(guess["value"] - 0.6) < 0.04, guess["low"] < 0.6 < guess["high"]
    (True, True)
    """
    random = np.random.default_rng(seed)
    rows, new = _log_odds(confidence), _log_odds(window)
    value = float(_probability_right(rows, right, new).mean())
    drawn = []
    for _ in range(_RESAMPLES):
        chosen = random.integers(0, len(rows), len(rows))
        chances = _probability_right(rows[chosen], right[chosen], new)
        drawn.append(float((random.random(len(new)) < chances).mean()))
    low, high = (float(end) for end in np.quantile(drawn, (0.025, 0.975)))
    return {"value": value, "low": min(low, value), "high": max(high, value), "trust": trust}


def _log_odds(confidence: Floats) -> Floats:
    from scipy.special import logit

    odds: Floats = logit(np.clip(confidence, 1e-4, 1 - 1e-4))
    return odds


def _probability_right(rows: Floats, right: NDArray[np.bool_], new: Floats) -> Floats:
    """Logistic regression of one figure, by Newton's method; a little ridge keeps it finite where all are right."""
    from scipy.special import expit

    design, weights = np.stack([np.ones_like(rows), rows], axis=1), np.zeros(2)
    for _ in range(12):
        chances = expit(design @ weights)
        curvature = design.T @ (design * (chances * (1 - chances))[:, None]) + 1e-3 * np.eye(2)
        weights = weights + np.linalg.solve(curvature, design.T @ (right - chances) - 1e-3 * weights)
    found: Floats = expit(np.stack([np.ones_like(new), new], axis=1) @ weights)
    return found


def to_label(window: Predictions, count: int) -> list[int]:
    """Which items are worth a label: uncertain or new ones, and among them such as differ from each other.

    Those whose confidence is low or whose score is high come first; of twice as many as are wanted the most
    different are taken, by their sketches (farthest first; Gonzalez 1985), or else by their classes in turn.

    Args:
        window: the items.
        count: how many at most.

    Returns:
        Indices, the most useful first.

    >>> to_label(Predictions(np.array(["cat", "cat", "dog"]), np.array([0.5, 0.55, 0.9])), 2)
    [0, 2]
    """
    from scipy.stats import rankdata

    useful = rankdata(-window.confidence)
    if window.score is not None and np.isfinite(window.score).all():
        useful = np.maximum(useful, rankdata(window.score))
    candidates = np.argsort(-useful, kind="stable")[: 2 * count]
    if window.sketch is None or not np.isfinite(window.sketch).all():
        names = window.classes[candidates]
        turns = [int((names[:i] == name).sum()) for i, name in enumerate(names)]
        return [int(i) for i in candidates[np.argsort(turns, kind="stable")][:count]]
    rows = window.sketch[candidates] / (window.sketch.std(axis=0) + 1e-9)
    chosen, far = [0], ((rows - rows[0]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(rows)):
        chosen.append(int(far.argmax()))
        far = np.minimum(far, ((rows - rows[chosen[-1]]) ** 2).sum(axis=1))
    return [int(i) for i in candidates[chosen]]
