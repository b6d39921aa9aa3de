"""What series have in common, and what is remarkable in how they differ: channels, rates, units."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import median_low

import numpy as np

from keras_transfer.data.listing import Listing
from keras_transfer.errors import InputError
from keras_transfer.modalities.series.items import Series, unpack
from keras_transfer.modalities.series.preparer import SeriesPreparer

_LOOKED = 200  # series, spread over all
_APART = 5.0  # times that a channel is larger in some series than in the others, where their units seem to differ
_FEWEST = 0.1  # share of the series that is so


def settle(listing: Listing, preparer: SeriesPreparer) -> SeriesPreparer:
    """The preparer with the channels of most series and their median rate, where it has none of its own.

    What is remarkable becomes a warning of the listing.
    """
    entries = listing.entries
    looked: list[tuple[Series, tuple[str, ...]]] = []
    for place in np.unique(np.linspace(0, len(entries) - 1, min(len(entries), _LOOKED)).astype(int)).tolist():
        try:
            looked.append((unpack(preparer.load(entries[place].file)), entries[place].labels))
        except InputError:  # its examination says why
            continue
    names = Counter(series.channels for series, _ in looked)
    rates = [float(f"{series.rate:.3g}") for series, _ in looked if series.rate]
    channels = preparer.channels or (names.most_common(1)[0][0] if names else ())
    own = [(series, labels) for series, labels in looked if set(channels) <= set(series.channels)]
    listing.warnings += remarks(own, channels)
    return replace(preparer, channels=channels, rate=preparer.rate or (median_low(rates) if rates else None))


def remarks(looked: Sequence[tuple[Series, tuple[str, ...]]], channels: Sequence[str]) -> list[str]:
    """Sentences on channels that never change, and on those whose units seem to differ from series to series.

    Args:
        looked: some of the series, with their labels.
        channels: that all of them have.

    >>> series = [(Series(np.full((9, 1), i % 2, np.float32), ("x",)), ("a",)) for i in range(4)]
    >>> remarks(series, ["x"])
    ["The channel 'x' never changes in any series that was looked at: leave it out."]
    """
    sentences = []
    for name in channels:
        values = [series.values[:, series.channels.index(name)].astype(np.float64) for series, _ in looked]
        values = [own[np.isfinite(own)] for own in values]
        if len(values) > 1 and all((own == own[:1]).all() for own in values):
            sentences.append(f"The channel '{name}' never changes in any series that was looked at: leave it out.")
            continue
        sizes = np.array([np.sqrt(np.square(own).mean()) if len(own) else 0.0 for own in values])
        if factor := units_apart(sizes, [labels for _, labels in looked]):
            larger = int((sizes > np.sqrt(factor) * np.median(sizes[sizes > 0])).sum())
            sentences.append(
                f"The channel '{name}' is about {factor:.3g} times larger in some series than in others of the same "
                f"class ({larger or len(sizes)} of {len(sizes)} that were looked at): are their units the same?"
            )
    return sentences


def units_apart(sizes: "np.ndarray[tuple[int], np.dtype[np.float64]]", labels: Sequence[tuple[str, ...]]) -> float:
    """How many times larger some series are than the others, where they fall into two sorts in every class; else 0.

    Args:
        sizes: the root mean square of each series.
        labels: of each series; movements differ in size from class to class, units do not.

    >>> round(units_apart(np.array([1.0, 1, 10, 1, 10, 1]), [("a",)] * 6), 1)
    10.0
    """
    there = np.flatnonzero(sizes > 0)
    if len(there) < 4:
        return 0.0
    order = there[np.argsort(sizes[there])]
    logs = np.log(sizes[order])
    cut = int(np.diff(logs).argmax()) + 1
    if np.exp(logs[cut] - logs[cut - 1]) < _APART / 2 or min(cut, len(order) - cut) < _FEWEST * len(order):
        return 0.0
    factor = float(np.exp(np.median(logs[cut:]) - np.median(logs[:cut])))
    sides: defaultdict[tuple[str, ...], set[bool]] = defaultdict(set)
    for place, index in enumerate(order.tolist()):
        sides[labels[index]].add(place >= cut)
    return factor if factor >= _APART and all(len(own) == 2 for own in sides.values()) else 0.0
