"""How Rocket's steepness, penalties and scaling were chosen: by cross-validation on training series alone.

    python benchmarks/rocket_settings.py FOLDER/*/ --csv docs/results/rocket_settings.csv

Of each folder only `NAME_TRAIN.ts` is used. Accuracy in percent, mean over three seeds of the kernels and four
cuts into five folds. The first row is what the package has; each other one changes one setting.
"""

import argparse
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
from table import write_rows

from keras_transfer.data.folds import joined, stratified_folds
from keras_transfer.inputs import only
from keras_transfer.jobs.parts import load_data
from keras_transfer.modalities import settled
from keras_transfer.modalities.series import rocket
from keras_transfer.recipe import make_recipe

SETTINGS: dict[str, dict[str, Any]] = {
    "as it is": {"FEATURES": rocket.FEATURES},
    "nearly steps": {"_STEEP": 0.05},
    "gentler": {"_STEEP": 2.0},
    "half as many features": {"FEATURES": rocket.FEATURES // 2},
    "any penalty": {"_PENALTIES": (1e-6, 1.0, 13)},
    "all features alike": {"_QUIET": 1e-6},
}
SEEDS, CUTS, FOLDS = 3, 4, 5


def accuracy(series: Any, labels: Any, features: int) -> float:
    """Mean accuracy on items left out."""
    classes, places, found = int(labels.max()) + 1, np.arange(len(labels)), []
    for seed in range(SEEDS):
        inputs = keras.Input(series.shape[1:])
        model = keras.Model(inputs, rocket.rocket_layers(inputs, series, features=features, seed=seed))
        rows = np.concatenate([np.asarray(model(part)) for part in np.array_split(series, -(-len(series) // 16))])
        for cut in range(CUTS):
            for rest, part in stratified_folds(labels, places, FOLDS, cut):
                ridge = rocket.fit_ridge(rows[rest], labels[rest], classes)
                found.append(float(((rows[part] @ ridge.weights + ridge.bias).argmax(axis=1) == labels[part]).mean()))
    return 100 * float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    sets = {}
    for place in options.sets:
        data = load_data(settled(make_recipe(data=str(place))))
        known = joined([data.train, data.val])
        series = only(known.arrays(data.train.preparer.length))
        sets[place.name] = (series - series.mean(axis=(0, 1))) / (series.std(axis=(0, 1)) + 1e-9), known.labels
    rows: list[dict[str, Any]] = []
    for name, changes in SETTINGS.items():
        with mock.patch.multiple(rocket, **changes):
            row = {place: round(accuracy(*known, features=rocket.FEATURES), 2) for place, known in sets.items()}
        rows.append({"setting": name, **row, "mean": round(float(np.mean(list(row.values()))), 2)})
        print(rows[-1], flush=True)
        write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
