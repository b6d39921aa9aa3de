"""Did the transfer help, and how sure is that: two sentences from figures, and what to do next."""

from collections.abc import Mapping, Sequence

from keras_transfer.schemas import BaselineRow, Difference, Interval, Step, Verdict

FEW_ITEMS = 100
"""Under so many test items an interval is over ten points wide, and the verdict says so."""
_EASY = 0.9  # of the run's accuracy: random features that reach it say that the data are easy
_ALIKE = 0.02  # a rival that is behind by more is not called as good, however few the test items
_TITLES = {
    "helped": "Transfer helped",
    "unclear": "No difference beyond chance",
    "negative": "Negative transfer",
    "none": "No transfer took place",
    "unknown": "Not compared",
}


def verdict(accuracy: Interval, n_items: int, baselines: Sequence[BaselineRow], *, transfers: bool) -> Verdict:
    """Says whether transfer helped.

    The judge is the same network trained from scratch; where that was not done, logistic regression on the same
    network's features with random weights, which says what pretraining brings but not what training all of it would.
    A difference counts when its 95% interval leaves out zero.

    Args:
        accuracy: of the run on its test split, 0..1.
        n_items: test items.
        baselines: the kinds are `"scratch"`, `"random probe"`, `"majority"`, `"rival"` (a simple method of the field),
            `"pretrained probe"`, `"backbone"` and `"other"`, of which nothing is said.
        transfers: whether the run began from pretrained weights.

    Returns:
        `outcome`: `"helped"`, `"unclear"`, `"negative"`, `"none"` (no pretrained weights) or `"unknown"` (nothing to
        compare with); its `title`; two `sentences`; more `remarks`.

    >>> said = verdict(
    ...     {"value": 0.9, "low": 0.86, "high": 0.93}, 300, transfers=True,
    ...     baselines=[{"name": "scratch", "kind": "scratch", "what": "60 epochs", "seconds": 30.0, "macro_f1": 0.5,
    ...                 "accuracy": {"value": 0.5, "low": 0.44, "high": 0.56},
    ...                 "difference": {"value": 0.4, "low": 0.34, "high": 0.46}}],
    ... )
    >>> said["outcome"], said["sentences"][0]
    ('helped', 'Transfer helped: 90.0% of the test items are right, against 50.0% for the same network trained from
    scratch, a difference of 40.0 points (95% interval 34.0 to 46.0).')
    """
    made = {row["kind"]: row for row in baselines if row["accuracy"] is not None and row["kind"] != "backbone"}
    right = f"{accuracy['value']:.1%} of the test items are right"
    if transfers:
        outcome, first = _compared(right, made)
    else:
        outcome, first = "none", _no_transfer(right, made.get("majority"))
    title = "The pretrained features help" if outcome == "helped" and "scratch" not in made else _TITLES[outcome]
    remarks = _remarks(accuracy["value"] or 0.0, n_items, made, baselines, transfers)
    return {"outcome": outcome, "title": title, "sentences": [first, _sure(accuracy, n_items)], "remarks": remarks}


def _no_transfer(right: str, majority: BaselineRow | None) -> str:
    sentence = f"No transfer took place: no pretrained weights were used, and {right}"
    if majority is not None:
        sentence += f", against {_accuracy(majority):.1%} for always naming the most frequent class"
    return f"{sentence}."


def _remarks(
    accuracy: float,
    n_items: int,
    made: Mapping[str, BaselineRow],
    baselines: Sequence[BaselineRow],
    transfers: bool,
) -> list[str]:
    """What else the baselines show: that the data are easy, that training did harm, that a backbone is better."""
    remarks = []
    random, probe = made.get("random probe"), made.get("pretrained probe")
    if transfers and "scratch" not in made and random:
        remarks.append("Training the same network from scratch was not tried: it would take long on this machine.")
    if random and _accuracy(random) >= _EASY * accuracy:
        remarks.append(
            "These data are easy: logistic regression on the features of the same network with random weights already "
            f"reaches {_accuracy(random):.1%}."
        )
    if probe and _difference(probe)["high"] < 0:
        remarks.append(
            "Logistic regression on the frozen pretrained features is better by "
            f"{-100 * _difference(probe)['value']:.1f} points: augmentation or fine-tuning did harm."
        )
    rival = made.get("rival")
    if rival and _difference(rival)["high"] < 0:
        remarks.append(
            f"{rival['name']} is better by {-100 * _difference(rival)['value']:.1f} points, at {_accuracy(rival):.1%}: "
            "use it instead, it is far smaller."
        )
    elif rival and _difference(rival)["low"] <= 0:
        gap = _difference(rival)["value"]
        chance = f"the difference of {_signed(gap)} points is within chance"
        remarks.append(
            f"{rival['name']} is as good, at {_accuracy(rival):.1%} ({chance}): use it instead, it is far smaller."
            if gap <= _ALIKE
            else f"{rival['name']}, which is far smaller, reaches {_accuracy(rival):.1%}: {n_items} test items cannot "
            f"show that this run is better ({chance}). Gather more before you choose."
        )
    others = [row for row in baselines if row["kind"] == "backbone" and row["accuracy"] is not None]
    best = max(others, key=_accuracy, default=None)
    if best and _difference(best)["high"] < 0:
        remarks.append(f"{best['name']} does better, at {_accuracy(best):.1%}: try that backbone.")
    return remarks


def compression_verdict(accuracy: Interval, n_items: int, steps: Sequence[Step]) -> Verdict:
    """Says what a compression cost, in the form of `verdict`.

    Args:
        accuracy: of the compressed model on its test split, 0..1.
        n_items: test items.
        steps: what `result.json` says of them: the run that it began with, then each step.

    Returns:
        As `verdict`; `outcome` is `"helped"` where no loss beyond chance is seen, else `"unclear"`.

    >>> base = {"accuracy": 0.8, "parameters": 200, "multiply_adds": 100}
    >>> step = {"accuracy": 0.79, "parameters": 100, "multiply_adds": 60, "what": "channels removed"}
    >>> step["since_base"] = {"value": -0.01, "low": -0.03, "high": 0.01}
    >>> compression_verdict({"value": 0.79, "low": 0.75, "high": 0.82}, 500, [base, step])["sentences"][0]
    'Channels removed: 79.0% of the test items are right, against 80.0% before, a difference of −1.0 points
    (95% interval −3.0 to 1.0), with 50% of the parameters and 60% of the multiply-adds.'
    """
    first, last = steps[0], steps[-1]
    what = "; ".join(step["what"] for step in steps[1:])
    change = last["since_base"]
    assert change is not None  # the first step alone has none
    parameters = f"{last['parameters'] / first['parameters']:.0%}"
    multiply_adds = f"{last['multiply_adds'] / first['multiply_adds']:.0%}"
    sentence = (
        f"{what[0].upper()}{what[1:]}: {accuracy['value']:.1%} of the test items are right, against "
        f"{first['accuracy']:.1%} before, a difference of {_signed(change['value'])} points (95% interval "
        f"{_signed(change['low'])} to {_signed(change['high'])}), with {parameters} of the parameters and "
        f"{multiply_adds} of the multiply-adds."
    )
    kept = change["high"] >= 0
    title = "No loss beyond chance" if kept else "Smaller, and less accurate"
    sentences = [sentence, _sure(accuracy, n_items)]
    return {"outcome": "helped" if kept else "unclear", "title": title, "sentences": sentences, "remarks": []}


def _accuracy(row: BaselineRow) -> float:
    return row["accuracy"]["value"] if row["accuracy"] is not None else 0.0


def _difference(row: BaselineRow) -> Difference:
    """The accuracy of the run less that of a baseline that was made."""
    assert row["difference"] is not None
    return row["difference"]


def _compared(right: str, made: Mapping[str, BaselineRow]) -> tuple[str, str]:
    judges = {
        "scratch": "the same network trained from scratch",
        "random probe": "logistic regression on the same network's features with random weights",
        "majority": "always naming the most frequent class",
    }
    kind = next((kind for kind in judges if kind in made), None)
    if kind is None:
        return "unknown", f"{right[0].upper()}{right[1:]}; there is nothing to compare that with."
    theirs, difference = _accuracy(made[kind]), _difference(made[kind])
    ends = f"(95% interval {_signed(difference['low'])} to {_signed(difference['high'])})"
    points = f"{abs(100 * difference['value']):.1f} points"
    against = f"{right}, against {theirs:.1%} for {judges[kind]}"
    if kind == "majority":
        return "unknown", f"{against[0].upper()}{against[1:]}; whether transfer helped was not asked."
    if difference["low"] > 0:
        start = "Transfer helped" if kind == "scratch" else "The pretrained features help"
        return "helped", f"{start}: {against}, a difference of {points} {ends}."
    if difference["high"] < 0:
        return "negative", f"Negative transfer: {against}, which is better by {points} {ends}."
    difference_in_words = f"a difference of {_signed(difference['value'])} points {ends}"
    return "unclear", f"Whether transfer helped cannot be told: {against}, {difference_in_words}."


def _sure(accuracy: Interval, n_items: int) -> str:
    low, high = f"{accuracy['low']:.1%}", f"{accuracy['high']:.1%}"
    if n_items < FEW_ITEMS:
        return (
            f"There are only {n_items} test items, so the true accuracy may lie anywhere from {low} to {high} "
            "(95% interval): gather more before you rely on it."
        )
    return f"On {n_items} test items, the true accuracy lies between {low} and {high} (95% interval)."


def _signed(share: float) -> str:
    text = f"{100 * share:.1f}"
    return text if share >= 0 else text.replace("-", "\N{MINUS SIGN}")
