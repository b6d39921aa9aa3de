"""Which of several backbones to take, by how often probes on their features are right."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from keras_transfer.decisions import correct_labels
from keras_transfer.schemas import AuditionRow, AuditionScore


def cross_validated(name: str, labels: ArrayLike, answers: ArrayLike, groups: ArrayLike) -> AuditionScore:
    """The accuracy of answers from a cross-validation, and its standard error.

    Items of one group (a speaker's, near-duplicates) are not independent: the error is that of the groups' sums. Where
    all are of one group it is that of the items, which is too small.

    Args:
        name: of what answered.
        labels: int `[n]`; or 0/1 `[n, classes]`, where an item may have several.
        answers: probabilities, float `[n, classes]`, of models that did not see the item's group.
        groups: int `[n]`.

    >>> cross_validated("probe", [0, 0, 1, 1], [[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.2, 0.8]], [0, 1, 2, 3])
    {'name': 'probe', 'accuracy': 0.75, 'error': 0.25}
    """
    right = correct_labels(labels, answers).astype(np.float64)
    shares = right.mean(axis=1) if right.ndim == 2 else right
    _, places = np.unique(groups, return_inverse=True)
    if len(places) and not places.any():  # one group tells nothing of others; its items at least of themselves
        places = np.arange(len(shares))
    sums = np.bincount(places, shares - shares.mean())
    few = len(sums) / max(1, len(sums) - 1)
    error = float(np.sqrt(few * np.square(sums).sum()) / len(shares))
    return {"name": name, "accuracy": float(shares.mean()), "error": error}


def choose(rows: Sequence[AuditionRow], *, smallest: bool = True) -> tuple[AuditionRow, AuditionRow]:
    """The smallest candidate within one standard error of the best, and the best.

    Args:
        rows: one or more. The size is the number of parameters, then that of multiply-adds.
        smallest: if not, the best is chosen: what all candidates may cost is settled already.
    """
    by_size = sorted(rows, key=lambda row: (row["parameters"], row["multiply_adds"]))
    best = max(by_size, key=lambda row: row["accuracy"])
    margin = best["error"] if smallest else 0.0
    return next(row for row in by_size if row["accuracy"] >= best["accuracy"] - margin), best


def audition_sentences(
    chosen: AuditionRow,
    best: AuditionRow,
    rival: AuditionScore | None,
    random_split: float | None,
    candidates: str = "those on this machine",
) -> list[str]:
    """What an audition says: why this backbone, whether its features help at all, and what a random split would hide.

    Args:
        chosen: from `choose`.
        best: from `choose`.
        rival: the simple method that needs no pretrained features, where there is one.
        random_split: the chosen one's accuracy with groups on both sides, where there are groups.
        candidates: what was compared.
    """
    why = f"the best of {candidates}"
    if chosen is not best:
        why = f"the smallest within one standard error of the best, {scored(best)}"
    sentences = [f"The backbone is {scored(chosen)}: {why}."]
    if rival is not None and rival["accuracy"] - rival["error"] > chosen["accuracy"]:
        sentences.append(
            f"Negative transfer is likely: {scored(rival)} does better than a probe on any of these features."
        )
    if random_split is not None:
        gap = 100 * (random_split - chosen["accuracy"])
        flattery = f", which would flatter by {gap:.1f} points" if gap > 100 * chosen["error"] else ""
        sentences.append(f"With the same groups on both sides it would be right on {random_split:.1%}{flattery}.")
    return sentences


def scored(row: AuditionScore) -> str:
    """A method with its accuracy and standard error, in points, for people."""
    return f"{row['name']} ({row['accuracy']:.1%} \N{PLUS-MINUS SIGN} {100 * row['error']:.1f})"
