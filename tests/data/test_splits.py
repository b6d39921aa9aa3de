from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer import InputError
from keras_transfer.data.splits import assign, leader, merge, position

SHARES = {"test": 0.15, "val": 0.15, "train": 0.7}


def single(keys: list[str]) -> list[list[int]]:
    return [[i] for i in range(len(keys))]


def test_shares_come_out_about_right_in_every_class() -> None:
    keys = [f"photograph {i}" for i in range(8000)]
    labels = [i % 4 for i in range(8000)]
    places = assign(single(keys), keys, labels, SHARES, 0, list("abcd"))
    for label in range(4):
        counts = Counter(place for place, own in zip(places, labels, strict=True) if own == label)
        assert abs(counts["test"] / 2000 - 0.15) < 0.03
        assert abs(counts["val"] / 2000 - 0.15) < 0.03


@settings(max_examples=50)
@given(st.integers(60, 150), st.integers(1, 100), st.integers(0, 5))
def test_adding_photographs_leaves_the_old_ones_where_they_were(old: int, new: int, seed: int) -> None:
    keys = [f"{seed} {i}" for i in range(old + new)]
    labels = [i % 2 for i in range(old + new)]
    before = assign(single(keys[:old]), keys[:old], labels[:old], SHARES, seed, ["a", "b"])
    after = assign(single(keys), keys, labels, SHARES, seed, ["a", "b"])
    # Only a class that had nothing in a split by chance may give back what it borrowed: one for each split and class.
    assert sum(x != y for x, y in zip(before, after[:old], strict=True)) <= 4
    by_chance = [
        next(n for n, end in (("test", 0.15), ("val", 0.3), ("train", 1.1)) if position(k, seed) < end) for k in keys
    ]
    if all({by_chance[i] for i in range(old) if labels[i] == own} == set(SHARES) for own in (0, 1)):
        assert before == after[:old] == by_chance[:old]


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), min_size=30, max_size=120), st.integers(0, 9))
def test_no_cluster_crosses_and_every_class_is_everywhere(members: list[tuple[int, int]], seed: int) -> None:
    groups = [f"{label} {group}" for group, label in members]
    labels = [label for _, label in members]
    together = merge([[i] for i in range(len(groups))], groups)
    enough = all(len({g for g, own in zip(groups, labels, strict=True) if own == label}) >= 3 for label in set(labels))
    if not enough:
        with pytest.raises(InputError, match="fewer items than splits need"):
            assign(together, groups, labels, SHARES, seed, list("abc"))
        return
    places = assign(together, groups, labels, SHARES, seed, list("abc"))
    for part in together:
        assert len({places[i] for i in part}) == 1
    for label in set(labels):
        assert {place for place, own in zip(places, labels, strict=True) if own == label} == set(SHARES)


@settings(max_examples=50)
@given(st.permutations(range(40)))
def test_the_order_of_the_files_does_not_matter(order: list[int]) -> None:
    keys = [str(i) for i in range(40)]
    plain = dict(zip(keys, assign(single(keys), keys, [0] * 40, SHARES, 0, ["a"]), strict=True))
    mixed = [keys[i] for i in order]
    assert dict(zip(mixed, assign(single(keys), mixed, [0] * 40, SHARES, 0, ["a"]), strict=True)) == plain


def test_large_clusters_lean_to_no_side() -> None:
    keys = [str(i) for i in range(6000)]
    clusters = [list(range(i, i + 6)) for i in range(0, 6000, 6)]
    places = assign(clusters, keys, [0] * 6000, SHARES, 0, ["a"])
    assert abs(places.count("test") / 6000 - 0.15) < 0.04


@pytest.mark.parametrize("seed", range(10))
def test_few_people_are_shared_out_as_asked(seed: int) -> None:
    people = [list(range(i, i + 30)) for i in range(0, 360, 30)]
    keys, labels = [str(i // 30) for i in range(360)], [i % 5 for i in range(360)]
    places = assign(people, keys, labels, SHARES, seed, list("abcde"))
    for name, share in SHARES.items():
        assert 0.5 * share <= places.count(name) / 360 <= 1.5 * share


def test_another_seed_gives_another_split_and_the_same_seed_the_same() -> None:
    keys = [str(i) for i in range(100)]
    one, again, other = (assign(single(keys), keys, [0] * 100, SHARES, seed, ["a"]) for seed in (0, 0, 1))
    assert one == again != other


def test_positions_and_leaders_are_fixed_for_good() -> None:
    """Splits of data sets in use hang on these values."""
    assert round(position("a", 0), 6) == 0.617001
    assert leader(["a", "b", "c", "d"]) == "d"


def test_a_class_whose_only_clusters_hold_another_class_too_is_moved_or_refused() -> None:
    # Every cluster holds both classes: each split can have both.
    places = assign([[0, 1], [2, 3]], list("abcd"), [0, 1, 0, 1], {"test": 0.5, "train": 0.5}, 0, ["x", "y"])
    assert places[0] == places[1] != places[2] == places[3]
    # Class z is in both clusters, x only in the first with y: x cannot be on both sides.
    with pytest.raises(InputError, match="fewer items"):
        assign([[0, 1], [2]], list("abc"), [0, 1, 1], {"test": 0.5, "train": 0.5}, 0, ["x", "y"])


@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.lists(st.integers(0, n - 1), min_size=1), max_size=9))
    )
)
def test_merge_makes_a_partition(case: tuple[int, list[list[int]]]) -> None:
    count, clusters = case
    parts = merge(clusters, [""] * count)
    assert sorted(i for part in parts for i in part) == list(range(count))
    for cluster in clusters:
        assert sum(bool(set(cluster) & set(part)) for part in parts) == 1
