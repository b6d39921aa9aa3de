"""The small task of `tests/training` serves here as well, and the commands of `tests/cli`."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.extend(str(Path(__file__).parents[1] / room) for room in ("training", "cli"))


@pytest.fixture(scope="session")
def coloured_noise():
    """Fills a folder with pictures of three classes, blue, green and red noise."""

    def fill(folder: Path, per_class: int, shape: tuple[int, int]) -> Path:
        chance = np.random.default_rng(0)
        for index, name in enumerate(("blue", "green", "red")):
            (folder / name).mkdir()
            for number in range(per_class):
                pixels = chance.integers(0, 120, (*shape, 3))
                pixels[..., 2 - index] += 100
                Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")
        return folder

    return fill


@pytest.fixture(scope="module")
def short_networks():
    """MobileNet has fewer blocks."""
    from short_mobilenet import short_mobilenet

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras.applications.MobileNet", short_mobilenet)
        yield
