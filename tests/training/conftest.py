"""The small task of `small_task.py` as fixtures."""

import pytest
from small_task import small_classifier, textures

import keras_transfer as kt


@pytest.fixture(scope="session")
def data():
    images, labels = textures(60)
    return kt.load_images(images, labels=labels, val=0.2, test=0.2)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model():
    return small_classifier()
