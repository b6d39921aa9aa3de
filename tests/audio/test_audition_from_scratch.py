"""An audition tries a small network of random weights where pretrained ones know little of the recordings."""

import numpy as np
import pytest
from sounds import melody, noise, write

import keras_transfer as kt
from keras_transfer.evaluation.audition import cross_validated
from keras_transfer.jobs import audition as job
from keras_transfer.recipe import AUTO, make_recipe


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Noise and tones of a second by six people."""
    folder = tmp_path_factory.mktemp("recordings")
    for number in range(24):
        write(folder / "noise" / f"{number}_{number % 6}.wav", noise(1, seed=number))
        write(folder / "tones" / f"{number}_{number % 6}.wav", melody(1, seed=number))
    return folder


@pytest.fixture
def heard(recordings, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path))
    monkeypatch.setattr(job, "_TRAINED_ON", 10)
    monkeypatch.setattr(job, "_TRIAL_EPOCHS", 2)

    def hear(**told):
        return kt.audition(
            make_recipe(data=str(recordings), backbone=AUTO, window=1.0, group_by="_([0-9])", val=0.3, **told)
        )

    return hear


def test_where_pretrained_networks_know_the_sounds_nothing_is_trained(heard) -> None:
    found = heard()
    assert next(row for row in found["candidates"] if row["name"] == "yamnet")["accuracy"] == 1
    assert "ds_cnn" not in str(found)


@pytest.mark.parametrize("better", [True, False])
def test_a_small_network_is_tried_on_the_same_items(heard, monkeypatch, better) -> None:
    monkeypatch.setattr(job, "_KNOWN", 1.1)

    def flattered(recipe, data, test):
        right = np.eye(2, dtype=np.float32)[test.labels]
        return (right if (recipe.backbone == "ds_cnn") == better else 1 - right, 2)

    monkeypatch.setattr(job, "retrained", flattered)
    found = heard()
    row = next(each for each in found["candidates"] if each["backbone"] == "ds_cnn")
    assert row["name"] == "ds_cnn from scratch" and row["accuracy"] == (1 if better else 0)
    assert (found["chosen"] == row["name"]) == better and found["best"] == found["chosen"]
    said = found["sentences"][-1]
    assert "for 2 epochs, ds_cnn is right on" in said and ("it is taken" in said) == better
    assert found["random_split"] is not None


def test_it_really_trains_unless_that_takes_long_or_is_not_wanted(heard, monkeypatch) -> None:
    monkeypatch.setattr(job, "_KNOWN", 1.1)
    trained = []
    answers = job.retrained
    monkeypatch.setattr(job, "retrained", lambda recipe, *rest: trained.append(recipe) or answers(recipe, *rest))
    found = heard()
    assert [each.backbone for each in trained][:2] == ["ds_cnn", found["chosen"].split()[0]]
    assert trained[0].training.epochs == 2 and trained[1].training.strategy == "feature-extraction"
    monkeypatch.setattr(job, "_TRIAL", 1.0)  # too long to be tried
    assert len(heard()["candidates"]) == len(found["candidates"]) - 1
    assert len(heard(epochs=3)["candidates"]) == len(found["candidates"]) - 1  # as is what says how to train


def test_one_group_has_an_error_of_its_items() -> None:
    rows = np.eye(2)[[0, 1, 0, 0]]
    assert cross_validated("probe", [0, 1, 1, 0], rows, [7, 7, 7, 7])["error"] == pytest.approx(0.25)
