"""A challenger on a made stream that shifts: better on the new, not worse on the old; a poisoned one is refused."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from small_task import small_classifier, textures
from textured_runs import make_run, write

from keras_transfer.errors import InputError
from keras_transfer.jobs.renew import retrain_run, schedule
from keras_transfer.recipe import Phase


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path_factory.mktemp("cache")))
        images, labels = textures(120)
        phases = (Phase(name="tuned", stages="all", epochs=10, learning_rate=5e-3, batch_size=16),)
        data = write(tmp_path_factory.mktemp("data"), images, labels)
        options = {"phases": phases, "strategy": "full", "val": 0.15, "test": 0.4}
        yield make_run(tmp_path_factory.mktemp("run") / "run", data, small_classifier(), **options)


def shifted(count):
    """Other textures, seen by a camera whose picture is a negative."""
    images, labels = textures(count, seed=5)
    return 255 - np.asarray(images), labels


def test_better_on_the_new_and_not_worse_on_the_old(run, tmp_path):
    added = write(tmp_path / "labelled", *shifted(80))
    verdict = retrain_run(run, tmp_path / "out", str(added), margin=0.1)
    assert verdict["promote"], verdict
    assert verdict["new"]["challenger"] > verdict["new"]["champion"] + 0.1
    assert json.loads((tmp_path / "out" / "retrain.json").read_text()) == verdict
    before, after = ((place / "data.csv").read_text().splitlines()[1:] for place in (run, tmp_path / "out"))
    cells = {row.split(",")[3]: row.split(",")[2] for row in after}
    old = {row.split(",")[3]: row.split(",")[2] for row in before}
    assert all(cells[sha] == split for sha, split in old.items()) and len(cells) > len(old)
    assert list(old.values()).count("test") == verdict["old"]["images"]
    assert json.loads((tmp_path / "out" / "result.json").read_text())["base"] == str(run)


def test_shuffled_labels_are_refused(run, tmp_path):
    images, labels = shifted(80)
    added = write(tmp_path / "labelled", images, np.random.default_rng(0).permutation(labels))
    verdict = retrain_run(run, tmp_path / "out", str(added), margin=0.1)
    assert not verdict["promote"] and verdict["reasons"]


def test_classes_that_the_run_has_not_are_named(run, tmp_path):
    added = write(tmp_path / "labelled", *shifted(20))
    shutil.copytree(added / "rings", added / "otter")
    for i, path in enumerate(sorted((added / "otter").iterdir())):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    with pytest.raises(InputError, match="has classes that the run has not: otter"):
        retrain_run(run, tmp_path / "out", str(added))


def test_a_schedule_has_three_forms():
    text = schedule(["retrain", "RUN", "--add", "new/"])
    assert text.count("keras-transfer retrain RUN --add new/") == 3
