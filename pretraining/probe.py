"""What a backbone's features are worth: a logistic regression on them, fitted on train and read on test."""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np


def probe(features, labels, test_features, test_labels, seed: int = 0) -> float:
    """Test accuracy of a logistic regression whose strength is cross-validated on the training features."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(Cs=np.logspace(-4, 0, 5), cv=3, max_iter=300, l1_ratios=(0,), use_legacy_attributes=False),
    )
    return float(model.fit(features, labels).score(test_features, test_labels))


def pooled(backbone: str, weights: str, alpha: float | None, pixels: np.ndarray) -> np.ndarray:
    """Pooled features `float32 [n, channels]` of pixels `uint8 [n, H, W, 3]`."""
    import keras

    from keras_transfer.litert import convert, open_litert
    from keras_transfer.modalities.image.builder import build_classifier

    keras.utils.set_random_seed(0)
    model = build_classifier(backbone, 2, image_size=pixels.shape[1], weights=weights, alpha=alpha)
    layer = next(layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D))
    file = open_litert(convert(keras.Model(model.input, layer.output), ["float32"])["float32"])
    return np.stack([row[0].reshape(-1) for row in file.map(pixels)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+", help="data sets that pretraining never saw")
    parser.add_argument("--network", nargs=4, action="append", metavar=("NAME", "BACKBONE", "ALPHA", "WEIGHTS"))
    parser.add_argument("--image-size", type=int, default=96)
    options = parser.parse_args()

    from keras_transfer import load_images

    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["network", "data", "image_size", "accuracy"])
    for source in options.data:
        data = load_images(source, val=0, test=0.25)
        train, test = (split.pixels((options.image_size, options.image_size)) for split in (data.train, data.test))
        for name, backbone, alpha, weights in options.network:
            width = None if alpha == "-" else float(alpha)
            features, test_features = (pooled(backbone, weights, width, pixels) for pixels in (train, test))
            accuracy = probe(features, data.train.labels, test_features, data.test.labels)
            out.writerow([name, Path(source).name, options.image_size, f"{accuracy:.4f}"])
            sys.stdout.flush()


if __name__ == "__main__":
    main()
