"""How good a recipe is on a small data set, and whether another is better: stratified and grouped cross-validation."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.geometry import LEGACY
from keras_transfer.jobs.parts import build_classifier_of, load_data
from keras_transfer.jobs.retrain import VALIDATION, given, retrained
from keras_transfer.jobs.train import complete
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe

if TYPE_CHECKING:
    from keras_transfer.data.dataset import Dataset
    from keras_transfer.evaluation.resampling import ResampledMean

_SAME = ("data", "group_by", "val", "test", "allow_bad", "few_shot")


def cross_validate(
    *recipes: Recipe, names: Sequence[str] | None = None, folds: int = 5, repeats: int = 2, use_test: bool = False
) -> dict[str, Any]:
    """Trains each recipe on all but one part of the photographs, for each part, and scores it on that part.

    Near-duplicates, and what `group_by` keeps together, stand in one part. What a recipe leaves frozen is computed once
    for all folds, and finished folds are in the cache. A recipe that leaves the geometry to `auto` shows the whole
    picture. The photographs that `train` would hold out for the test are not touched, so that they can still judge the
    recipe that is chosen here.

    Args:
        *recipes: one or more, from `make_recipe`, of the same data. All see the same folds; the first one's seed draws
            them.
        names: what to call the recipes; numbers unless given.
        folds: parts, two or more.
        repeats: how often the photographs are cut into parts anew.
        use_test: use the test photographs as well: for sets too small to spare any. None are left to judge by then.

    Returns:
        JSON-ready: `images`, `classes`, `folds`, `repeats`, `held_out` (test images left alone), `train` and `part`
        (images a fold); `recipes`: for each `name`, `strategy`, `accuracy` and `macro_f1` as `resampled_mean` gives
        them, `by_fold`, `seconds`; `comparisons` of the first with each other: `name`, `difference` (the other's
        accuracy less the first's) with `low`, `high`, `p` by the corrected resampled t-test, and `adjusted_p` (Holm).

    Raises:
        InputError: the recipes are not of the same data, or there are too few photographs for so many folds.
    """
    if not recipes:
        raise InputError("Give a recipe to cross-validate: `make_recipe(data=...)`.")
    if repeats < 1:
        raise InputError(f"`repeats` must be 1 or more. Received: repeats={repeats}.")
    first = recipes[0]
    for field in _SAME:
        values = [recipe.fields()[field] for recipe in recipes]
        if any(value != values[0] for value in values):
            received = ", ".join(map(str, values))
            raise InputError(f"Recipes that are compared must agree in `{field}`. Received: {received}.")

    from keras_transfer.data.folds import item_groups, joined, stratified_folds
    from keras_transfer.evaluation import metrics
    from keras_transfer.evaluation.resampling import adjusted, resampled_mean

    data = load_data(first)
    whole = joined([data.train, data.val, data.test] if use_test else [data.train, data.val])
    groups = item_groups(data, whole)
    cuts = [
        cut for repeat in range(repeats) for cut in stratified_folds(whole.labels, groups, folds, first.seed + repeat)
    ]
    size = len(whole) // folds
    found: list[dict[str, Any]] = []
    for number, recipe in enumerate(recipes):
        name = names[number] if names else str(number + 1)
        told, started, scores = prepared(recipe, data, len(whole) - size), time.perf_counter(), []
        seen = whole.fitted(recipe.data.geometry or LEGACY)  # choosing by labels would tell of the parts
        for fold, (rest, part) in enumerate(cuts):
            answers, _ = retrained(told, given(data, seen, rest, groups, recipe.seed), seen.part(part))
            scores.append(metrics(whole.labels[part], answers, data.class_names))
            say(f"{name}, fold {fold + 1} of {len(cuts)}: accuracy {scores[-1]['accuracy']:.3f}")
        row: dict[str, Any] = {"name": name, "strategy": told.training.strategy, "backbone": told.model.backbone}
        row["geometry"] = seen.geometry.mode
        row["by_fold"] = [score["accuracy"] for score in scores]
        row["accuracy"] = _bounded(resampled_mean(row["by_fold"], len(whole) - size, size))
        f1 = [score["macro_f1"] or 0.0 for score in scores]
        row["macro_f1"] = _bounded(resampled_mean(f1, len(whole) - size, size))
        found.append(row | {"seconds": round(time.perf_counter() - started, 1)})
    comparisons = []
    for row in found[1:]:
        gains = np.subtract(row["by_fold"], found[0]["by_fold"])
        compared = resampled_mean(gains.tolist(), len(whole) - size, size)
        difference = {"difference" if key == "value" else key: figure for key, figure in compared.items()}
        comparisons.append({"name": row["name"], **difference})
    for row, p in zip(comparisons, adjusted([row["p"] for row in comparisons]), strict=True):
        row["adjusted_p"] = p
    return {
        "format": 1,
        "data": first.data.source,
        "images": len(whole),
        "classes": data.class_names,
        "folds": folds,
        "repeats": repeats,
        "held_out": 0 if use_test else len(data.test),
        "train": len(whole) - size,
        "part": size,
        "recipes": found,
        "comparisons": comparisons,
    }


def prepared(recipe: Recipe, data: "Dataset", images: int) -> Recipe:
    """The recipe with what depends on the number of images settled, so that all trainings share their features.

    Args:
        recipe: as told.
        data: its photographs.
        images: how many of them a training is given.
    """
    from keras_transfer.training.plan import resolve_strategy

    train = images - images // VALIDATION
    strategy = resolve_strategy(recipe.training.strategy, train, len(data.class_names), recipe.model.pretrained)
    planned = recipe.replace(strategy=strategy)
    return complete(planned, build_classifier_of(planned, data), data, train)


def _bounded(row: "ResampledMean") -> dict[str, float]:
    """Of a share: the interval within 0..1, and no test of zero."""
    ends = {"low": max(0.0, row["low"]), "high": min(1.0, row["high"])}
    return {"value": row["value"], "spread": row["spread"], **ends}
