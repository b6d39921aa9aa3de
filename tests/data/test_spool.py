import gc
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from made_up import encoded, photograph

from keras_transfer import InputError, load_images
from keras_transfer.data import Dataset


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.stack([np.asarray(photograph(i, (40, 32))) for i in range(24)])


LABELS = np.arange(24) % 3


def everything(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """All pixels and labels in the order of the source."""
    whole = {path: i for split in (data.train, data.val, data.test) for i, path in enumerate(split.paths)}
    sides = {record.path: getattr(data, record.split) for record in data.records}
    pixels = [sides[record.path].read(whole[record.path], (32, 40)) for record in data.records]
    labels = [sides[record.path].labels[whole[record.path]] for record in data.records]
    return np.stack(pixels), np.stack(labels)


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64", "int64", "list", "pair"])
def test_arrays_come_back_exactly(images: np.ndarray, kind: str) -> None:
    if kind == "list":
        data = load_images(list(images), labels=LABELS.tolist())
    elif kind == "pair":
        data = load_images((images, LABELS))
    else:
        data = load_images(images.astype(kind), labels=LABELS)
    pixels, labels = everything(data)
    assert np.array_equal(pixels, images) and np.array_equal(labels, LABELS)
    assert data.class_names == ["0", "1", "2"]


def test_grayscale_arrays(images: np.ndarray) -> None:
    for gray in (images[..., 0], images[..., :1]):
        pixels, _ = everything(load_images(gray, labels=LABELS))
        assert np.array_equal(pixels, np.repeat(images[..., :1], 3, axis=-1))


def test_all_kinds_of_labels(images: np.ndarray) -> None:
    names = np.array(["zebra", "ant", "cat"])[LABELS]
    data = load_images(images, labels=names)
    assert data.class_names == ["ant", "cat", "zebra"] and np.array_equal(everything(data)[1], (LABELS - 1) % 3)
    one_hot = load_images(images, labels=np.eye(3)[LABELS], class_names=["x", "y", "z"])
    assert not one_hot.multi_label and one_hot.class_names == ["x", "y", "z"]
    assert np.array_equal(everything(one_hot)[1], LABELS)
    multi_hot = np.eye(3)[LABELS]
    multi_hot[:5] = [1, 1, 0]
    several = load_images(images, labels=multi_hot)
    assert several.multi_label and np.array_equal(everything(several)[1], multi_hot)
    column = load_images(images, labels=LABELS[:, None].astype(float))
    assert np.array_equal(everything(column)[1], LABELS)


def test_the_temporary_folder_lives_as_long_as_a_split_and_no_longer(images: np.ndarray) -> None:
    data = load_images(images, labels=LABELS)
    split, folder = data.train.take([0, 1]), data.records[0].path.parent
    del data
    gc.collect()
    assert split.pixels(8).shape == (2, 8, 8, 3)
    del split
    gc.collect()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("change", "labels", "reason"),
    [
        (lambda x: x / 255, LABELS, "Multiply them by 255"),
        (lambda x: x * 2.0, LABELS, "0..255"),
        (lambda x: x - 300.0, LABELS, "0..255"),
        (lambda x: np.where(x > 100, np.nan, x), LABELS, "0..255"),
        (lambda x: x[:10], LABELS, "a label for each image"),
        (lambda x: x[0], LABELS, "a label for each image"),
        (lambda x: x[:, 0, 0], LABELS, "n, H, W"),
        (lambda x: x[..., :2], LABELS, "H, W, 3"),
        (lambda x: x.astype(complex), LABELS, "uint8 or float"),
        (lambda x: x, LABELS - 1, "class indices"),
        (lambda x: x, LABELS + 0.5, "class indices"),
        (lambda x: x, np.full((24, 3), 0.3), "0 and 1"),
        (lambda x: x, None, "without `labels`"),
        (lambda x: x[:0], [], "no photographs"),
        (lambda x: x, LABELS + (LABELS == 2), "'2' of .* is empty"),
    ],
)
def test_bad_arrays_are_one_sentence(images: np.ndarray, change, labels, reason: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=reason) as caught:
        load_images(change(images), labels=labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["single", "batched", "dict", "names", "one-hot"])
def test_tf_data(images: np.ndarray, kind: str) -> None:
    labels: object = LABELS
    if kind == "names":
        labels = np.array(["a", "b", "c"])[LABELS]
    elif kind == "one-hot":
        labels = np.eye(3, dtype=np.float32)[LABELS]
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    if kind in ("batched", "one-hot"):
        dataset = dataset.map(lambda x, y: (tf.cast(x, tf.float32), y)).batch(7)
    if kind == "dict":
        dataset = dataset.map(lambda x, y: {"image": x, "label": y})
    pixels, found = everything(load_images(dataset))
    assert np.array_equal(pixels, images) and np.array_equal(found, LABELS)


def test_tf_data_that_will_not_do(images: np.ndarray) -> None:
    pairs = tf.data.Dataset.from_tensor_slices((images, LABELS))
    for dataset, reason in (
        (pairs.repeat(), "infinite"),
        (pairs.map(lambda x, y: x), "without a label"),
        (pairs.map(lambda x, y: (tf.cast(x, tf.float32) / 255, y)), "Multiply them by 255"),
        (pairs.take(0), "no photographs"),
    ):
        with pytest.raises(InputError, match=reason):
            load_images(dataset)


def test_tensorflow_datasets_keeps_their_bytes_names_and_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    # TensorFlow Datasets 4.9.10 imports this backport in order to write, and does not ask for it.
    for module in ("importlib.resources", "importlib.resources.abc"):
        monkeypatch.setitem(sys.modules, module.replace(".", "_", 1), import_module(module))
    contents = [encoded(photograph(i)) for i in range(30)]

    def side(start: int, stop: int) -> tf.data.Dataset:
        pairs = {"image": contents[start:stop], "label": [i % 2 for i in range(start, stop)]}
        return tf.data.Dataset.from_tensor_slices(pairs).map(
            lambda x: {"image": tf.io.decode_jpeg(x["image"]), "label": x["label"]}
        )

    tfds.dataset_builders.store_as_tfds_dataset(
        name="pets",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                "label": tfds.features.ClassLabel(names=["dog", "cat"]),
            }
        ),
        split_datasets={"train": side(0, 24), "test": side(24, 30)},
        data_dir=tmp_path,
        disable_shuffling=True,
    )
    data = load_images(f"tfds:{tmp_path / 'pets' / '1.0.0'}")
    assert data.class_names == ["dog", "cat"] and len(data.test) == 6
    assert len(data.train) + len(data.val) == 24
    assert data.test.labels.tolist() == [0, 1] * 3
    assert {record.facts[2] for record in data.records} == {"PNG"}


def test_tensorflow_datasets_that_cannot_be_had() -> None:
    pytest.importorskip("tensorflow_datasets")
    with pytest.raises(InputError, match="no_such_set cannot be had") as caught:
        load_images("tfds:no_such_set")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="needs a name"):
        load_images("tfds:")
