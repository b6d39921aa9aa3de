"""A challenger on a made stream that shifts: better on the new, not worse on the old; a poisoned one is refused."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from small_task import small_classifier, textures
from textured_runs import make_run, write

from keras_transfer.cli.app import app
from keras_transfer.errors import GateError, InputError
from keras_transfer.jobs.renew import retrain_run, schedule
from keras_transfer.operations.registry import VARIABLE, add, find, open_registry, promote
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


def test_better_on_the_new_and_not_worse_on_the_old(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "registry"))
    added = write(tmp_path / "labelled", *shifted(80))
    add(open_registry(), run, "cats")
    promote(open_registry(), "cats@1")
    words = ["--add", added, "--out", tmp_path / "out", "--margin", 0.1, "--name", "cats", "--json"]
    app(["retrain", "cats@champion", *map(str, words)], standalone_mode=False)
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["promote"], verdict
    version = find(open_registry(), "cats@champion")
    assert version["version"] == 2 and version["lineage"]["parent"] == "cats@1"
    assert version["lineage"]["items_added"] > 200 and version["lineage"]["items_removed"] == 0
    assert verdict["new"]["challenger"] > verdict["new"]["champion"] + 0.1
    assert json.loads((tmp_path / "out" / "retrain.json").read_text()) == verdict
    before, after = ((place / "data.csv").read_text().splitlines()[1:] for place in (run, tmp_path / "out"))
    cells = {row.split(",")[3]: row.split(",")[2] for row in after}
    old = {row.split(",")[3]: row.split(",")[2] for row in before}
    assert all(cells[sha] == split for sha, split in old.items()) and len(cells) > len(old)
    assert list(old.values()).count("test") == verdict["old"]["items"]


def test_shuffled_labels_are_refused(run, tmp_path):
    images, labels = shifted(80)
    added = write(tmp_path / "labelled", images, np.random.default_rng(0).permutation(labels))
    with pytest.raises(GateError, match="The champion stays"):
        app(["retrain", str(run), "--add", str(added), "--out", str(tmp_path / "out")], standalone_mode=False)
    verdict = json.loads((tmp_path / "out" / "retrain.json").read_text())
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
