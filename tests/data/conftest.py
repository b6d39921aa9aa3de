"""A folder of made-up photographs, and silence."""

from collections.abc import Callable
from pathlib import Path

import pytest
from made_up import encoded, photograph

from keras_transfer import progress


@pytest.fixture(autouse=True)
def quiet() -> None:
    progress.set_quiet(True)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of class folders: `folder(cat=20, dog=20)`; names may hold a split, as `**{"train/cat": 9}`."""

    def make(root: str = "photos", **classes: int) -> Path:
        number = 0
        for name, count in classes.items():
            place = tmp_path / root / name
            place.mkdir(parents=True)
            for i in range(count):
                number += 1
                (place / f"{i:04d}.jpg").write_bytes(encoded(photograph(number)))
        return tmp_path / root

    return make
