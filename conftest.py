"""What holds for the tests and for the examples in the package's docstrings."""

import os
import random

import numpy as np
import pytest
from hypothesis import settings

from keras_transfer.quick_start import quicken

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

# As a command does: TensorFlow is imported in half the time, and the garbage collector looks at its many objects less
# often, a tenth of the tests' time.
quicken()

# Modules of one name cannot all be searched for examples, as pytest would do where several folders are named.
collect_ignore_glob = ["*/conftest.py"]
# Chance is the same in every run, so that what fails is seen again; CHANCE=7 ./check looks for what that hides.
CHANCE = int(os.environ.get("CHANCE", 0))
# How long an example takes is not what is tested: machines are shared.
settings.register_profile("patient", deadline=None, derandomize=not CHANCE)
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow files first: what runs last and alone leaves the other processes idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def chance() -> None:
    """Keras draws the seeds that it is not given from `random`."""
    random.seed(CHANCE)
    np.random.seed(CHANCE)
