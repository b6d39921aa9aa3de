"""How often float LiteRT files answer as the Keras model does, through `keras-transfer predict` on raw image files.

    python benchmarks/agreement.py photos1000/ imagenet.weights.h5 --backbone mobilenet_v2 --csv out.csv

Builds the backbone with its ImageNet classifier, saves it as .keras, converts it, and predicts every file with each.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from table import write_rows

from keras_transfer.litert import convert
from keras_transfer.modalities.image.builder import build_imagenet_classifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--alpha", type=float)
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    model = build_imagenet_classifier(
        options.backbone, weights=options.weights, image_size=options.image_size, alpha=options.alpha
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.save(folder / "model.keras")
        for kind, content in convert(model, ["float32", "float16", "dynamic"]).items():
            (folder / f"{kind}.tflite").write_bytes(content)
        answers = {file.stem: predict(file, options.photos) for file in sorted(folder.iterdir())}
    expected = answers.pop("model")
    rows = [
        {"file": kind, "images": len(expected), "agreement": sum(map(str.__eq__, found, expected)) / len(expected)}
        for kind, found in answers.items()
    ]
    # Where the files' sorted order is that of the classes (as in photos1000), the model's own accuracy shows as well.
    right = sum(label == str(index) for index, label in enumerate(expected)) / len(expected)
    rows.append({"file": "model.keras, top-1 by order", "images": len(expected), "agreement": right})
    write_rows(options.csv, rows)
    for row in rows:
        print(row)


def predict(file: Path, photos: Path) -> list[str]:
    """The top-1 label of each photograph, by the command."""
    command = [sys.executable, "-m", "keras_transfer.cli", "predict", str(file), str(photos), "--json", "--top-k", "1"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return [prediction["labels"][0] for prediction in found]


if __name__ == "__main__":
    main()
