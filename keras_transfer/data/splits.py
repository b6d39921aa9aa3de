"""Which split an item is in, train, val or test: decided by its content alone."""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from keras_transfer.errors import InputError

SPLITS = ("train", "val", "test")
_FEW = 60  # clusters, such as people, of which chance alone may bring half into a split that is to have a fifth


def position(key: str, seed: int) -> float:
    """Maps a key to a number in [0, 1) that depends on the seed and on nothing else.

    >>> 0 <= position("an item's sha256", seed=0) < 1
    True
    """
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def leader(keys: Sequence[str]) -> str:
    """The key that represents a cluster: the one with the smallest hash, so that most additions do not change it.

    The hash has no seed and is not the one that places the cluster: the smallest of several positions would lean
    towards the lower end of the line.
    """
    return min(keys, key=lambda key: hashlib.sha256(key.encode()).digest())


def assign(
    clusters: Sequence[Sequence[int]],
    keys: Sequence[str],
    labels: Sequence[int],
    shares: Mapping[str, float],
    seed: int,
    class_names: Sequence[str],
) -> list[str]:
    """Splits items at random but for good: adding others leaves these where they are.

    Each cluster (near-duplicates, a group, or a single item) has a position in [0, 1) from a hash of the seed and
    its leader's key; the shares of the splits divide that line. All classes are divided alike, so a class is stratified
    in expectation: of n clusters a share p comes out as n p, give or take sqrt(n p (1 - p)).

    There are two exceptions to "for good". A class that a wanted split would lack altogether gets into it the cluster
    nearest to that split's stretch of the line. When the split later gets such a cluster by chance, this one goes back.
    And of under 60 clusters, such as people, some are moved where a split has less than half or more than one and a
    half times its share of a class, or of all.

    Args:
        clusters: indices of items that must stand together; a partition of all of them.
        keys: one for each item: its group, or its sha256.
        labels: one class index per item; all 0 where items have several labels.
        shares: share of each wanted split, summing to 1, such as `{"test": 0.15, "val": 0.15, "train": 0.7}`.
        seed: another seed, another split.
        class_names: for the error's sentence.

    Returns:
        The split's name for each item.

    Raises:
        InputError: a class has fewer clusters than there are splits.

    >>> assign([[0], [1], [2]], ["a", "b", "c"], [0, 0, 0], {"test": 0.5, "train": 0.5}, 0, ["cat"])
    ['test', 'train', 'train']
    """
    bounds = _bounds(shares)
    last = list(bounds)[-1]
    positions = [position(leader([keys[i] for i in members]), seed) for members in clusters]
    places = [next((name for name, (_, end) in bounds.items() if p < end), last) for p in positions]
    kinds: dict[frozenset[int], frozenset[int]] = {}  # clusters share them: there may be a million
    held = (frozenset(labels[i] for i in members) for members in clusters)
    _check_counts(clusters, labels, bounds, class_names)
    _fill_empty(places, positions, [kinds.setdefault(own, own) for own in held], bounds, class_names)
    if len(clusters) < _FEW:
        _even_out(places, positions, [[labels[i] for i in members] for members in clusters], bounds)
    result = [""] * len(keys)
    for members, place in zip(clusters, places, strict=True):
        for i in members:
            result[i] = place
    return result


def _bounds(shares: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """The stretch of the line from 0 to 1 that each wanted split gets."""
    bounds, start = {}, 0.0
    for name, share in shares.items():
        if share > 0:
            bounds[name] = (start, start + share)
            start += share
    return bounds


def _check_counts(
    clusters: Sequence[Sequence[int]], labels: Sequence[int], splits: Collection[str], class_names: Sequence[str]
) -> None:
    """Raises `InputError` where a class has fewer clusters than there are splits."""
    counts = Counter(label for members in clusters for label in {labels[i] for i in members})
    for label, count in sorted(counts.items()):
        if count < len(splits):
            own = sum(each == label for each in labels)
            whole = f"its {own} are" if own > count else "there is" if own == 1 else "there are"
            raise InputError(
                f"Class '{class_names[label]}' has fewer items than splits need: {whole} {count} distinct "
                f"(near-duplicates and groups count once) for {', '.join(sorted(splits))}. Add some, or set "
                "a split's share to 0."
            )


def _fill_empty(
    places: list[str],
    positions: Sequence[float],
    classes: Sequence[frozenset[int]],
    bounds: Mapping[str, tuple[float, float]],
    class_names: Sequence[str],
) -> None:
    """Moves the nearest cluster of a class into each split that lacks the class.

    Args:
        places: the split of each cluster, changed in place.
        positions: of the clusters.
        classes: those that each cluster holds.
        bounds: of the splits.
        class_names: for the error's sentence.

    Raises:
        InputError: see `assign`.
    """
    clusters_of = {
        label: [c for c, labels in enumerate(classes) if label in labels]
        for label in sorted(frozenset().union(*set(classes)))
    }

    def count(label: int, name: str) -> int:
        return sum(places[c] == name for c in clusters_of[label])

    for label, own in clusters_of.items():
        for name, (low, high) in bounds.items():
            if count(label, name):
                continue
            # A cluster may go where no class that it holds thereby loses its last in the split it leaves.
            free = [c for c in own if all(count(other, places[c]) > 1 for other in classes[c])]
            if not free:
                raise InputError(
                    f"Class '{class_names[label]}' cannot be brought into '{name}' without breaking up a group or "
                    "taking another class out of its split. Use smaller groups or fewer splits."
                )
            nearest = min(free, key=lambda c: (max(low - positions[c], positions[c] - high, 0), positions[c]))
            places[nearest] = name


def _even_out(
    places: list[str],
    positions: Sequence[float],
    labels: Sequence[Sequence[int]],
    bounds: Mapping[str, tuple[float, float]],
) -> None:
    """Moves clusters while a split's share of a class, or of all items, is off by over half and by over an item.

    Each move is the one that brings all shares nearest to what was asked (least squares); of equal ones that of the
    cluster nearest to its new split's stretch of the line. No class loses its last cluster in a split.

    Args:
        places: the split of each cluster, changed in place.
        positions: of the clusters.
        labels: of each cluster's items.
        bounds: of the splits.
    """
    names, columns = list(bounds), sorted({label for own in labels for label in own})
    counts = np.array([[*(own.count(label) for label in columns), len(own)] for own in labels])
    total, where = counts.sum(axis=0), np.array([names.index(place) for place in places])
    wanted = np.array([[end - start] for start, end in bounds.values()]) * total
    away = np.array([[max(low - p, p - high, 0.0) for low, high in bounds.values()] for p in positions])
    while True:
        now = np.stack([counts[where == split].sum(axis=0) for split in range(len(names))])
        off = now - wanted
        if (np.abs(off) <= np.maximum(1, wanted / 2)).all():
            break
        # How a move changes the sum of squares, `[clusters, splits]`.
        change = (counts[:, None] * (counts[:, None] + off[None] - off[where][:, None]) / total**2).sum(axis=2)
        last = ((now[where] == counts) & (counts > 0)).any(axis=1)
        change[last] = 0
        best = min(np.ndindex(*change.shape), key=lambda move: (round(change[move], 9), away[move], positions[move[0]]))
        if change[best] >= -1e-9:
            break
        where[best[0]] = best[1]
    places[:] = [names[split] for split in where]


def merge(clusters: Sequence[Sequence[int]], groups: Sequence[str]) -> list[list[int]]:
    """Joins clusters that share a group, so that both stay whole; a group of `""` is none.

    Args:
        clusters: indices of `groups` that go together.
        groups: one for each item.

    Returns:
        A partition, each part and the whole in ascending order.

    >>> merge([[0], [1, 2], [3]], ["a", "", "a", ""])
    [[0, 1, 2], [3]]
    """
    parent = list(range(len(groups)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str, int] = {}
    for members in clusters:
        for i in members:
            parent[root(i)] = root(members[0])
    for i, group in enumerate(groups):
        if group:
            parent[root(i)] = root(first.setdefault(group, i))
    together: dict[int, list[int]] = {}
    for i in range(len(groups)):
        together.setdefault(root(i), []).append(i)
    return list(together.values())
