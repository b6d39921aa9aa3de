"""What every `Reader` keeps to, and what `load_listing` makes of it."""

import hashlib
from collections import Counter

from examples import COUNT, NAMES, Sample

from keras_transfer.data.listing import Layout
from keras_transfer.data.splits import SPLITS


def test_every_item_is_listed_with_its_label_split_hash_and_problem(sample: Sample) -> None:
    records = sample.dataset.records
    assert len(records) == 2 * COUNT + 1 and sample.dataset.class_names == list(NAMES)
    for record in records:
        content = record.path.read_bytes()
        assert NAMES[record.label] == record.path.parent.name
        if content == sample.example.damaged:
            assert record.problem and record.split == ""
        else:
            assert record.problem == "" and record.split in SPLITS
            assert record.sha256 == hashlib.sha256(content).hexdigest()
            assert len(record.facts) == len(sample.dataset.reader.kind.facts)
    sizes = Counter(record.split for record in records)
    assert {name: sizes[name] for name in SPLITS} == {name: len(getattr(sample.dataset, name)) for name in SPLITS}


def test_groups_stay_together(sample: Sample) -> None:
    layout = Layout(group_by=r"/\d")  # items whose numbers begin with one digit
    data = sample.modality.load_items(str(sample.folder), layout=layout, val=0.2, test=0.2)
    used = [record for record in data.records if record.split]
    assert len({record.group for record in used}) > 5
    assert len({(record.group, record.split) for record in used}) == len({record.group for record in used})


def test_examining_raises_nothing_and_keeps_the_order(sample: Sample) -> None:
    paths = [record.path for record in sample.dataset.records]
    reader = sample.dataset.reader
    for order in (paths, paths[::-1], []):
        items = reader.examine(order).items
        assert [bool(item.problem) for item in items] == [path.stem == "damaged" for path in order]
        assert all(item.note == "" or item.note in reader.notes for item in items)
    (missing,) = reader.examine([sample.folder / "no such file"]).items
    assert missing.problem and not missing.sha256


def test_items_of_the_same_content_are_alike(sample: Sample, tmp_path) -> None:
    first, second = sample.dataset.train.paths[:2]
    copy = tmp_path / f"copy{first.suffix}"
    copy.write_bytes(first.read_bytes())
    for near in (True, False):
        clusters = sample.dataset.reader.examine([first, second, copy]).clusters([0, 1, 2], near)
        assert sorted(i for members in clusters for i in members) == [0, 1, 2]
        assert any({0, 2} <= set(members) for members in clusters)


def test_what_is_written_as_a_table_is_the_same_data(sample: Sample, tmp_path) -> None:
    table = sample.dataset.write_csv(tmp_path / "data.csv")
    again = sample.modality.load_items(table, allow_bad=True)
    assert [(r.path, r.label, r.split, r.sha256) for r in again.records if r.split] == [
        (r.path, r.label, r.split, r.sha256) for r in sample.dataset.records if r.split
    ]
