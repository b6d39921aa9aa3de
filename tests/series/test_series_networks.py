"""Networks of time series: each is one flat graph of plain layers that trains, divides into stages and converts."""

from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.inputs import InputSpec, TensorSpec
from keras_transfer.litert import convert, open_litert
from keras_transfer.modalities.series.backbones import SERIES_BACKBONES
from keras_transfer.modalities.series.builder import build_series_classifier, normalization_of
from keras_transfer.modalities.series.channelwise import FILE
from keras_transfer.modalities.series.dtw import nearest_neighbour, warping_distances
from keras_transfer.modalities.series.items import Series, pack
from keras_transfer.modalities.series.modality import MODALITY
from keras_transfer.modalities.series.preparer import SeriesPreparer, open_preparer
from keras_transfer.modalities.series.rocket import fit_ridge
from keras_transfer.models import cut_points, freeze_backbone, model_inputs, stages
from keras_transfer.recipe import make_recipe

pytestmark = pytest.mark.slow
TRAINED = [name for name, row in SERIES_BACKBONES.items() if row.layers is None]
UNTRAINED = [name for name in SERIES_BACKBONES if name not in TRAINED]


def waves(n: int, length: int = 64, channels: int = 3, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Slow and quick waves of any phase in noise, with channels of unlike units."""
    random = np.random.default_rng(seed)
    labels = np.arange(n, dtype=np.int32) % 2
    angle = np.arange(length)[:, None] * (0.3 + 0.2 * labels[:, None, None]) + random.uniform(0, 6, (n, 1, channels))
    noisy = np.sin(angle) + random.normal(0, 0.3, angle.shape)
    return (noisy * [1.0, 100.0, 0.01] + [0.0, 50.0, 9.81]).astype(np.float32), labels


@pytest.mark.parametrize("name", SERIES_BACKBONES)
def test_each_backbone_is_a_flat_model_of_raw_samples_that_keras_alone_loads(name: str, tmp_path):
    examples = waves(20)
    model = build_series_classifier(name, ["slow", "quick"], length=64, channels=3, examples=examples)
    assert [tensor.name for tensor in model.inputs] == ["series"] and model.input_shape == (None, 64, 3)
    assert [layer.name for layer in model.layers[-2:]] == ["logits", "predictions"]
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert all(layer.__module__.startswith("keras.") for layer in model.layers)
    normalized = keras.Model(model.input, model.get_layer("normalization").output).predict(examples[0], verbose=0)
    np.testing.assert_allclose(normalized.std(axis=(0, 1)), 1, atol=0.01)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded.predict(examples[0], verbose=0), model.predict(examples[0], verbose=0))


@pytest.mark.parametrize("name", UNTRAINED)
def test_each_network_has_stages_and_learns(name: str):
    series, labels = waves(40)
    keras.utils.set_random_seed(0)
    model = build_series_classifier(name, 2, length=64, channels=3, examples=(series, labels), dropout=0.0)
    assert len(stages(model)) >= 1 and cut_points(model)
    model.optimizer.learning_rate = 2e-3
    epochs = (model.fit(series, labels, batch_size=8, verbose=0).history["accuracy"] for _ in range(15))
    assert any(accuracy > 0.9 for [accuracy] in epochs)
    freeze_backbone(model)
    assert [weight.shape[-1] for weight in model.trainable_weights] == [2, 2]


@pytest.mark.parametrize("name", TRAINED)
def test_rocket_comes_trained(name: str):
    model = build_series_classifier(name, 2, length=64, channels=3, examples=waves(40))
    series, labels = waves(60, seed=1)
    assert (model.predict(series, verbose=0).argmax(axis=1) == labels).mean() > 0.95


def test_rocket_is_the_same_for_the_same_seed():
    examples = waves(10)
    first, same, other = (
        build_series_classifier("rocket_small", 2, length=64, channels=3, examples=examples, seed=seed)
        for seed in (0, 0, 1)
    )
    answers = [model.predict(examples[0], verbose=0) for model in (first, same, other)]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])


def test_rocket_of_short_constant_and_few_series():
    series = np.zeros((2, 9, 1), np.float32)
    model = build_series_classifier("rocket", 2, length=9, channels=1, examples=(series, np.array([0, 1])))
    np.testing.assert_allclose(model.predict(series, verbose=0), 0.5, atol=1e-3)


def test_rocket_of_several_labels():
    series, labels = waves(40)
    both = np.stack([labels, 1 - labels], axis=1)
    model = build_series_classifier("rocket_small", 2, length=64, channels=3, examples=(series, both), multi_label=True)
    assert ((model.predict(series, verbose=0) > 0.5) == both).mean() > 0.95


@pytest.mark.parametrize("name", SERIES_BACKBONES)
@pytest.mark.parametrize("length", [1, 7, 24])
def test_short_series_are_taken(name: str, length: int):
    assert build_series_classifier(name, 3, length=length, channels=1).output_shape == (None, 3)


def test_each_series_by_its_own_mean_and_deviation():
    model = build_series_classifier("fcn", 2, length=64, channels=3, normalization="window")
    series, _ = waves(4)
    normalized = keras.Model(model.input, model.get_layer("normalization").output).predict(series, verbose=0)
    np.testing.assert_allclose(normalized.mean(axis=1), 0, atol=1e-3)
    np.testing.assert_allclose(normalized.std(axis=1), 1, atol=1e-2)
    quiet = (series * [1.0, 1e-5, 1e-2]).astype(np.float32)  # as quiet as what is added to the variance, and quieter
    normalized = keras.Model(model.input, model.get_layer("normalization").output).predict(quiet, verbose=0)
    ours = SeriesPreparer(64, normalization="window").normalized(quiet)
    np.testing.assert_allclose(ours, normalized, atol=1e-3)


@pytest.mark.parametrize("name", SERIES_BACKBONES)
def test_files_agree_with_the_model(name: str):
    series, labels = waves(40)
    series = (series - [0.0, 50.0, 9.81]).astype(np.float32) / np.array([1.0, 100.0, 0.01], np.float32)
    model = build_series_classifier(name, 2, length=64, channels=3, examples=(series, labels))
    expected = model.predict(series, verbose=0)
    item = TensorSpec("series", (64, 3))
    files = convert(model, ["float32", "int8"], calibration=series, item=item, input_dtype="int8")
    if name in TRAINED:  # the others' weights are random
        spec = InputSpec("series", (item,), {"length": 64})
        int8 = open_litert(files["int8"], inputs=spec).predict(series)
        np.testing.assert_array_equal(int8.argmax(axis=1), labels)
    np.testing.assert_allclose(open_litert(files["float32"]).predict(series), expected, atol=1e-4)


def test_ridge_leaves_each_item_out():
    random = np.random.default_rng(0)
    labels = np.arange(30) % 3
    rows = random.normal(size=(30, 50)).astype(np.float32)
    rows[:, :3] += 2 * np.eye(3)[labels]
    ridge = fit_ridge(rows, labels, 3)

    def without(item: int) -> NDArray[np.float64]:
        kept = np.delete(np.arange(30), item)
        x, y = rows[kept].astype(np.float64), 2 * np.eye(3)[labels[kept]] - 1
        scale = rows.std(axis=0)
        centered = (x - x.mean(axis=0)) / scale
        weights = np.linalg.solve(centered.T @ centered + ridge.penalty * np.eye(50), centered.T @ (y - y.mean(axis=0)))
        return (rows[item] - x.mean(axis=0)) / scale @ weights + y.mean(axis=0)

    scores = np.stack([without(item) for item in range(30)])
    ours = np.log(ridge.left_out)
    ours -= ours.mean(axis=1, keepdims=True)
    scores -= scores.mean(axis=1, keepdims=True)
    sharpness = (ours * scores).sum() / np.square(scores).sum()
    np.testing.assert_allclose(ours, sharpness * scores, atol=1e-3 * sharpness)


def test_wrong_arguments_are_named():
    with pytest.raises(InputError, match="Did you mean rocket"):
        build_series_classifier("rokcet", 2, length=50, channels=1)
    with pytest.raises(InputError, match="normalization='z'"):
        build_series_classifier("fcn", 2, length=50, channels=1, normalization="z")
    with pytest.raises(InputError, match="at least 2 classes"):
        build_series_classifier("fcn", 1, length=50, channels=1)


def test_warping_finds_a_step_wherever_it_is():
    random = np.random.default_rng(0)
    a, b = (random.normal(size=(n, 7, 2)).astype(np.float32) for n in (3, 4))

    def warped(x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
        table = np.full((8, 8), np.inf)
        table[0, 0] = 0
        for i, j in np.ndindex(7, 7):
            table[i + 1, j + 1] = np.square(x[i] - y[j]).sum() + min(table[i, j], table[i, j + 1], table[i + 1, j])
        return float(table[7, 7])

    np.testing.assert_allclose(warping_distances(a, b), [[warped(x, y) for y in b] for x in a], rtol=1e-5)
    assert nearest_neighbour(b, np.arange(4), b).tolist() == [0, 1, 2, 3]


def test_weights_of_ones_own_run_are_carried_over(tmp_path: Path):
    old = build_series_classifier("ds_cnn_1d", 2, length=64, channels=3)
    old.save(tmp_path / "model.keras")
    new = build_series_classifier("ds_cnn_1d", 5, length=48, channels=3, weights=str(tmp_path))
    for layer in new.layers:
        if layer.weights and layer.name not in ("logits", "normalization"):
            np.testing.assert_array_equal(layer.get_weights()[0], old.get_layer(layer.name).get_weights()[0])
    other = build_series_classifier("ds_cnn_1d", 2, length=64, channels=1, weights=str(tmp_path / "model.keras"))
    np.testing.assert_array_equal(
        other.get_layer("block2_pointwise").get_weights()[0], old.get_layer("block2_pointwise").get_weights()[0]
    )
    with pytest.raises(InputError, match="is no fcn"):
        build_series_classifier("fcn", 2, length=64, channels=3, weights=str(tmp_path))
    with pytest.raises(InputError, match="fcn has no pretrained weights"):
        build_series_classifier("fcn", 2, length=64, channels=3, weights="pretrained")
    with pytest.raises(InputError, match="`weights` must be none, pretrained, a run"):
        build_series_classifier("fcn", 2, length=64, channels=3, weights=str(tmp_path / "nothing"))


def test_the_bundled_weights_take_any_channels_and_tell_waves_apart():
    random, pretrained = (
        build_series_classifier("channelwise", 2, length=64, channels=3, weights=weights)
        for weights in ("none", "pretrained")
    )
    shapes = [[weight.shape for weight in model.weights] for model in (random, pretrained)]
    assert shapes[0] == shapes[1] and FILE.stat().st_size < 1_000_000
    assert build_series_classifier("channelwise", 2, length=200, channels=9, weights="pretrained").count_params() > 1e5


def test_what_an_audition_hears_follows_from_the_target():
    recipe = make_recipe(data="gestures/")
    heard = {
        target: {row.backbone for row in MODALITY.candidates(recipe.replace(targets=(target,) if target else ()))}
        for target in ("", "microcontroller")
    }
    assert "rocket" in heard[""] and "rocket_small" not in heard[""]
    assert heard["microcontroller"] == {"rocket_small", "ds_cnn_1d"}
    with pytest.raises(InputError, match="no finished run"):
        MODALITY.candidates(recipe.replace(weights="nowhere/"))


def test_rocket_takes_no_steps():
    with pytest.raises(InputError, match="'rocket' is fitted whole"):
        MODALITY.settled(make_recipe(data="gestures/", backbone="Rocket", epochs=3))
    assert MODALITY.settled(make_recipe(data="gestures/", backbone="Rocket")).training.phases == ()
    assert MODALITY.settled(make_recipe(data="gestures/", backbone="fcn")).model.weights == "none"
    assert MODALITY.settled(make_recipe(data="gestures/", backbone="channelwise")).model.weights == "pretrained"


@pytest.mark.parametrize("normalization", ["channel", "window"])
def test_int8_files_of_unlike_units_begin_behind_the_normalization(normalization: str):
    series, labels = waves(40)
    model = build_series_classifier(
        "rocket_small", 2, length=64, channels=3, examples=(series, labels), normalization=normalization
    )
    preparer = SeriesPreparer(64, ("x", "y", "z"), normalization=normalization_of(model))
    assert open_preparer(preparer.settings) == preparer
    part = MODALITY.quantized_part(model)
    assert [tensor.name for tensor in part.inputs] == ["normalized"]
    spec = preparer.spec(model_inputs(part))
    content = [pack(Series(each, ("x", "y", "z"), None)) for each in series]
    normalized = np.stack([preparer.prepare(each, spec) for each in content])
    expected = model.predict(series, verbose=0)
    np.testing.assert_allclose(part.predict(normalized, verbose=0), expected, atol=1e-3)
    files = convert(part, ["int8"], calibration=normalized, item=spec.tensor, input_dtype="int8")
    answers = open_litert(files["int8"], inputs=spec).predict(normalized)
    assert (answers.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.95


def test_int8_files_of_like_units_take_raw_samples():
    series, labels = waves(20)
    series = (series - [0.0, 50.0, 9.81]).astype(np.float32) / np.array([1.0, 100.0, 0.01], np.float32)
    model = build_series_classifier("rocket_small", 2, length=64, channels=3, examples=(series, labels))
    assert MODALITY.quantized_part(model) is model
    with pytest.raises(InputError, match="not known"):
        SeriesPreparer(64, ("x", "y", "z")).spec([TensorSpec("normalized", (64, 3))])
