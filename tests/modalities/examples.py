"""Items of every modality, for the contract tests of this folder."""

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from encoders import write_encoder
from PIL import Image

from keras_transfer.data import Dataset
from keras_transfer.inputs import InputSpec, TensorSpec
from keras_transfer.modalities import Modality
from keras_transfer.recipe import Recipe, make_recipe

NAMES = ("down", "up")
ENCODER = write_encoder(Path(tempfile.mkdtemp(prefix="encoder-")))
COUNT = 24  # items of each class


def _picture(label: int, random: np.random.Generator) -> bytes:
    """Noise, mostly of one colour."""
    pixels = random.integers(0, 120, (40, 48, 3), np.uint8)
    pixels[..., 2 * label] += 120
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def _bump(label: int, random: np.random.Generator) -> bytes:
    """A signal with a bump down or up."""
    bump = random.uniform(0.6, 0.9) * np.exp(-(((np.arange(64) - random.integers(16, 48)) / 3) ** 2))
    return ((2 * label - 1) * bump + random.normal(0, 0.02, 64)).astype(np.float32).tobytes()


def _sentence(label: int, random: np.random.Generator) -> bytes:
    """Words in any order, one of which is kind or not."""
    others = random.choice(["the", "a", "soup", "tea", "was", "is", "very"], 6)
    opinion = random.choice([("bad", "poor"), ("good", "fine")][label])
    return " ".join([opinion, *others]).encode()


def _sound(label: int, random: np.random.Generator) -> bytes:
    """Half a second of noise, low or high."""
    noise = random.normal(0, 0.2, 8000)
    smooth = np.convolve(noise, np.full(9, 1 / 9), "same")
    content = io.BytesIO()
    soundfile.write(content, (smooth, noise - smooth)[label], 16000, format="WAV", subtype="PCM_16")
    return content.getvalue()


def _gesture(label: int, random: np.random.Generator) -> bytes:
    """A CSV of three channels, of which the first swings slowly or fast."""
    time = np.arange(50) / 25
    wave = np.sin(2 * np.pi * (1 + 2 * label) * (time + random.uniform()))
    rows = np.stack([wave, random.normal(0, 1, 50), random.normal(5, 0.2, 50)], axis=1)
    return b"x,y,z\n" + b"".join(b"%.4f,%.4f,%.4f\n" % tuple(row) for row in rows)


@dataclass(frozen=True)
class Example:
    """A modality for the contract tests.

    Attributes:
        content: an item of a class, 0 or 1.
        suffix: of its file.
        inputs: of a small model.
        preparation: how items become these.
        other: another preparation.
        damaged: what is no item.
        module: of this folder, for a modality that the package does not have.
        backbone: of a small network.
        unchanged: corruptions that its preparation takes out again.
    """

    content: Callable[[int, np.random.Generator], bytes]
    suffix: str
    inputs: tuple[TensorSpec, ...]
    preparation: dict
    other: dict = field(default_factory=dict)
    damaged: bytes = b"1234"
    module: str = ""
    backbone: str = "mobilenet"
    unchanged: tuple[str, ...] = ()


EXAMPLES = {
    "image": Example(_picture, ".png", (TensorSpec("image", (32, 32, 3)),), {"geometry": {"mode": "squash"}}),
    "text": Example(
        lambda label, random: _sentence(label, random) + b", %d." % random.integers(1000),
        ".txt",
        (TensorSpec("ids", (None,), "int32"),),
        {"backbone": str(ENCODER), "length": 16},
        {"backbone": str(ENCODER), "length": 24},
        b"a\0b",
        backbone=str(ENCODER),
        unchanged=("capitals",),
    ),
    "audio": Example(
        _sound,
        ".wav",
        (TensorSpec("waveform", (16000,)),),
        {"window": 1},
        {"window": 1, "sample_rate": 8000},
        backbone="yamnet",
    ),
    "series": Example(
        _gesture,
        ".csv",
        (TensorSpec("series", (48, 3)),),
        {"length": 48},
        {"length": 48, "fill": "zero"},
        b"x,y,z\n1,2\n",
        backbone="fcn",
    ),
    "bumps": Example(_bump, ".bump", (TensorSpec("signal", (64, 1)),), {"gain": 0.5}, module="bumps"),
    "words": Example(
        _sentence,
        ".words",
        (TensorSpec("token_ids", (8,), "int32"), TensorSpec("padding_mask", (8,), "int32")),
        {"length": 8},
        {"length": 4},
        b"",
        "words",
    ),
}


@dataclass(frozen=True)
class Sample:
    """Items of a modality in class folders, and the data set that was loaded from them."""

    modality: Modality
    example: Example
    folder: Path
    dataset: Dataset

    @property
    def spec(self) -> InputSpec:
        return self.dataset.train.spec(self.example.inputs)

    @property
    def recipe(self) -> Recipe:
        """Of a small network with random weights."""
        return make_recipe(
            data=str(self.folder), backbone=self.example.backbone, alpha=0.25, image_size=32, weights="none",
            geometry="squash", sequence_length=16,
        )  # fmt: skip

    def contents(self) -> list[bytes]:
        return [path.read_bytes() for path in self.dataset.train.paths]


def write_items(folder: Path, example: Example, count: int = COUNT, seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    for label, name in enumerate(NAMES):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number}{example.suffix}").write_bytes(example.content(label, random))
    return folder
