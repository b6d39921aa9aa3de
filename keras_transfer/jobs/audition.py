"""The audition: which backbone a run takes, by linear probes on frozen features, before anything trains.

What comes trained, and a network that begins with random weights, has no such features: it is fitted in each fold.
"""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NotRequired, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.files import write_json
from keras_transfer.inputs import Labels
from keras_transfer.jobs.fit import has_budget, within_budget
from keras_transfer.jobs.parts import build_classifier_of, load_data, plan_of, prepared_for, read_json
from keras_transfer.jobs.retrain import retrained, training_rows
from keras_transfer.modalities import open_modality, settled
from keras_transfer.progress import say
from keras_transfer.recipe import AUTO, ModelOptions, Recipe, TrainingOptions
from keras_transfer.schemas import N_ITEMS, Audition, AuditionRow, AuditionScore, Fitting

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split

ITEMS = 1000
"""An audition is held on so many items at most, or five of each class: a stratified part of more."""
FOLDS = 5
_FINALISTS = 3  # candidates that fit a budget, which are trained before one is chosen
_FINAL_FOLDS = 3  # folds that judge them
_BUDGET = 1e13  # multiply-adds of a candidate on all items: some minutes on two cores
_FITS = 1e12  # of one that is trained in each fold
_KNOWN = 0.75  # below which accuracy a network of random weights is tried
_TRIAL, _TRIAL_EPOCHS = 2.5e12, 20  # multiply-adds forward of all items and epochs, about a minute on two cores
_TRAINED_ON = 200  # items, below which no network of random weights is tried
_FILE = Path("checkpoints", "audition.json")

Indices = NDArray[np.int64]
_Answers = NDArray[np.float32]


class Fold(NamedTuple):
    """Places of items: a probe is fitted on some, its penalty is chosen on others, and it answers a part."""

    train: Indices
    val: Indices
    part: Indices


class _Kept(TypedDict):
    """What `_FILE` holds: the sections `model` of recipes, as they were asked for and chosen, and how it trains."""

    asked: dict[str, object]
    chosen: dict[str, object]
    training: NotRequired[dict[str, object]]
    audition: Audition


def audition(recipe: Recipe) -> Audition:
    """Finds the backbone on this machine that suits the data best, without training any pretrained one.

    Each candidate's frozen, pooled features of training and validation items are cross-validated with a linear probe
    (logistic regression on standardized features; the penalty is chosen inside each fold). A candidate without
    pretrained weights is fitted whole in each fold instead. Near-duplicates, and what
    `group_by` keeps together, stand in one fold. The smallest backbone within one standard error of the best is
    chosen. Test items are not touched. Features and probes are in the cache.

    Args:
        recipe: from `make_recipe`; its backbone does not matter. `weights` may be a file, or a folder of files, of
            pretrained weights; the candidates they belong to join those that are on this machine already.

    Returns:
        The candidates with their figures and the choice, ready for JSON.

    Raises:
        InputError: the data cannot be read, there are too few items, or no candidate can be built.
    """
    recipe = settled(recipe.replace(backbone=AUTO))
    return _hold(recipe, load_data(recipe))[1]


def held(recipe: Recipe, run: Path) -> tuple[Recipe, Audition | None]:
    """The recipe with the backbone that a run chose for it before it was stopped, and the audition, if there was one.

    Args:
        recipe: settled; its backbone is `AUTO`.
        run: the run directory; one of a run that has not begun holds nothing that counts.
    """
    kept = cast(_Kept | None, read_json(run / _FILE)) if (run / "environment.json").is_file() else None
    if kept is None or kept["asked"] != recipe.model.model_dump(mode="json"):
        return recipe, None
    training = TrainingOptions.model_validate(kept.get("training", recipe.training.model_dump()))
    return with_network(recipe, kept["chosen"]).model_copy(update={"training": training}), kept["audition"]


def with_network(recipe: Recipe, model: Mapping[str, object]) -> Recipe:
    """The recipe with another section `model`, settled."""
    return settled(recipe.model_copy(update={"model": ModelOptions.model_validate(model)}))


def choose_backbone(
    recipe: Recipe, data: "Dataset", run: Path | None = None, *, fitting: bool = False
) -> "tuple[Recipe, Dataset, Audition | None]":
    """The recipe with its backbone chosen by an audition, the items prepared for it, and the audition.

    Args:
        recipe: settled. One that names its backbone is returned as it is.
        data: its items.
        run: the run directory, where the choice is kept.
        fitting: whether the size and depth of a network that is named are to be chosen, too, by the recipe's budget.

    Raises:
        InputError: see `audition`.
    """
    if recipe.backbone != AUTO and not fitting:
        return recipe, data, None
    chosen, found = _hold(recipe, data)
    if run is not None:
        asked, network = (each.model.model_dump(mode="json") for each in (recipe, chosen))
        training = chosen.training.model_dump(mode="json")
        write_json(run / _FILE, {"asked": asked, "chosen": network, "training": training, "audition": found})
    return chosen, prepared_for(chosen, data), found


def _hold(recipe: Recipe, data: "Dataset") -> tuple[Recipe, Audition]:
    from keras_transfer.evaluation.audition import audition_sentences, choose, scored

    started, modality = time.perf_counter(), open_modality(data.train.preparer.modality)
    candidates = modality.candidates(recipe) if recipe.backbone == AUTO else [recipe]
    within: Fitting | None = None
    if has_budget(recipe):
        candidates, within = within_budget(recipe, data, candidates)
    whole, groups, folds = audition_items(data, recipe.seed)
    rows, recipes, left_out = hear(candidates, data, whole, folds, groups)
    chosen, best = choose(rows, smallest=within is None)
    taken, finals = recipes[chosen["name"]], list[AuditionScore]()
    if within is not None and len(rows) > 1:
        ranked = sorted(rows, key=lambda row: -row["accuracy"])[:_FINALISTS]
        won, taken, finals = _finals({row["name"]: recipes[row["name"]] for row in ranked}, data, whole, folds, groups)
        chosen = best = next(row for row in rows if row["name"] == won)
    tried = _trial(recipe, recipes[best["name"]], best, data) if within is None else None
    if tried is not None and tried.better:
        taken, chosen, best = tried.recipe, tried.row, tried.row
    if tried is not None:
        rows, recipes = [*rows, tried.row], {**recipes, tried.row["name"]: tried.recipe}
    rival, random_split = _beside(recipes, taken, data, whole, folds, groups)
    sentences = audition_sentences(
        chosen, best, rival, random_split, "those on this machine" if within is None else "those that fit"
    )
    if finals:
        sentences.append(
            f"Trained in {_FINAL_FOLDS} folds, {scored(finals[0])} was the best of {len(finals)} that came first by "
            "probes."
        )
    if tried is not None:
        sentences.append(tried.sentence)
    for sentence in sentences:
        say(f"Audition: {sentence}")
    found: Audition = {
        N_ITEMS: len(whole),
        "folds": len(folds),
        "chosen": chosen["name"],
        "best": best["name"],
        "candidates": sorted(rows, key=lambda row: -row["accuracy"]),
        "left_out": left_out,
        "rival": rival,
        "random_split": random_split,
        "sentences": sentences,
        "seconds": round(time.perf_counter() - started, 1),
    }
    if within is not None:
        found["fit"] = within
        found["finals"] = finals
    return taken, found


def _beside(
    recipes: Mapping[str, Recipe],
    chosen: Recipe,
    data: "Dataset",
    whole: "Split",
    folds: Sequence[Fold],
    groups: Indices,
) -> tuple[AuditionScore | None, float | None]:
    """The simple rival, where there is one; and the chosen one's accuracy with groups on both sides, if there are."""
    from keras_transfer.evaluation.audition import cross_validated

    modality, seed = open_modality(data.train.preparer.modality), chosen.seed
    rival = random_split = None
    if modality.rival_name and all(each.training.phases != () for each in recipes.values()):
        answers = _fitted_answers(data, whole, folds, lambda fold, part: modality.rival(fold, part, seed)[1])
        rival = cross_validated(modality.rival_name, whole.labels, answers, groups)
    if any(record.group for record in data.records):
        if not chosen.model.pretrained and modality.from_scratch(chosen) is not None:
            mixed = _mixed(_at_most(prepared_for(chosen, data), ITEMS, seed), seed)
            labels, alone = mixed.val.labels, np.arange(len(mixed.val))
            answers, _ = retrained(chosen.replace(epochs=_TRIAL_EPOCHS), mixed, mixed.val)
        else:
            labels, alone = whole.labels, np.arange(len(whole))
            own = audition_folds(labels, alone, seed)
            _, _, answers = _heard(chosen, data, whole, own, math.inf, _Bodies([chosen]))
        random_split = cross_validated("", labels, answers, alone)["accuracy"]
    return rival, random_split


class _Tried(NamedTuple):
    """A network of random weights that was trained briefly, and whether it is better than what is known."""

    recipe: Recipe
    row: AuditionRow
    better: bool
    sentence: str


def _trial(recipe: Recipe, known: Recipe, best: AuditionRow, data: "Dataset") -> _Tried | None:
    """A small network of random weights, against the best candidate, both on the validation items.

    None where that knows them well, the recipe says how to train, or the items are few or long.
    """
    from keras_transfer.data.folds import item_groups
    from keras_transfer.evaluation.audition import cross_validated, scored
    from keras_transfer.models import model_inputs, multiply_adds
    from keras_transfer.models.replay import at_size

    started, modality = time.perf_counter(), open_modality(data.train.preparer.modality)
    candidate, own = modality.from_scratch(recipe), recipe.training
    left = recipe.backbone == AUTO and (own.strategy, own.phases, own.epochs) == ("auto", None, None)
    if candidate is None or best["accuracy"] >= _KNOWN or not left or len(data.train) < _TRAINED_ON:
        return None
    candidate = settled(candidate)
    items = prepared_for(candidate, data)
    model = build_classifier_of(candidate, items)
    cost = multiply_adds(at_size(model, items.train.spec(model_inputs(model)).tensors))
    most = int(_TRIAL / cost / _TRIAL_EPOCHS)
    if most < _TRAINED_ON:
        return None
    items = _at_most(items, most, recipe.seed)
    name = f"{modality.title(modality.complete(candidate, model))} from scratch"
    say(f"Audition: {scored(best)} is little, so {name} is tried ({_TRIAL_EPOCHS} epochs)")
    groups = item_groups(data, data.val)
    score, theirs = (
        cross_validated(title, data.val.labels, retrained(way, own, own.val)[0], groups)
        for title, way, own in (
            (name, candidate.replace(epochs=_TRIAL_EPOCHS), items),
            (best["name"], known.replace(strategy="feature-extraction", refit=False), prepared_for(known, data)),
        )
    )
    better = score["accuracy"] > theirs["accuracy"]  # though it trains for longer when it is taken
    row = _row(score, candidate, model, cost, started)
    sentence = (
        f"Trained from random weights for {_TRIAL_EPOCHS} epochs, {candidate.backbone} is right on "
        f"{score['accuracy']:.1%} of the {len(data.val)} validation {modality.kind.items}, {best['name']} on "
        f"{theirs['accuracy']:.1%}: {'it is taken, and trained in full' if better else 'it is not taken'}."
    )
    return _Tried(candidate, row, better, sentence)


def _at_most(data: "Dataset", count: int, seed: int) -> "Dataset":
    """The data with so many training items, of each class its share."""
    return data if len(data.train) <= count else replace(data, train=data.train.stratified(count, seed))


def _mixed(data: "Dataset", seed: int) -> "Dataset":
    """The items with training and validation mixed, like ones on both sides."""
    from keras_transfer.data.folds import joined

    whole = joined([data.train, data.val])
    order = np.random.default_rng(seed).permutation(len(whole))
    return replace(
        data, train=whole.part(np.sort(order[len(data.val) :])), val=whole.part(np.sort(order[: len(data.val)]))
    )


def audition_items(data: "Dataset", seed: int) -> "tuple[Split, Indices, list[Fold]]":
    """What an audition is held on: training and validation items, which of them stay together, and their folds."""
    from keras_transfer.data.folds import item_groups, joined

    whole = joined([data.train, data.val]).stratified(max(ITEMS, 5 * len(data.class_names)), seed)
    groups = item_groups(data, whole)
    return whole, groups, audition_folds(whole.labels, groups, seed)


def hear(
    candidates: Sequence[Recipe], data: "Dataset", whole: "Split", folds: Sequence[Fold], groups: Indices
) -> tuple[list[AuditionRow], dict[str, Recipe], list[str]]:
    """Holds an audition of candidates.

    Depths of one network on inputs of one size are heard together: one pass computes the features of all.

    Args:
        candidates: recipes, settled or not, with their networks.
        data: the items.
        whole: those of them that it is held on.
        folds: of these, as `audition_items` gives them.
        groups: of these, int `[n]`; items of one group are not independent.

    Returns:
        The candidates' figures, their recipes by name, and sentences on those that are left out.

    Raises:
        InputError: all are left out.
    """
    from keras_transfer.evaluation.audition import cross_validated

    modality = open_modality(data.train.preparer.modality)
    rows: list[AuditionRow] = []
    recipes: dict[str, Recipe] = {}
    left_out: list[str] = []
    families: dict[str, list[Recipe]] = {}  # one network on inputs of one size, at several depths
    for each in candidates:
        families.setdefault(each.replace(depth=None).model.model_dump_json(), []).append(each)
    for family in families.values():
        bodies = _Bodies(family)
        for each in family:
            try:
                perfect = [row["parameters"] for row in rows if row["accuracy"] == 1]
                candidate, row, answers = _heard(
                    settled(each), data, whole, folds, min(perfect, default=math.inf), bodies
                )
            except InputError as error:
                left_out.append(f"{modality.title(each)} is left out: {error}")
                say(f"Audition: {left_out[-1]}")
                continue
            row |= cast(AuditionRow, cross_validated(row["name"], whole.labels, answers, groups))
            say(f"Audition: {row['name']}, accuracy {row['accuracy']:.3f} ({row['seconds']:.0f} s)")
            recipes[row["name"]] = candidate
            rows.append(row)
    if not rows:
        why = " ".join(left_out) or f"No pretrained networks for {modality.kind.items} are on this machine."
        raise InputError(f"There is no backbone to choose: name one with --backbone. {why}")
    return rows, recipes, left_out


class _Bodies:
    """The classifiers of candidates that differ in their depth alone; built once, they share their layers."""

    def __init__(self, family: Sequence[Recipe]) -> None:
        self._depths = [each.model.depth for each in family]
        self._cuts: dict[int | None, keras.Model] = {}

    def of(self, candidate: Recipe, data: "Dataset", whole: "Split") -> "keras.Model":
        """The classifier of one of them. With the first one's the features of all are computed."""
        from keras_transfer.models.depth import at_depth
        from keras_transfer.training.probe import share_pass

        if not self._cuts:
            body = build_classifier_of(candidate.replace(hidden=(), depth=None), data)
            cuts = [body if depth is None else at_depth(body, depth, f"_{depth}") for depth in self._depths]
            if len(cuts) > 1 and candidate.model.pretrained and candidate.training.phases != ():
                share_pass(cuts, whole.prepared_by(data.train.preparer))
            self._cuts = dict(zip(self._depths, cuts, strict=True))
        return self._cuts[candidate.model.depth]


def _finals(
    recipes: Mapping[str, Recipe], data: "Dataset", whole: "Split", folds: Sequence[Fold], groups: Indices
) -> tuple[str, Recipe, list[AuditionScore]]:
    """The best of some candidates when they are trained: its name, its recipe, and how all did, the best first.

    Where the recipe leaves open how it trains, more training is tried for the best of them as well: small networks gain
    by it, and cost little. On several machines it is not: all of them would have to know.
    """
    from keras_transfer.evaluation.audition import cross_validated

    some = folds[:_FINAL_FOLDS]
    parts = np.concatenate([fold.part for fold in some])
    tried: dict[str, tuple[str, Recipe, AuditionScore]] = {}

    def train(title: str, name: str, recipe: Recipe) -> None:
        own = prepared_for(recipe, data)
        answers = _fitted_answers(own, whole.prepared_by(own.train.preparer), some, partial(_trained_answers, recipe))
        score = cross_validated(title, whole.labels[parts], answers[parts], groups[parts])
        say(f"Audition: {title}, trained, accuracy {score['accuracy']:.3f}")
        tried[title] = name, recipe, score

    for name, recipe in recipes.items():
        train(name, name, recipe)
    name, recipe, _ = max(tried.values(), key=lambda each: each[2]["accuracy"])
    if "TF_CONFIG" not in os.environ:
        plain = recipe.training.model_dump()
        for words, other in _more_training(recipe).items():
            if other.replace(effort=recipe.training.effort).training.model_dump() != plain:
                train(f"{name}, {words}", name, other)
    best = max(tried.values(), key=lambda each: each[2]["accuracy"])
    return best[0], best[1], sorted((each[2] for each in tried.values()), key=lambda score: -score["accuracy"])


def audition_folds(labels: Labels, groups: Indices, seed: int) -> list[Fold]:
    """Stratified folds of items, of which those of one group stand in one.

    Args:
        labels: int `[n]` or 0/1 `[n, classes]`.
        groups: int `[n]`.
        seed: of the folds.

    Raises:
        InputError: there are too few items, or groups.
    """
    from keras_transfer.data.folds import stratified_folds
    from keras_transfer.data.labels import class_indices

    strata = class_indices(labels)
    count = min(FOLDS, len(np.unique(groups)), int(np.bincount(strata).max(initial=0)))
    try:
        folds = []
        for rest, part in stratified_folds(labels, groups, count, seed):
            own = groups if len(np.unique(groups[rest])) > 1 else np.arange(len(groups))
            folds.append(Fold(*training_rows(labels, rest, own, seed), part))
    except InputError as error:
        raise InputError(
            f"There are too few items to choose a backbone by: name one with --backbone. {error}"
        ) from None
    if any(len(np.unique(strata[fold.train])) < 2 for fold in folds):
        raise InputError("Some groups hold all items of a class: name a backbone with --backbone, or group otherwise.")
    return folds


def _heard(
    candidate: Recipe, data: "Dataset", whole: "Split", folds: Sequence[Fold], enough: float, bodies: _Bodies
) -> tuple[Recipe, AuditionRow, _Answers]:
    """A candidate, settled, with what it is and what it says of each item of `whole` that it was not fitted on.

    `enough` is how many parameters an earlier candidate has that is always right.
    """
    from keras_transfer.models import model_inputs, multiply_adds
    from keras_transfer.models.replay import at_size

    started, modality = time.perf_counter(), open_modality(whole.preparer.modality)
    whole_fits = candidate.training.phases == () or not candidate.model.pretrained
    random_weights = whole_fits and candidate.training.phases != ()
    if random_weights and len(whole) < _TRAINED_ON:
        raise InputError(f"{len(whole)} {modality.kind.items} are too few to train it and tell.")
    own = prepared_for(candidate, _data_of(data, whole, folds[0]) if whole_fits else data)
    model = bodies.of(candidate, own, whole)
    cost = multiply_adds(at_size(model, own.train.spec(model_inputs(model)).tensors))
    if random_weights and model.count_params() >= enough:
        raise InputError("a smaller one is right on every item already.")
    epochs = sum(phase.epochs for phase in plan_of(candidate, model, own).phases) if whole_fits else 0
    passes = len(folds) * (1 + 3 * epochs) if whole_fits else 1  # once forward, about twice back
    if cost * len(whole) * passes > (_FITS if whole_fits else _BUDGET):
        raise InputError(f"it would take minutes ({cost / 1e9:.2g} billion multiply-adds per item, {passes:,} times).")
    if whole_fits:
        answers = _fitted_answers(data, whole, folds, partial(_trained_answers, candidate))
    else:
        answers = _probe_answers(model, whole.prepared_by(own.train.preparer), folds)
    score = AuditionScore(name=modality.title(modality.complete(candidate, model)), accuracy=0.0, error=0.0)
    return candidate, _row(score, candidate, model, cost, started), answers


def _row(score: AuditionScore, candidate: Recipe, model: "keras.Model", cost: int, started: float) -> AuditionRow:
    """What an audition says of a candidate that it began to hear at a time of `time.perf_counter`."""
    return {
        **score,
        "backbone": candidate.backbone,
        "alpha": candidate.model.alpha,
        "weights": candidate.model.weights,
        "parameters": model.count_params(),
        "multiply_adds": cost,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _data_of(data: "Dataset", whole: "Split", fold: Fold) -> "Dataset":
    return replace(data, train=whole.part(fold.train), val=whole.part(fold.val))


def _fitted_answers(
    data: "Dataset", whole: "Split", folds: Sequence[Fold], answer: "Callable[[Dataset, Split], _Answers]"
) -> _Answers:
    """What `answer`, fitted on the rest of each fold, says of its part."""
    answers = np.zeros((len(whole), len(whole.class_names)), np.float32)
    for fold in folds:
        answers[fold.part] = answer(_data_of(data, whole, fold), whole.part(fold.part))
    return answers


def _more_training(recipe: Recipe) -> dict[str, Recipe]:
    """Recipes that train more of a network, or longer, by words on them; the same one where it leaves no choice."""
    own = recipe.training
    every = recipe.replace(strategy="full") if own.strategy == "auto" and own.phases is None else recipe
    return {"all layers": every, "with --effort best": settled(recipe.replace(effort="best"))}


def _trained_answers(recipe: Recipe, fold: "Dataset", part: "Split") -> _Answers:
    return retrained(recipe, fold, part)[0]


def _probe_answers(model: "keras.Model", whole: "Split", folds: Sequence[Fold]) -> _Answers:
    from keras_transfer.training.probe import linear_probe, pooled_features

    (rows,) = pooled_features(model, [whole])
    labels, classes = whole.labels, len(whole.class_names)
    answers = np.zeros((len(whole), classes), np.float32)
    for train, val, part in folds:
        fitted, tuned = (rows[train], labels[train]), (rows[val], labels[val])
        answers[part] = linear_probe(fitted, tuned, rows[part], classes)
    return answers
