"""Models of several inputs train on cached features and on items as every model does: token ids and a padding mask."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.data import Split
from keras_transfer.inputs import MODALITIES
from keras_transfer.models import boundary, side_inputs, unfreeze_top
from keras_transfer.models.graph import model_inputs, start_of
from keras_transfer.recipe import Phase
from keras_transfer.training import compute_features, engines, find_learning_rate, input_samples, sweep_phases
from keras_transfer.training.align import align
from keras_transfer.training.features import frozen_boundary, network_digest, predict_cached
from keras_transfer.training.feed import as_dataset
from keras_transfer.training.phases import train_phase, unfreeze_phase
from keras_transfer.training.probe import pooled_features
from keras_transfer.training.wise import wise_ft

HEAD = Phase(name="head", epochs=10, learning_rate=1e-2, batch_size=16)
TOP = Phase(name="top", stages=2, epochs=8, learning_rate=2e-3, batch_size=16, monitor="val_accuracy")


@pytest.fixture(scope="module")
def words():
    sys.path.insert(0, str(Path(__file__).parents[1] / "modalities"))
    MODALITIES["words"] = "words"
    import words

    yield words
    del MODALITIES["words"]
    sys.path.pop(0)


@pytest.fixture(scope="module")
def sentences(words, tmp_path_factory):
    """Sentences of different lengths, praise and blame."""
    folder, random = tmp_path_factory.mktemp("words"), np.random.default_rng(0)
    for name, telling in (("praise", ("good", "fine")), ("blame", ("bad", "poor"))):
        (folder / name).mkdir()
        for i in range(150):
            others = random.choice(["the", "a", "soup", "tea", "was", "is", "unheard"], random.integers(1, 7)).tolist()
            others.insert(random.integers(len(others) + 1), str(random.choice(telling)))
            (folder / name / f"{i}.words").write_text(" ".join(others) + f" {i}")
    return kt.load(str(folder), val=0.2, test=0.2, near_duplicates=False)


@pytest.fixture
def network(words):
    keras.utils.set_random_seed(0)
    return words.small_transformer(2)


def inputs_of(split: Split, model):
    return [np.asarray(array) for array in split.arrays(model_inputs(model))]


def test_a_stage_on_cached_features_is_trained_as_on_the_items(words, sentences, network):
    whole = words.small_transformer(2)
    whole.set_weights(network.get_weights())
    history = kt.fit(network, sentences, phases=[HEAD, TOP], augmentation="none")
    results = []
    for phase in (HEAD, TOP):
        unfreeze_phase(whole, phase)
        if phase is TOP:
            edge = frozen_boundary(whole)
            assert edge is not start_of(whole) and [t.name for t in side_inputs(whole, edge)] == ["padding_mask"]
        with input_samples(whole, sentences, sentences.train.augmenter("none")) as (train, val):
            results.append(train_phase(whole, phase, start_of(whole), train, val))
    assert history.kept == "top" and history.phases[-1].val_accuracy > 0.9
    for cached, plain in zip(history.phases, results, strict=True):
        assert cached.val_loss == pytest.approx(plain.val_loss, rel=2e-2)
    for ours, theirs in zip(network.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=5e-3)


def test_views_of_several_inputs(sentences, network):
    history = kt.fit(network, sentences, phases=[HEAD, TOP], augmentation="light", views=3)
    assert history.views == 3 and history.rows[-1]["val_accuracy"] > 0.7


def test_what_a_suffix_takes_is_kept_with_its_own_dtype(sentences, network):
    unfreeze_top(network, stages=1)
    edge = boundary(network)
    augmenter = sentences.train.augmenter("light")
    (arrays,) = compute_features(
        network, [edge], sentences.train, sides=[side_inputs(network, edge)], augmenter=augmenter, views=2
    )
    tokens, mask = inputs_of(sentences.train, network)
    assert arrays["side_0"].dtype == np.int32 and np.array_equal(arrays["side_0"], np.repeat(mask, 2, axis=0))
    expected = keras.Model(network.inputs, edge).predict([tokens, mask], verbose=0)
    assert np.abs(arrays["values"][::2] - expected).max() < 2e-3 * np.abs(expected).max()
    assert not np.array_equal(arrays["values"][::2], arrays["values"][1::2])  # words were dropped
    arrays.close()
    (without,) = compute_features(network, [edge], sentences.train, augmenter=augmenter, views=2)
    assert "side_0" not in without


@pytest.mark.parametrize("stages", [0, 1, "all"])
def test_cached_predictions_are_the_models_own(sentences, network, stages):
    unfreeze_top(network, stages=stages)
    expected = network.predict(inputs_of(sentences.val, network), verbose=0)
    assert np.abs(predict_cached(network, sentences.val) - expected).max() < 2e-3


def test_engines_agree(sentences, network, monkeypatch):
    unfreeze_top(network, stages=1)
    prefix = keras.Model(network.inputs, boundary(network))
    items = list(zip(*inputs_of(sentences.train, network), strict=True))
    monkeypatch.setattr(engines, "SMALL_JOB", 0)
    monkeypatch.setattr(engines, "_ENOUGH", 1e9)  # LiteRT's file is made, whatever TensorFlow reaches
    items = items[: engines._BATCH * (engines._LAST + 2)]
    actual = list(engines.choose_engine(prefix, len(items), ["int32", "int32"])(items))
    expected = list(engines.keras_engine(prefix)(items))
    for (left,), (right,) in zip(actual, expected, strict=True):
        np.testing.assert_allclose(left, right, atol=engines.ENGINE_TOLERANCE * np.abs(right).max())


def test_a_digest_tells_wirings_and_constants_apart():
    def build(swapped=False, constant=2.0, masked=True):
        keras.utils.set_random_seed(0)
        first, second = keras.Input((4,), name="a"), keras.Input((4,), name="b")
        one, two = keras.layers.Dense(3)(first), keras.layers.Dense(3)(second)
        joined = keras.layers.Concatenate()([two, one] if swapped else [one, two]) * constant
        normal = keras.layers.Softmax()(joined, mask=keras.ops.ones((1, 6))) if masked else joined
        return keras.Model([first, second], normal)

    assert network_digest(build()) == network_digest(build())
    others = [build(swapped=True), build(constant=3.0), build(masked=False)]
    assert len({network_digest(model) for model in (build(), *others)}) == 4


def test_learning_rates_probes_alignment_and_interpolation(sentences, network):
    before = network.get_weights()
    sweep = sweep_phases(network, sentences, [TOP], augmentation="none", steps=20)[0]
    assert 1e-6 < sweep.suggestion <= 1 and all(map(np.array_equal, before, network.get_weights()))
    network.compile("adam", "categorical_crossentropy")
    with input_samples(network, sentences, sentences.train.augmenter("none")) as (train, _):
        batches = as_dataset(train.drawn(16, 0, 0), train)
        assert find_learning_rate(network, batches, steps=20).rates.size
    (features,) = pooled_features(network, [sentences.val])
    assert features.shape == (len(sentences.val), 16)
    rows = align(network, sentences, sentences.test, epochs=1, batch_size=8, learning_rate=1e-3)
    assert np.isfinite([rows[0]["loss"], rows[0]["alignment"]]).all()
    share, shares = wise_ft(network, before, sentences.val, coefficients=[0.0, 1.0])
    assert share in (0.0, 1.0) and shares[0]["log_loss"] != shares[1]["log_loss"]
