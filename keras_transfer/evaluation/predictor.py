"""What choices are likely to reach, from what others reached: it decides what a search tries next."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Value: TypeAlias = str | int | float
Choices: TypeAlias = Mapping[str, Value]
Floats: TypeAlias = NDArray[np.float64]
_FEW = 3  # tried, below which nothing is predicted
_POOL = 400  # drawn by chance, among which to choose


class Tried(NamedTuple):
    """What was tried: its choices, whether trained whole rather than for a short while, and the accuracy."""

    choices: Choices
    whole: bool
    reached: float


@dataclass(frozen=True)
class Space:
    """What may be chosen.

    Attributes:
        choices: name -> values, the usual one first; of all but the network.
        networks: name -> its figures: first what a probe on its frozen features reached, then logarithms of its size.
        elsewhere: the same of networks that only other searches chose from.

    >>> space = Space({"epochs": (1, 2)}, {"small": (0.7, 5.0), "large": (0.8, 7.0)})
    >>> space.usual("small"), space.rows([space.usual("small"), {"network": "large", "epochs": 2}], [True, False])
    ({'network': 'small', 'epochs': 1}, array([[-0.5, -1. ,  1. ,  0. ],
           [ 0.5,  1. ,  0. ,  1. ]]))
    """

    choices: Mapping[str, Sequence[Value]]
    networks: Mapping[str, Sequence[float]]
    elsewhere: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def usual(self, network: str) -> dict[str, Value]:
        """A network with the usual choices."""
        return {"network": network, **{name: values[0] for name, values in self.choices.items()}}

    def draw(self, random: np.random.Generator) -> dict[str, Value]:
        """Choices by chance."""
        names = [*self.networks]
        drawn = {name: values[int(random.integers(len(values)))] for name, values in self.choices.items()}
        return {"network": names[int(random.integers(len(names)))], **drawn}

    def probes(self, asked: Sequence[Choices]) -> Floats:
        """What probes on frozen features of their networks reached."""
        return np.array([self._figures(each)[0] for each in asked], np.float64)

    def rows(self, asked: Sequence[Choices], whole: Sequence[bool]) -> Floats:
        """Choices as numbers, `[n, features]`: numbers by their rank, words each by itself."""
        figures = np.array([self._figures(each) for each in asked], np.float64)
        middle = np.array([*self.networks.values()], np.float64).mean(axis=0)
        # Ten points of accuracy and a decade of size count as one: spreads of few networks would be chance.
        columns = [*((figures - middle) * [10, *[1] * (len(middle) - 1)]).T, np.array(whole, np.float64)]
        for name, values in self.choices.items():
            places = np.array([values.index(each[name]) for each in asked])
            if all(isinstance(value, int | float) for value in values):
                ranks = np.argsort(np.argsort(np.array(values, np.float64)))
                columns.append(ranks[places] / max(1, len(values) - 1))
            else:
                columns += [(places == place).astype(np.float64) for place in range(len(values))]
        return np.stack(columns, axis=1)

    def _figures(self, choices: Choices) -> Sequence[float]:
        name = str(choices["network"])
        return self.networks[name] if name in self.networks else self.elsewhere[name]


class Beliefs:
    """What choices are expected to reach when they are trained whole.

    A Gaussian process of the gain over a probe on the same network's frozen features, from what was tried; of too
    little of that, the probe's accuracy.

    Args:
        space: what may be chosen.
        tried: what was.

    >>> space = Space({"epochs": (1, 2, 3)}, {"one": (0.7, 5.0)})
    >>> tried = [Tried({"network": "one", "epochs": n}, True, 0.7 + 0.05 * n) for n in (1, 2, 3, 3)]
    >>> [bool(mean > 0.7) for mean in Beliefs(space, tried).means([each.choices for each in tried])]
    [True, True, True, True]
    """

    def __init__(self, space: Space, tried: Sequence[Tried]) -> None:
        self._space, self._predictor = space, None
        if len(tried) < _FEW:
            return
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import Matern, WhiteKernel

        choices = [each.choices for each in tried]
        gains = np.array([each.reached for each in tried]) - space.probes(choices)
        kernel = Matern(2.0, (0.5, 20.0), nu=2.5) + WhiteKernel(0.3, (0.02, 1.0))
        self._predictor = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a scale at its bound is as good as any
            self._predictor.fit(space.rows(choices, [each.whole for each in tried]), gains)

    def means(self, asked: Sequence[Choices]) -> Floats:
        """The accuracies that are expected, `[n]`."""
        probes = self._space.probes(asked)
        if self._predictor is None:
            return probes
        means: Floats = probes + self._predictor.predict(self._space.rows(asked, [True] * len(asked)))
        return means

    def draws(self, asked: Sequence[Choices], count: int, seed: int) -> Floats:
        """Accuracies as they might be, `[n, count]`: each column a draw of its own."""
        probes = self._space.probes(asked)[:, None]
        if self._predictor is None:
            return np.repeat(probes, count, axis=1)
        rows = self._space.rows(asked, [True] * len(asked))
        drawn: Floats = probes + self._predictor.sample_y(rows, count, random_state=seed)
        return drawn


def next_choices(space: Space, tried: Sequence[Tried], count: int, seed: int) -> list[dict[str, Value]]:
    """What to try next: each the best by another draw from what is believed (Thompson sampling).

    As in PNAS (Liu et al. 2018, https://arxiv.org/abs/1712.00559) a predictor that is fitted to the trials so far ranks
    the others.

    Args:
        space: what may be chosen.
        tried: what was.
        count: how many to name.
        seed: of what is considered, and of the draws.

    Returns:
        `count` choices that were not tried; fewer where no others were drawn.

    >>> space = Space({"epochs": (1, 2)}, {"one": (0.7, 5.0)})
    >>> next_choices(space, [Tried(space.usual("one"), True, 0.8)], 3, seed=0)
    [{'network': 'one', 'epochs': 2}]
    """
    random = np.random.default_rng(seed)
    known = {tuple(sorted(each.choices.items())) for each in tried}
    drawn = {tuple(sorted(each.items())): each for each in (space.draw(random) for _ in range(_POOL))}
    pool = [each for key, each in drawn.items() if key not in known]
    if not pool:
        return []
    taken: dict[int, None] = {}
    for belief in Beliefs(space, tried).draws(pool, min(count, len(pool)), seed).T:
        taken[next(int(place) for place in np.argsort(-belief, kind="stable") if int(place) not in taken)] = None
    return [pool[place] for place in taken]


def effects(space: Space, tried: Sequence[Tried], seed: int = 0) -> Iterator[tuple[str, Value, float]]:
    """How much each choice but the network moves the expected accuracy, all others being drawn by chance.

    Args:
        space: what may be chosen.
        tried: what was.
        seed: of the draws.

    Yields:
        Name, value, and the difference from the mean over the name's values, in -1..1.
    """
    random, beliefs = np.random.default_rng(seed), Beliefs(space, tried)
    pool = [space.draw(random) for _ in range(_POOL)]
    for name, values in space.choices.items():
        means = [float(beliefs.means([{**each, name: value} for each in pool]).mean()) for value in values]
        yield from ((name, value, mean - float(np.mean(means))) for value, mean in zip(values, means, strict=True))


def optimism(by_fold: Mapping[str, Sequence[float]], chosen: str) -> float:
    """By how much the cross-validated accuracy of the best of many flatters it, estimated.

    The mean over folds of how much the fold's own best exceeds the chosen one (Tibshirani & Tibshirani 2009,
    https://arxiv.org/abs/0908.2904).

    Args:
        by_fold: name -> accuracies of the same folds.
        chosen: a name.

    >>> round(optimism({"a": [0.8, 0.9], "b": [0.9, 0.7]}, "a"), 3)
    0.05
    """
    table = np.array([*by_fold.values()], np.float64)
    return float((table.max(axis=0) - np.array(by_fold[chosen])).mean())
