"""Photographs that trained a model are noticed when it is scored on them."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_transfer.data import Dataset
from keras_transfer.data.folds import joined
from keras_transfer.evaluation import evaluate, metrics, predict_split
from keras_transfer.modalities.image import load_images
from keras_transfer.recipe import make_compression, make_recipe, write_recipe


@pytest.fixture
def data() -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    return load_images(images, labels=["cat", "dog"] * 20, val=0.2, test=0.2)


@pytest.fixture
def run(data: Dataset, tmp_path: Path) -> Path:
    """A run directory with what tells which photographs trained its model."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    run = tmp_path / "run"
    (run / "export" / "web").mkdir(parents=True)
    keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x)).save(run / "model.keras")
    shutil.copy(run / "model.keras", run / "export" / "web" / "model.keras")
    write_recipe(run / "recipe.yaml", make_recipe(data="photos"))
    data.write_csv(run / "data.csv")
    return run


def test_photographs_of_the_training_are_counted_and_left_out_beside(
    data: Dataset, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "seen" not in evaluate(run, data.test) and capsys.readouterr().err == ""
    whole = joined([data.train, data.test, data.val])
    for model in (run, run / "export" / "web" / "model.keras"):
        scores = evaluate(model, whole)
        seen = scores.pop("seen")
        assert (seen["train"], seen["val"], seen["without"]["images"]) == (
            len(data.train),
            len(data.val),
            len(data.test),
        )
        for found, split in ((seen["without"], data.test), (scores, whole)):
            expected = metrics(split.labels, predict_split(run, split), data.class_names)
            assert found["confusion_matrix"] == expected["confusion_matrix"]
            assert found["log_loss"] == pytest.approx(expected["log_loss"], rel=1e-5)  # batches are others
        assert f"{40 - len(data.test)} of these 40 items were used to train" in capsys.readouterr().err
    assert evaluate(run, data.train)["seen"]["without"] is None
    assert "No other is among them" in capsys.readouterr().err


def test_a_model_from_elsewhere_saw_what_nobody_knows(data: Dataset, run: Path) -> None:
    """Its run lists photographs that calibrate; only compressing trains on them."""
    own = {"data": "photos", "model": "own.keras"}
    write_recipe(run / "recipe.yaml", make_recipe(**own))
    assert "seen" not in evaluate(run, data.train)
    write_recipe(run / "recipe.yaml", make_recipe(**own, compression=make_compression(sparsity=0.5)))
    assert "seen" in evaluate(run, data.train)
    (run / "data.csv").unlink()
    assert "seen" not in evaluate(run, data.train)
