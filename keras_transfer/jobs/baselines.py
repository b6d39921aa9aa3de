"""What a transfer is measured against: simpler ways to an answer, on the same splits."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.jobs.parts import build_classifier_of, from_scratch, frozen_features
from keras_transfer.jobs.retrain import retrained
from keras_transfer.modalities import open_modality
from keras_transfer.progress import say
from keras_transfer.recipe import DOWNLOADED, NAMED_WEIGHTS, Recipe

if TYPE_CHECKING:
    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split

PROBE_ITEMS = 2000
"""Probes are fitted on so many training items at most: a stratified part of a larger split."""
SCRATCH_BUDGET = 1e12
"""The most multiply-adds of a training from scratch that nobody asked for: about a minute on two cores."""
_SCRATCH_EPOCHS = (30, 60)
_Make = Callable[[], tuple[str, NDArray[np.float32]]]  # how it was made, and its answers


@dataclass(frozen=True)
class Baseline:
    """One other way to an answer, with its answers.

    Attributes:
        name: what it is called.
        kind: `"majority"`, `"rival"`, `"pretrained probe"`, `"random probe"`, `"scratch"`, `"backbone"`
            or `"other"`.
        what: how it was made, a sentence.
        probabilities: `float32 [n, classes]` on the test split; None where it could not be made.
        seconds: what it took now; next to nothing where it came from the cache.
    """

    name: str
    kind: str
    what: str
    probabilities: NDArray[np.float32] | None
    seconds: float = 0.0


def make_baselines(
    recipe: Recipe, data: "Dataset", test: "Split", compare_backbones: Sequence[str] = ()
) -> list[Baseline]:
    """The baselines that a recipe asks for, those with trained features or from scratch kept in the cache.

    Args:
        recipe: of a run, complete.
        data: its items.
        test: its test split stored.
        compare_backbones: more backbones whose frozen features are probed, `NAME[@ALPHA][=WEIGHTS]` each.

    Returns:
        One entry a baseline; one that could not be made says why in `what`.
    """
    wanted: list[tuple[str, str, _Make]] = [("Majority class", "majority", partial(majority, data, test))]
    transfers = recipe.model.pretrained
    modality = open_modality(data.train.preparer.modality)
    if recipe.report.baselines != "none":
        wanted += [(name, "other", make) for name, make in modality.other_baselines(data, test).items()]
    if recipe.training.phases == ():  # the model came trained, as the rival does: there is nothing that others share
        return [_timed(*each) for each in wanted]
    built_here = not recipe.backbone.startswith("hub:") and not recipe.model.weights.startswith("hub:")
    if recipe.report.baselines != "none" and modality.rival_name:
        wanted.append((modality.rival_name, "rival", partial(modality.rival, data, test, recipe.seed)))
    if recipe.report.baselines != "none" and transfers:
        name = "Logistic regression on pretrained features"
        wanted.append((name, "pretrained probe", partial(probe, recipe, data)))
    if recipe.report.baselines != "none" and built_here:
        random = recipe.replace(weights="none")
        wanted.append(("Logistic regression on random features", "random probe", partial(probe, random, data)))
        epochs = scratch_epochs(recipe, data) if transfers else 0
        if epochs:
            wanted.append(("The same network from scratch", "scratch", partial(scratch, recipe, data, test, epochs)))
    for other in compare_backbones:
        name = f"Logistic regression on {other.split('=')[0]} features"
        wanted.append((name, "backbone", partial(_probe_other, recipe, other, data)))
    return [_timed(*each) for each in wanted]


def _timed(name: str, kind: str, make: _Make) -> Baseline:
    say(f"Baseline: {name}")
    started = time.perf_counter()
    try:
        what, probabilities = make()
    except InputError as error:
        if kind != "backbone":
            raise
        return Baseline(name, kind, f"Not made: {error}", None)
    return Baseline(name, kind, what, probabilities, time.perf_counter() - started)


def majority(data: "Dataset", test: "Split") -> tuple[str, NDArray[np.float32]]:
    """Answers every item with the classes' frequencies in training."""
    counts = data.class_counts()
    shares = counts / (len(data.train) if data.multi_label else counts.sum())
    if data.multi_label:
        return "says of each label whether most training items have it", np.tile(
            shares.astype(np.float32), (len(test), 1)
        )
    name = data.class_names[int(shares.argmax())]
    return f"says {name} every time", np.tile(shares.astype(np.float32), (len(test), 1))


def probe(recipe: Recipe, data: "Dataset") -> tuple[str, NDArray[np.float32]]:
    """Logistic regression on the frozen features of the recipe's backbone."""
    from keras_transfer.training.probe import linear_probe

    train = data.train
    if len(train) > PROBE_ITEMS:
        train = train.stratified(max(PROBE_ITEMS, 5 * len(data.class_names)), recipe.seed)
    rows = frozen_features(recipe, data, (train, data.val, data.test))
    answers = linear_probe((rows[0], train.labels), (rows[1], data.val.labels), rows[2], len(data.class_names))
    part = f"fitted on {len(train)} of {len(data.train)} training items" if train is not data.train else ""
    width = f" {recipe.model.alpha:g}" if recipe.model.alpha not in (None, 1.0) else ""
    features = f"{rows[0].shape[1]} frozen {recipe.backbone}{width} features"
    if not recipe.model.pretrained:
        features = f"{rows[0].shape[1]} features of all stages of {recipe.backbone}{width} with random weights"
    return ", ".join(filter(None, (features, part))), answers


def scratch_epochs(recipe: Recipe, data: "Dataset") -> int:
    """How many epochs a network from scratch gets; 0 where it is not asked for and too dear."""
    from keras_transfer.models import model_inputs, multiply_adds
    from keras_transfer.models.replay import at_size

    few, many = _SCRATCH_EPOCHS
    if recipe.report.baselines == "scratch":
        return many
    model = build_classifier_of(recipe.replace(weights="none"), data)
    model = at_size(model, data.train.spec(model_inputs(model)).tensors)  # what a text costs follows from its length
    an_epoch = 3 * multiply_adds(model) * len(data.train)  # once forward, about twice back
    affordable = int(SCRATCH_BUDGET / max(1, an_epoch))
    return min(many, affordable) if affordable >= few else 0


def scratch(recipe: Recipe, data: "Dataset", test: "Split", epochs: int) -> tuple[str, NDArray[np.float32]]:
    """The recipe's network trained from random weights, as `--strategy scratch` would, on the same items."""
    probabilities, done = retrained(from_scratch(recipe, epochs), data, test)
    return f"random weights, trained for {done} epochs", probabilities


def _probe_other(recipe: Recipe, other: str, data: "Dataset") -> tuple[str, NDArray[np.float32]]:
    return probe(_other(recipe, other), data)


def _other(recipe: Recipe, text: str) -> Recipe:
    """The recipe with another backbone: `NAME`, `NAME@ALPHA`, either with `=WEIGHTS` behind."""
    name, _, weights = text.partition("=")
    name, _, alpha = name.partition("@")
    try:
        width = float(alpha) if alpha else None
    except ValueError:
        raise InputError(
            f"A backbone to compare is NAME, NAME@ALPHA or NAME=WEIGHTS, such as mobilenet@0.25. Received: {text}."
        ) from None
    if weights and not Path(weights).is_file() and weights not in NAMED_WEIGHTS:
        raise InputError(f"{text}: there is no weights file {weights}.")
    return recipe.replace(backbone=name, alpha=width, weights=weights or DOWNLOADED)
