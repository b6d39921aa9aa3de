from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_transfer import InputError, load_images
from keras_transfer.data import Split
from keras_transfer.modalities.image import build_augmenter, decode_image


@pytest.fixture
def split(folder: Callable[..., Path]) -> Split:
    return load_images(folder(bird=20, cat=40, dog=10), val=0, test=0).train


def test_pixels_are_those_of_decode_image_in_order(split: Split) -> None:
    pixels = split.pixels((24, 32))
    assert pixels.dtype == np.uint8 and pixels.shape == (70, 24, 32, 3)
    assert all(np.array_equal(pixels[i], decode_image(split.paths[i], (24, 32))) for i in range(0, 70, 7))


@pytest.mark.parametrize("batch_size", [1, 32, 35, 70, 100])
def test_batches_hold_everything_once_in_order(split: Split, batch_size: int) -> None:
    batches = list(split.batches(16, batch_size))
    assert [len(images) for images, _ in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert np.array_equal(np.concatenate([images for images, _ in batches]), split.pixels(16))
    assert np.array_equal(np.concatenate([labels for _, labels in batches]), split.labels)


def test_leaving_batches_early_is_fine(split: Split) -> None:
    assert next(iter(split.batches(16, 4)))[0].shape == (4, 16, 16, 3)
    assert list(split.take([]).batches(16, 4)) == []


def test_dataset_in_order(split: Split) -> None:
    dataset = split.dataset((24, 32), batch_size=16)
    assert len(dataset) == 5
    images, labels = (np.concatenate(part) for part in zip(*dataset.as_numpy_iterator(), strict=True))
    assert images.dtype == np.float32 and np.array_equal(images, split.pixels((24, 32)))
    assert np.array_equal(labels, split.labels)
    assert dataset.element_spec[0].shape.as_list() == [None, 24, 32, 3]


def test_dataset_shuffles_anew_each_epoch_and_alike_for_the_same_seed(split: Split) -> None:
    def epochs(seed: int, **options: object) -> list[np.ndarray]:
        dataset = split.dataset(8, batch_size=16, shuffle=True, seed=seed, **options)  # type: ignore[arg-type]
        return [np.concatenate([images for images, _ in dataset.as_numpy_iterator()]) for _ in range(2)]

    one, again, other = epochs(3), epochs(3), epochs(4)
    assert not np.array_equal(one[0], one[1]) and not np.array_equal(one[0], other[0])
    assert np.array_equal(one, again)
    assert np.array_equal(np.sort(one[0].ravel()), np.sort(one[1].ravel()))
    augmented = [epochs(3, augment=build_augmenter("strong")) for _ in range(2)]
    assert np.array_equal(*augmented) and not np.array_equal(augmented[0], one)
    assert augmented[0][0].min() >= 0 and augmented[0][0].max() <= 255


def test_keras_fits_and_predicts_on_a_dataset(split: Split) -> None:
    model = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    history = model.fit(
        split.dataset(16, shuffle=True, augment=build_augmenter("light")), epochs=2, verbose=0, shuffle=False
    )
    assert len(history.history["loss"]) == 2
    assert model.predict(split.dataset(16), verbose=0).shape == (70, 3)


def test_mixed_labels_reach_the_dataset(split: Split) -> None:
    dataset = split.dataset(16, augment=build_augmenter({"mixup": 0.4, "cutmix": 1}, classes=3))
    images, labels = next(dataset.as_numpy_iterator())
    assert labels.shape == (32, 3) and np.allclose(labels.sum(axis=1), 1, atol=1e-5) and images.max() <= 255


@pytest.mark.parametrize("count", [3, 7, 35, 70, 100])
def test_a_stratified_part(split: Split, count: int) -> None:
    part = split.stratified(count, seed=1)
    assert len(part) == min(count, 70) and len(set(part.paths)) == len(part)
    counts = np.bincount(part.labels, minlength=3)
    assert counts.min() >= 1 and (abs(counts - np.array([20, 40, 10]) * len(part) / 70) <= 1.5).all()
    assert part.paths == split.stratified(count, seed=1).paths
    assert count > 60 or part.paths != split.stratified(count, seed=2).paths


def test_a_file_that_changed_or_vanished_is_named(split: Split) -> None:
    split.paths[3].write_bytes(split.paths[4].read_bytes())
    with pytest.raises(InputError, match=r"0003\.jpg: the file was changed"):
        split.pixels(16)
    split.paths[3].unlink()
    with pytest.raises(InputError, match=r"0003\.jpg: no such file"):
        list(split.batches(16, 8))


@pytest.mark.parametrize("call", [lambda s: s.stratified(0), lambda s: list(s.batches(16, 0)), lambda s: s.pixels(0)])
def test_wrong_calls(split: Split, call: Callable[[Split], object]) -> None:
    with pytest.raises(InputError, match="Received"):
        call(split)


def test_one_channel_wherever_pixels_are_read(split: Split) -> None:
    shape = (8, 10, 1)
    pixels = split.pixels(shape)
    assert pixels.shape == (70, *shape)
    assert np.array_equal(next(iter(split.batches(shape, 70)))[0], pixels)
    assert np.array_equal(next(iter(split.dataset(shape, 70).as_numpy_iterator()))[0], pixels)
    stored = split.stored(shape)
    assert np.array_equal(stored.rows(range(70)), pixels)
    assert np.array_equal(next(iter(stored.batches((8, 10), 70)))[0], split.pixels((8, 10)))
    stored.close()


def test_one_channel_is_augmented_too(split: Split) -> None:
    pixels = split.pixels((16, 16, 1))
    augmenter = build_augmenter({"strength": "strong", "grayscale": 0.5, "blur": 0.5, "randaugment": 0.3})
    views, _ = augmenter(pixels, split.labels, seed=1)
    assert views.shape == pixels.shape and views.dtype == np.uint8 and not np.array_equal(views, pixels)
