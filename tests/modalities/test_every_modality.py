"""What every `Modality` keeps to: what it offers is of the right form, what it does not offer is refused by name."""

import json

import numpy as np
import pytest
from examples import EXAMPLES, NAMES, Sample

from keras_transfer import InputError
from keras_transfer.inputs import MODALITIES, as_tuple
from keras_transfer.modalities import InputWords, Modality, modality_of, open_modality
from keras_transfer.models import model_inputs
from keras_transfer.schemas import PropertyDifference


def test_every_modality_is_tested() -> None:
    assert set(EXAMPLES) == set(MODALITIES)


def test_it_is_found_by_name_and_by_its_items(sample: Sample) -> None:
    modality = sample.modality
    assert isinstance(modality, Modality) and open_modality(modality.name) is modality is modality_of(
        str(sample.folder)
    )
    assert sample.example.suffix in modality.kind.extensions and modality.kind.item != modality.kind.items
    table = sample.dataset.write_csv(sample.folder.with_suffix(".csv"))
    assert modality_of(table) is modality_of(str(table)) is modality
    for source in (None, 3, "no/such/folder", [1, 2]):
        assert modality.recognizes(source) in (False, modality.name == "image")
    with pytest.raises(InputError):
        modality.load_items("no/such/folder")


def test_a_recipe_loads_the_same_items(sample: Sample) -> None:
    data = sample.modality.load(sample.recipe.replace(val=0.2, test=0.2))
    assert list(data.train.paths) == list(sample.dataset.train.paths)
    data = data.prepared_by(sample.modality.preparer({}))
    chosen = sample.modality.choose_preparation(sample.recipe, data, None, None)
    _, prepared = sample.modality.prepared(sample.recipe, data, json.loads(json.dumps(chosen)))
    assert prepared.val.preparer.modality == sample.modality.name


def test_a_network_takes_its_inputs(sample: Sample) -> None:
    model = sample.modality.build(sample.recipe, sample.dataset)
    spec = sample.dataset.train.spec(model_inputs(model))
    assert spec.holds_same(sample.spec)
    arrays = sample.dataset.val.arrays(spec)
    answers = np.asarray(model(list(as_tuple(arrays)) if isinstance(arrays, tuple) else arrays, training=False))
    assert answers.shape == (len(sample.dataset.val), len(NAMES))
    assert np.allclose(answers.sum(axis=1), 1, atol=1e-5)
    recipe = sample.modality.complete(sample.recipe, model)
    assert sample.modality.complete(recipe, model) == recipe
    try:
        views = sample.modality.network_views(model, sample.dataset.val.stored(spec), {0: "first"})
    finally:
        sample.dataset.val.close()
    assert all(item["title"] == "first" and item["picture"].startswith("data:") for item in views["followed"])
    pictures = sample.modality.views(model, sample.dataset.val.stored(spec), [0, 1], {1: 0})
    assert set(pictures) <= {0, 1}
    assert all(row.get("picture", "data:").startswith("data:") and len(row) >= 1 for row in pictures.values())
    assert all(len(row.get("text", "")) <= 200 for row in pictures.values())


def test_what_it_says_is_json_and_words(sample: Sample) -> None:
    modality, train = sample.modality, sample.dataset.train
    described = modality.describe(train.preparer, sample.spec)
    assert json.loads(json.dumps(described)) == described
    words = modality.input_words(described)
    assert set(words) == set(InputWords.__annotations__) and words["task"] and words["words"]
    summary = modality.summarize([record for record in sample.dataset.records if record.split])
    assert json.loads(json.dumps(summary)) == summary
    json.dumps(modality.summarize([]))


def test_properties_are_one_value_an_item(sample: Sample) -> None:
    test = sample.dataset.test.stored(sample.spec)
    for name, values in sample.modality.properties(sample.dataset, test).items():
        assert name and len(values) == len(test)
        assert all(value is None or isinstance(value, float | int | str) for value in values)
    test.close()


def test_corruptions_are_pure_and_keep_the_form(sample: Sample) -> None:
    modality = sample.modality
    items = sample.dataset.val.stored(sample.spec)
    everything = range(len(items))
    values = as_tuple(items.rows(everything))[0]
    for name, corruption in modality.corruptions.items():
        assert corruption.words and corruption.strengths
        for strength in (1, len(corruption.strengths)):
            worse = modality.corrupt(items, everything, name, strength, seed=3)
            assert worse.shape == values.shape and worse.dtype == values.dtype
            assert np.array_equal(worse, modality.corrupt(items, everything, name, strength, seed=3))
        assert np.array_equal(worse, values) == (name in sample.example.unchanged)  # the strongest
    with pytest.raises(InputError, match="no corruption 'rust'"):
        modality.corrupt(items, everything, "rust", 1, 0)
    items.close()


def test_differences_are_between_different_items_alone(sample: Sample) -> None:
    modality, train = sample.modality, sample.dataset.train
    down, up = (train.take(np.flatnonzero(train.labels == label)) for label in (0, 1))
    for row in modality.differences(down, up, sample.spec):
        assert set(row) == set(PropertyDifference.__annotations__)
        assert json.loads(json.dumps(row)) == row and 0 <= row["p_value"] <= 1
        train.augmenter({"strength": "none", **row["augmentation"]})
    assert not any(row["words"] for row in modality.differences(train, train, sample.spec))


def test_thumbnails_leave_out_what_cannot_be_shown(sample: Sample) -> None:
    val = sample.dataset.val
    pictures = sample.modality.thumbnails(val, [2, 0])
    assert set(pictures) in (set(), {0, 2})
    assert all(picture.startswith("data:image/") for picture in pictures.values())
    assert all(len(sample.modality.thumbnails(val, [i], 16)[i]) < len(picture) for i, picture in pictures.items())


def test_what_is_not_offered_is_refused_by_name(sample: Sample) -> None:
    modality = sample.modality
    assert not modality.is_item(b"some/path\nanother/path\n")
    with pytest.raises(InputError, match=f"[Cc]amera|{modality.kind.items}"):
        modality.capture(63)
    if type(modality).adopt is Modality.adopt:
        with pytest.raises(InputError, match=f"not supported yet for {modality.kind.items}"):
            modality.adopt(None, sample.recipe, sample.dataset)
