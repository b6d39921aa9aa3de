from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf
from made_up import photograph

from keras_transfer import InputError, build_augmenter
from keras_transfer.modalities.image.augmentation import SETTINGS, STRENGTHS
from keras_transfer.modalities.image.augmentation_layers import OPERATIONS, RandAugment, RandomTone, RandomView


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.stack([np.asarray(photograph(i, (48, 32))) for i in range(12)])


LABELS = np.arange(12) % 3
EACH = [{name: {"flip": 1, "rotation": 0.1}.get(name, 0.4)} for name in SETTINGS]


ALL = {"strength": "strong", **dict.fromkeys(SETTINGS, 0.3)}


@pytest.mark.parametrize("strength", [*STRENGTHS, *EACH, ALL], ids=str)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_it_is_pure_in_range_and_of_the_same_kind(images: np.ndarray, strength: str | dict, dtype: str) -> None:
    augmenter = build_augmenter(strength, classes=3)
    given = images.astype(dtype)
    before = given.copy()
    views, labels = augmenter(given, LABELS, 7)
    again, same = augmenter(given, LABELS, 7)
    assert isinstance(views, np.ndarray) and views.dtype == dtype and views.shape == images.shape
    assert np.array_equal(views, again) and np.array_equal(labels, same) and np.array_equal(given, before)
    assert views.min() >= 0 and views.max() <= 255
    assert labels.shape == ((12, 3) if augmenter.mixes else (12,))
    if augmenter and dtype == "uint8":
        assert not np.array_equal(views, augmenter(given, LABELS, 8)[0])
        fresh, _ = build_augmenter(strength, classes=3)(given, LABELS, 7)
        assert np.array_equal(views, fresh)


def test_each_image_has_a_draw_of_its_own(images: np.ndarray) -> None:
    same = np.repeat(images[:1], 12, axis=0)
    for setting in EACH:
        if not {"mixup", "cutmix"} & set(setting):
            views, _ = build_augmenter(setting)(same, LABELS, 1)
            assert len({view.tobytes() for view in views}) > 1, setting


def test_batches_of_several_sizes_are_augmented_by_one_augmenter(images: np.ndarray) -> None:
    for setting in (EACH[list(SETTINGS).index("blur")], {"blur": 1.0, "grayscale": 0.5}):
        augmenter = build_augmenter(setting)
        for some in (images, images[:5], images[:7], images[:2, :24, :24]):
            assert augmenter(some, LABELS[: len(some)], 3)[0].shape == some.shape


def test_blur_takes_detail_and_leaves_the_light(images: np.ndarray) -> None:
    views, _ = build_augmenter({"blur": 1.0})(images.astype("float32"), LABELS, 5)
    changed = [i for i in range(12) if not np.array_equal(views[i], images[i])]
    assert 2 <= len(changed) <= 10
    for i in changed:
        assert np.abs(np.diff(views[i], axis=0)).mean() < np.abs(np.diff(images[i].astype(float), axis=0)).mean()
        assert abs(views[i].mean() - images[i].mean()) < 6


def test_flip_gives_the_picture_or_its_mirror_image(images: np.ndarray) -> None:
    views, _ = build_augmenter({"flip": True})(np.repeat(images, 20, axis=0), np.repeat(LABELS, 20), 0)
    originals = np.repeat(images, 20, axis=0)
    kept = (views == originals).all(axis=(1, 2, 3))
    mirrored = (views == originals[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept ^ mirrored).all() and 80 < kept.sum() < 160


def test_a_view_without_turn_and_zoom_is_the_picture_to_the_bit(images: np.ndarray) -> None:
    layer = RandomView(flip=False, rotation=1e-12)
    assert np.allclose(layer(images.astype(np.float32), training=True), images, atol=0.01)


def test_rotation_turns_about_the_centre() -> None:
    picture = np.zeros((1, 33, 33, 3), np.float32)
    picture[0, 16, 16] = 200
    for seed in range(5):
        view = RandomView(flip=True, rotation=0.25).transform(tf.constant(picture), tf.constant([seed, 0]))
        assert view[0, 16, 16, 0] > 190


def test_zoom_stays_inside_the_picture_when_it_zooms_in() -> None:
    ramp = np.tile(np.linspace(0, 255, 64, dtype=np.float32)[None, None, :, None], (64, 64, 1, 3))
    views = RandomView(flip=False, zoom=0.4).transform(tf.constant(ramp), tf.constant([1, 2])).numpy()
    steps = np.diff(views[:, 32, :, 0], axis=1)
    inward = (steps >= 0).all(axis=1)  # zooming out shows reflections, where the ramp falls
    assert 10 < inward.sum() < 60
    assert (np.ptp(views[inward, 32, :, 0], axis=1) >= 255 * 0.59).all()


def test_tone_keeps_flat_pictures_flat_and_moves_them_by_at_most_the_brightness() -> None:
    flat = np.full((50, 8, 8, 3), 120, np.float32)
    out = RandomTone(contrast=0.5, brightness=0.1).transform(tf.constant(flat), tf.constant([3, 4])).numpy()
    assert np.ptp(out, axis=(1, 2, 3)).max() < 1e-3
    assert np.abs(out - 120).max() <= 25.6 and np.abs(out - 120).max() > 20


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_of_randaugment(images: np.ndarray, name: str) -> None:
    image = tf.constant(images[0].astype(np.float32))
    for m in (-0.8, 0.0, 0.8):
        out = OPERATIONS[name](image, tf.constant(m)).numpy()
        assert out.shape == image.shape and np.isfinite(out).all()
    still = OPERATIONS[name](image, tf.constant(0.0)).numpy()
    if name in ("autocontrast", "equalize"):
        assert still.min() < 10 and still.max() > 245
        flat = OPERATIONS[name](tf.fill([8, 8, 3], 90.0), tf.constant(0.5)).numpy()
        assert np.isfinite(flat).all() and np.ptp(flat) == 0
    else:
        assert np.allclose(still, image, atol=0.02)


def test_mixup_mixes_pictures_and_labels_alike() -> None:
    flat = np.repeat(np.array([0, 100, 200], np.float32), 4)[:, None, None, None] * np.ones((1, 8, 8, 3), np.float32)
    labels = np.repeat([0, 1, 2], 4)
    for setting in ({"mixup": 1.0}, {"cutmix": 1.0}):
        views, soft = build_augmenter(setting, classes=3)(flat, labels, 5)
        assert np.allclose(soft.sum(axis=1), 1, atol=1e-5) and (soft >= 0).all()
        assert np.allclose(views.mean(axis=(1, 2, 3)), soft @ [0, 100, 200], atol=0.05)
        assert ((soft > 0.01) & (soft < 0.99)).any()


def test_labels_of_several_classes_are_mixed_as_they_are(images: np.ndarray) -> None:
    several = np.eye(3, dtype=np.float32)[LABELS] + np.eye(3, dtype=np.float32)[(LABELS + 1) % 3]
    _, soft = build_augmenter({"mixup": 0.5})(images, several, 0)
    assert soft.shape == (12, 3) and np.allclose(soft.sum(axis=1), 2, atol=1e-5)


def test_strength_follows_the_number_of_images() -> None:
    def settings(count: float | None) -> dict[str, float]:
        return build_augmenter("auto", images_per_class=count).settings

    assert settings(10) == settings(49.9) == build_augmenter("strong").settings
    assert settings(50) == settings(499) == build_augmenter("medium").settings
    assert settings(500) == settings(None) == build_augmenter("light").settings
    assert not build_augmenter("none")
    order = [STRENGTHS[name] for name in ("light", "medium", "strong")]
    for weaker, stronger in pairwise(order):
        assert all(weaker[name] <= stronger[name] for name in weaker)


@pytest.mark.parametrize(
    "strength", ["heavy", {"tilt": 1}, {"zoom": 2}, {"zoom": -0.1}, {"zoom": "big"}, {"mixup": float("nan")}]
)
def test_unknown_strengths_are_refused(strength: object) -> None:
    with pytest.raises(InputError, match=r"Received|has no setting"):
        build_augmenter(strength)  # type: ignore[arg-type]


def test_mixing_indices_needs_the_number_of_classes(images: np.ndarray) -> None:
    with pytest.raises(InputError, match="number of classes"):
        build_augmenter({"mixup": 0.2})(images, LABELS, 0)


def test_its_layers_work_in_a_model_of_ones_own_and_survive_saving(images: np.ndarray, tmp_path) -> None:  # type: ignore[no-untyped-def]
    layers = build_augmenter({"strength": "medium", "randaugment": 0.3}).layers
    assert [type(layer) for layer in layers] == [RandomView, RandomTone, RandAugment]
    model = keras.Sequential([keras.Input((32, 48, 3)), *layers])
    assert np.array_equal(model.predict(images, verbose=0), images)  # nothing outside of training
    assert not np.array_equal(model(images.astype(np.float32), training=True), images)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert [layer.get_config() for layer in again.layers] == [layer.get_config() for layer in model.layers]
