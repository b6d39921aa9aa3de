"""What a search may choose: networks, sizes and depths, which are ranked before anything trains, and trainings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from keras_transfer.errors import InputError
from keras_transfer.evaluation.predictor import Space, Tried
from keras_transfer.jobs.audition import Fold, Indices, audition_folds, audition_items, hear
from keras_transfer.jobs.cross_validate import prepared
from keras_transfer.jobs.fit import for_budget, has_budget, within_budget
from keras_transfer.jobs.parts import build_classifier_of, load_data, prepared_for, read_json
from keras_transfer.modalities import open_modality, settled
from keras_transfer.operations.study import Params, Value
from keras_transfer.recipe import AUTO, FIELDS, Phase, Recipe
from keras_transfer.schemas import AuditionRow, Fitting, Search

if TYPE_CHECKING:
    from keras_transfer.data.dataset import Dataset


_SIZES = 4  # of the sizes that a budget could choose from, every fourth is tried without one
# Choices that are no fields of a recipe: they multiply those of its phases. What they go with must not be said.
_FACTORS = {"epochs_factor": "epochs", "rate_factor": "phases"}
_SHORTER = 3  # a short training has one in so many of the epochs


@dataclass(frozen=True)
class Task:
    """What a search is about; the same for all processes that work on it."""

    recipe: Recipe
    data: "Dataset"
    networks: Mapping[str, Recipe]
    rows: Sequence[AuditionRow]  # the most accurate first
    left_out: Sequence[str]
    fit: Fitting | None
    earlier: Sequence[Tried]
    elsewhere: Mapping[str, Sequence[float]]

    @cached_property
    def space(self) -> Space:
        """What may be chosen; what the recipe says stays."""
        every = open_modality(self.data.train.preparer.modality).space
        said = {name for name in every if self.recipe.says(_FACTORS.get(name, name))}
        if self.recipe.training.phases is not None:  # it says all of training
            said = set(every)
        choices = {name: values for name, values in every.items() if name not in said}
        networks = {row["name"]: _figures(row["accuracy"], row) for row in self.rows}
        return Space(choices, networks, self.elsewhere)

    @cached_property
    def folds(self) -> list[Fold]:
        """Folds of the training and validation items."""
        from keras_transfer.data.folds import joined

        whole = joined([self.data.train, self.data.val])
        return audition_folds(whole.labels, self.groups, self.recipe.seed)

    @cached_property
    def groups(self) -> Indices:
        """Which of these items stay together."""
        from keras_transfer.data.folds import item_groups, joined

        return item_groups(self.data, joined([self.data.train, self.data.val]))

    def recipe_of(self, choices: Mapping[str, Value]) -> Recipe:
        """The recipe of some choices; the factors are still to be applied."""
        network = self.networks[str(choices["network"])]
        if network.training.phases == ():
            return network
        return settled(network.replace(**{name: value for name, value in choices.items() if name in FIELDS}))

    def same(self, choices: Params) -> dict[str, Value]:
        """Choices, with the usual ones where they change nothing: of a network that is fitted in another way, or a
        head that is solved.
        """
        usual = self.space.usual(str(choices["network"]))
        if self.networks[str(choices["network"])].training.phases == ():
            return usual
        if choices.get("strategy") == "feature-extraction":
            return {**choices, **{name: usual[name] for name in _FACTORS if name in usual}}
        return {**choices}


def make_task(recipe: Recipe, earlier: Sequence[Tried], elsewhere: Mapping[str, Sequence[float]]) -> Task:
    """Loads the items, and ranks the networks that may be chosen."""
    recipe = settled(for_budget(recipe))
    data = load_data(recipe)
    modality, within = open_modality(data.train.preparer.modality), None
    candidates = modality.candidates(recipe) if recipe.backbone == AUTO else [recipe]
    if has_budget(recipe):
        candidates, within = within_budget(recipe, data, candidates)
    else:
        candidates = [each for one in candidates for each in _sized(one, recipe, data)]
    whole, groups, folds = audition_items(data, recipe.seed)
    rows, recipes, left_out = hear(candidates, data, whole, folds, groups)
    rows.sort(key=lambda row: (-row["accuracy"], row["multiply_adds"]))
    return Task(recipe, data, recipes, rows, left_out, within, earlier, elsewhere)


def _sized(candidate: Recipe, asked: Recipe, data: "Dataset") -> list[Recipe]:
    """A network at several sizes and depths."""
    from keras_transfer.models.depth import depths

    modality = open_modality(data.train.preparer.modality)
    candidate = settled(candidate)
    sizes = list(modality.sizes(candidate, asked))[::_SIZES]
    if asked.model.depth is not None or not candidate.model.pretrained or candidate.training.phases == ():
        return sizes
    bare = {"weights": "none"} if candidate.model.weights != "bundled" else {}
    known = depths(build_classifier_of(candidate.replace(**bare), prepared_for(candidate, data)))
    cuts = [None, *known[: (len(known) + 1) // 2]]
    return [size.replace(depth=depth) for size in sizes for depth in cuts]


def _figures(accuracy: float, row: Mapping[str, object]) -> tuple[float, ...]:
    """What the predictor knows of a network."""
    return accuracy, *(math.log10(max(1, int(str(row[name])))) for name in ("parameters", "multiply_adds"))


def earlier_trials(folders: Sequence[str | Path]) -> tuple[list[Tried], dict[str, Sequence[float]]]:
    """What earlier searches tried, and the figures of their networks."""
    tried: list[Tried] = []
    figures: dict[str, Sequence[float]] = {}
    for number, folder in enumerate(folders):
        found = cast("Search | None", read_json(Path(folder) / "search.json"))
        if found is None:
            raise InputError(f"{folder} holds no finished search: give the --out of a `keras-transfer search`.")
        try:
            for row in found["networks"]:
                figures[f"{number}: {row['name']}"] = _figures(row["accuracy"], row)
            tried += [
                Tried(
                    {**trial["choices"], "network": f"{number}: {trial['network']}"}, trial["rung"] == "whole", reached
                )
                for trial in found["trials"]
                if (reached := trial["accuracy"]) is not None
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{folder}/search.json is damaged ({type(error).__name__}: {error}).") from None
    return tried, figures


def planned_recipe(recipe: Recipe, data: "Dataset", items: int, params: Params, *, short: bool = False) -> Recipe:
    """The recipe with its phases written out, for trainings on so many items."""
    if recipe.training.phases == ():  # it is fitted, not trained in steps
        return recipe
    planned = prepared(recipe, data, items)
    longer, faster = (float(params.get(name, 1)) for name in ("epochs_factor", "rate_factor"))
    phases = planned.training.phases or ()

    def changed(phase: Phase) -> Phase:
        if phase.frozen and len(phases) > 1:
            return phase
        epochs = max(1, round(phase.epochs * longer / (_SHORTER if short else 1)))
        return phase.model_copy(update={"epochs": epochs, "learning_rate": phase.learning_rate * faster})

    return planned.replace(phases=tuple(map(changed, phases)))


def choices_in_words(task: Task, params: Params) -> str:
    """Choices for people: the network, and what is not usual."""
    from keras_transfer.report.searched import choice_words

    return f"{params['network']}, {choice_words(params, {**task.space.usual(str(params['network']))})}"
