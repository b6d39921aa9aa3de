"""Training as a whole: it learns, never ends worse, resumes, and leaves alone what is frozen."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from small_task import small_classifier, textures

import keras_transfer as kt
from keras_transfer.errors import InputError
from keras_transfer.models import multiply_adds
from keras_transfer.recipe import Phase
from keras_transfer.training import callbacks
from keras_transfer.training.features import compute_features, predict_cached
from keras_transfer.training.feed import Samples
from keras_transfer.training.phases import phase_tensors
from keras_transfer.training.views import plan_views

HEAD = Phase(name="frozen", epochs=6, learning_rate=0.02, batch_size=16)
TOP = Phase(name="fine-tuning", stages=1, epochs=4, learning_rate=0.003, batch_size=16, schedule="cosine", warmup=0.2)


def weights_of(model, kind=None):
    return [w for layer in model.layers if kind is None or isinstance(layer, kind) for w in layer.get_weights()]


def values(variables):
    return [np.copy(keras.ops.convert_to_numpy(variable)) for variable in variables]


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def learns(history):
    """Whether the training loss fell: what random frozen features allow."""
    return history.rows[-1]["loss"] < 0.99 * history.rows[0]["loss"]


def accuracy(model, split):
    return float((model.predict(split.pixels(32).astype("float32"), verbose=0).argmax(1) == split.labels).mean())


def test_feature_extraction_trains_the_head_alone(model, data):
    before = [layer.get_weights() for layer in model.layers[:-2]]
    history = kt.fit(model, data, strategy="feature-extraction", phases=[HEAD], augmentation="none")
    assert all(same(old, layer.get_weights()) for old, layer in zip(before, model.layers, strict=False))
    assert learns(history) and history.kept == "frozen"
    assert [row["epoch"] for row in history.rows] == list(range(1, len(history.rows) + 1))


def test_fine_tuning_changes_the_top_and_no_batchnorm_statistics(model, data):
    lowest, norms = model.get_layer("conv0").get_weights(), weights_of(model, keras.layers.BatchNormalization)
    top = model.get_layer("conv2").get_weights()
    history = kt.fit(model, data, phases=[HEAD, TOP], augmentation="light", views=3)
    assert [phase.name for phase in history.phases] == ["frozen", "fine-tuning"]
    assert same(lowest, model.get_layer("conv0").get_weights())
    assert same(norms, weights_of(model, keras.layers.BatchNormalization))
    assert history.kept == "frozen" or not same(top, model.get_layer("conv2").get_weights())


def test_scratch_trains_everything_on_fresh_views(model, data):
    phase = Phase(
        name="scratch", stages="all", batchnorm=True, epochs=12, learning_rate=0.01, batch_size=16, patience=12
    )
    norms = weights_of(model, keras.layers.BatchNormalization)
    kt.fit(model, data, strategy="scratch", phases=[phase], augmentation={"flip": True})
    assert not same(norms, weights_of(model, keras.layers.BatchNormalization))
    assert accuracy(model, data.test) > 0.6


def test_gradual_unfreezing_moves_down(model, data):
    phases = [HEAD, *(TOP.model_copy(update={"name": f"top {n}", "stages": n, "epochs": 1}) for n in (1, 2))]
    assert [phase.name for phase in kt.fit(model, data, phases=phases, augmentation="none").phases] == [
        "frozen",
        "top 1",
        "top 2",
    ]


def test_a_phase_that_does_not_help_is_rolled_back(model, data):
    kt.fit(model, data, phases=[HEAD], augmentation="none")
    learnt = model.get_weights()
    harmful = TOP.model_copy(update={"learning_rate": 5.0, "schedule": "constant", "epochs": 1, "optimizer": "sgd"})
    again = HEAD.model_copy(update={"learning_rate": 1e-9, "epochs": 1})
    history = kt.fit(model, data, phases=[again, harmful], augmentation="none")
    assert history.kept == "frozen" and "rolled back" in history.remarks[0]
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(learnt, model.get_weights(), strict=True))


def test_the_same_seed_gives_the_same_weights(data):
    runs = []
    for _ in range(2):
        model = small_classifier()
        kt.fit(model, data, phases=[HEAD, TOP], augmentation="light", views=2, seed=3)
        runs.append(model.get_weights())
    assert same(*runs)


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_mixed_views_carry_mixed_labels(model, data, mix):
    history = kt.fit(model, data, phases=[HEAD], augmentation={mix: 0.5}, views=3)
    assert learns(history)


def test_multi_label_and_single_sigmoid_heads(data):
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3, activation="relu")(inputs))
    pixels = np.concatenate([data.train.pixels(32), data.val.pixels(32)])
    hot = np.stack([pixels.mean((1, 2))[:, i] > 128 for i in range(3)], 1).astype(int)
    many = kt.load_images(pixels, labels=hot, val=0.2, test=0.2, class_names=["red", "green", "blue"])
    model = keras.Model(inputs, keras.layers.Dense(3, activation="sigmoid")(x))
    assert many.multi_label and learns(kt.fit(model, many, phases=[HEAD], augmentation="none"))
    two = kt.load_images(pixels, labels=hot[:, 0], val=0.2, test=0.2)
    single = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))
    assert learns(kt.fit(single, two, phases=[HEAD], augmentation="none"))


def test_uneven_classes_are_weighed(data):
    keep = np.concatenate([np.flatnonzero(data.train.labels == c)[: (30, 30, 6)[c]] for c in range(3)])
    uneven = kt.load_images(
        data.train.pixels(32)[keep], labels=[data.class_names[i] for i in data.train.labels[keep]], val=0.2, test=0.2
    )
    from keras_transfer.training.samples import sample_weights

    weights = sample_weights(uneven, True)
    sums = [weights[uneven.train.labels == c].sum() for c in range(3)]
    assert np.allclose(sums, sums[0])


def test_a_loss_that_is_not_a_number_is_one_sentence(model, data):
    wild = HEAD.model_copy(update={"learning_rate": 10.0, "optimizer": "sgd", "epochs": 3})
    model.get_layer("logits").set_weights([np.ones((24, 3), "float32"), np.full(3, np.nan, "float32")])
    with pytest.raises(InputError, match="not a number"):
        kt.fit(model, data, phases=[wild], augmentation="none")


def test_data_of_other_classes_is_refused(data):
    with pytest.raises(InputError, match="5 outputs but the data 3 classes"):
        kt.fit(small_classifier(5), data)


def test_features_are_computed_once_and_follow_the_weights(model, data, monkeypatch):
    import sys

    module = sys.modules["keras_transfer.training.features"]
    calls = []
    real = module._engine_of
    monkeypatch.setattr(module, "_engine_of", lambda *a: calls.append(a) or real(*a))
    tensor = model.layers[-4].output
    first = np.asarray(compute_features(model, [tensor], data.val)[0]["values"])
    assert np.array_equal(first, compute_features(model, [tensor], data.val)[0]["values"]) and len(calls) == 1
    expected = keras.Model(model.input, tensor).predict(data.val.pixels(32).astype("float32"), verbose=0)
    assert np.abs(first - expected).max() < 2e-3 * np.abs(expected).max()
    model.get_layer("conv0").set_weights([w * 1.01 for w in model.get_layer("conv0").get_weights()])
    compute_features(model, [tensor], data.val)
    assert len(calls) == 2


def test_each_tensor_has_an_entry_of_its_own(model, data, monkeypatch):
    import sys

    module = sys.modules["keras_transfer.training.features"]
    computed = []
    real = module._engine_of
    monkeypatch.setattr(
        module, "_engine_of", lambda prefix, *a: computed.append(len(prefix.outputs)) or real(prefix, *a)
    )
    low, middle, high = (model.get_layer(f"bn{i}").output for i in range(3))
    compute_features(model, [low], data.val)
    first, second, third = compute_features(model, [high, low, middle], data.val)
    assert computed == [1, 2]
    for tensor, arrays in ((high, first), (low, second), (middle, third)):
        expected = keras.Model(model.input, tensor).predict(data.val.pixels(32).astype("float32"), verbose=0)
        assert np.abs(arrays["values"] - expected).max() < 2e-3 * np.abs(expected).max()


@pytest.mark.parametrize("stages", [0, 1, "all"])
def test_answers_by_the_cache_are_the_models_own(model, data, stages):
    kt.unfreeze_top(model, stages=stages) if stages else kt.freeze_backbone(model)
    expected = model.predict(data.val.pixels(32).astype("float32"), verbose=0)
    assert np.abs(predict_cached(model, data.val) - expected).max() < 2e-3


def test_epochs_in_place_of_the_phases_own(model, data):
    history = kt.fit(model, data, phases=[HEAD, TOP], epochs=2, augmentation="none")
    assert [row["phase"] for row in history.rows].count("fine-tuning") == 2
    alone = kt.fit(model, data, phases=[HEAD], epochs=3, augmentation="none")
    assert len(alone.rows) == 3


def test_the_average_of_the_weights_is_validated_and_kept(model, data):
    phase = TOP.model_copy(update={"ema": 0.9, "epochs": 1, "learning_rate": 1e-2, "schedule": "constant"})
    seen, real = [], callbacks.AveragedWeights.on_test_begin

    def note(self, logs=None):
        real(self, logs)
        seen.append(values(self._variables))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks.AveragedWeights, "on_test_begin", note)
        history = kt.fit(model, data, phases=[phase], augmentation="none")
    kept = values(model.trainable_variables)
    assert same(kept, seen[0])
    tail = accuracy(model, data.val)
    assert history.rows[0]["val_accuracy"] == pytest.approx(tail)
    plain = small_classifier()
    kt.fit(plain, data, phases=[phase.model_copy(update={"ema": 0.0})], augmentation="none")
    assert not same(kept, values(plain.trainable_variables))


def test_an_image_shows_all_its_views_before_one_again():
    images, views = 30, 4
    held = {"values": np.arange(images * views, dtype=np.float32).reshape(-1, 1)}
    samples = Samples(HeldArrays(held), ("values",), np.eye(images, dtype=np.float32), views)

    def epoch_from(first, epoch):
        batch, steps = samples.drawn(7, seed=3, first_epoch=first), samples.steps(7)
        return np.sort(np.concatenate([batch((epoch - first) * steps + step)[0][:, 0] for step in range(steps)]))

    shown = np.array([epoch_from(0, epoch) for epoch in range(2 * views)])
    assert (shown // views == np.arange(images)).all()
    for turn in np.split(shown % views, 2):
        assert (np.sort(turn, axis=0) == np.arange(views)[:, None]).all()
    assert len({tuple(row) for row in shown}) == 2 * views
    assert np.array_equal(epoch_from(5, 5), shown[5])


class HeldArrays(dict):
    """Arrays in memory in the place of a cache entry."""

    def release_pages(self):
        """Nothing is mapped."""


def test_views_cost_no_more_than_the_training_on_them(model, data):
    def views(*phases, augmentation="light"):
        return plan_views(model, phases, data.train, augmentation, n_items=30)[1]

    below, below_top = (multiply_adds(keras.Model(model.input, t)) for t in phase_tensors(model, [HEAD, TOP]))
    tuned = multiply_adds(model) - below_top
    for epochs in (1, 2, 5, 20, 100):
        phase = TOP.model_copy(update={"epochs": epochs})
        assert views(HEAD, phase) == np.clip(3 * epochs * tuned // below, 2, 8)
    assert views(HEAD) == 8 and views(HEAD, TOP, augmentation="none") == 1


def fit_in(folder, limit=0):
    """The weights after a fit with checkpoints in a folder; its process is killed after so many epochs, if any."""
    images, labels = textures(30)
    split = kt.load_images(images, labels=labels, val=0.2, test=0.2)
    model, seen, averaged = small_classifier(), [], TOP.model_copy(update={"ema": 0.9})

    def on_epoch(phase, row):
        seen.append(row)
        if len(seen) == limit:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks, "APART", 0)
        kt.fit(
            model, split, phases=[HEAD, averaged], augmentation="light", views=2, checkpoints=folder, on_epoch=on_epoch
        )
    return model.get_weights()


PROGRAM = """
import sys
from keras_transfer.quick_start import quicken
quicken()
from pathlib import Path
from test_fit import fit_in
fit_in(Path(sys.argv[1]), int(sys.argv[2]))
"""


def test_a_killed_fit_ends_as_the_undisturbed_one(tmp_path):
    whole = fit_in(tmp_path / "whole")
    for limit in (3, 3, 2):  # in the head's phase; after its last epoch, which is done again; in fine-tuning
        call = [sys.executable, "-c", PROGRAM, tmp_path / "cut", str(limit)]
        done = subprocess.run(call, capture_output=True, text=True, cwd=Path(__file__).parent)
        assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert same(whole, fit_in(tmp_path / "cut"))
