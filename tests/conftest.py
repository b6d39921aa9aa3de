"""Fixtures shared by all tests."""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _shared(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs ../shared/{name}, which is not on this machine")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photographs (food10, flowers5, photos1000)."""
    return _shared("data")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """The folder of ImageNet weights."""
    return _shared("weights")


@pytest.fixture(scope="session")
def import_benchmark() -> Callable[[str], ModuleType]:
    """Imports a script of `benchmarks/` as they import one another: by its name."""

    def load(name: str) -> ModuleType:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
            return import_module(name)

    return load


@pytest.fixture(autouse=True)
def remarks_shown():
    """Commands run in this process may have switched remarks off."""
    from keras_transfer.progress import set_quiet

    set_quiet(False)
