"""Folds: a partition, stratified, like pictures on one side; and columns of a table that are carried along."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_transfer.data.folds import item_groups, joined, stratified_folds
from keras_transfer.data.split import stratified_order
from keras_transfer.errors import InputError
from keras_transfer.modalities.image import load_images


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(24, 80), st.integers(2, 4), st.integers(2, 4))
def test_folds_are_a_partition_that_breaks_up_no_group(seed: int, count: int, classes: int, folds: int) -> None:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    groups = labels + classes * random.integers(0, count // 4, count)
    cuts = stratified_folds(labels, groups, folds, seed)
    assert sorted(np.concatenate([part for _, part in cuts])) == list(range(count))
    for rest, part in cuts:
        assert not set(groups[rest]) & set(groups[part]) and not set(rest) & set(part)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 30), min_size=2, max_size=5))
def test_every_beginning_of_a_dealt_order_has_the_classes_shares(seed: int, counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    order = stratified_order(labels, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(labels)))
    for count in range(len(counts), len(labels) + 1):
        held = np.bincount(labels[order[:count]], minlength=len(counts))
        assert held.min() >= 1
        assert np.abs(held - count * np.array(counts) / len(labels)).max() <= len(counts)


def test_too_many_folds_are_refused() -> None:
    labels = np.array([0, 0, 1, 1])
    with pytest.raises(InputError, match="folds=3"):
        stratified_folds(labels, np.arange(4), 3)
    with pytest.raises(InputError, match="folds=2"):
        stratified_folds(labels, np.zeros(4, int), 2)


def test_near_duplicates_and_groups_are_kin_and_columns_are_carried(tmp_path) -> None:
    random = np.random.default_rng(0)
    rows = ["path,class,camera,place"]
    for number in range(24):
        coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).resize((96, 96))
        coarse.save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{'ab'[number % 2]},{'old' if number < 4 else 'new'},p{number // 3}")
    Image.open(tmp_path / "5.png").resize((128, 128)).save(tmp_path / "copy.png")
    rows.append("copy.png,b,old,")
    table = tmp_path / "table.csv"
    table.write_text("\n".join(rows) + "\n")
    data = load_images(table, val=0.2, test=0.2, group_by="place")
    whole = joined([data.train, data.val, data.test])
    family = dict(zip((path.name for path in whole.paths), item_groups(data, whole), strict=True))
    assert family["5.png"] == family["copy.png"] == family["4.png"] == family["3.png"] != family["6.png"]
    assert len(set(family.values())) == 8
    first = data.records[0]
    assert first.columns == {"camera": "old", "place": "p0"} and first.group == "p0"
    data.write_csv(tmp_path / "written.csv")
    again = load_images(tmp_path / "written.csv")
    assert [record.columns for record in again.records] == [record.columns for record in data.records]
    with (tmp_path / "written.csv").open(newline="") as file:
        assert list(csv.DictReader(file))[4]["camera"] == "new"
