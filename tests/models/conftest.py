"""Every row of the table of backbones as test cases, the large ones marked slow."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keras_transfer.modalities.image.backbones import BACKBONES, Backbone

# One small member of each family stands for it in the default run.
QUICK = (
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_small_minimalistic",
    "efficientnet_b0",
    "efficientnet_v2_b0",
    "resnet50",
    "resnet50_v2",
    "vgg16",
    "inception_v3",
    "xception",
    "densenet121",
    "nasnet_mobile",
    "convnext_tiny",
)


# For tests that build each network several times.
LIGHT = ("mobilenet_v3_small", "efficientnet_b0", "vgg16", "densenet121", "convnext_tiny")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives a test with the argument `any_row` all rows; with `row` or `light_row` all too, but few by default."""
    for argument, default in (("any_row", tuple(BACKBONES)), ("row", QUICK), ("light_row", LIGHT)):
        if argument in metafunc.fixturenames:
            cases = [
                pytest.param(row, id=name, marks=() if name in default else pytest.mark.slow)
                for name, row in BACKBONES.items()
            ]
            metafunc.parametrize(argument, cases)


@pytest.fixture(autouse=True)
def _large_rows_only_when_asked(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("slow") and not (
        "slow" in (request.config.option.markexpr or "") or os.environ.get("KERAS_TRANSFER_SLOW")
    ):
        pytest.skip("slow: run with -m slow")


@pytest.fixture(scope="session")
def pixels() -> Callable[[Backbone | int], np.ndarray]:
    """Three random pictures `float32 [3, H, W, 3]` in 0..255, of a row's least size or of a given one."""

    def make(size: Backbone | int) -> np.ndarray:
        side = size if isinstance(size, int) else size.min_size
        return np.random.default_rng(0).integers(0, 256, (3, side, side, 3)).astype("float32")

    return make


@pytest.fixture(scope="session")
def model_of() -> Callable[[Backbone], Any]:
    """A classifier of a row at its least size with random weights; those of the default run are built once."""
    from keras_transfer.modalities.image.builder import build_classifier

    built: dict[str, Any] = {}

    def make(row: Backbone) -> Any:
        if row.name in built:
            return built[row.name]
        model = build_classifier(row.name, 2, weights="none", image_size=row.min_size)
        if row.name in QUICK:
            built[row.name] = model
        return model

    return make
