"""What every `Preparer` keeps to."""

import dataclasses
import json

import numpy as np
import pytest
from examples import Sample

from keras_transfer import InputError
from keras_transfer.inputs import InputSpec, as_tuple, open_preparer


def test_inputs_are_as_the_spec_says(sample: Sample) -> None:
    spec, preparer = sample.spec, sample.dataset.train.preparer
    assert spec.modality == preparer.modality == sample.modality.name
    assert [tensor.name for tensor in spec.tensors] == [tensor.name for tensor in sample.example.inputs]
    for content in sample.contents():
        arrays = as_tuple(preparer.prepare(content, spec))
        assert len(arrays) == len(spec.tensors)
        for array, tensor in zip(arrays, spec.tensors, strict=True):
            assert array.dtype == tensor.dtype and array.shape == tensor.shape and tensor.meaning
            assert tensor.low is None or array.min() >= tensor.low
            assert tensor.high is None or array.max() <= tensor.high


def test_preparing_is_pure(sample: Sample) -> None:
    preparer, other = sample.dataset.train.preparer, sample.modality.preparer(sample.example.preparation)
    for content in sample.contents()[:5]:
        first, again = (as_tuple(one.prepare(content, sample.spec)) for one in (preparer, other))
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    if dataclasses.fields(preparer):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(preparer, dataclasses.fields(preparer)[0].name, None)


def test_settings_and_spec_survive_json_both_ways(sample: Sample) -> None:
    preparer, spec = sample.dataset.train.preparer, sample.spec
    settings = json.loads(json.dumps(dict(preparer.settings)))
    assert open_preparer(preparer.modality, settings) == preparer
    again = InputSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec and again.holds_same(spec)
    assert open_preparer(again.modality, again.preparation) == preparer
    assert preparer.spec(spec.tensors) == spec


def test_other_settings_are_another_preparer(sample: Sample) -> None:
    own, other = sample.dataset.train.preparer, sample.modality.preparer(sample.example.other)
    assert own != other and dict(own.settings) != dict(other.settings)
    assert not own.spec(sample.example.inputs).holds_same(other.spec(sample.example.inputs))


def test_damaged_content_is_refused(sample: Sample) -> None:
    for content in (b"", sample.example.damaged):
        with pytest.raises(InputError):
            sample.dataset.train.preparer.prepare(content, sample.spec)


def test_content_is_what_was_hashed(sample: Sample) -> None:
    path = sample.dataset.train.paths[0]
    assert sample.dataset.train.preparer.load(str(path)) == path.read_bytes()
    with pytest.raises(InputError):
        sample.dataset.train.preparer.load(str(path.with_name("gone")))


def test_items_of_one_spec_fit_that_spec(sample: Sample) -> None:
    spec = sample.spec
    if len(spec.tensors) == 1:
        values = sample.dataset.val.arrays(spec)
        assert np.array_equal(sample.dataset.val.preparer.adapt(values, spec), values)
