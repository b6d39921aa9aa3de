"""What a domain shift costs, whether the scores see it, and which remedies help: one CSV row a shift and way.

    python benchmarks/shift.py RUN --data photos/ --weights backbone.weights.h5 --csv docs/results/shift.csv

The shifts are fixed functions of the test photographs, at the network's size. What adapts sees the validation
photographs under the same function, without their labels; what retrains sees the training photographs. The test is only
scored on.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from table import read_rows, write_rows

from keras_transfer.data.unlabelled import list_unlabelled
from keras_transfer.evaluation import load_keras, predict_split
from keras_transfer.evaluation.shift import classifier_two_sample, expected_accuracy, mmd
from keras_transfer.jobs.parts import build_classifier_of, load_data
from keras_transfer.modalities.image import ImageReader
from keras_transfer.modalities.image.embedded import load_embedded
from keras_transfer.models import adapt_batchnorm, batchnorm_shift
from keras_transfer.recipe import make_recipe
from keras_transfer.training import fit
from keras_transfer.training.align import align
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
REMEDIED = {"contrast 0.15": {"contrast": 0.9}, "grayscale": {"grayscale": 0.5}, "blur 4": {"blur": 0.5}}
"""The shifts that remedies are tried on, each with the augmentation that answers it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--weights")
    parser.add_argument("--csv", type=Path, required=True, help="rows that it holds already are not made again")
    parser.add_argument("--ways", nargs="*", default=["as it is", *REMEDIES], help="some of these; all unless given")
    options = parser.parse_args()
    recipe = make_recipe(options.run / "recipe.yaml", data=options.data, weights=options.weights)
    data = load_data(recipe)
    rows = read_rows(options.csv)
    done = {(row["shift"], row["way"]) for row in rows}
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(recipe, data, options.run, Path(work))
        jobs = [(name, "as it is", partial(scores, bench, name)) for name in (*SHIFTS, "digits")]
        jobs += [(shift, way, partial(make, bench, shift, way)) for shift in REMEDIED for way, make in REMEDIES.items()]
        for shift, way, make in jobs:
            if (shift, way) not in done and way in options.ways:
                rows += make()
                write_rows(options.csv, rows)


@dataclass
class Bench:
    """What every row is measured with; `made` keeps what several rows need."""

    recipe: Any
    data: Any
    run: Path
    work: Path
    made: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def backbone(self) -> Any:
        return build_classifier_of(self.recipe, self.data)

    def tuned(self) -> Any:
        return load_keras(self.run / "model.keras")

    def probe(self, features: Array) -> Array:
        """The answers of a head on frozen features of plain photographs."""
        splits = [self.data.train, self.data.val]
        train, val = self.once("plain", lambda: pooled_features(self.backbone(), splits))
        told = (train, self.data.train.labels), (val, self.data.val.labels)
        return linear_probe(*told, features, len(self.data.class_names))

    def right(self, answers: Array) -> float:
        return float((answers.argmax(axis=1) == self.data.test.labels).mean())


def shifted(bench: "Bench", split: Any, name: str) -> Any:
    """The split's photographs under a shift, as files of their own, without labels."""
    folder, size = bench.work / f"{name}-{split.name}", bench.recipe.model.image_size
    if not folder.exists():
        folder.mkdir()
        for index in range(len(split)):
            pixels = SHIFTS[name](split.read(index, size))
            Image.fromarray(pixels).save(folder / f"{index:05d}.png", compress_level=1)
    return list_unlabelled(folder, ImageReader())[0]


def digits(work: Path) -> Any:
    (work / "digits").mkdir()
    for index, pixels in enumerate(load_embedded("digits")[0][:500]):
        Image.fromarray(pixels).save(work / "digits" / f"{index:05d}.png")
    return list_unlabelled(work / "digits", ImageReader())[0]


def row_of(
    shift: str, way: str, frozen: float | None = None, tuned: float | None = None, **more: Any
) -> dict[str, Any]:
    columns = ("distance", "mmd", "mmd_p", "two_sample", "two_sample_p", "expected", "expected_tuned")
    told = {"shift": shift, "way": way, "frozen_accuracy": frozen, "tuned_accuracy": tuned}
    told |= {name: more.get(name) for name in columns}
    row = {name: round(value, 4) if isinstance(value, float) else value for name, value in told.items()}
    print({name: value for name, value in row.items() if value is not None}, flush=True)
    return row


def scores(bench: Bench, name: str) -> list[dict[str, Any]]:
    """The accuracy on a shift, frozen and fine-tuned, and what the scores say without any label."""
    data = bench.data
    photographs = digits(bench.work) if name == "digits" else shifted(bench, data.test, name)
    backbone, tuned = bench.once("backbone", bench.backbone), bench.once("tuned", bench.tuned)
    (features,) = pooled_features(backbone, [photographs])
    train, val = bench.once("plain", lambda: pooled_features(backbone, [data.train, data.val]))
    on_val = bench.once("on val", lambda: (bench.probe(val), predict_split(tuned, data.val)))
    answers = bench.probe(features), predict_split(tuned, photographs)
    # No answer about a digit is right: the dishes have no class for it.
    right = [0.0 if name == "digits" else bench.right(each) for each in answers]
    near, told = mmd(train, features), classifier_two_sample(train, features)
    expected = [expected_accuracy(data.val.labels, v, a) for v, a in zip(on_val, answers, strict=True)]
    stages = batchnorm_shift(backbone, photographs)
    return [
        row_of(
            name, "as it is", *right, mmd=near["distance"], mmd_p=near["p_value"], two_sample=told["accuracy"],
            two_sample_p=told["p_value"], expected=expected[0], expected_tuned=expected[1],
            distance=float(np.sqrt(np.mean([stage["distance"] ** 2 for stage in stages]))),
        )
    ]  # fmt: skip


def scored(bench: Bench, shift: str, way: str, model: Any, frozen: Any = None) -> list[dict[str, Any]]:
    """The accuracy of a remedied model on the shift, and on plain photographs (shift `plain after ...`)."""
    rows = []
    for name, split in (
        (shift, shifted(bench, bench.data.test, shift)),
        (f"plain after {shift}", bench.data.test),
    ):
        features = pooled_features(frozen, [split])[0] if frozen is not None else None
        head = bench.right(bench.probe(features)) if features is not None else None
        rows.append(row_of(name, way, head, bench.right(predict_split(model, split))))
    return rows


def adabn(bench: Bench, shift: str, way: str) -> list[dict[str, Any]]:
    new, models = shifted(bench, bench.data.val, shift), (bench.tuned(), bench.backbone())
    reference = bench.data.train if "reference" in way else None
    for model in models:
        adapt_batchnorm(model, new, reference=reference)
    return scored(bench, shift, way, *models)


def aligned(bench: Bench, shift: str, way: str) -> list[dict[str, Any]]:
    model = bench.tuned()
    align(model, bench.data, shifted(bench, bench.data.val, shift), method=way, seed=bench.recipe.seed)
    return scored(bench, shift, way, model)


def augmented(bench: Bench, shift: str, way: str) -> list[dict[str, Any]]:
    model, recipe = bench.backbone(), bench.recipe
    matching = {"strength": "auto", **REMEDIED[shift]}
    fit(
        model,
        bench.data,
        strategy="fine-tuning",
        phases=recipe.training.phases,
        augmentation=matching,
        seed=recipe.seed,
    )
    return scored(bench, shift, way, model)


def deeper(bench: Bench, shift: str, way: str) -> list[dict[str, Any]]:
    def make() -> Any:
        model = bench.tuned()
        phase = bench.recipe.training.phases[-1].model_copy(update={"name": "deeper", "stages": 2, "epochs": 3})
        fit(
            model,
            bench.data,
            phases=[phase],
            augmentation=bench.recipe.training.augmentation,
            views=2,
            seed=bench.recipe.seed,
        )
        return model

    return scored(bench, shift, way, bench.once("deeper", make))


REMEDIES: dict[str, Callable[[Bench, str, str], list[dict[str, Any]]]] = {
    "adabn": adabn,
    "adabn with a reference": adabn,
    "coral": aligned,
    "dann": aligned,
    "mmd": aligned,
    "matching augmentation": augmented,
    "two stages fine-tuned": deeper,
}

if __name__ == "__main__":
    main()
