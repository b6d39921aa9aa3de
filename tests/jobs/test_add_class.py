"""One class more, from a few examples: the others stay as they are, and the files know it."""

import hashlib
import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image
from small_task import small_classifier, textures
from textured_runs import make_run, write
from typer.testing import CliRunner

from keras_transfer.cli.app import app
from keras_transfer.errors import GateError, InputError
from keras_transfer.evaluation import load_keras, open_classifier, predict_files
from keras_transfer.jobs import add_class as job
from keras_transfer.jobs.add_class import add_class
from keras_transfer.jobs.parts import load_data
from keras_transfer.models.head import last_dense, with_last_dense
from keras_transfer.run import read_run
from keras_transfer.training.linear import LinearHead, add_output


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path_factory.mktemp("cache")))
        images, labels = textures(60)
        phases = ({"name": "tuned", "stages": "all", "epochs": 6, "learning_rate": 5e-3, "batch_size": 16},)
        data = write(tmp_path_factory.mktemp("data"), images, labels)
        options = {"phases": phases, "strategy": "full", "val": 0.2, "test": 0.3, "reject": True}
        yield make_run(tmp_path_factory.mktemp("run") / "run", data, small_classifier(), **options)


def noise(folder, count, seed=3):
    """Pictures of black and white pixels."""
    pixels = 255 * np.random.default_rng(seed).integers(0, 2, (count, 32, 32, 1), np.uint8)
    return write(folder, np.repeat(pixels, 3, axis=3))


@pytest.fixture(scope="module")
def added(run, tmp_path_factory):
    """The run with a class more; a file that is none and one of the run's own were among the examples."""
    folder = tmp_path_factory.mktemp("added")
    noise(folder / "new", 6)
    (folder / "new" / "broken.png").write_bytes(b"no picture")
    shutil.copyfile(load_data(read_run(run)[0]).test.paths[0], folder / "new" / "known.png")
    before = digests(run)
    words = ["add-class", str(run), "white  noise", *map(str, sorted((folder / "new").iterdir()))]
    done = CliRunner().invoke(app, [*words, "--out", str(folder / "out"), "--json"])
    assert done.exit_code == 0, done.output
    assert digests(run) == before
    return folder, json.loads(done.stdout)


def digests(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_its_files_know_the_class_and_the_others_as_before(run, added):
    folder, result = added
    assert result["classes"] == ["checks", "rings", "stripes", "white noise"]
    assert (folder / "out" / "labels.txt").read_text().splitlines() == result["classes"]
    assert result["added"]["examples"] == 6 and result["added"]["recognized"] >= 4
    figures = result["added"]["others"]
    assert figures["before"] - figures["after"] == pytest.approx(figures["lost"] / figures["images"])
    assert figures["difference"]["low"] <= figures["difference"]["value"] <= 0
    assert read_run(run)[1]["test"]["accuracy"] == pytest.approx(figures["before"])
    old, new = (last_dense(load_keras(place / "model.keras"))[0].get_weights() for place in (run, folder / "out"))
    scale = result["temperature"]
    assert all(np.allclose(one, two[..., :3] * scale, rtol=1e-5) for one, two in zip(old, new, strict=True))
    others = sorted(noise(folder / "other", 20, seed=8).iterdir())
    file = open_classifier(folder / "out" / "export" / "model_float32.tflite")
    assert sum(each.label == "white noise" for each in predict_files(file, others)) >= 15


def test_what_cannot_be_used_is_said(added):
    _, result = added
    said = " ".join(result["warnings"])
    assert "broken.png" in said and "known.png is in the run's" in said and "not used" in said


def test_it_is_a_run_like_others(added):
    folder, result = added
    recipe, _ = read_run(folder / "out")
    data = load_data(recipe, folder / "out")
    assert data.class_names == result["classes"] and data.class_counts()[3] == 6
    assert result["base"].endswith("run") and (folder / "out" / "report.html").is_file()


def test_one_example_and_a_folder(run, tmp_path):
    result = add_class(run, "plain", [noise(tmp_path / "new", 1)], tmp_path / "out")
    assert result["added"]["examples"] == 1 and result["added"]["recognized"] is None
    assert 0.5 < result["rejection"]["accepted"]["value"] <= 1  # as the run had it
    assert open_classifier(tmp_path / "out" / "export" / "model_float32.tflite").limit is not None
    with pytest.raises(InputError, match="holds a run already"):
        add_class(run, "plain", [tmp_path / "new"], tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "files", "sentence"),
    [
        ("Checks", ["new"], "has a class 'checks' already"),
        (" ", ["new"], "needs a name"),
        ("flat", ["none"], "no photograph of 'flat' to learn from.*There is no folder"),
        ("flat", ["broken"], "no photograph of 'flat' to learn from.*0.png"),
    ],
)
def test_wrong_calls(run, tmp_path, name, files, sentence):
    noise(tmp_path / "new", 2)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=sentence):
        add_class(run, name, [tmp_path / each for each in files], tmp_path / "out")


def test_items_that_moved_are_found_and_changed_ones_missed(run, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(read_run(run)[0].data.source, moved)
    add_class(run, "flat", [noise(tmp_path / "new", 2)], tmp_path / "first", data=str(moved))
    paths = load_data(read_run(tmp_path / "first")[0]).train.paths
    assert {path.parent.parent for path in paths} == {moved, tmp_path}
    path = next(moved.rglob("*.png"))
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(path)
    with pytest.raises(InputError, match="are not those that"):
        add_class(run, "flat", [noise(tmp_path / "new", 2)], tmp_path / "out", data=str(moved))


def test_a_class_that_takes_too_much_fails(run, tmp_path, monkeypatch):
    greedy = add_output
    monkeypatch.setattr("keras_transfer.training.linear.add_output", lambda *args: greedy(*args, most_lost=0.5))
    images, labels = textures(4, seed=9)
    rings = [pixels for pixels, label in zip(images, labels, strict=True) if label == "rings"]
    with pytest.raises(GateError, match="it looks too much like another class"):
        add_class(run, "circles", [write(tmp_path / "new", rings)], tmp_path / "out")


def test_independent_outputs_are_refused():
    inputs = keras.Input((4,))
    for units, activation in ((3, "sigmoid"), (1, "sigmoid")):
        scores = keras.layers.Activation(activation)(keras.layers.Dense(units)(inputs))
        with pytest.raises(InputError, match="independent outputs"):
            job._head("run", keras.Model(inputs, scores), max(2, units))
    with pytest.raises(InputError, match="does not end in a Dense layer"):
        job._head("run", keras.Model(inputs, keras.layers.Softmax()(inputs)), 4)


def test_a_softmax_inside_the_last_layer():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(keras.layers.Dense(3)(inputs)))
    kernel, bias = last_dense(model)[0].get_weights()
    wider = with_last_dense(model, np.c_[kernel, np.zeros(3)], np.r_[bias, -100.0])
    values = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    assert np.allclose(np.asarray(wider(values))[:, :2], model(values), atol=1e-6)


def test_a_new_output_costs_no_more_than_is_allowed():
    chance = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    rows = (np.eye(8)[labels] * 2 + chance.normal(0, 1, (400, 8))).astype(np.float32)
    head = LinearHead(np.eye(8, 2, dtype=np.float32), np.zeros(2, np.float32), sigmoid=False)
    examples = (np.eye(8)[[2] * 5] + chance.normal(0, 1, (5, 8))).astype(np.float32)
    wider, _ = add_output(head, rows[::2], examples, rows[1::2], labels[1::2])
    assert np.array_equal(wider.kernel[:, :2], head.kernel) and np.array_equal(wider.bias[:2], head.bias)
    right = head.logits(rows[1::2]).argmax(axis=1) == labels[1::2]
    lost = right & (wider.logits(rows[1::2]).argmax(axis=1) == 2)
    assert 0 < lost.sum() <= 0.015 * right.sum()
    far, recognized = add_output(head, rows, examples + 30 * np.eye(8, dtype=np.float32)[2], rows, labels)
    assert recognized == 5 and np.ptp(rows @ far.kernel[:, 2]) < np.ptp(head.logits(rows)) + 1
    assert not (far.logits(rows).argmax(axis=1) == 2).any()
    alone, recognized = add_output(head, rows, examples[:1], rows[:0], labels[:0])
    assert alone.kernel.shape == (8, 3) and recognized == 0
