"""How the accuracy of a run grows with the number of items, with transfer and from scratch."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.files import write_json
from keras_transfer.jobs.baselines import SCRATCH_BUDGET
from keras_transfer.jobs.parts import build_classifier_of, check_weights, from_scratch, frozen_features
from keras_transfer.jobs.retrain import retrained, training_data
from keras_transfer.progress import track
from keras_transfer.recipe import Recipe
from keras_transfer.run import read_result
from keras_transfer.schemas import N_ITEMS, Difference, LearningCurve

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split

FILE = "learning_curve.json"
_FOLDS, _LEAST, _MOST_SIZES = 5, 2, 8  # held-out parts; items of each class, and sizes, of a curve
_EPOCHS = 60
_NAMES = {
    "head": "logistic regression on frozen features",
    "run": "as this run was trained",
    "scratch": "the same network from scratch",
}
_Rows = NDArray[np.int64]  # of the whole
# From a draw's rows and the held-out ones to the probabilities on these.
_Way = Callable[[_Rows, _Rows], NDArray[np.float32]]


class CurveOptions(TypedDict, total=False):
    """Keywords of `learning_curve`."""

    draws: int
    scratch: bool | None
    own: bool


def learning_curve(
    run: Path,
    recipe: Recipe,
    data: "Dataset",
    model: "keras.Model",
    *,
    draws: int = 5,
    scratch: bool | None = None,
    own: bool = False,
) -> LearningCurve:
    """Computes the learning curves of a run and writes `RUN/learning_curve.json`.

    A draw leaves out one fifth of the training and validation items, on which accuracy is read, and takes nested
    subsets of the others, each half of the next; five draws leave out every item once. The test split is not touched:
    whether to gather more items or to unfreeze more is a choice, and what is chosen by the test split can no longer be
    judged by it. The validation split alone is small, and the run was stopped early by it.

    Args:
        run: the run directory, open.
        recipe: its recipe, complete.
        data: its items.
        model: its trained model.
        draws: how many.
        scratch: train the network from scratch as well: yes, no, or where it costs about a minute (None).
        own: train as the run was trained as well, which takes about as long as the run for each draw.

    Returns:
        What stands in the file.

    Raises:
        InputError: the run began from random weights, or has too few items.
    """
    if not recipe.model.pretrained:
        raise InputError(f"{run} began from random weights: there is no transfer whose curve could be drawn.")
    check_weights(run, recipe)
    if draws < 1:
        raise InputError(f"`draws` must be 1 or more. Received: draws={draws}.")

    started = time.perf_counter()
    drawn = _draw(data, draws, recipe.seed)
    ways = _ways(recipe, data, drawn, scratch, own)
    right = _answered(drawn, ways)
    result = read_result(run)
    learned = result is not None and result.get("fitted_to_val", False)  # then validation items say nothing of it
    curve = _figures(drawn, right, None if learned else _unfreezing(recipe, data, model, ways["head"]))
    curve["seconds"] = round(time.perf_counter() - started, 1)
    write_json(run / FILE, curve)
    return curve


def _figures(
    drawn: "_Drawn", right: dict[str, list[list[NDArray[np.bool_]]]], unfreezing: Difference | None
) -> LearningCurve:
    """The curves, where they meet, and what follows, in sentences."""
    from keras_transfer.evaluation.learning_curve import advice, curve_rows, forecast, last_gain, meeting

    rows = {name: curve_rows(drawn.sizes, answers) for name, answers in right.items()}
    best = "run" if "run" in rows else "head"
    curve: LearningCurve = {
        "format": 1,
        "sizes": drawn.sizes,
        "draws": len(drawn.cuts),
        N_ITEMS: len(drawn.whole),
        "ways": rows,
        "names": {name: _NAMES[name] for name in rows},
        "meeting": meeting(rows[best], rows["scratch"]) if "scratch" in rows else None,
        "gain": last_gain(right["head"], [part for _, part in drawn.cuts]),
        "forecast": forecast(rows["head"], 2 * drawn.sizes[-1]),
        "unfreezing": unfreezing,
        "sentences": [],
        "seconds": 0.0,
    }
    curve["sentences"] = advice(
        drawn.sizes,
        rows,
        meeting=curve["meeting"],
        gain=curve["gain"],
        forecast=curve["forecast"],
        unfreezing=unfreezing,
    )
    return curve


class _Drawn(NamedTuple):
    """Nested subsets of the training and validation items.

    Attributes:
        whole: all of these items.
        groups: which of them stay together.
        cuts: of each draw the rows to draw from, and those held out.
        orders: of each draw the rows to draw from, in the order in which they are drawn.
        sizes: how many of them are used, ascending.
    """

    whole: "Split"
    groups: _Rows
    cuts: list[tuple[_Rows, _Rows]]
    orders: list[_Rows]
    sizes: list[int]


def _draw(data: "Dataset", draws: int, seed: int) -> _Drawn:
    from keras_transfer.data.folds import item_groups, joined, stratified_folds
    from keras_transfer.data.split import stratified_order

    whole = joined([data.train, data.val])
    groups, labels = item_groups(data, whole), whole.labels
    rounds = range(-(-draws // _FOLDS))
    cuts = [cut for i in rounds for cut in stratified_folds(labels, groups, _FOLDS, seed + i)][:draws]
    orders = [
        rest[stratified_order(labels[rest], np.random.default_rng((seed, i)))] for i, (rest, _) in enumerate(cuts)
    ]
    return _Drawn(whole, groups, cuts, orders, curve_sizes(min(map(len, orders)), len(data.class_names)))


def _answered(drawn: _Drawn, ways: dict[str, _Way]) -> dict[str, list[list[NDArray[np.bool_]]]]:
    """Of each way, draw and size, whether each held-out item was answered right."""
    from keras_transfer.decisions import correct

    right: dict[str, list[list[NDArray[np.bool_]]]] = {name: [[] for _ in drawn.cuts] for name in ways}
    steps = [(name, draw, size) for size in drawn.sizes for draw in range(len(drawn.cuts)) for name in ways]
    for name, draw, size in track(steps, "Learning curves", total=len(steps)):
        part = drawn.cuts[draw][1]
        answers = ways[name](drawn.orders[draw][:size], part)
        right[name][draw].append(correct(drawn.whole.labels[part], answers))
    return right


def curve_sizes(items: int, classes: int) -> list[int]:
    """Numbers of items, each half of the next, from two of each class up to all.

    Raises:
        InputError: there are not enough for two sizes.

    >>> curve_sizes(1000, 10)
    [31, 62, 125, 250, 500, 1000]
    """
    sizes = [items >> halvings for halvings in range(_MOST_SIZES) if items >> halvings >= _LEAST * classes]
    if len(sizes) < 2:
        raise InputError(
            f"A learning curve needs {2 * _LEAST * classes} items or more of {classes} classes after a fifth is "
            f"left out. There are {items}."
        )
    return sizes[::-1]


def _ways(recipe: Recipe, data: "Dataset", drawn: _Drawn, scratch: bool | None, own: bool) -> dict[str, _Way]:
    """The ways of training to compare, by name."""
    from keras_transfer.training.probe import tuned_probe

    whole = drawn.whole
    # With the test split among them, which is not looked at, they are those that the report has computed.
    rows = np.concatenate(frozen_features(recipe, data, (data.train, data.val, data.test))[:2])

    def head(some: _Rows, part: _Rows) -> NDArray[np.float32]:
        return tuned_probe((rows[some], whole.labels[some]), rows[part], len(data.class_names), recipe.seed)

    def trained(planned: Recipe) -> _Way:
        def way(some: _Rows, part: _Rows) -> NDArray[np.float32]:
            return retrained(planned, training_data(data, whole, some, drawn.groups, recipe.seed), whole.part(part))[0]

        return way

    ways: dict[str, _Way] = {"head": head}
    if own and any(not phase.frozen for phase in recipe.training.phases or ()):
        ways["run"] = trained(recipe)
    random = from_scratch(recipe, _EPOCHS)
    network = build_classifier_of(random, data) if scratch is not False else None
    if scratch or (network is not None and _cost(network, drawn.sizes, len(drawn.cuts)) <= SCRATCH_BUDGET):
        ways["scratch"] = trained(random)
    return ways


def _cost(network: "keras.Model", sizes: list[int], draws: int) -> float:
    """Multiply-adds of all trainings from scratch: once forward and about twice back, for each item and epoch."""
    from keras_transfer.models import multiply_adds

    return 3.0 * multiply_adds(network) * sum(sizes) * draws * _EPOCHS


def _unfreezing(recipe: Recipe, data: "Dataset", model: "keras.Model", head: _Way) -> Difference | None:
    """By how much the run beats a head on frozen features on validation; None where it trained nothing but a head."""
    if not any(not phase.frozen for phase in recipe.training.phases or ()):
        return None

    from keras_transfer.decisions import correct
    from keras_transfer.evaluation import predict_split
    from keras_transfer.evaluation.intervals import paired_difference
    from keras_transfer.models.graph import model_inputs

    val = data.val.stored(model_inputs(model))
    ours = correct(val.labels, predict_split(model, val))
    val.close()
    count = len(data.train)
    theirs = correct(data.val.labels, head(np.arange(count), np.arange(count, count + len(data.val))))
    return paired_difference(ours, theirs)
