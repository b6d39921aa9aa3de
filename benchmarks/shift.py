"""What a domain shift costs, whether the scores see it, and which remedies help: one CSV row a shift and way.

    python benchmarks/shift.py RUN --data photos/ --weights backbone.weights.h5 --csv docs/results/shift.csv

The shifts are fixed functions of the test photographs, at the network's size. What adapts sees the validation
photographs under the same function, without their labels; what retrains sees the training photographs. The test is only
scored on.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from table import write_rows

from keras_transfer.data.embedded import load_embedded
from keras_transfer.data.unlabelled import list_photographs
from keras_transfer.evaluation import load_keras, predict_pixels
from keras_transfer.evaluation.shift import classifier_two_sample, expected_accuracy, mmd
from keras_transfer.jobs.parts import build_classifier_of, load_data
from keras_transfer.models.batchnorm import adapt_batchnorm, batchnorm_shift
from keras_transfer.recipe import make_recipe
from keras_transfer.training import fit
from keras_transfer.training.align import PENALTIES, align
from keras_transfer.training.probe import linear_probe, pooled_features

Array = np.ndarray[Any, Any]


def _contrast(pixels: Array, share: float) -> Array:
    return np.rint(127.5 + share * (pixels.astype(np.float64) - 127.5)).astype(np.uint8)


def _brightness(pixels: Array, share: float) -> Array:
    return np.rint(share * pixels.astype(np.float64)).astype(np.uint8)


def _gray(pixels: Array) -> Array:
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


def _blur(pixels: Array, radius: float) -> Array:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def _noise(pixels: Array, deviation: float) -> Array:
    chance = np.random.default_rng(int(pixels.astype(np.int64).sum()))
    return np.clip(np.rint(pixels + chance.normal(0, deviation, pixels.shape)), 0, 255).astype(np.uint8)


SHIFTS: dict[str, Callable[[Array], Array]] = {
    "plain": lambda pixels: pixels,
    "grayscale": _gray,
    **{f"blur {radius}": partial(_blur, radius=radius) for radius in (1, 2, 4, 6)},
    **{f"contrast {share:g}": partial(_contrast, share=share) for share in (0.4, 0.15)},
    "brightness 0.3": partial(_brightness, share=0.3),
    "noise 40": partial(_noise, deviation=40),
}
"""Blur by a Gaussian's deviation in pixels, contrast about mid-gray and brightness by a factor, noise by deviation."""
REMEDIED = {"grayscale": {"grayscale": 0.5}, "blur 4": {"blur": 0.5}, "contrast 0.15": {"contrast": 0.9}}
"""The shifts that remedies are tried on, each with the augmentation that answers it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--weights")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--skip", nargs="*", default=[], help="remedies to leave out")
    options = parser.parse_args()
    recipe = make_recipe(options.run / "recipe.yaml", data=options.data, weights=options.weights)
    data = load_data(recipe)
    work = Path(tempfile.mkdtemp())
    try:
        rows = scores(recipe, data, options.run, work)
        write_rows(options.csv, rows)
        for shift, augmentation in REMEDIED.items():
            rows += remedies(recipe, data, options.run, work, shift, augmentation, options.skip)
            write_rows(options.csv, rows)
    finally:
        shutil.rmtree(work)


def shifted(work: Path, split: Any, name: str) -> Any:
    """The split's photographs under a shift, as files of their own, without labels."""
    folder = work / f"{name}-{split.name}"
    if not folder.exists():
        folder.mkdir()
        for index in range(len(split)):
            pixels = SHIFTS[name](split.read(index, 224))
            Image.fromarray(pixels).save(folder / f"{index:05d}.png", compress_level=1)
    return list_photographs(folder)[0]


def digits(work: Path) -> Any:
    (work / "digits").mkdir()
    for index, pixels in enumerate(load_embedded("digits")[0][:500]):
        Image.fromarray(pixels).save(work / "digits" / f"{index:05d}.png")
    return list_photographs(work / "digits")[0]


def row_of(
    shift: str, way: str, frozen: float | None = None, tuned: float | None = None, **more: Any
) -> dict[str, Any]:
    columns = ("distance", "mmd", "mmd_p", "two_sample", "two_sample_p", "expected", "expected_tuned")
    told = {"shift": shift, "way": way, "frozen_accuracy": frozen, "tuned_accuracy": tuned}
    told |= {name: more.get(name) for name in columns}
    row = {name: round(value, 4) if isinstance(value, float) else value for name, value in told.items()}
    print({name: value for name, value in row.items() if value is not None}, flush=True)
    return row


def scores(recipe: Any, data: Any, run: Path, work: Path) -> list[dict[str, Any]]:
    """The accuracy on every shift, frozen and fine-tuned, and what the scores say without any label."""
    backbone, tuned = build_classifier_of(recipe, data), load_keras(run / "model.keras")
    train, val = pooled_features(backbone, [data.train, data.val])
    answer = partial(linear_probe, (train, data.train.labels), (val, data.val.labels), classes=len(data.class_names))
    on_val = answer(val), predict_pixels(tuned, data.val)
    rows = []
    for name in [*SHIFTS, "digits"]:
        photographs = digits(work) if name == "digits" else shifted(work, data.test, name)
        (features,) = pooled_features(backbone, [photographs])
        answers = answer(features), predict_pixels(tuned, photographs)
        # No answer about a digit is right: the dishes have no class for it.
        right = [float((a.argmax(axis=1) == data.test.labels).mean()) if name != "digits" else 0.0 for a in answers]
        near, told = mmd(train, features), classifier_two_sample(train, features)
        stages = batchnorm_shift(backbone, photographs)
        expected = [expected_accuracy(data.val.labels, v, a) for v, a in zip(on_val, answers, strict=True)]
        rows.append(
            row_of(
                name, "as it is", *right, mmd=near["distance"], mmd_p=near["p_value"], two_sample=told["accuracy"],
                two_sample_p=told["p_value"], expected=expected[0], expected_tuned=expected[1],
                distance=float(np.sqrt(np.mean([stage["distance"] ** 2 for stage in stages]))),
            )
        )  # fmt: skip
    return rows


def remedies(
    recipe: Any, data: Any, run: Path, work: Path, shift: str, augmentation: dict[str, float], skip: list[str]
) -> list[dict[str, Any]]:
    """The accuracy on a shift after each remedy, and on plain photographs (shift `plain after ...`) what it cost."""
    new, test, rows = shifted(work, data.val, shift), shifted(work, data.test, shift), []

    def score(way: str, model: Any, frozen: tuple[float, float] | None = None) -> None:
        for place, (name, split) in enumerate(((shift, test), (f"plain after {shift}", data.test))):
            answers = predict_pixels(model, split)
            right = float((answers.argmax(axis=1) == data.test.labels).mean())
            rows.append(row_of(name, way, frozen[place] if frozen else None, right))

    def tuned() -> Any:
        return load_keras(run / "model.keras")

    if "adabn" not in skip:
        backbone, model = build_classifier_of(recipe, data), tuned()
        train, val = pooled_features(backbone, [data.train, data.val])
        adapt_batchnorm(backbone, new)
        adapt_batchnorm(model, new)
        right = []
        for features in pooled_features(backbone, [test, data.test]):
            answers = linear_probe((train, data.train.labels), (val, data.val.labels), features, len(data.class_names))
            right.append(float((answers.argmax(axis=1) == data.test.labels).mean()))
        score("adabn", model, (right[0], right[1]))
    for method in PENALTIES:
        if method not in skip:
            model = tuned()
            align(model, data, new, method=method, seed=recipe.seed)
            score(method, model)
    if "augmentation" not in skip:
        model = build_classifier_of(recipe, data)
        matching = {"strength": "auto", **augmentation}
        fit(model, data, strategy="fine-tuning", phases=recipe.phases, augmentation=matching, seed=recipe.seed)
        score("matching augmentation", model)
    if "stages" not in skip:
        model = tuned()
        phase = recipe.phases[-1].model_copy(update={"name": "deeper", "stages": 2, "epochs": 4})
        fit(model, data, phases=[phase], augmentation=recipe.augmentation, views=2, seed=recipe.seed)
        score("one stage deeper", model)
    return rows


if __name__ == "__main__":
    main()
