"""Golden vectors: pictures with what Python makes of them, against which other languages' twins are tested.

A folder of golden vectors holds `cases.csv` and, for each row of it, raw files named after the case:

- `NAME.rgb`: the decoded picture as it is stored, before its EXIF orientation is obeyed: `height * width * 3` bytes,
  row by row, R G B.
- `NAME.pixels`: what must come of it, equal in every bit: `out_height * out_width * 3` bytes, R G B.
- `NAME.input`, `NAME.output`: with a model, the content of its input and output tensor, in the file's own type,
  little-endian. A model of one channel takes the luma of the pixels, `keras_transfer.modalities.image.decode.luma`.
- `NAME.scores`: with a model, the probabilities, float32 little-endian, one a class.

`cases.csv` (UTF-8, a heading line, no quotes) has the columns `name, width, height, orientation, out_height, out_width,
top, mode, crop, interpolation, padding`: `width` and `height` are those of `NAME.rgb`, `orientation` is the EXIF tag (1
to 8), `top` the number of the most probable class (the first of equals), or nothing without a model, and the last four
are the fields of the geometry. With a model `model.csv` stands beside it, lines of `key,value`: `input_channels` (3 or
1), `input_dtype, input_scale, input_zero_point, output_dtype, output_scale, output_zero_point` (scale and zero point
are empty for floats).

The steps from `NAME.rgb` to `NAME.pixels` are those of `decode_image`: turn the picture upright (a copy of its pixels)
and fit it as `keras_transfer/geometry.py` says. A picture that has the wanted size stays as it is.
`web_demo/preprocess.js` is the reference of the twins.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from keras_transfer.errors import InputError
from keras_transfer.files import write_bytes, write_text
from keras_transfer.geometry import LEGACY, MODES, Geometry
from keras_transfer.modalities.image import decode_image
from keras_transfer.modalities.image.decode import Pixels, luma

if TYPE_CHECKING:
    from keras_transfer.litert.runtime import LiteRT

COLUMNS = ("name", "width", "height", "orientation", "out_height", "out_width", "top")
GEOMETRIES = (
    *MODES.values(),
    Geometry("crop", 0.875, "mediapipe"),
    Geometry("crop", 1.0),
    Geometry("letterbox", 1.0, "bilinear", 0),
)
"""What cases without a geometry of their own go through in turn: every mode, both interpolations."""
# Seven sizes, so that all eight orientations meet each of them.
_SIZES = ((96, 96), (224, 224), (160, 128), (32, 57), (128, 128), (1, 1), (299, 299))
_PICTURES = ((1, 1), (2, 3), (300, 1), (1, 300), (97, 512), (640, 480), (1023, 767))  # (width, height)
_LONGEST = (96, 180, 256, 333, 480, 640, 1024)
_EXIF_ORIENTATION = 0x0112


def golden_vectors(
    folder: str | Path,
    content: bytes | None = None,
    pictures: Iterable[str | Path | Pixels] | None = None,
    count: int = 56,
    seed: int = 0,
    geometry: Geometry | None = None,
) -> Path:
    """Writes golden vectors, in the form that this module's docstring describes.

    Args:
        folder: the place to write to.
        content: a LiteRT image classifier; cases then have its image size and its answers. Without one, cases have
            many sizes.
        pictures: photographs' paths or `uint8 [H, W, 3]` arrays. A photograph is reduced to some size of 96 to 1024
            pixels first, another for each, so that all sides are met. Without any, `count` pictures are made up.
        count: how many cases; with `pictures`, at most.
        seed: of the made-up pictures.
        geometry: of all cases; without one they go through `GEOMETRIES` in turn.

    Returns:
        `cases.csv`.

    Raises:
        InputError: there is no picture, one cannot be read, or the file is no image classifier.

    >>> import tempfile
    >>> index = golden_vectors(tempfile.mkdtemp(), count=8)
    >>> len(index.read_text().splitlines()), index.with_name("case_000.pixels").stat().st_size
    (9, 27648)
    """
    folder = Path(folder)
    if pictures is None:
        arrays: Iterator[Pixels] = _made_up(count, seed)
    else:
        arrays = (_picture(picture, i) for i, picture in enumerate(pictures) if i < count)
    model = None
    if content is not None:
        from keras_transfer.litert import open_litert

        model = open_litert(content, threads=1)
        _write_model(folder, model)
    rows = []
    for i, rgb in enumerate(arrays):
        name, orientation = f"case_{i:03d}", i % 8 + 1
        size = _SIZES[i % len(_SIZES)]
        if model is not None:
            size = (model.inputs[0].shape[1], model.inputs[0].shape[2])
        own = geometry or GEOMETRIES[(i + i // 8) % len(GEOMETRIES)]
        pixels = decode_image(_png(rgb, orientation), size, own)
        write_bytes(folder / f"{name}.rgb", rgb.tobytes())
        write_bytes(folder / f"{name}.pixels", pixels.tobytes())
        top = "" if model is None else _write_answer(folder / name, model, pixels)
        rows.append((name, rgb.shape[1], rgb.shape[0], orientation, *size, top, *own.to_dict().values()))
    if not rows:
        raise InputError("There is no picture to make golden vectors of. Give some photographs.")
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([(*COLUMNS, *LEGACY.to_dict()), *rows])
    return write_text(folder / "cases.csv", text.getvalue())


def _write_answer(case: Path, model: "LiteRT", pixels: Pixels) -> int:
    """Writes what a model takes and answers for one picture; returns its most probable class."""
    if model.inputs[0].shape[3] == 1:
        pixels = luma(pixels)
    (prepared,) = model.preparation()(pixels)
    output = model.run([prepared[None]])[0]
    scores = model.predict(pixels[None])[0]
    for kind, values in (("input", prepared), ("output", output), ("scores", scores)):
        write_bytes(case.with_name(f"{case.name}.{kind}"), values.astype(values.dtype.newbyteorder("<")).tobytes())
    return int(scores.argmax())


def _write_model(folder: Path, model: "LiteRT") -> None:
    lines = [f"input_channels,{model.inputs[0].shape[3]}"]
    for end, tensor in (("input", model.inputs[0]), ("output", model.outputs[0])):
        quantized = tensor.dtype != "float32" and tensor.scale
        lines.append(f"{end}_dtype,{tensor.dtype}")
        lines.append(f"{end}_scale,{tensor.scale[0] if quantized else ''}")
        lines.append(f"{end}_zero_point,{tensor.zero_point[0] if quantized else ''}")
    write_text(folder / "model.csv", "\n".join(lines) + "\n")


def _made_up(count: int, seed: int) -> Iterator[Pixels]:
    """Pictures of soft shapes under fine noise, of sizes from 1 x 1 up; some have just the size of their case."""
    random = np.random.default_rng(seed)
    for i in range(count):
        if i < 2 * len(_PICTURES):
            width, height = _PICTURES[i // 2]
        elif i % 10 == 0:
            height, width = _SIZES[i % len(_SIZES)]
        else:
            width, height = np.exp(random.uniform(np.log(8), np.log(700), 2)).astype(int)
        coarse = Image.fromarray(random.integers(0, 256, (4, 4, 3), np.uint8))
        soft = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
        noise = random.integers(-60, 61, soft.shape, np.int16)
        yield np.clip(soft + noise, 0, 255).astype(np.uint8)


def _picture(picture: str | Path | Pixels, i: int) -> Pixels:
    if isinstance(picture, np.ndarray):
        return np.ascontiguousarray(picture)
    image = Image.fromarray(decode_image(picture))
    longest = _LONGEST[i % len(_LONGEST)]
    image.thumbnail((longest, longest))
    return np.asarray(image)


def _png(rgb: Pixels, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = orientation
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", exif=exif, compress_level=1)
    return buffer.getvalue()
