"""Damaged files among good ones: no crash, and each is decoded soundly or listed with its reason."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_up import FORMATS, encoded, photograph

from keras_transfer import InputError, load_images
from keras_transfer.modalities.image.decode import EXTENSIONS, decode
from keras_transfer.modalities.image.examine import examine_file


def damaged(content: bytes, chance: random.Random) -> bytes:
    """One of the ways in which files go wrong."""
    data = bytearray(content)
    way = chance.randrange(6)
    if way == 0:  # cut off
        return bytes(data[: chance.randrange(len(data))])
    if way == 1:  # bits flipped anywhere
        for _ in range(chance.randrange(1, 30)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif way == 2:  # bits flipped in the header
        for _ in range(chance.randrange(1, 8)):
            data[chance.randrange(min(len(data), 64))] = chance.randrange(256)
    elif way == 3:  # a stretch of zeros, as a failed download leaves
        start = chance.randrange(len(data))
        data[start : start + chance.randrange(1, len(data))] = bytes(
            len(data[start : start + chance.randrange(1, len(data))])
        )
    elif way == 4:  # a stretch missing
        start = chance.randrange(len(data))
        del data[start : start + chance.randrange(1, 200)]
    else:  # garbage in the middle
        start = chance.randrange(len(data))
        data[start:start] = chance.randbytes(chance.randrange(1, 300))
    return bytes(data)


def sound_or_refused(content: bytes) -> bool:
    """Whether it decodes; anything but a sound picture or an `InputError` fails the test."""
    try:
        picture = decode(content, 64)
    except InputError as error:
        assert str(error) and "\n" not in str(error)
        return False
    assert picture.pixels.shape == (64, 64, 3) and picture.pixels.dtype == np.uint8
    assert picture.format in EXTENSIONS.values() and picture.width > 0 and picture.height > 0
    return True


@pytest.mark.parametrize("format_", FORMATS)
def test_300_damaged_files_of_each_format(format_: str) -> None:
    chance = random.Random(f"damaged {format_}")
    originals = [encoded(photograph(i), format_) for i in range(4)]
    outcomes = [sound_or_refused(damaged(chance.choice(originals), chance)) for _ in range(300)]
    assert outcomes.count(False) > 50


def test_damaged_files_among_good_ones_are_listed(folder: Callable[..., Path]) -> None:
    root = folder(cat=40, dog=40)
    chance = random.Random(0)
    for i in range(60):
        (root / "cat" / f"bad{i}.jpg").write_bytes(damaged(encoded(photograph(i)), chance))
    with pytest.raises(InputError, match="over 5%"):
        load_images(root)
    data = load_images(root, allow_bad=True)
    listed = {record.path.name for record in data.records}
    assert {f"bad{i}.jpg" for i in range(60)} <= listed and len(data.records) == 140
    assert sum(bool(record.problem) for record in data.records) > 20
    assert all(bool(record.problem) != bool(record.split) for record in data.records)
    for split in (data.train, data.val, data.test):
        assert split.pixels(32).shape == (len(split), 32, 32, 3)


@pytest.mark.photos
def test_300_damaged_real_photographs(shared_data: Path, tmp_path: Path) -> None:
    chance = random.Random(1)
    paths = sorted((shared_data / "food10" / "test").rglob("*.jpg"))
    refused = 0
    for i in range(300):
        place = tmp_path / f"{i}.jpg"
        place.write_bytes(damaged(chance.choice(paths).read_bytes(), chance))
        found, thumbnail = examine_file(place)
        assert bool(found.problem) == (thumbnail is None)
        sound = sound_or_refused(place.read_bytes())
        assert sound or found.problem
        assert not (sound and found.problem) or "orrupt" in found.problem or "remature" in found.problem
        refused += bool(found.problem)
    assert refused > 180
