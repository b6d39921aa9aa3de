"""Damaged files end in one sentence, never in a dead process."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.errors import InputError
from keras_transfer.litert import open_litert, read_flatbuffer, read_labels, write_labels


def mutate(content: bytes, random: np.random.Generator, other: bytes) -> bytes:
    data = np.frombuffer(content, np.uint8).copy()
    start = int(random.integers(0, len(data)))
    match int(random.integers(0, 6)):
        case 0:  # anywhere
            where = random.integers(0, len(data), int(random.integers(1, 60)))
            data[where] = random.integers(0, 256, len(where))
        case 1:  # in the tables, which lie at both ends
            where = random.integers(0, 400, int(random.integers(1, 8)))
            where = np.where(random.random(len(where)) < 0.5, where, len(data) - 1 - 6 * where)
            data[where] ^= np.uint8(1 << random.integers(0, 8))
        case 2:
            data = data[:start]
        case 3:
            data[start : start + int(random.integers(1, 400))] = 0
        case 4:
            data[start : start + int(random.integers(1, 60))] = 255
        case 5:
            data = np.concatenate([data[:start], np.frombuffer(other, np.uint8)[start:]])
    return data.tobytes()


def test_300_mutated_files(files, pictures, tmp_path):
    random = np.random.default_rng(0)
    names = ["a", "b", "c"]
    sources = [write_labels(files[name], names) for name in ("int8", "float32", "dynamic")]
    outcomes = {"refused": 0, "sound": 0}
    path = tmp_path / "mutated.tflite"
    for index in range(300):
        content = mutate(sources[index % 3], random, sources[(index + 1) % 3])
        path.write_bytes(content)
        try:
            assert read_labels(content) is None or len(read_labels(content)) >= 0
            opened = open_litert(path, threads=1)
            answer = opened.predict(np.zeros((2, *opened.inputs[0].shape[1:]), np.uint8))
            assert answer.ndim == 2
            outcomes["sound"] += 1
        except InputError as error:
            assert "\n" not in str(error)
            outcomes["refused"] += 1
    print(outcomes)  # the rates, for `pytest -s`
    assert min(outcomes.values()) > 30


def test_probe_survives_a_file_that_kills_it(files, monkeypatch):
    from keras_transfer.litert import probe as probing

    probing.probe(files["float32"])
    first = probing._process
    first.kill()
    first.wait()
    probing.probe(files["int8"])
    assert probing._process is not first


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_behind_the_header(tail):
    with suppress(InputError):
        read_flatbuffer(tail[:4].ljust(4, b"\0") + b"TFL3" + tail[4:])


@settings(max_examples=200)
@given(offset=st.integers(0, 2**31), value=st.binary(min_size=1, max_size=4))
def test_any_edit_of_a_sound_file(files, offset, value):
    data = bytearray(files["int8"])
    offset %= len(data) - len(value)
    data[offset : offset + len(value)] = value
    try:
        info = read_flatbuffer(bytes(data))
    except InputError:
        return
    for operator in info.operators:
        assert all(-1 <= i < len(info.tensors) for i in operator.inputs + operator.outputs)


@pytest.mark.parametrize("length", [0, 1, 8, 15, 100])
def test_truncated(files, length):
    with pytest.raises(InputError):
        read_flatbuffer(files["int8"][:length])
