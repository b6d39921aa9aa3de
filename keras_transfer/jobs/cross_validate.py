"""How good a recipe is on a small data set, and whether another is better: stratified and grouped cross-validation."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.jobs.audition import choose_backbone
from keras_transfer.jobs.parts import build_classifier_of, load_data, plan_of, prepared_for
from keras_transfer.jobs.retrain import VALIDATION, retrained, training_data
from keras_transfer.jobs.train import complete
from keras_transfer.modalities import open_modality, settled
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe
from keras_transfer.schemas import N_ITEMS, CrossValidatedRecipe, CrossValidation, FoldMean, RecipeComparison

if TYPE_CHECKING:
    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split

_Cuts = Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]  # of each fold the rows to train on and to score on
_SAME = ("data", "group_by", "val", "test", "allow_bad", "few_shot")


def cross_validate(
    *recipes: Recipe, names: Sequence[str] | None = None, folds: int = 5, repeats: int = 2, use_test: bool = False
) -> CrossValidation:
    """Trains each recipe on all but one part of the items, for each part, and scores it on that part.

    Near-duplicates, and what `group_by` keeps together, stand in one part. What a recipe leaves frozen is computed once
    for all folds, and finished folds are in the cache. A recipe that leaves the geometry to `auto` crops pictures. The
    items that `train` would hold out for the test are not touched, so that they can still judge the recipe that is
    chosen here.

    Args:
        *recipes: one or more, from `make_recipe`, of the same data. All see the same folds; the first one's seed draws
            them.
        names: what to call the recipes; numbers unless given.
        folds: parts, two or more.
        repeats: how often the items are cut into parts anew.
        use_test: use the test items as well: for sets too small to spare any. None are left to judge by then.

    Returns:
        The recipes' figures and their comparisons, ready for JSON.

    Raises:
        InputError: the recipes are not of the same data, or there are too few items for so many folds.
    """
    if not recipes:
        raise InputError("Give a recipe to cross-validate: `make_recipe(data=...)`.")
    if repeats < 1:
        raise InputError(f"`repeats` must be 1 or more. Received: repeats={repeats}.")
    _check_same_data(recipes)

    from keras_transfer.data.folds import item_groups, joined, stratified_folds

    recipes = tuple(settled(recipe) for recipe in recipes)
    first = recipes[0]
    data = load_data(first)
    recipes = tuple(choose_backbone(recipe, data)[0] for recipe in recipes)
    data = prepared_for(recipes[0], data)
    whole = joined([data.train, data.val, data.test] if use_test else [data.train, data.val])
    groups = item_groups(data, whole)
    cuts = [
        cut for repeat in range(repeats) for cut in stratified_folds(whole.labels, groups, folds, first.seed + repeat)
    ]
    rows = [
        _measure(recipe, names[number] if names else str(number + 1), data, whole, groups, cuts)
        for number, recipe in enumerate(recipes)
    ]
    size = len(whole) // folds
    return {
        "format": 1,
        "data": first.data.source,
        N_ITEMS: len(whole),
        "classes": data.class_names,
        "folds": folds,
        "repeats": repeats,
        "held_out": 0 if use_test else len(data.test),
        "train": len(whole) - size,
        "part": size,
        "recipes": rows,
        "comparisons": _comparisons(rows, len(whole) - size, size),
    }


def _check_same_data(recipes: Sequence[Recipe]) -> None:
    for field in _SAME:
        values = [recipe.fields()[field] for recipe in recipes]
        if any(value != values[0] for value in values):
            received = ", ".join(map(str, values))
            raise InputError(f"Recipes that are compared must agree in `{field}`. Received: {received}.")


def _measure(
    recipe: Recipe, name: str, data: "Dataset", whole: "Split", groups: NDArray[np.int64], cuts: _Cuts
) -> CrossValidatedRecipe:
    """Trains and scores a recipe on every fold."""
    from keras_transfer.evaluation import metrics

    size = len(cuts[0][1])
    planned, started, scores = prepared(recipe, data, len(whole) - size), time.perf_counter(), []
    modality = open_modality(whole.preparer.modality)
    seen = whole.prepared_by(modality.preparer_for(recipe, whole.preparer))  # choosing would leak labels
    for fold, (rest, part) in enumerate(cuts):
        answers, _ = retrained(planned, training_data(data, seen, rest, groups, recipe.seed), seen.part(part))
        scores.append(metrics(whole.labels[part], answers, data.class_names))
        say(f"{name}, fold {fold + 1} of {len(cuts)}: accuracy {scores[-1]['accuracy']:.3f}")
    sizes = len(whole) - size, size
    row: CrossValidatedRecipe = {
        "name": name,
        "strategy": planned.training.strategy,
        "backbone": planned.backbone,
        "accuracy": _fold_mean([score["accuracy"] for score in scores], *sizes),
        "macro_f1": _fold_mean([score["macro_f1"] or 0.0 for score in scores], *sizes),
        "by_fold": [score["accuracy"] for score in scores],
        "seconds": round(time.perf_counter() - started, 1),
    }
    if planned.data.geometry is not None:
        row["geometry"] = planned.data.geometry.mode
    return row


def _comparisons(rows: Sequence[CrossValidatedRecipe], train: int, held_out: int) -> list[RecipeComparison]:
    """Each recipe against the first one, on the same folds."""
    from keras_transfer.evaluation.resampling import adjusted, resampled_mean

    gains = [np.subtract(row["by_fold"], rows[0]["by_fold"]).tolist() for row in rows[1:]]
    means = [resampled_mean(gain, train, held_out) for gain in gains]
    return [
        {
            "name": row["name"],
            "difference": mean["value"],
            "spread": mean["spread"],
            "low": mean["low"],
            "high": mean["high"],
            "p": mean["p"],
            "adjusted_p": p,
        }
        for row, mean, p in zip(rows[1:], means, adjusted([mean["p"] for mean in means]), strict=True)
    ]


def prepared(recipe: Recipe, data: "Dataset", items: int) -> Recipe:
    """The recipe with what depends on the number of items settled, so that all trainings share their features.

    Args:
        recipe: as asked for.
        data: its items.
        items: how many of them a training gets.
    """
    from keras_transfer.training.plan import resolve_strategy

    train = items - items // VALIDATION
    strategy = resolve_strategy(recipe.training.strategy, train, len(data.class_names), recipe.model.pretrained)
    planned = recipe.replace(strategy=strategy)
    model = build_classifier_of(planned, data)
    return complete(planned, model, data, plan_of(planned, model, data, train))


def _fold_mean(values: Sequence[float], train: int, held_out: int) -> FoldMean:
    """The mean of a share over folds; its interval stays within 0..1."""
    from keras_transfer.evaluation.resampling import resampled_mean

    mean = resampled_mean(values, train, held_out)
    low, high = max(0.0, mean["low"]), min(1.0, mean["high"])
    return {"value": mean["value"], "spread": mean["spread"], "low": low, "high": high}
