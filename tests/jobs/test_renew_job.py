"""A challenger on a made stream that shifts: better on the new, not worse on the old; a poisoned one is refused."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from small_task import small_classifier, textures

from keras_transfer.errors import InputError
from keras_transfer.jobs.finish import Clock, finish, phase_entry, save_run_model
from keras_transfer.jobs.parts import load_data
from keras_transfer.jobs.renew import retrain_run, schedule
from keras_transfer.recipe import Phase, make_recipe
from keras_transfer.run import open_run
from keras_transfer.training import fit


def write(folder, images, labels):
    for i, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / f"class {label}"
        place.mkdir(exist_ok=True, parents=True)
        Image.fromarray(np.asarray(pixels, np.uint8)).save(place / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path_factory.mktemp("cache")))
        images, labels = textures(120)
        phases = (Phase(name="tuned", stages="all", epochs=10, learning_rate=5e-3, batch_size=16),)
        recipe = make_recipe(
            data=str(write(tmp_path_factory.mktemp("data"), images, labels)), backbone="mobilenet", image_size=32,
            phases=phases, augmentation="none", strategy="full", formats=["float32"], tolerance=0.9,
            baselines="none", val=0.15, test=0.4,
        )  # fmt: skip
        with open_run(tmp_path_factory.mktemp("run") / "run", recipe) as folder:
            data, model = load_data(recipe, folder), small_classifier()
            history = fit(model, data, phases=phases, augmentation="none", checkpoints=folder / "checkpoints")
            save_run_model(folder, model, data)
            rows = [phase_entry(phase.name, phase.rows, phase.val_accuracy) for phase in history.phases]
            facts = {"strategy": "full", "kept": history.kept, "views": 1, "phases": rows}
            finish(folder, recipe, data, model, Clock(folder), facts)
        yield folder


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
    shutil.copytree(added / "class rings", added / "otter")
    for i, path in enumerate(sorted((added / "otter").iterdir())):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    with pytest.raises(InputError, match="has classes that the run has not: otter"):
        retrain_run(run, tmp_path / "out", str(added))


def test_a_schedule_has_three_forms():
    text = schedule(["retrain", "RUN", "--add", "new/"])
    assert text.count("keras-transfer retrain RUN --add new/") == 3
