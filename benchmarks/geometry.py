"""How well a frozen backbone tells pictures apart by the geometry they are fitted with.

    python benchmarks/geometry.py photos/ MORE/ --weights backbone.weights.h5 --sizes 96 160 224 --csv out.csv

The probe is that of `--geometry auto`, on folders with a folder a class. `points` is the accuracy against `crop` on the
same photographs, `error` its standard error, `loss` the log loss, `better` by how many standard errors that is below
`crop`'s. `taken` is the share of random parts, each of as many photographs as `auto` looks at, on which the geometry is
better by enough to be taken. `benchmarks/geometry_runs.py` compares whole jobs.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from table import write_rows

from keras_transfer.geometry import MODES

PARTS = 40


def features(model: Any, photos: Path, geometry: Any) -> tuple[np.ndarray, np.ndarray]:
    """Pooled features, float32 `[n, features]`, and labels, int `[n]`."""
    import keras_transfer as kt
    from keras_transfer.training.probe import pooled_features

    data = kt.load_images(str(photos), val=0, test=0, near_duplicates=False, geometry=geometry)
    return pooled_features(model, [data.train])[0], data.train.labels


def probed(rows: np.ndarray, labels: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Of each photograph the log loss, and whether it was right, when the probe was fitted on others."""
    from keras_transfer.data.folds import stratified_folds
    from keras_transfer.modalities.image.choose_geometry import probe_losses

    return probe_losses(rows.astype(np.float64), labels, stratified_folds(labels, np.arange(len(labels)), 5, seed))


def better(gains: np.ndarray) -> float:
    """How many standard errors the mean is above 0."""
    error = gains.std(ddof=1) / len(gains) ** 0.5
    return float(gains.mean() / error) if error else 0.0


def compare(photos: Path, size: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a geometry, the crop first."""
    import keras_transfer as kt
    from keras_transfer.modalities.image.choose_geometry import SURE

    classes = [path.name for path in sorted(photos.iterdir()) if path.is_dir()]
    model = kt.build_classifier(options.backbone, classes, image_size=size, weights=options.weights)
    found = {name: features(model, photos, geometry) for name, geometry in MODES.items()}
    labels = found["crop"][1]
    count = int(np.clip(len(labels) // 4, 300, 1500))
    parts = [np.random.default_rng(seed).permutation(len(labels))[:count] for seed in range(PARTS)]
    judged = {name: probed(rows, labels) for name, (rows, _) in found.items()}
    losses = {name: [probed(rows[part], labels[part])[0] for part in parts] for name, (rows, _) in found.items()}
    table = []
    for name, (loss, right) in judged.items():
        points = 100 * (right.astype(float) - judged["crop"][1])
        taken = [better(crop - own) > SURE for crop, own in zip(losses["crop"], losses[name], strict=True)]
        table.append(
            {
                "data": photos.name if photos.name != "train" else photos.parent.name,
                "size": size,
                "geometry": name,
                "images": len(right),
                "accuracy": round(float(right.mean()), 4),
                "points": round(float(points.mean()), 2),
                "error": round(float(points.std(ddof=1) / len(points) ** 0.5), 2),
                "loss": round(float(loss.mean()), 4),
                "better": round(better(judged["crop"][0] - loss), 2),
                "taken": round(float(np.mean(taken)), 3),
            }
        )
        print(table[-1], flush=True)
    return table


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
