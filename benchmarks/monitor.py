"""Does `monitor` notice what it should, and nothing else? One CSV row a change.

    python benchmarks/monitor.py food10/ --unrelated photos1000/ --weights NOTOP.weights.h5 --size 224 \\
        --seeds 0 --csv docs/results/monitor.csv

A head on frozen features learns from some of the training photographs, with a score of unknown items; the other
training photographs and the test ones, which it has not seen, are the pool. In each round 400 of the pool, drawn anew,
are the reference, and 300 others the window, which is left as it is (false alarms) or changed:

- a corruption of every photograph, at strengths 3 and 1;
- a class that the head does not know, 20% of the window, each class in turn;
- unrelated photographs, 20% of the window;
- three tenths of the classes, drawn anew, no longer come.

`alarms` is the share of rounds with an alarm at the level of the default, 5% in 7 looks, `in_30` at 5% in 30 looks,
`at_once` at 5% for this one look, `no_sketch` at the default level from what a LiteRT file logs. `estimate_error` is
the mean absolute difference between the accuracy that is estimated without labels and that of the window's answers,
`trusted` how often the estimate says of itself that it can be known, `trusted_error` the difference in those rounds.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np
from table import backbone_options, show_rows

from keras_transfer import cache
from keras_transfer.data import Split
from keras_transfer.data.folds import joined
from keras_transfer.data.labels import log_loss, one_hot
from keras_transfer.data.parallel import ordered
from keras_transfer.evaluation.calibration import apply_temperature, fit_temperature
from keras_transfer.evaluation.drift import INPUT, Predictions, drift_tests, estimate_accuracy
from keras_transfer.evaluation.rejection import fit_rejection
from keras_transfer.jobs.monitor import ALPHA, LOOKS, WINDOW
from keras_transfer.jobs.parts import build_classifier_of
from keras_transfer.jobs.shift import open_new_items
from keras_transfer.litert import convert, open_litert
from keras_transfer.modalities import open_modality
from keras_transfer.modalities.image import load_images
from keras_transfer.modalities.image.corruptions import CORRUPTIONS, corrupt
from keras_transfer.models.graph import start_of
from keras_transfer.models.rejection import feature_tensor
from keras_transfer.operations.log import sketches_of, unsketched
from keras_transfer.progress import track
from keras_transfer.recipe import make_recipe
from keras_transfer.training.linear import STRENGTHS, fit_linear

Array = np.ndarray[Any, Any]
REFERENCE, POOL, UNRELATED = 400, 850, -1
MEASURES = ("brightness", "contrast", "sharpness")


@dataclass(frozen=True)
class Items:
    """Photographs as the network sees them: features, their sketch, measures, and classes."""

    features: Array
    sketch: Array
    measures: Array
    labels: Array

    def part(self, rows: Array) -> "Items":
        return Items(*(values[rows] for values in vars(self).values()))


def seen(split: Split, read: Callable[[Array], Array], network: str, name: str = "", strength: int = 0) -> Items:
    """The items of a split, made worse by a corruption unless it is empty; from the cache after the first time."""
    hashes = [str(digest) for digest in split.hashes]
    key = cache.cache_key(monitor=hashes, network=network, corruption=name, strength=strength)
    entry = cache.open_entry(key)
    if entry is None:
        modality = open_modality("image")

        def look(index: int) -> tuple[Array, Array]:
            pixels = np.asarray(split.rows([index]))
            pixels = corrupt(pixels, name, strength, seed=index) if name else pixels
            return pixels, np.array([modality.measures(pixels[0])[measure] for measure in MEASURES])

        with cache.new_entry(key, {"kind": "monitor", "items": len(split)}) as writer:
            for pixels, measures in track(ordered(look, range(len(split))), f"{name} {strength}", total=len(split)):
                writer.append("features", read(pixels))
                writer.append("measures", measures[None])
        entry = cache.open_new(key)
    features, measures = np.array(entry["features"]), np.array(entry["measures"])
    numbers, scales = zip(*sketches_of(features), strict=True)
    return Items(features, unsketched(numbers, scales), measures, np.asarray(split.labels))


def head(train: Items, val: Items, names: list[str]) -> Callable[[Items], Predictions]:
    """What a calibrated head with a score of unknown items says of others."""
    classes = np.unique(train.labels)
    targets, known = (one_hot(np.searchsorted(classes, items.labels), len(classes)) for items in (train, val))
    heads = [fit_linear(train.features, targets, strength=strength) for strength in STRENGTHS]
    best = min(heads, key=lambda one: log_loss(known, one.probabilities(val.features)))
    truth = np.searchsorted(classes, val.labels)
    temperature = fit_temperature(truth, best.probabilities(val.features))
    rejection, _ = fit_rejection(train.features, train.labels, val.features)

    def answer(items: Items) -> Predictions:
        rows = apply_temperature(best.probabilities(items.features), temperature)
        return Predictions(
            np.array(names)[classes[rows.argmax(axis=1)]],
            rows.max(axis=1).astype(np.float64),
            rejection.scores(items.features).astype(np.float64),
            items.sketch,
            {name: items.measures[:, i] for i, name in enumerate(MEASURES)},
        )

    return answer


def one_round(own: Predictions, right: Array, new: Predictions, new_right: Array, seed: int) -> dict[str, float]:
    """What is found in one window."""
    tests = drift_tests(own, new, alpha=ALPHA / LOOKS, seed=seed)
    plain = drift_tests(replace(own, sketch=None), replace(new, sketch=None), alpha=ALPHA / LOOKS, seed=seed)
    trusted = not any(test["alarm"] for test in tests if test["name"] in (*INPUT, *MEASURES))
    guess = estimate_accuracy(own.confidence, right, new.confidence, trust=trusted, seed=seed)
    error = abs(guess["value"] - new_right.mean())
    return {
        "alarms": any(test["alarm"] for test in tests),
        "in_30": any(test["adjusted"] <= ALPHA / 30 for test in tests),
        "at_once": any(test["adjusted"] <= ALPHA for test in tests),
        "no_sketch": any(test["alarm"] for test in plain),
        "accuracy": float(new_right.mean()),
        "estimate_error": error,
        "within": guess["low"] <= new_right.mean() <= guess["high"],
        "trusted": trusted,
        "trusted_error": error if trusted else np.nan,
    }


def row(change: str, rounds: list[dict[str, float]]) -> dict[str, Any]:
    """The means of all rounds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no round may be trusted
        means = {name: round(float(np.nanmean([one[name] for one in rounds])), 4) for name in rounds[0]}
    print(change, means, flush=True)
    return {"change": change, **means, "rounds": len(rounds)}


class Field:
    """A pool of photographs with a head that has not seen them; draws references and windows."""

    def __init__(self, pool: Items, names: list[str], random: np.random.Generator) -> None:
        self.pool, self.names, self.random = pool, np.array([*names, "unknown"]), random

    def rounds(
        self, count: int, answer: Callable[[Items], Predictions], pick: Callable[[Array], Array],
        worse: Items | None = None, unknown: int = UNRELATED,
    ) -> list[dict[str, float]]:  # fmt: skip
        """Draws and tests; `pick` makes a window of the places that are left, `worse` has other photographs there."""
        known, found = np.flatnonzero(~np.isin(self.pool.labels, (unknown, UNRELATED))), []
        for turn in range(count):
            order = self.random.permutation(known)
            places = order[:REFERENCE], pick(order[REFERENCE:])
            sides = answer(self.pool.part(places[0])), answer((worse or self.pool).part(places[1]))
            right = [self.names[self.pool.labels[own]] == side.classes for own, side in zip(places, sides, strict=True)]
            found.append(one_round(sides[0], right[0], sides[1], right[1], turn))
        return found

    def mixed(self, others: Array) -> Array:
        """A window in which three tenths of the classes, drawn anew, no longer come."""
        count = len(self.names) - 1
        gone = self.random.permutation(count)[: int(0.3 * count)]
        return others[~np.isin(self.pool.labels[others], gone)][:WINDOW]

    def with_unknown(self, others: Array, unknown: int) -> Array:
        """A window of which a fifth is of one class."""
        new = self.random.permutation(np.flatnonzero(self.pool.labels == unknown))[: WINDOW // 5]
        return np.concatenate([new, others[: WINDOW - len(new)]])


def as_it_is(others: Array) -> Array:
    """A window as it comes."""
    return others[:WINDOW]


def main() -> None:
    parser = backbone_options(__doc__)
    parser.add_argument("--unrelated", required=True)
    parser.add_argument("--alpha", type=float)
    parser.add_argument(
        "--rounds", type=int, default=100, help="of a change; twice as many without, a quarter of each corruption"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    seed, count = options.seeds[0], options.rounds
    recipe = make_recipe(
        data=str(options.data),
        backbone=options.backbone,
        weights=options.weights,
        image_size=options.size,
        alpha=options.alpha,
    )
    split = {} if (options.data / "test").is_dir() else {"test": 0.3}
    data = load_images(options.data, seed=seed, val=0.1, **split)
    model = build_classifier_of(recipe, data)
    features = keras.Model(start_of(model), feature_tensor(model))
    read = open_litert(convert(features, ["float32"])["float32"]).predict
    network = f"{options.backbone} {options.alpha} {options.size}"
    random = np.random.default_rng(seed)
    order = random.permutation(len(data.train))
    part = int(0.7 * len(order))
    spare = joined([data.test, data.train.take(order[part:])]).take(range(POOL)).stored(options.size)
    own, val = (seen(items.stored(options.size), read, network) for items in (data.train.take(order[:part]), data.val))
    others = open_new_items(options.unrelated, data).split.take(range(400)).stored(options.size)
    unrelated = replace(seen(others, read, network), labels=np.full(len(others), UNRELATED))
    both = zip(vars(seen(spare, read, network)).values(), vars(unrelated).values(), strict=True)
    field = Field(Items(*map(np.concatenate, both)), data.class_names, random)
    answer = head(own, val, data.class_names)
    print(f"{len(own.labels)} learnt from, {len(spare)} in the pool", flush=True)
    rows = [
        row("unrelated items, 20%", field.rounds(count, answer, partial(field.with_unknown, unknown=UNRELATED))),
        row("mix of classes", field.rounds(count, answer, field.mixed)),
    ]
    for strength in (3, 1):
        for name in CORRUPTIONS:
            worse = seen(spare, read, network, name, strength)
            rows.append(row(f"{name} {strength}", field.rounds(count // 4, answer, as_it_is, worse)))
    found = []
    for unknown in range(len(data.class_names)):
        less = head(own.part(own.labels != unknown), val.part(val.labels != unknown), data.class_names)
        pick = partial(field.with_unknown, unknown=unknown)
        found += field.rounds(count // len(data.class_names), less, pick, unknown=unknown)
    rows.append(row("a new class, 20%", found))
    rows.insert(0, row("none", field.rounds(2 * count, answer, as_it_is)))
    show_rows(rows, options.csv)


if __name__ == "__main__":
    main()
