"""How often a 95% interval, made of a sample of a model's answers, holds the figure of all of them.

    python benchmarks/interval_coverage.py RUN food10/ photos1000/ IMAGENET_WEIGHTS --csv out.csv

Three sets of answers: the run's on all photographs of its data, on its test photographs alone, and those of ImageNet's
own classifier (MobileNetV2) on photos1000, whose files in order are one of each class. Each is sampled 200 times with
replacement, and the package's own intervals are made of each sample.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from table import write_rows

from keras_transfer.evaluation import keras_classifier, metrics, open_classifier, predict_split
from keras_transfer.evaluation.intervals import score_intervals, share_interval
from keras_transfer.modalities import held_out
from keras_transfer.modalities.image.builder import build_imagenet_classifier

SAMPLES, SIZES = 200, (60, 200, 500)
FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "top_3", "auc_roc", "log_loss")


def coverage(labels: np.ndarray, answers: np.ndarray, names: list[str], size: int) -> dict[str, float]:
    """The share of samples whose interval holds the figure of all answers."""
    whole, random = metrics(labels, answers, names), np.random.default_rng(size)
    held = dict.fromkeys(FIGURES, 0)
    for _ in range(SAMPLES):
        drawn = random.integers(0, len(labels), size)
        found = score_intervals(labels[drawn], answers[drawn], names, resamples=300)["metrics"]
        for name in held:
            held[name] += found[name]["low"] <= whole[name] <= found[name]["high"]
    return {name: count / SAMPLES for name, count in held.items()}


def share_coverage(right: np.ndarray, size: int) -> dict[str, float]:
    """The same of the accuracy alone: the others would take long with a thousand classes."""
    random, held = np.random.default_rng(size), 0
    for _ in range(SAMPLES):
        low, high = share_interval(int(right[random.integers(0, len(right), size)].sum()), size)
        held += low <= right.mean() <= high
    return {"accuracy": held / SAMPLES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    file = options.run / "export" / "model_float32.tflite"
    classifier = open_classifier(file if file.is_file() else options.run)
    rows: list[dict[str, Any]] = []

    def note(what: str, images: int, accuracy: float, size: int, found: dict[str, float]) -> None:
        row = {"answers": what, "images": images, "accuracy": round(float(accuracy), 4), "sample": size}
        rows.append(row | {f"{name} held": found.get(name, "") for name in FIGURES})
        print(rows[-1], flush=True)

    for split in ("all", "test"):
        photographs = held_out(options.data, split)
        answers, labels = predict_split(classifier, photographs), np.asarray(photographs.labels)
        for size in SIZES:
            found = coverage(labels, answers, list(photographs.class_names), size)
            what = f"{options.data.name}, {split}"
            note(what, len(labels), (answers.argmax(axis=1) == labels).mean(), size, found)
    imagenet = keras_classifier(build_imagenet_classifier("mobilenet_v2", weights=str(options.weights)))
    files = sorted(path for path in options.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    right = answered(imagenet, files)
    for size in SIZES:
        note(options.photos.name, len(right), right.mean(), size, share_coverage(right, size))
    write_rows(options.csv, rows)


def answered(classifier: Any, files: list[Path]) -> np.ndarray:
    """Whether the n-th file is of the n-th class, by the classifier."""
    from keras_transfer.modalities.image import decode_image

    found = []
    for start in range(0, len(files), 50):
        pixels = np.stack([decode_image(file, classifier.image_size) for file in files[start : start + 50]])
        found += classifier.predict(pixels).argmax(axis=1).tolist()
    return np.array(found) == np.arange(len(files))


if __name__ == "__main__":
    main()
