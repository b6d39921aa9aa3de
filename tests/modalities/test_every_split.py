"""What every kind of split keeps to: of files, stored in the cache, parts, several joined, without labels."""

from collections.abc import Callable

import numpy as np
import pytest
from examples import Sample

from keras_transfer import InputError
from keras_transfer.data import Split
from keras_transfer.data.folds import joined
from keras_transfer.data.unlabelled import list_unlabelled, unlabelled
from keras_transfer.inputs import Arrays, as_tuple

KINDS: dict[str, Callable[[Sample], Split]] = {
    "files": lambda sample: sample.dataset.train,
    "stored": lambda sample: sample.dataset.train.stored(sample.spec),
    "taken": lambda sample: sample.dataset.train.take([3, 1, 2]),
    "part": lambda sample: sample.dataset.train.part([0, 4, 5]),
    "stratified": lambda sample: sample.dataset.train.stratified(6),
    "joined": lambda sample: joined([sample.dataset.val, sample.dataset.test]),
    "without labels": lambda sample: unlabelled(sample.dataset.test),
    "unlabelled files": lambda sample: list_unlabelled(sample.folder, sample.dataset.reader)[0],
    "prepared again": lambda sample: sample.dataset.val.prepared_by(sample.modality.preparer(sample.example.other)),
    "empty": lambda sample: sample.dataset.train.take([]),
}


@pytest.fixture(params=KINDS)
def split(request, sample, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path_factory.getbasetemp() / "contract-cache"))
    made = KINDS[request.param](sample)
    yield made
    made.close()


def same(first: Arrays, second: Arrays) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(as_tuple(first), as_tuple(second), strict=True))


def test_its_fields_are_of_one_length(split: Split) -> None:
    assert len(split) == len(split.paths) == len(split.labels) == len(split.hashes)
    assert split.labels.dtype == np.int32 and not split.multi_label
    assert not len(split) or split.labels.max() < len(split.class_names)


def test_arrays_batches_and_single_items_are_the_same(split: Split, sample: Sample) -> None:
    spec = split.spec(sample.example.inputs)
    arrays = split.arrays(spec)
    for array, tensor in zip(as_tuple(arrays), spec.tensors, strict=True):
        assert array.shape == (len(split), *tensor.shape) and array.dtype == tensor.dtype
    for size in (1, 4, 1000):
        batches = list(split.batches(spec, size))
        assert [len(labels) for _, labels in batches[:-1]] == [size] * (len(batches) - 1)
        assert sum(len(labels) for _, labels in batches) == len(split)
        start = 0
        for inputs, labels in batches:
            assert np.array_equal(labels, split.labels[start : start + len(labels)])
            part = tuple(array[start : start + len(labels)] for array in as_tuple(arrays))
            assert same(inputs, part)
            start += len(labels)
    if len(split):
        assert same(split.read(0, spec), tuple(array[0] for array in as_tuple(arrays)))
    with pytest.raises(InputError, match="batch_size"):
        next(split.batches(spec, 0))


def test_tf_data_has_the_same_items(split: Split, sample: Sample) -> None:
    spec = split.spec(sample.example.inputs)
    if not len(split):
        return
    dataset = split.dataset(spec, batch_size=4)
    assert len(dataset) == -(-len(split) // 4)
    batches = list(dataset.as_numpy_iterator())
    assert np.array_equal(np.concatenate([labels for _, labels in batches]), split.labels)
    columns = zip(*(as_tuple(inputs) for inputs, _ in batches), strict=True)
    for parts, expected, tensor in zip(columns, as_tuple(split.arrays(spec)), spec.tensors, strict=True):
        values = np.concatenate(parts)
        assert values.dtype == ("int32" if tensor.dtype == "int32" else "float32") and np.array_equal(values, expected)


def test_parts_hold_what_was_asked_for(split: Split) -> None:
    order = list(range(len(split)))[::-2]
    for part in (split.take(order), split.part(order)):
        assert type(part) is type(split) and part.preparer == split.preparer
        assert list(part.paths) == [split.paths[i] for i in order]
        assert part.labels.tolist() == [split.labels[i] for i in order]
        assert part.hashes == [split.hashes[i] for i in order]
    drawn = split.stratified(5, seed=1)
    assert len(drawn) == min(5, len(split)) and len(set(drawn.paths)) == len(drawn)
    assert list(drawn.paths) == list(split.stratified(5, seed=1).paths)


def test_rows_are_of_what_is_stored(split: Split, sample: Sample) -> None:
    if not len(split):
        return
    with pytest.raises(InputError, match="stored"):
        split.take([0]).rows([0])
    stored = split.stored(sample.example.inputs)
    arrays, order = as_tuple(split.arrays(sample.example.inputs)), [len(split) - 1, 0]
    assert same(stored.rows(order), tuple(array[order] for array in arrays))
    stored.close()


def test_an_item_that_changed_is_refused(split: Split, sample: Sample) -> None:
    if not len(split):
        return
    path, content = split.paths[0], split.paths[0].read_bytes()
    other = next(one for one in sample.contents() if one != content)
    try:
        path.write_bytes(other)
        with pytest.raises(InputError, match="changed"):
            split.read(0, sample.spec)
    finally:
        path.write_bytes(content)


def test_its_short_forms(split: Split, sample: Sample) -> None:
    shape = split.common_shape()
    assert shape is None or all(isinstance(size, int) for size in shape)
    assert not split.augmenter("none") and split.augmenter("auto", 10) is not None
    assert repr(len(split)) in repr(split)
