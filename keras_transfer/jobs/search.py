"""A search: which network, size, depth and training suit the data, within a budget where there is one.

Networks are ranked by probes on frozen features before anything trains (the audition). Then trials train: six for a
short while in one fold, of which the two that promise most are trained whole in three, and so on in turn (successive
halving, Jamieson & Talwalkar 2016, https://arxiv.org/abs/1502.07943). The test split is read at the end, once for the
best and once for the usual training.
"""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from keras_transfer import cache
from keras_transfer.errors import GateError, InputError
from keras_transfer.evaluation.predictor import Beliefs, Tried, effects, next_choices, optimism
from keras_transfer.files import write_json, write_text
from keras_transfer.inputs import Json
from keras_transfer.jobs.fit import has_budget
from keras_transfer.jobs.parts import build_classifier_of, prepared_for
from keras_transfer.jobs.retrain import VALIDATION, retrained, training_data
from keras_transfer.jobs.search_space import Task, choices_in_words, earlier_trials, make_task, planned_recipe
from keras_transfer.jobs.train import train
from keras_transfer.operations.study import (
    Done,
    Params,
    Rules,
    Trial,
    Value,
    agree,
    done_trials,
    fill_places,
    open_study,
)
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe, write_recipe
from keras_transfer.report.tradeoff import pareto_front
from keras_transfer.run import LockedError, add_to_run, command_line, read_result, read_run
from keras_transfer.schemas import (
    N_ITEMS,
    AuditionRow,
    Difference,
    Search,
    SearchEffect,
    SearchNetwork,
    SearchRun,
    SearchTrial,
)

TRIALS = 40
SHORT, WHOLE = 6, 2
"""Of each round: trials that train for a short while, and how many then train whole."""
_ROUND = SHORT + WHOLE
_DRAWN = 200  # choices that are looked at for a round: many may be the same in effect
_FOLDS, _SHORT_FOLDS = 3, 1  # that trials are judged by


def search(
    recipe: Recipe,
    out: str | Path,
    *,
    trials: int = TRIALS,
    hours: float | None = None,
    storage: str | None = None,
    study: str | None = None,
    after: Sequence[str | Path] = (),
) -> Search | None:
    """Searches for the network and the training that suit the data best.

    Stopped, the same call goes on from there; several processes may work on one search at once. Each trial's recipe
    lies in `OUT/trials`; the best and the usual training become finished runs in `OUT/runs`, by their places.

    Args:
        recipe: from `make_recipe`; what it says stays, what it leaves open is searched. With a budget (`fit`,
            `device`) networks that cannot hold it are never trained.
        out: the folder of the search.
        trials: how many trainings, short ones among them.
        hours: after which no new trial begins.
        storage: of Optuna, an address as SQLAlchemy writes it; a file in `out` unless given.
        study: the study's name in it; that of `out` unless given.
        after: folders of earlier searches, on other data say, from whose trials the predictor learns as well.

    Returns:
        What stands in `OUT/search.json`; None where another process ends the search.

    Raises:
        InputError: the data cannot be read, `out` holds another search, or nothing can be trained.
    """
    started, out = time.perf_counter(), Path(out)
    if trials < 1 or (hours is not None and not hours > 0):
        raise InputError(f"`trials` and `hours` must be more than 0. Received: trials={trials}, hours={hours}.")
    earlier, elsewhere = earlier_trials(after)
    name = study or out.resolve().name
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write to {out} ({error.strerror}): choose another --out.") from None
    where = storage or f"sqlite:///{out.resolve() / 'study.db'}"
    opened = open_study(where, name, ["maximize", "minimize"])
    agree(opened, {"options": _asked(recipe)})
    task = make_task(recipe, earlier, elsewhere)
    space = task.space
    items = cache.digest([*task.data.train.hashes, *task.data.val.hashes, *task.data.test.hashes])
    agree(opened, {"items": items, "networks": sorted(space.networks), "earlier searches": len(earlier)})
    rules = Rules(
        {"network": sorted(space.networks), **space.choices},
        _ready,
        lambda place, done: _proposed(task, place, done),
        lambda place, params: _measured(task, place, params, out),
    )
    end = math.inf if hours is None else started + 3600 * hours
    fill_places(opened, trials, rules, lambda: time.perf_counter() > end)
    try:
        with add_to_run(out):
            return _ended(task, done_trials(opened), out, name, time.perf_counter() - started)
    except LockedError:
        say(f"Another process ends this search: {out / 'search.html'} will be its page.")
        return None


def _asked(recipe: Recipe) -> dict[str, Json]:
    """What all processes of a search must agree in; where items and weights lie may differ from machine to machine."""
    fields = recipe.model_dump(mode="json", exclude={"report", "base", "compression"})
    fields["data"].pop("source")
    fields["model"].pop("weights")
    return cast("dict[str, Json]", fields)


# What follows from what: places, rounds, and what is tried


def _round(place: int) -> tuple[int, int, bool]:
    """The round of a place, its number within, and whether it trains whole.

    >>> [_round(place) for place in (0, 5, 6, 8)]
    [(0, 0, False), (0, 5, False), (0, 0, True), (1, 0, False)]
    """
    number, within = divmod(place, _ROUND)
    return number, within if within < SHORT else within - SHORT, within >= SHORT


def _ready(place: int, done: Done) -> bool:
    """Whether what a place depends on is done: for a short training the rounds before, for a whole one the short ones
    of its round as well.
    """
    number, _, whole = _round(place)
    return all(each in done for each in range(number * _ROUND + (SHORT if whole else 0)))


def _proposed(task: Task, place: int, done: Done) -> dict[str, Value]:
    """What is tried at a place: it follows from the places that it depends on alone."""
    number, within, whole = _round(place)
    first = number * _ROUND
    before = {each: trial for each, trial in done.items() if each < first + (SHORT if whole else 0)}
    tried = _tried(task, before)
    if whole:
        again = {_key(trial.params) for each, trial in before.items() if _round(each)[2]}
        short = [trial.params for each, trial in sorted(before.items()) if not _round(each)[2] and not trial.why]
        left = [params for key, params in {_key(params): params for params in short}.items() if key not in again]
        means = Beliefs(task.space, tried).means(left) if left else np.zeros(0)
        ranked = [left[int(each)] for each in np.argsort(-means, kind="stable")]
        if within < len(ranked):
            return {**ranked[within]}
    usual = [task.space.usual(row["name"]) for row in task.rows[:SHORT]]
    simple = number == 0 and not whole
    if simple and within < len(usual):
        return usual[within]
    drawn = map(task.same, next_choices(task.space, tried, _DRAWN, task.recipe.seed + number))
    known = {_key(each) for each in (usual if simple else [each.choices for each in tried])}
    chosen = [each for key, each in {_key(each): each for each in drawn}.items() if key not in known]
    return chosen[(within + SHORT * whole) % len(chosen)] if chosen else usual[0]


def _key(params: Params) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(params.items()))


def _tried(task: Task, done: Done) -> list[Tried]:
    """What was tried here and in earlier searches whose choices are these."""
    choices = task.space.choices
    known = [
        each
        for each in task.earlier
        if all(each.choices.get(name) in values for name, values in choices.items())
        and all(name in choices or name == "network" for name in each.choices)
    ]
    own = [
        Tried(trial.params, _round(place)[2], float(str(trial.facts["accuracy"])))
        for place, trial in sorted(done.items())
        if not trial.why
    ]
    return known + own


def _measured(task: Task, place: int, params: Params, out: Path) -> tuple[list[float] | None, dict[str, Json]]:
    """Trains what is tried at a place, and scores it on items that it did not see."""
    from keras_transfer.data.folds import joined
    from keras_transfer.evaluation.audition import cross_validated

    whole = _round(place)[2]
    recipe = task.recipe_of(params)
    data = prepared_for(recipe, task.data)
    items = joined([data.train, data.val])
    folds = task.folds[: _FOLDS if whole else _SHORT_FOLDS]
    planned = planned_recipe(recipe, data, len(items) - len(folds[0].part), params, short=not whole)
    folder = out / "trials" / f"{place:04}"
    folder.mkdir(parents=True, exist_ok=True)
    write_recipe(folder / "recipe.yaml", planned)
    answers = np.zeros((len(items), len(items.class_names)), np.float32)
    by_fold: list[float] = []
    for fold in folds:
        rest = np.sort(np.concatenate([fold.train, fold.val]))
        own = training_data(data, items, rest, task.groups, recipe.seed)
        answers[fold.part] = retrained(planned, own, items.part(fold.part))[0]
        score = cross_validated("", items.labels[fold.part], answers[fold.part], task.groups[fold.part])
        by_fold.append(score["accuracy"])
    rows = np.concatenate([fold.part for fold in folds])
    score = cross_validated("", items.labels[rows], answers[rows], task.groups[rows])
    facts: dict[str, Json] = {"accuracy": score["accuracy"], "error": score["error"], "by_fold": [*by_fold]}
    write_json(folder / "trial.json", {"place": place, "rung": "whole" if whole else "short", **facts, **params})
    say(
        f"Trial {place + 1}, {'whole' if whole else 'short'}: {choices_in_words(task, params)}, accuracy "
        f"{score['accuracy']:.3f} \N{PLUS-MINUS SIGN} {score['error']:.3f}"
    )
    work = next(row["multiply_adds"] for row in task.rows if row["name"] == params["network"])
    return [score["accuracy"], float(work)] if whole else None, facts


# The end


def _ended(task: Task, done: Mapping[int, Trial], out: Path, study: str, seconds: float) -> Search:
    """Trains the best and the usual choices on all training items, and writes what was found."""
    from keras_transfer.report.searched import search_html

    trials = [_row(place, trial) for place, trial in sorted(done.items())]
    whole = [row for row in trials if row["rung"] == "whole" and row["accuracy"] is not None]
    work = {row["name"]: row["multiply_adds"] for row in task.rows}
    usual = task.space.usual(task.rows[0]["name"])  # what place 0 tries
    ranked = sorted(whole, key=lambda row: (-(row["accuracy"] or 0.0), work[row["network"]]))
    best = {"network": ranked[0]["network"], **ranked[0]["choices"]} if ranked else usual
    places = {_key({"network": row["network"], **row["choices"]}): row["place"] for row in reversed(trials)}
    place = places.get(_key(best), 0)
    runs = {"best": _final(task, best, out / "runs" / f"{place:04}", ranked[0]["accuracy"] if ranked else None)}
    if best != usual:
        known = next((row["accuracy"] for row in whole if {"network": row["network"], **row["choices"]} == usual), None)
        runs["usual"] = _final(task, usual, out / "runs" / "0000", known)
    flattery = optimism({str(r["place"]): r["by_fold"] for r in whole}, str(ranked[0]["place"])) if ranked else None
    front = pareto_front([(row["accuracy"] or 0.0, work[row["network"]]) for row in whole])
    found: Search = {
        "format": 1,
        "data": task.recipe.data.source,
        "study": study,
        N_ITEMS: len(task.data.train) + len(task.data.val),
        "folds": _FOLDS,
        "short_folds": _SHORT_FOLDS,
        "networks": [_network(row) for row in task.rows],
        "left_out": [*task.left_out],
        "fit": task.fit,
        "usual_choices": {name: values[0] for name, values in task.space.choices.items()},
        "trials": trials,
        "front": [whole[each]["place"] for each in front],
        "effects": _effects(task, done),
        "optimism": flattery,
        "best": runs["best"],
        "usual": runs.get("usual"),
        "difference": _difference(task, runs["best"], runs["usual"]) if "usual" in runs else None,
        "sentences": [],
        "command": command_line("train", task.recipe.data.source, "--recipe", Path(runs["best"]["run"], "recipe.yaml")),
        "seconds": round(seconds, 1),
    }
    found["sentences"] = _sentences(found)
    write_json(out / "search.json", found)
    write_text(out / "search.html", search_html(found))
    return found


def _network(row: AuditionRow) -> SearchNetwork:
    return {
        "name": row["name"],
        "accuracy": row["accuracy"],
        "error": row["error"],
        "parameters": row["parameters"],
        "multiply_adds": row["multiply_adds"],
    }


def _effects(task: Task, done: Done) -> list[SearchEffect]:
    return [
        {"field": name, "value": str(value), "difference": round(difference, 4)}
        for name, value, difference in effects(task.space, _tried(task, done))
    ]


def _row(place: int, trial: Trial) -> SearchTrial:
    facts, choices = trial.facts, {**trial.params}
    network = str(choices.pop("network", ""))
    known = not trial.why
    return {
        "place": place,
        "rung": "whole" if _round(place)[2] else "short",
        "network": network,
        "choices": choices,
        "accuracy": float(str(facts["accuracy"])) if known else None,
        "error": float(str(facts["error"])) if known else None,
        "by_fold": cast("list[float]", facts["by_fold"]) if known else [],
        "seconds": float(str(facts.get("seconds", 0.0))),
        "why": trial.why,
    }


def _final(task: Task, choices: Params, folder: Path, cross_validated: float | None) -> SearchRun:
    """Trains choices on all training items; the test split is read here, once."""
    from keras_transfer.evaluation.intervals import share_interval

    if read_result(folder) is None:
        say(f"On all training items: {choices_in_words(task, choices)}")
        recipe = _whole_depth(task, task.recipe_of(choices))
        data = prepared_for(recipe, task.data)
        planned = planned_recipe(recipe, data, len(data.train) * VALIDATION // (VALIDATION - 1), choices)
        try:
            train(planned, folder)
        except GateError as error:  # all is written
            say(f"Note: {error}")
    _, result = read_run(folder)
    scores, best = result["test"], result["recommended"]
    low, high = share_interval(scores["accuracy"] * scores[N_ITEMS], scores[N_ITEMS])
    file = next((each for each in result["artifacts"] if each["path"] == best), None)
    return {
        "run": str(folder),
        "network": str(choices["network"]),
        "choices": {name: value for name, value in choices.items() if name != "network"},
        "cross_validated": cross_validated,
        "test": {"value": scores["accuracy"], "low": low, "high": high},
        "file": file["test_accuracy"] if file is not None else None,
        "bytes": file["bytes"] if file is not None else None,
        "gate": result["gate"],
    }


def _whole_depth(task: Task, recipe: Recipe) -> Recipe:
    """The recipe with all blocks counted, where a budget would choose how many stay."""
    from keras_transfer.models.depth import depths

    if not has_budget(recipe) or recipe.model.depth is not None or recipe.training.phases == ():
        return recipe
    known = depths(build_classifier_of(recipe, prepared_for(recipe, task.data)))
    return recipe.replace(depth=known[0] + 1) if known else recipe


def _difference(task: Task, best: SearchRun, usual: SearchRun) -> Difference:
    """How much more often the best is right on test items than the usual one."""
    from keras_transfer.data.folds import item_groups
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation import load_keras, predict_split
    from keras_transfer.evaluation.intervals import paired_difference

    right = []
    for folder in (Path(best["run"]), Path(usual["run"])):
        test = prepared_for(read_run(folder)[0], task.data).test
        right.append(correct(test.labels, predict_split(load_keras(folder / "model.keras"), test)))
    groups = item_groups(task.data, task.data.test) if task.recipe.data.group_by else None
    return paired_difference(right[0], right[1], groups)


def _sentences(found: Search) -> list[str]:
    from keras_transfer.report.page import percent

    best, usual, difference = found["best"], found["usual"], found["difference"]
    whole = sum(trial["rung"] == "whole" for trial in found["trials"])
    test = best["test"]
    tried = len({trial["network"] for trial in found["trials"]})
    interval = f"{percent(test['value'])} of the test split ({percent(test['low'])} to {percent(test['high'])})"
    said = [
        f"{len(found['networks'])} networks, sizes and depths were heard; {len(found['trials'])} trainings tried "
        f"{tried} of them, {whole} in full.",
        f"The best is {best['network']}: {interval}.",
    ]
    if usual is not None and difference is not None:
        ends = f"95% interval {100 * difference['low']:+.1f} to {100 * difference['high']:+.1f}"
        sure = difference["low"] > 0 or difference["high"] < 0
        said.append(
            f"Against the usual training of {usual['network']} that is {100 * difference['value']:+.1f} points ({ends})"
            + ("." if sure else ", which may be chance.")
        )
    else:
        said.append("That is the usual training: nothing that was tried did better.")
    if found["optimism"] is not None and best["cross_validated"] is not None:
        said.append(
            f"In cross-validation it had {best['cross_validated']:.1%}; as the best of {whole} that flatters by about "
            f"{100 * found['optimism']:.1f} points. The test split was read only now."
        )
    return said
