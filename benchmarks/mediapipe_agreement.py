"""Whether MediaPipe Tasks sees in photographs, reads in texts and hears in sounds what `keras-transfer predict` does.

    python benchmarks/mediapipe_agreement.py photos/ FILE.tflite... --csv out.csv --mediapipe ENVIRONMENT/bin/python
    python benchmarks/mediapipe_agreement.py RUN RUN/export/mediapipe/model.tflite --csv ... --mediapipe ...
    python benchmarks/mediapipe_agreement.py RUN RUN/export/model_float32.tflite --csv ... --mediapipe ...  # sounds

MediaPipe (1.2.2 was measured) wants a newer absl-py than tensorflow-model-optimization allows, so it has an
environment of its own: `python -m venv ENVIRONMENT && ENVIRONMENT/bin/pip install mediapipe==1.2.2`. This script starts
itself there.

Each file is opened as it is: its labels, its normalization and its geometry or vocabulary are inside. Of a run on texts
or sounds it is given the test split (TextClassifier, AudioClassifier); else it is given (ImageClassifier), of every
photograph in a folder a class, (1) the pixels that `decode_image` makes, (2) the photograph with our window as the
region of interest, and (3) the photograph alone, which MediaPipe squashes to the model's size. Classes are compared by
name.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

GIVEN = ("pixels of decode_image", "photograph, region of interest", "photograph alone")


def answer_texts(task: dict[str, Any]) -> list[list[dict[str, float]]]:
    """In MediaPipe's environment: each text's scores by class name."""
    from mediapipe.tasks.python import BaseOptions, text

    options = text.TextClassifierOptions(base_options=BaseOptions(model_asset_path=task["model"]), max_results=-1)
    answers: list[dict[str, float]] = []
    with text.TextClassifier.create_from_options(options) as classifier:
        for words in task["texts"]:
            [head] = classifier.classify(words).classifications
            answers.append({category.category_name: category.score for category in head.categories})
    return [answers]


def answer_sounds(task: dict[str, Any]) -> list[list[dict[str, float]]]:
    """In MediaPipe's environment: each clip's scores by class name."""
    import numpy as np
    from mediapipe.tasks.python import BaseOptions, audio
    from mediapipe.tasks.python.components.containers import AudioData

    options = audio.AudioClassifierOptions(base_options=BaseOptions(model_asset_path=task["model"]), max_results=-1)
    answers: list[dict[str, float]] = []
    with audio.AudioClassifier.create_from_options(options) as classifier:
        for clip in np.load(task["clips"]):
            [found] = classifier.classify(AudioData.create_from_array(clip, task["sample_rate"]))
            [head] = found.classifications
            answers.append({category.category_name: category.score for category in head.categories})
    return [answers]


def answer(task: dict[str, Any]) -> list[list[dict[str, float]]]:
    """In MediaPipe's environment: for each way of giving it, each photograph's scores by class name."""
    import mediapipe as mp
    import numpy as np
    from mediapipe.tasks.python import BaseOptions, vision
    from mediapipe.tasks.python.components.containers.rect import RectF

    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=task["model"]), max_results=-1)
    pixels = np.load(task["pixels"])
    answers: list[list[dict[str, float]]] = [[], [], []]
    with vision.ImageClassifier.create_from_options(options) as classifier:

        def scores(image: Any, window: Any = None) -> dict[str, float]:
            processing = vision.ImageProcessingOptions(region_of_interest=window)
            head, *_ = classifier.classify(image, processing).classifications  # behind it, how unlike all classes it is
            return {category.category_name: category.score for category in head.categories}

        for path, prepared, window in zip(task["photographs"], pixels, task["regions"], strict=True):
            photograph = mp.Image.create_from_file(path)
            answers[0].append(scores(mp.Image(image_format=mp.ImageFormat.SRGB, data=prepared)))
            answers[1].append(scores(photograph, RectF(**window)))
            answers[2].append(scores(photograph))
    return answers


def region(geometry: Any, width: int, height: int, out_height: int, out_width: int) -> dict[str, float]:
    """What a geometry uses of an upright picture as MediaPipe's region of interest: shares of its width and height."""
    box = geometry.window(width, height, out_width, out_height)
    return {
        "left": box.left / width,
        "top": box.top / height,
        "right": box.right / width,
        "bottom": box.bottom / height,
    }


def compare(model: Path, photographs: list[Path], mediapipe: str) -> list[dict[str, Any]]:
    """One row for each way of giving the photographs."""
    import numpy as np

    from keras_transfer.evaluation import open_classifier
    from keras_transfer.geometry import LEGACY
    from keras_transfer.modalities.image import decode_image

    classifier = open_classifier(model)
    geometry = classifier.geometry or LEGACY
    pixels = np.stack([decode_image(path, classifier.image_size, geometry) for path in photographs])
    sizes = [decode_image(path).shape[1::-1] for path in photographs]
    ours = classifier.predict(pixels)
    names = np.array(classifier.class_names)
    truth = np.array([path.parent.name for path in photographs])
    with tempfile.TemporaryDirectory() as place:
        np.save(f"{place}/pixels.npy", pixels)
        task = {
            "model": str(model.resolve()),
            "regions": [region(geometry, *size, *classifier.image_size) for size in sizes],
            "pixels": f"{place}/pixels.npy",
            "photographs": [str(path.resolve()) for path in photographs],
        }
        answers = ask(task, Path(place), mediapipe)
    return [
        {"file": model.name, "geometry": geometry.mode, "given": given, "images": len(photographs)}
        | figures(found, ours, names, truth)
        for given, found in zip(GIVEN, answers, strict=True)
    ]


def compare_texts(model: Path, texts: list[str], truth: list[str], mediapipe: str) -> dict[str, Any]:
    """One row: the file in MediaPipe against the file in `predict`."""
    import numpy as np

    from keras_transfer.evaluation import open_classifier
    from keras_transfer.inputs import open_preparer, stacked

    classifier = open_classifier(model)
    preparer = open_preparer(classifier.inputs.modality, classifier.inputs.preparation)
    items = [preparer.prepare(text.encode(), classifier.inputs) for text in texts]
    ours, names = classifier.predict(stacked(items)), np.array(classifier.class_names)
    with tempfile.TemporaryDirectory() as place:
        (found,) = ask({"model": str(model.resolve()), "texts": texts}, Path(place), mediapipe)
    about = {"file": f"{model.parent.name}/{model.name}", "texts": len(texts)}
    about["beyond ASCII"] = sum(not text.isascii() for text in texts)
    return about | figures(found, ours, names, np.array(truth))


def compare_sounds(model: Path, clips: Any, truth: list[str], mediapipe: str) -> dict[str, Any]:
    """One row: the file in MediaPipe against the file in `predict`, on clips `float32 [n, samples]`."""
    import numpy as np

    from keras_transfer.evaluation import open_classifier

    classifier = open_classifier(model)
    with tempfile.TemporaryDirectory() as place:
        np.save(f"{place}/clips.npy", clips)
        rate = classifier.inputs.preparation["sample_rate"]
        task = {"model": str(model.resolve()), "clips": f"{place}/clips.npy", "sample_rate": rate}
        (found,) = ask(task, Path(place), mediapipe)
    about = {"file": f"{model.parent.name}/{model.name}", "clips": len(clips)}
    return about | figures(found, classifier.predict(clips), np.array(classifier.class_names), np.array(truth))


def ask(task: dict[str, Any], place: Path, mediapipe: str) -> list[list[dict[str, float]]]:
    """What MediaPipe answers to a task, in its own environment; `place` is a folder for both."""
    (place / "task.json").write_text(json.dumps(task))
    call = [mediapipe, str(Path(__file__).resolve()), "--answer", f"{place}/task.json"]
    subprocess.run(call, check=True, stderr=subprocess.DEVNULL)
    answers: list[list[dict[str, float]]] = json.loads((place / "answers.json").read_text())
    return answers


def figures(found: list[dict[str, float]], ours: Any, names: Any, truth: Any) -> dict[str, float]:
    """MediaPipe's scores of each item, by class name, against ours `[n, classes]` and the truth, a name for each."""
    import numpy as np

    theirs = np.array([[scores[name] for name in names] for scores in found])
    return {
        "same top-1": round(float(np.mean(ours.argmax(1) == theirs.argmax(1))), 4),
        "accuracy": round(float(np.mean(names[theirs.argmax(1)] == truth)), 4),
        "our accuracy": round(float(np.mean(names[ours.argmax(1)] == truth)), 4),
        "mean score difference": round(float(np.abs(ours - theirs).mean()), 5),
    }


def texts_of(run: Path) -> tuple[list[str], list[str]]:
    """The test split of a run on texts: the texts, and the class of each."""
    test = split_of(run)
    texts = [test.preparer.load(str(path)).decode() for path in test.paths]
    return texts, [test.class_names[label] for label in test.labels]


def split_of(run: Path) -> Any:
    """The test split of a run."""
    from keras_transfer.jobs.parts import load_data
    from keras_transfer.recipe import make_recipe

    return load_data(make_recipe(run / "recipe.yaml"), run).test


def compare_run(run: Path, models: list[Path], mediapipe: str) -> list[dict[str, Any]]:
    """One row for each file, on the test split of a run on texts or sounds."""
    import numpy as np

    from keras_transfer.evaluation import open_classifier

    test = split_of(run)
    if test.preparer.modality != "audio":
        texts, truth = texts_of(run)
        return [compare_texts(model, texts, truth, mediapipe) for model in models]
    clips = np.concatenate([part for part, _ in test.batches(open_classifier(models[0]).inputs.tensors, 64)])
    truth = [test.class_names[label] for label in test.labels]
    return [compare_sounds(model, clips, truth, mediapipe) for model in models]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", type=Path, nargs="?", help="photographs in class folders, or a run on texts or sounds")
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--mediapipe", default=sys.executable)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answer:
        task = json.loads(options.answer.read_text())
        answers = (answer_texts if "texts" in task else answer_sounds if "clips" in task else answer)(task)
        (options.answer.parent / "answers.json").write_text(json.dumps(answers))
        return
    if (options.items / "recipe.yaml").is_file():
        rows = compare_run(options.items, options.models, options.mediapipe)
    else:
        photographs = sorted(
            path for path in options.items.glob("*/*") if path.suffix.lower() in (".jpg", ".jpeg", ".png")
        )
        rows = [row for model in options.models for row in compare(model, photographs, options.mediapipe)]
    for row in rows:
        print(row)
    if options.csv:
        from table import write_rows  # not at the top: MediaPipe's environment has no keras_transfer

        write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
