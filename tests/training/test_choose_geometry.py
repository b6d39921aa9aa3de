"""The geometry is chosen by what a probe can tell: on pictures of which it is known where their class stands."""

import keras
import numpy as np
import pytest
from small_task import small_classifier, textures

from keras_transfer import load_images
from keras_transfer.geometry import MODES
from keras_transfer.modalities.image import choose_geometry as module
from keras_transfer.modalities.image.choose_geometry import DEFAULT, SURE, Candidate, Chosen, choose_geometry
from keras_transfer.recipe import Phase
from keras_transfer.training.features import compute_features
from keras_transfer.training.phases import phase_tensors

PHASES = [Phase(name="frozen"), Phase(name="tuned", stages=1)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path / "cache"))


def data_of(images, labels):
    return load_images(images, labels=labels, val=0.4, test=0.2, near_duplicates=False)


def among_others():
    """A texture in the middle third, others at its sides."""
    images, labels = textures(60)
    random = np.random.default_rng(0)
    left, right = (images[random.permutation(len(images))] for _ in range(2))
    return data_of(np.concatenate([left, images, right], axis=2), labels)


def framed():
    """Noise in a frame of two pixels, whose colour is the class: no crop shows it."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (120, 40, 40, 3), np.uint8)
    labels = np.arange(120) % 3
    colours = np.eye(3, dtype=np.uint8)[labels] * 200
    for image, colour in zip(images, colours, strict=True):
        image[:2] = image[-2:] = colour
        image[:, :2] = image[:, -2:] = colour
    return data_of(images, [f"class {label}" for label in labels])


def test_a_subject_in_the_middle_of_others_is_cropped():
    chosen = choose_geometry(small_classifier(), among_others(), PHASES)
    by_mode = {row.geometry.mode: row for row in chosen.candidates}
    assert chosen.geometry == MODES["crop"] and chosen.chosen_by == "validation"
    assert next(iter(by_mode)) == "crop" and set(by_mode) == {"crop", "squash", "letterbox"}
    assert by_mode["squash"].better < -SURE and by_mode["crop"].accuracy > by_mode["squash"].accuracy
    assert by_mode["crop"].better == 0
    assert "squash reads" in chosen.sentence() and "no other is better by over 1.645 stand" in chosen.sentence()


def test_what_stands_at_the_border_is_shown():
    chosen = choose_geometry(small_classifier(), framed(), PHASES)
    assert chosen.geometry == MODES["squash"] and [row.geometry.mode for row in chosen.candidates] == ["crop", "squash"]
    assert chosen.candidates[1].better > SURE and chosen.candidates[1].accuracy > 0.9
    assert "squash reads" in chosen.sentence() and "no other" not in chosen.sentence()
    told = chosen.to_dict()
    assert told["mode"] == "squash" and told["chosen_by"] == "validation" and len(told["candidates"]) == 2


def test_the_test_split_is_not_looked_at_and_validation_serves_the_training(monkeypatch):
    data, model = framed(), small_classifier()
    seen: set[str] = set()

    def spy(network, tensors, split, **more):
        seen.update(split.hashes)
        return compute_features(network, tensors, split, **more)

    monkeypatch.setattr(module, "compute_features", spy)
    chosen = choose_geometry(model, data, PHASES)
    assert set(data.val.hashes) <= seen and not seen & set(data.test.hashes)
    tensors = phase_tensors(model, PHASES)
    monkeypatch.setattr("keras_transfer.modalities.image.decode.decode", None)  # nothing is decoded any more
    monkeypatch.setattr("keras_transfer.modalities.image.preparer.decode", None)
    for arrays in compute_features(model, tensors, data.val.fitted(chosen.geometry)):
        assert len(arrays["values"]) == len(data.val)
        arrays.close()


@pytest.mark.parametrize("why", ["size", "few", "random", "no frozen layers"])
def test_where_there_is_nothing_to_choose_by_it_is_the_crop_unless_none_was_cropped(why, monkeypatch):
    monkeypatch.setattr(module, "compute_features", None)
    model, phases = small_classifier(), PHASES
    if why == "size":
        data = data_of(*textures(20))
    elif why == "few":
        data = framed()
        data.train, data.val = data.train.take(range(20)), data.val.take(range(10))
    else:
        data = framed()
    if why == "no frozen layers":
        phases = [Phase(name="scratch", stages="all", batchnorm=True)]
    chosen = choose_geometry(model, data, phases, pretrained=why != "random")
    assert chosen == (Chosen(MODES["squash"], "size") if why == "size" else Chosen(DEFAULT, "default"))
    assert chosen.sentence().startswith(f"Pictures: {chosen.geometry.mode} (")


def test_of_many_photographs_some_are_looked_at():
    images = np.zeros((1700, 8, 8, 3), np.uint8)
    images[:, 0, 0] = np.arange(1700)[:, None] % 251
    images[:, 1, 1] = np.arange(1700)[:, None] // 251
    data = load_images(images, labels=np.arange(1700) % 4, val=0.5, test=0.2, near_duplicates=False)
    first, second = module._parts(data, 0)
    assert len(first) + len(second) == (len(data.train) + len(data.val)) // 4 > 300
    assert not set(first.hashes) & set(second.hashes) and set(first.hashes + second.hashes) <= set(data.val.hashes)
    shares = np.bincount(data.val.labels) / len(data.val)
    assert np.abs(np.bincount(first.labels) - len(first) * shares).max() < 2  # each class has its share of the first


def test_several_labels_are_judged_by_squared_error():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (90, 2))
    rows = labels @ random.normal(size=(2, 6)) + random.normal(0, 0.2, (90, 6))
    folds = module.stratified_folds(labels.astype(np.float32), np.arange(90), 5)
    losses, right = module.probe_losses(rows, labels.astype(np.float32), folds)
    assert right.mean() > 0.9 and losses.mean() < 0.2
    losses, right = module.probe_losses(random.normal(size=(90, 6)), labels.astype(np.float32), folds)
    assert right.mean() < 0.6 and losses.mean() > 0.4


def test_maps_are_averaged():
    inputs = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(4, 3, name="maps")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalMaxPooling2D()(maps)))
    split = framed().val
    rows = module._features(model, [maps], split, 0)
    pixels = split.pixels(model.input_shape[1:]).astype(np.float32)
    expected = keras.Model(inputs, maps).predict(pixels, verbose=0).mean(axis=(1, 2))
    np.testing.assert_allclose(rows, expected, rtol=2e-3, atol=0.1)


def test_ties_go_to_the_crop():
    found = {"crop": Candidate(DEFAULT, 300, 0.7, 1.0), "squash": Candidate(MODES["squash"], 300, 0.72, 0.97, SURE)}
    assert module._decide(found).geometry == DEFAULT
    found["squash"] = Candidate(MODES["squash"], 300, 0.72, 0.97, SURE + 0.01)
    assert module._decide(found).geometry == MODES["squash"]
