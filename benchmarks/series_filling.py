"""With what short series are best filled up: cross-validated on the training series of a `.ts` file of unequal lengths.

    python benchmarks/series_filling.py ../shared/data/series/JapaneseVowels/JapaneseVowels_TRAIN.ts --csv docs/results/series_filling.csv

Rocket, fitted on four of five parts and asked about the fifth, three times in other parts; the same ones for each fill.
No test series is looked at.
"""  # noqa: E501

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.model_selection import RepeatedStratifiedKFold
from table import write_rows

from keras_transfer.modalities.series.archives import read_ts
from keras_transfer.modalities.series.builder import build_series_classifier
from keras_transfer.modalities.series.items import pack
from keras_transfer.modalities.series.preparer import FILLS, SeriesPreparer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--backbones", nargs="*", default=["rocket_small", "rocket"])
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    spool = read_ts(options.file)
    contents = [pack(spool.series(number)) for number in range(1, len(spool) + 1)]
    labels = np.unique(spool.labels, return_inverse=True)[1]
    length = int(np.diff(spool.ends).max())
    rows = []
    for backbone in options.backbones:
        for fill in FILLS:
            preparer = replace(SeriesPreparer(length, spool.channels), fill=fill)
            series = np.stack([preparer.prepare(content, preparer.spec(length)) for content in contents])
            right = []
            for train, test in RepeatedStratifiedKFold(n_splits=5, n_repeats=3, random_state=0).split(series, labels):
                model = build_series_classifier(
                    backbone,
                    int(labels.max()) + 1,
                    length=length,
                    channels=len(spool.channels),
                    examples=(series[train], labels[train]),
                )
                right.append((model.predict(series[test], verbose=0).argmax(axis=1) == labels[test]).mean())
            figures = {"accuracy": f"{np.mean(right):.4f}", "over folds": f"{np.std(right):.4f}"}
            rows.append({"data": options.file.stem, "backbone": backbone, "fill": fill, **figures})
            print(rows[-1], flush=True)
    if options.csv is not None:
        write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
