"""Golden vectors: series with what Python makes of them for a model's input, against which twins are tested.

A folder of golden vectors holds two tables (a heading line, no quotes): `normalization.csv` with the columns `mean` and
`deviation` has a row for each channel, or none where the model takes raw samples; `series.csv` has the columns `name`,
`dtype`, `scale` and `zero_point` (both 0 of floats). For each row of it there are

- `NAME.samples`: float32, little-endian: raw samples, those of each moment together;
- `NAME.input`: what the model takes of them, `dtype`, little-endian.

`web_demo/classifier.js`, `android_demo/core/.../Tensor.kt` and `Quantize()` of a microcontroller's sources are equal
to it in every bit.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from keras_transfer.files import write_bytes, write_text
from keras_transfer.litert.flatbuffer import TensorInfo
from keras_transfer.litert.runtime import quantized
from keras_transfer.modalities.series.items import Values
from keras_transfer.modalities.series.preparer import SeriesPreparer


def golden_vectors(
    folder: str | Path,
    tensor: TensorInfo,
    series: Iterable[Values] | None = None,
    normalization: Sequence[tuple[float, float]] = (),
) -> Path:
    """Writes golden vectors, in the form that this module's docstring describes.

    Args:
        folder: the place to write to.
        tensor: a model's input.
        series: float32 `[time, channels]`; without any, `hard_values`.
        normalization: mean and deviation of each channel, where the model takes normalized samples.

    Returns:
        `series.csv`.

    >>> import tempfile
    >>> tensor = TensorInfo(0, "series", (1, 8, 1), "int8", (0.5,), (3,))
    >>> print(golden_vectors(tempfile.mkdtemp(), tensor).read_text())
    name,dtype,scale,zero_point
    series_000,int8,0.5,3
    <BLANKLINE>
    """
    folder = Path(folder)
    scale, zero_point = (tensor.scale[0], tensor.zero_point[0]) if tensor.scale else (0, 0)
    rows = ["name,dtype,scale,zero_point"]
    hard, width = hard_values(scale or 1), len(normalization) or 1
    hard = hard[: len(hard) // width * width].reshape(-1, width)
    preparer = SeriesPreparer(normalization=tuple(normalization))
    for i, values in enumerate([hard] if series is None else series):
        taken = preparer.normalized(values) if normalization else values
        name = f"series_{i:03d}"
        write_bytes(folder / f"{name}.samples", values.astype("<f4").tobytes())
        write_bytes(folder / f"{name}.input", quantized(taken, tensor).tobytes())
        rows.append(f"{name},{tensor.dtype},{float(scale)!r},{int(zero_point)}")
    each = [f"{float(np.float32(mean))!r},{float(np.float32(deviation))!r}\n" for mean, deviation in normalization]
    write_text(folder / "normalization.csv", "".join(["mean,deviation\n", *each]))
    return write_text(folder / "series.csv", "".join(f"{row}\n" for row in rows))


def hard_values(scale: float, seed: int = 0) -> Values:
    """Samples that are easily rounded otherwise: halves of steps and their neighbours, and what is out of range.

    >>> hard_values(0.5)[:4].tolist()
    [-150.25, -149.75, -149.25, -148.75]
    """
    halves = (np.arange(-300.5, 301) * np.float32(scale)).astype(np.float32)
    beside = [np.nextafter(halves, np.float32(sign * np.inf)) for sign in (-1, 1)]
    extremes = np.array([0, -0.0, 1e-40, 1e9, -1e9, 1e30, -1e30], np.float32)
    random = np.random.default_rng(seed).normal(0, 100 * scale, 5000).astype(np.float32)
    return np.concatenate([halves, *beside, extremes, random])
