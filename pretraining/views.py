"""Random views of pictures, small for the student and larger for the teacher, with what the teacher answers."""

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from formula import draw_formula_pictures
from PIL import Image

STUDENT, TEACHER = 96, 160  # sides in pixels
STORED = 288  # shorter side at which a picture is kept for cropping


def read_photographs(folders: list[Path]) -> list[np.ndarray]:
    """Every picture below the folders as `uint8 [H, W, 3]`, its shorter side `STORED` pixels at most."""
    pictures = []
    for path in sorted(p for folder in folders for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".png")):
        with Image.open(path) as image:
            image.draft("RGB", (STORED, STORED))
            rgb = image.convert("RGB")
        scale = STORED / min(rgb.size)
        if scale < 1:
            rgb = rgb.resize((round(rgb.width * scale), round(rgb.height * scale)), Image.Resampling.BILINEAR)
        pictures.append(np.asarray(rgb))
    return pictures


def random_view(picture: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One crop, mirrored by chance, its colours moved a little; the same view at both sides, `uint8`.

    Crops as Inception's (Szegedy et al. 2015): 20-100% of the area, 3:4 to 4:3.
    """
    height, width = picture.shape[:2]
    for _ in range(10):
        area = height * width * rng.uniform(0.2, 1.0)
        ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = np.sqrt(area * ratio), np.sqrt(area / ratio)
        if w <= width and h <= height:
            break
    else:
        w = h = min(width, height)
    left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
    box = (left, top, left + w, top + h)
    image = Image.fromarray(picture)
    large = np.asarray(image.resize((TEACHER, TEACHER), Image.Resampling.BILINEAR, box), np.float32)
    small = np.asarray(image.resize((STUDENT, STUDENT), Image.Resampling.BILINEAR, box), np.float32)
    if rng.random() < 0.5:
        large, small = large[:, ::-1], small[:, ::-1]
    contrast, brightness = rng.uniform(0.7, 1.3), rng.uniform(-25, 25)
    gains = rng.uniform(0.9, 1.1, 3) * contrast
    offset = 127.5 * (1 - gains) + brightness
    return tuple(np.clip(view * gains + offset, 0, 255) for view in (large, small))  # type: ignore[return-value]


def mixed_view(pictures: list[np.ndarray], rng: np.random.Generator, mix: float) -> tuple[np.ndarray, np.ndarray]:
    """A view, or with probability `mix` two views blended: the teacher answers for whatever it is shown.

    Blending multiplies the few pictures there are (mixup as in "Knowledge distillation: A good teacher is patient and
    consistent", Beyer et al. 2022).
    """
    large, small = random_view(pictures[rng.integers(len(pictures))], rng)
    if rng.random() < mix:
        other_large, other_small = random_view(pictures[rng.integers(len(pictures))], rng)
        share = rng.uniform(0.1, 0.5)
        large, small = large + share * (other_large - large), small + share * (other_small - small)
    return np.rint(large).astype(np.uint8), np.rint(small).astype(np.uint8)


def make_views(
    pictures: list[np.ndarray], count: int, seed: int, mix: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`count` views, each from a random generator of its own, so that they do not depend on the number of threads."""
    with ThreadPoolExecutor(2) as pool:
        for start in range(0, count, 256):
            numbers = range(start, min(start + 256, count))
            yield from pool.map(lambda i: mixed_view(pictures, np.random.default_rng((seed, i)), mix), numbers)


def teacher_file(weights: Path) -> bytes:
    """ImageNet's MobileNetV2 up to its pooled features as a LiteRT file on `uint8` pixels."""
    import keras

    from keras_transfer.litert import convert
    from keras_transfer.modalities.image.builder import build_classifier

    model = build_classifier("mobilenet_v2", 2, image_size=TEACHER, weights=str(weights))
    pooled = next(layer.output for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D))
    return convert(keras.Model(model.input, pooled), ["float32"])["float32"]


def write_labelled(pictures: np.ndarray, labels: np.ndarray, count: int, seed: int, out: Path) -> None:
    """Views with the class of their picture, for training without a teacher."""
    chosen = np.arange(count) * len(pictures) // count
    views = [random_view(pictures[i], np.random.default_rng((seed, n)))[1] for n, i in enumerate(chosen)]
    np.save(out / "views.npy", np.rint(views).astype(np.uint8))
    np.save(out / "labels.npy", labels[chosen])


def write_answered(
    pictures: list[np.ndarray], teacher_weights: Path, count: int, seed: int, mix: float, out: Path
) -> None:
    """Views with the teacher's features of them."""
    from keras_transfer.litert import open_litert
    from keras_transfer.progress import track

    teacher = open_litert(teacher_file(teacher_weights))
    small = np.lib.format.open_memmap(out / "views.npy", "w+", np.uint8, (count, STUDENT, STUDENT, 3))
    features = np.lib.format.open_memmap(out / "features.npy", "w+", np.float16, (count, 1280))

    def large() -> Iterator[np.ndarray]:
        for i, (big, little) in enumerate(make_views(pictures, count, seed, mix)):
            small[i] = little
            yield big

    for i, (row,) in enumerate(track(teacher.map(large()), "Views", count)):
        features[i] = row
    small.flush()
    features.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*", help="folders of photographs")
    parser.add_argument("--formula", type=int, default=0, help="formula-made pictures to draw beside them")
    parser.add_argument("--teacher", type=Path, help="MobileNetV2 1.0 ImageNet weights without top; else labels")
    parser.add_argument("--count", type=int, default=150_000)
    parser.add_argument("--mix", type=float, default=0.5, help="share of views that are two blended")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.teacher is None and (options.folders or not options.formula):
        parser.error("only --formula pictures have labels: photographs need --teacher")

    pictures = read_photographs(options.folders)
    drawn, labels = draw_formula_pictures(options.formula, options.seed) if options.formula else ([], None)
    options.out.mkdir(parents=True, exist_ok=True)
    if labels is not None and options.teacher is None:
        write_labelled(drawn, labels, options.count, options.seed, options.out)
    else:
        everything = [*pictures, *drawn]
        write_answered(everything, options.teacher, options.count, options.seed, options.mix, options.out)


if __name__ == "__main__":
    main()
