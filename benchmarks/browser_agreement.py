"""Whether the page of `export --target web` sees in photographs, or reads in texts, what `keras-transfer predict` does.

    python benchmarks/browser_agreement.py photos/ RUN/export/model_int8.tflite --csv out.csv
    python benchmarks/browser_agreement.py RUN RUN/export/model_dynamic.tflite --csv out.csv

Every photograph of a folder a class (at most `--count`) is picked in headless Chromium (`npm ci` in web_demo and in
tests/web) three times: as it is, as a PNG of its pixels, and enlarged to a camera's 12 megapixels as a JPEG. Of a run
on texts, as many of the test split are typed into the page's text field.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from mediapipe_agreement import texts_of
from PIL import Image
from table import write_rows

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "web"))


def as_png(photograph: Path, folder: Path) -> Path:
    """The pixels that Python decodes."""
    from keras_transfer.modalities.image import decode_image

    path = folder / f"{photograph.parent.name} {photograph.stem}.png"
    Image.fromarray(decode_image(photograph)).save(path)
    return path


def enlarged(photograph: Path, folder: Path) -> Path:
    """A JPEG of 12 megapixels, which is decoded at a reduced size."""
    path = folder / f"{photograph.parent.name} {photograph.stem}.jpg"
    with Image.open(photograph) as image:
        factor = (12e6 / (image.width * image.height)) ** 0.5
        size = (round(image.width * factor), round(image.height * factor))
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(path, quality=92)
    return path


def compare(given: str, files: list[Path], classifier: Any, url: str) -> dict[str, Any]:
    """One row of the table."""
    from keras_transfer.modalities.image import decode_image

    found = browse(url, files=list(map(str, files)))
    pixels = np.stack([decode_image(path, classifier.image_size) for path in files])
    ours = classifier.predict(pixels)
    theirs = np.array([result["scores"] for result in found], np.float32)
    seen = np.stack([np.frombuffer(bytes.fromhex(result["pixels"]), np.uint8) for result in found])
    apart = np.abs(seen.reshape(pixels.shape).astype(int) - pixels)
    return {
        "given": given,
        "images": len(files),
        "equal pixels": round(float(np.mean(apart.max(axis=(1, 2, 3)) == 0)), 4),
        "mean pixel difference": round(float(apart.mean()), 3),
        "largest": int(apart.max()),
        "equal scores": round(float(np.mean(np.all(ours == theirs, axis=1))), 4),
        **agreement(ours, theirs, found),
    }


def compare_texts(texts: list[str], classifier: Any, url: str) -> dict[str, Any]:
    """The row of texts."""
    from keras_transfer.inputs import open_preparer

    found = browse(url, texts=texts)
    preparer = open_preparer(classifier.inputs.modality, classifier.inputs.preparation)
    ids = np.stack([preparer.prepare(text.encode(), classifier.inputs) for text in texts])
    ours, theirs = classifier.predict(ids), np.array([result["scores"] for result in found], np.float32)
    return {
        "texts": len(texts),
        "equal ids": round(float(np.mean(np.all([result["ids"] for result in found] == ids, axis=1))), 4),
        "largest score difference": round(float(np.abs(ours - theirs).max()), 5),
        **agreement(ours, theirs, found),
    }


def browse(url: str, **items: list[str]) -> list[dict[str, Any]]:
    """What the page says of each item."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    call = ["node", str(ROOT / "tests" / "web" / "browse.js"), url, chromium]
    done = subprocess.run(call, input=json.dumps(items), capture_output=True, text=True, check=True)
    results: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    return results


def agreement(ours: Any, theirs: Any, found: list[dict[str, Any]]) -> dict[str, float]:
    """Figures of scores `[n, classes]`, and how long the page's took."""
    return {
        "same top-1": round(float(np.mean(ours.argmax(1) == theirs.argmax(1))), 4),
        "mean score difference": round(float(np.abs(ours - theirs).mean()), 5),
        "median ms of the model": round(float(np.median([result["milliseconds"] for result in found])), 1),
    }


def main() -> None:
    from serving import serve

    from keras_transfer.evaluation import open_classifier
    from keras_transfer.exporters.targets import Kit, kit_writer

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", type=Path, help="photographs in class folders, or a run on texts")
    parser.add_argument("model", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    classifier = open_classifier(options.model)
    of_texts = classifier.inputs.modality == "text"
    items: list[Any] = sorted(path for path in options.items.glob("*/*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if of_texts:
        items, _ = texts_of(options.items)
    items = items[:: -(-len(items) // options.count)]
    proof = json.loads(options.model.with_suffix(".json").read_text("utf-8"))
    split = SimpleNamespace(labels=np.zeros(1))
    rows = []
    with tempfile.TemporaryDirectory() as place:
        site, pngs, large = Path(place, "site"), Path(place, "png"), Path(place, "large")
        content, inputs = options.model.read_bytes(), classifier.inputs
        write = kit_writer("web", inputs.modality)
        write(Kit(options.model.stem, content, classifier.class_names, proof, split, inputs), site)
        pngs.mkdir()
        large.mkdir()
        for url in serve(site):
            if of_texts:
                rows.append(compare_texts(items, classifier, url))
                continue
            rows.append(compare("PNG", [as_png(path, pngs) for path in items], classifier, url))
            rows.append(compare("JPEG", items, classifier, url))
            few = [enlarged(path, large) for path in items[::4]]
            rows.append(compare("JPEG of 12 megapixels", few, classifier, url))
    for row in rows:
        print(row)
    write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
