"""Whether to squash a whole picture to a network's size or to take its centre: measured on frozen features.

    python benchmarks/geometry.py photos/ --weights backbone.weights.h5 --csv out.csv

For each geometry, a logistic regression on pooled features is cross-validated (5 folds, twice) on a folder a class.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from table import write_rows

GEOMETRIES = {"squashed": None, "centre square": 1.0, "centre 87.5%": 0.875}


def pixels(file: Path, size: int, share: float | None) -> np.ndarray:
    """One picture at `size`: all of it, or the centred square of `share` of its shorter side."""
    with Image.open(file) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    side = min(picture.size) * (share or 1)
    left, top = (picture.width - side) / 2, (picture.height - side) / 2
    box = (left, top, left + side, top + side) if share else None
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, box))


def main() -> None:
    import keras
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score

    import keras_transfer as kt

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    files = sorted(file for file in options.photos.glob("*/*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
    labels = np.unique([file.parent.name for file in files], return_inverse=True)[1]
    model = kt.build_classifier(
        options.backbone, int(labels.max()) + 1, image_size=options.image_size, weights=options.weights
    )
    kt.freeze_backbone(model)
    features = keras.Model(model.input, kt.boundary(model))
    rows = []
    for name, share in GEOMETRIES.items():
        values = np.concatenate(
            [
                features.predict_on_batch(np.stack([pixels(f, options.image_size, share) for f in files[i : i + 32]]))
                for i in range(0, len(files), 32)
            ]
        )
        folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0)
        scores = cross_val_score(LogisticRegression(C=0.01, max_iter=500), values, labels, cv=folds)
        rows.append({"geometry": name, "images": len(files), "accuracy": round(float(scores.mean()), 4)})
        print(rows[-1], flush=True)
    write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
