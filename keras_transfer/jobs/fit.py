"""Which networks fit a budget: worked out before any of them is trained."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from keras_transfer.errors import InputError, KerasTransferError
from keras_transfer.jobs.parts import build_classifier_of, prepared_for
from keras_transfer.modalities import open_modality, settled
from keras_transfer.progress import say, track
from keras_transfer.recipe import AUTO, Recipe
from keras_transfer.schemas import FitRow, Fitting, Result

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.exporters.targets.devices import Limits
    from keras_transfer.exporters.targets.fit import Excess, Needs

_SMALLER = 3  # sizes below the largest that fits, which are tried as well: a network may be at home at one of them
_RESERVE = 0.01  # of a file: those of trained networks were up to 0.8% larger (docs/results/fit_predicted.csv)
_SHOWN = 20  # networks that were ruled out, in what a run says


def for_budget(recipe: Recipe) -> Recipe:
    """The recipe of a run that must hold a budget: its network is chosen, unless named, and the target's file is made.

    A recipe without a budget is returned as it is.

    Raises:
        InputError: the budget cannot be judged.
    """
    if not has_budget(recipe):
        return recipe
    target = _limits(recipe).target
    targets = recipe.export.targets if target in recipe.export.targets else (*recipe.export.targets, target)
    formats = recipe.export.formats
    if formats is not None and "int8" not in formats:
        raise InputError(f"A budget (--fit, --device) is for int8 files: add --format int8. Received: {formats}.")
    return recipe.replace(backbone=recipe.model.backbone or AUTO, targets=targets)


def has_budget(recipe: Recipe) -> bool:
    """Whether something must hold on a device."""
    return recipe.export.fit is not None or recipe.export.device is not None


def within_budget(recipe: Recipe, data: "Dataset", candidates: Sequence[Recipe]) -> tuple[list[Recipe], Fitting]:
    """The candidates that a budget has room for, at their largest sizes and at every depth of the upper half.

    Args:
        recipe: with a budget.
        data: its items, which say how many classes there are.
        candidates: the recipe with each network in turn.

    Returns:
        Recipes to choose from, and what is known of those that were ruled out.

    Raises:
        InputError: nothing fits; the message names the nearest miss.
    """
    started, limits = time.perf_counter(), _limits(recipe)
    searches: list[_Search] = []
    problems: list[str] = []
    for candidate in track(candidates, "Working out what fits"):
        try:
            search = _Search(settled(candidate), recipe, data, limits)
            search.run()
            searches.append(search)
        except KerasTransferError as error:  # also what the converter does not take
            problems.append(f"{open_modality(data.train.preparer.modality).title(candidate)} is left out: {error}")
            say(problems[-1])
    found = [each for search in searches for each in search.found]
    out = sorted((pair for search in searches for pair in search.out), key=lambda pair: pair[0].times)
    considered = sum(search.considered for search in searches)
    device = f"{recipe.export.device} ({limits.budget})" if recipe.export.device else str(limits.budget)
    if not found:
        raise _nothing_fits(device, considered, out, problems)
    sentence = (
        f"Of {considered} networks, sizes and depths {len(found)} are compared: the largest that fit {device}. "
        f"{len(out)} were looked at that do not; what does not fit is never trained."
    )
    say(sentence)
    from keras_transfer.exporters.targets.devices import speed_of

    speed = speed_of(limits.budget.core) if limits.budget.core is not None else None
    return found, {
        "budget": str(limits.budget),
        "device": recipe.export.device,
        "target": limits.target,
        "considered": considered,
        "measured": sum(search.measured for search in searches),
        "fits": [row for search in searches for row in search.fits],
        "ruled_out": [row for _, row in out[:_SHOWN]],
        "sentence": sentence,
        "latency_error": speed.error if speed is not None and limits.budget.latency is not None else None,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _nothing_fits(
    device: str, considered: int, out: "Sequence[tuple[Excess, FitRow]]", problems: Sequence[str]
) -> InputError:
    """What to say where nothing fits: the nearest miss, and by how much."""
    if not out:
        return InputError(f"No network can be judged for {device}. {' '.join(problems)}".rstrip())
    nearest, row = out[0]
    return InputError(
        f"Nothing fits {device} of {considered} networks, sizes and depths; nothing was trained. The nearest is "
        f"{row['name']}: it {row['why']} ({nearest.times:.2g} times the {nearest.what})."
    )


class _Search:
    """The sizes and depths of one network, from the largest down."""

    def __init__(self, candidate: Recipe, asked: Recipe, data: "Dataset", limits: "Limits") -> None:
        self.candidate, self.limits = candidate, limits
        self.modality = open_modality(data.train.preparer.modality)
        self.data = prepared_for(candidate, data)
        self.sizes = list(self.modality.sizes(candidate, asked))
        self.depth = asked.model.depth
        self.models: dict[int, keras.Model] = {}
        self.found: list[Recipe] = []
        self.fits: list[FitRow] = []
        self.out: list[tuple[Excess, FitRow]] = []
        self.considered = self.measured = 0

    def run(self) -> None:
        """Finds the deepest that fits, at the largest size; what is a part of it fits as well."""
        depths = self.depths()
        self.considered = len(depths) * len(self.sizes)
        for place, depth in enumerate(depths):
            largest = self.largest(depth)
            if largest is not None:
                self.found = [self.sizes[largest].replace(depth=part) for part in depths[place:]]
                smaller = self.sizes[largest + 1 : largest + _SMALLER + 1]
                self.found[1:1] = [sized.replace(depth=depth) for sized in smaller]
                return

    def largest(self, depth: int | None) -> int | None:
        """The place of the largest size that fits at a depth, by bisection: needs grow with a network's inputs."""
        low, high = 0, len(self.sizes) - 1  # places; the last size is the smallest
        best = self.tried(high, depth)
        if best is None:
            return None
        while low < high:
            middle = (low + high) // 2
            row = self.tried(middle, depth)
            low, high, best = (middle + 1, high, best) if row is None else (low, middle, row)
        self.fits.append(best)
        return high

    def tried(self, number: int, depth: int | None) -> FitRow | None:
        """What a size and depth need, where that fits."""
        row, excess = self.judged(number, depth)
        if row["why"]:
            self.out.append((excess, row))
        return None if row["why"] else row

    def depths(self) -> list[int | None]:
        """Blocks that are kept, the deepest first: of a pretrained network down to the middle."""
        from keras_transfer.models.depth import depths

        if self.depth is not None or not self.candidate.model.pretrained or self.candidate.training.phases == ():
            return [self.depth]
        known = depths(self.model(len(self.sizes) - 1))
        return [None, *known[: (len(known) + 1) // 2]]

    def model(self, number: int) -> "keras.Model":
        """The whole classifier at one of the sizes, with random weights where only its graph is wanted."""
        from keras_transfer.models import model_inputs
        from keras_transfer.models.replay import at_size

        if number not in self.models:
            bare = {"weights": "none"} if len(self.sizes) > 1 else {}
            model = build_classifier_of(self.sizes[number].replace(depth=None, **bare), self.data)
            self.models[number] = at_size(model, self.data.train.spec(model_inputs(model)).tensors)
        return self.models[number]

    def judged(self, number: int, depth: int | None) -> "tuple[FitRow, Excess]":
        """What a size and depth need: by the graph, and where that rules nothing out, measured."""
        from keras_transfer.exporters.footprint import footprint
        from keras_transfer.exporters.targets.fit import CODE_BYTES, excess_of, judge_fit, least_needs
        from keras_transfer.models.depth import at_depth

        model = self.model(number)
        part = self.modality.quantized_part(model if depth is None else at_depth(model, depth))
        budget, target, accelerator = self.limits
        needs, refused, measured = least_needs(part, target), "", False
        fit, why = judge_fit(budget, needs)
        if not why:
            train = self.data.train
            items = train.prepared_by(self.modality.preparer_with(part, train.preparer))
            needs, refused = footprint(part, target, items, accelerator=accelerator, mhz=budget.mhz)
            if needs.flash is not None:
                needs = replace(needs, flash=needs.flash + round(_RESERVE * (needs.flash - CODE_BYTES)))
            fit, why = judge_fit(budget, needs)
            measured = True
            self.measured += 1
        name = self.modality.title(self.sizes[number].replace(depth=depth))
        return _row(name, self.limits, needs, refused or why, measured), excess_of(fit)


def check_file(recipe: Recipe, result: Result, run: Path) -> None:
    """Holds the exported file against the budget, in the result: a file that misses it is a gate that failed."""
    from keras_transfer.exporters import recommend
    from keras_transfer.exporters.targets import judge
    from keras_transfer.exporters.targets.fit import judge_fit, needs_of
    from keras_transfer.litert import read_flatbuffer

    audition = result.get("audition")
    limits = _limits(recipe)
    best = recommend(result["artifacts"], (limits.target,))
    if best is None or not best["path"].endswith(".tflite"):
        return
    content = (run / best["path"]).read_bytes()
    options = {"accelerator": limits.accelerator} if limits.accelerator is not None else {}
    verdict = judge(content, limits.target, **options)
    needs = needs_of(content, read_flatbuffer(content), {**verdict}, limits.budget.mhz)
    _, why = judge_fit(limits.budget, needs)
    if audition is not None and "fit" in audition:
        audition["fit"]["file"] = _row(Path(best["path"]).name, limits, needs, why, True)
    if why:
        result["gate"] = " ".join(filter(None, (result["gate"], f"{best['path']} {why}.")))


def _limits(recipe: Recipe) -> "Limits":
    from keras_transfer.exporters.targets.devices import limits_of

    return limits_of(recipe.export.fit, recipe.export.device, recipe.export.targets)


def _row(name: str, limits: "Limits", needs: "Needs", why: str, measured: bool) -> FitRow:
    from keras_transfer.exporters.targets.devices import latency_of

    latency = needs.latency or latency_of(needs.multiply_adds, limits.budget.core, limits.budget.mhz)
    return {
        "name": name,
        "flash": needs.flash,
        "ram": needs.ram,
        "latency": round(latency.ms, 2) if latency is not None else None,
        "zip": needs.zip or None,
        "measured": measured,
        "why": why,
    }
