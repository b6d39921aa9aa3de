"""How well a frozen backbone tells pictures apart by the geometry they are fitted with.

    python benchmarks/geometry.py photos/ MORE/ --weights backbone.weights.h5 --sizes 96 160 224 --csv out.csv

A logistic regression on pooled features is cross-validated (5 folds, twice) on folders with a folder a class. `today`
is the crop of models that say nothing of their geometry. `points` is the accuracy against `squash` on the same
photographs, `error` its standard error, `loss` the log loss, `better` by how many standard errors that is below
`squash`'s. `benchmarks/geometry_runs.py` compares whole jobs.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from table import write_rows

from keras_transfer.geometry import MODES, Geometry

GEOMETRIES = {**MODES, "crop-mediapipe": Geometry("crop", 0.875, "mediapipe")}


def features(model: Any, photos: Path, geometry: Any) -> tuple[np.ndarray, np.ndarray]:
    """Pooled features, float32 `[n, features]`, and labels, int `[n]`."""
    import keras_transfer as kt
    from keras_transfer.training.probe import pooled_features

    data = kt.load_images(str(photos), val=0, test=0, near_duplicates=False, geometry=geometry)
    return pooled_features(model, [data.train])[0], data.train.labels


def out_of_fold(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each photograph how often it was right, and its log loss, when the regression was fitted on others."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import RepeatedStratifiedKFold
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    repeats = 2
    rows, right, loss = StandardScaler().fit_transform(rows), np.zeros(len(rows)), np.zeros(len(rows))
    with threadpool_limits(1, user_api="blas"):
        for rest, part in RepeatedStratifiedKFold(n_splits=5, n_repeats=repeats, random_state=0).split(rows, labels):
            model = LogisticRegression(C=0.01, max_iter=200, tol=1e-3).fit(rows[rest], labels[rest])
            answers = model.predict_proba(rows[part])
            right[part] += (answers.argmax(axis=1) == labels[part]) / repeats
            loss[part] -= np.log(answers[np.arange(len(part)), labels[part]]) / repeats
    return right, loss


def compare(photos: Path, size: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a geometry, the default first."""
    import keras_transfer as kt

    classes = [path.name for path in sorted(photos.iterdir()) if path.is_dir()]
    model = kt.build_classifier(options.backbone, classes, image_size=size, weights=options.weights)
    rows: list[dict[str, Any]] = []
    first: tuple[np.ndarray, np.ndarray] | None = None
    for name, geometry in GEOMETRIES.items():
        right, loss = out_of_fold(*features(model, photos, geometry))
        first = first or (right, loss)
        points, gains = 100 * (right - first[0]), first[1] - loss
        spread = gains.std(ddof=1) / len(gains) ** 0.5
        rows.append(
            {
                "data": photos.name if photos.name != "train" else photos.parent.name,
                "size": size,
                "geometry": name,
                "images": len(right),
                "accuracy": round(float(right.mean()), 4),
                "points": round(float(points.mean()), 2),
                "error": round(float(points.std(ddof=1) / len(points) ** 0.5), 2),
                "loss": round(float(loss.mean()), 4),
                "better": round(float(gains.mean() / spread), 2) if spread else 0.0,
            }
        )
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--sizes", type=int, nargs="+", default=[224])
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    write_rows(
        options.csv, [row for p in options.photos for size in options.sizes for row in compare(p, size, options)]
    )


if __name__ == "__main__":
    main()
