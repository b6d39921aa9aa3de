"""What a search tries next, and what it believes."""

from collections.abc import Mapping

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.evaluation.predictor import Beliefs, Space, Tried, effects, next_choices, optimism

SPACE = Space(
    {"strategy": ("auto", "full"), "epochs": (1, 2, 3), "dropout": (0.2, 0.5)},
    {"small": (0.70, 5.0), "middle": (0.75, 6.0), "large": (0.78, 7.0)},
    {"0: other": (0.5, 6.5)},
)


def world(choices: Mapping[str, object], noise: float = 0.0) -> float:
    """How good choices are in a made world: all layers are worth ten points, each epoch one."""
    probe = {**SPACE.networks, **SPACE.elsewhere}[str(choices["network"])][0]
    return probe + 0.1 * (choices["strategy"] == "full") + 0.01 * int(str(choices["epochs"])) + noise


def some(count: int, seed: int) -> list[Tried]:
    random = np.random.default_rng(seed)
    drawn = [SPACE.draw(random) for _ in range(count)]
    return [Tried(each, True, world(each, random.normal(0, 0.01))) for each in drawn]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 12), st.integers(1, 8), st.integers(0, 2**31 - 1))
def test_nothing_is_tried_twice(tried: int, count: int, seed: int) -> None:
    before = some(tried, seed)
    chosen = next_choices(SPACE, before, count, seed)
    known = [{**each.choices} for each in before]
    assert len(chosen) == min(count, 36 - len({tuple(sorted(each.items())) for each in known}))
    assert not any(each in known for each in chosen) and len({tuple(each.items()) for each in chosen}) == len(chosen)
    assert chosen == next_choices(SPACE, before, count, seed)


def test_it_learns_what_helps() -> None:
    tried = some(20, 0)
    chosen = next_choices(SPACE, tried, 6, 0)
    assert sum(each["strategy"] == "full" for each in chosen) >= 5
    asked = [{**SPACE.usual(name), "strategy": "full", "epochs": 3} for name in SPACE.networks]
    np.testing.assert_allclose(Beliefs(SPACE, tried).means(asked), [world(each) for each in asked], atol=0.03)


def test_other_searches_teach_it_too() -> None:
    elsewhere = [each._replace(choices={**each.choices, "network": "0: other"}) for each in some(20, 1)]
    learned = [each._replace(reached=world(each.choices)) for each in elsewhere]
    chosen = next_choices(SPACE, learned, 6, 0)
    assert sum(each["strategy"] == "full" for each in chosen) >= 5
    assert all(each["network"] in SPACE.networks for each in chosen)


def test_without_trials_probes_rank() -> None:
    assert {each["network"] for each in next_choices(SPACE, [], 12, 0)} == {"large"}


def test_what_choices_move() -> None:
    moved = {(name, value): difference for name, value, difference in effects(SPACE, some(36, 2))}
    assert 0.06 < moved["strategy", "full"] - moved["strategy", "auto"] < 0.12
    for name in ("strategy", "epochs", "dropout"):
        assert abs(sum(difference for (field, _), difference in moved.items() if field == name)) < 1e-9


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=6))
def test_the_best_of_many_flatters(table: list[list[float]]) -> None:
    by_fold = {str(number): row for number, row in enumerate(table)}
    best = max(by_fold, key=lambda name: float(np.mean(by_fold[name])))
    assert optimism(by_fold, best) >= 0
    assert optimism({best: by_fold[best]}, best) == 0
