"""What the bundled weights of series are worth: the same network with and without them, on the same items.

    python benchmarks/series_pretraining.py FOLDER/*/ --csv docs/results/series_pretraining.csv [--ways frozen trained]

A folder holds `NAME_TRAIN.ts` and `NAME_TEST.ts`. For 5, 10, 20 and all training series a class, and five draws of
them: test accuracy in percent with the bundled weights and with random ones, `frozen` (logistic regression on the
features) and `trained` (as `train` would). `gain` is paired by draw, with the 95% interval of its mean over draws (a
t-interval); `wins` says in how many draws it is above 0.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy.stats import t
from table import write_rows

from keras_transfer.data.dataset import Dataset
from keras_transfer.data.folds import joined
from keras_transfer.jobs.parts import build_classifier_of, load_data
from keras_transfer.jobs.retrain import retrained
from keras_transfer.modalities import settled
from keras_transfer.models import model_inputs
from keras_transfer.recipe import Recipe, make_recipe
from keras_transfer.training.probe import settle_batchnorm, tuned_probe

FEW = (5, 10, 20, None)
DRAWS = 5


def frozen(recipe: Recipe, data: Dataset) -> Any:
    """Logistic regression on the features of training and validation series."""
    known, model = joined([data.train, data.val]), build_classifier_of(recipe, data)
    if not recipe.model.pretrained:
        settle_batchnorm(model, data.train, recipe.seed)
    features = keras.Model(model.input, model.get_layer("pool").output)
    inputs = model_inputs(model)
    rows, test = (features.predict(split.arrays(inputs), batch_size=64, verbose=0) for split in (known, data.test))
    return tuned_probe((rows, known.labels), test, len(data.class_names), recipe.seed)


def trained(recipe: Recipe, data: Dataset) -> Any:
    """The network, trained as `train` trains it."""
    return retrained(recipe, data, data.test)[0]


WAYS = {"frozen": frozen, "trained": trained}


def measure(place: Path, few: int | None, way: str) -> dict[str, Any]:
    """One row of the table."""
    with_weights, without = [], []
    for seed in range(DRAWS):
        base = make_recipe(data=str(place), backbone="channelwise", few_shot=few, seed=seed)
        data = load_data(settled(base))

        def accuracy(probabilities: Any, labels: Any) -> float:
            return 100 * float((probabilities.argmax(axis=1) == labels).mean())

        scored = partial(accuracy, labels=data.test.labels)
        with_weights.append(scored(WAYS[way](settled(base), data)))
        without.append(scored(WAYS[way](settled(base.replace(weights="none")), data)))
    gains = np.array(with_weights) - np.array(without)
    half = float(t.ppf(0.975, DRAWS - 1) * gains.std(ddof=1) / DRAWS**0.5)
    return {
        "set": place.name,
        "series a class": few or "all",
        "way": way,
        "bundled weights": round(float(np.mean(with_weights)), 2),
        "random weights": round(float(np.mean(without)), 2),
        "gain": round(float(gains.mean()), 2),
        "from": round(float(gains.mean()) - half, 2),
        "to": round(float(gains.mean()) + half, 2),
        "wins": f"{int((gains > 0).sum())} of {DRAWS}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=["frozen"])
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows = []
    for way in options.ways:
        for place in options.sets:
            for few in FEW:
                rows.append(measure(place, few, way))
                print(rows[-1], flush=True)
                write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
