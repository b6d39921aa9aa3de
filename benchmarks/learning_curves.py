"""The learning curves of runs as one CSV, and how well their first points foretell the last.

    keras-transfer report RUN --learning-curve --scratch    (or without, for each run)
    python benchmarks/learning_curves.py RUN [RUN ...] --csv out.csv

`foretold` is what a power law through the points before says of each, from the fifth on.
"""

import argparse
import json
from pathlib import Path

from table import write_rows

from keras_transfer.evaluation.learning_curve import forecast
from keras_transfer.recipe import make_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows = []
    for run in options.runs:
        found, recipe = json.loads((run / "learning_curve.json").read_text()), make_recipe(run / "recipe.yaml")
        for way, points in found["ways"].items():
            for number, point in enumerate(points):
                told = forecast(points[:number], point["images"])
                figures = {name: point[name] and round(point[name], 4) for name in ("mean", "spread", "least", "most")}
                row = {"data": Path(recipe.data.source).name, "way": found["names"][way], "images": point["images"]}
                rows.append(row | figures | {"foretold": "" if told is None else round(told, 4)})
        print(run, *found["sentences"], sep="\n  ")
    write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
