import zipfile
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_transfer.errors import InputError
from keras_transfer.litert import open_litert, read_flatbuffer, read_inputs, read_labels, write_labels
from keras_transfer.modalities.image.golden import GEOMETRIES

NAMES = ["crème brûlée", "naïve 猫", "a b, c"]


@pytest.mark.parametrize("name", ["float32", "float16", "dynamic", "int8"])
def test_labels_change_nothing_else(files, pictures, name):
    labelled = write_labels(files[name], NAMES)
    assert read_labels(labelled) == NAMES
    assert read_labels(files[name]) is None
    np.testing.assert_array_equal(open_litert(labelled).predict(pictures), open_litert(files[name]).predict(pictures))
    before, after = read_flatbuffer(files[name]), read_flatbuffer(labelled)
    assert (after.operators, after.tensors) == (before.operators, before.tensors)
    assert set(before.metadata) < set(after.metadata)


def test_again_replaces(files):
    once = write_labels(files["int8"], ["x", "y", "z"])
    assert write_labels(once, NAMES) == write_labels(files["int8"], NAMES)


def test_archive_as_task_libraries_want_it(files):
    with zipfile.ZipFile(BytesIO(write_labels(files["int8"], NAMES))) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.namelist() == ["labels.txt", "geometry.json", "inputs.json"]
        assert archive.read("labels.txt").decode() == "".join(f"{name}\n" for name in NAMES)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_geometry_comes_back(files, geometry):
    content = write_labels(files["int8"], NAMES, geometry)
    inputs = read_inputs(content)
    assert inputs.preparation == {"geometry": geometry.to_dict()} and read_labels(content) == NAMES
    assert geometry.describe().encode() in read_flatbuffer(content).metadata["TFLITE_METADATA"]
    assert read_inputs(files["int8"]) is None


def test_a_geometry_of_another_kind_is_refused(files):
    sound = write_labels(files["int8"], NAMES)
    with zipfile.ZipFile(BytesIO(sound)) as archive:
        written = [archive.read(name) for name in ("geometry.json", "inputs.json")]
    damaged = sound.replace(b'"crop": 0.875', b'"crop": 9.875')
    assert read_inputs(damaged) is None  # its checksums are wrong
    for text in written:
        forged = text.replace(b'"crop": 0.875', b'"crop": 9.875')
        damaged = damaged.replace(zlib.crc32(text).to_bytes(4, "little"), zlib.crc32(forged).to_bytes(4, "little"))
    with pytest.raises(InputError, match=r"does not say what its input is.*crop=9\.875"):
        read_inputs(damaged)


def test_constants_stay_aligned(files):
    """Readers map constants as they lie; the format promises 16 bytes."""
    from ai_edge_litert import schema_py_generated as schema

    content = write_labels(files["float32"], NAMES)
    data = np.frombuffer(content, np.uint8)
    model = schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(i).DataAsNumpy() for i in range(model.BuffersLength()) if model.Buffers(i).DataLength()]
    assert len(buffers) > 5
    start = data.__array_interface__["data"][0]
    assert {(buffer.__array_interface__["data"][0] - start) % 16 for buffer in buffers} == {0}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(min_size=1).filter(lambda t: t.strip() and t.splitlines() == [t]), min_size=3, max_size=3))
def test_any_names_come_back(files, names):
    try:
        content = write_labels(files["int8"], names)
    except InputError:
        assert any("\ud800" <= letter <= "\udfff" or letter in "\x85\u2028\u2029" for name in names for letter in name)
        return
    assert read_labels(content) == names


@pytest.mark.parametrize(
    "names, message",
    [
        (["a", "b"], "2 names"),
        (["a", "b\nc", "d"], "one line"),
        (["a", " ", "c"], "' '"),
        (["a", "b", "c\x1e"], "one line"),
    ],
)
def test_names_refused(files, names, message):
    with pytest.raises(InputError, match=message):
        write_labels(files["int8"], names)


def test_normalization_of_a_float_file(files):
    """What MediaPipe's writer puts into a float file: mean 127.5, std 127.5."""
    import flatbuffers

    from keras_transfer.litert.flatbuffer import FileInfo
    from keras_transfer.litert.labels import read_normalization

    builder = flatbuffers.Builder(0)

    def vector(values):
        builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            builder.PrependFloat32(value)
        return builder.EndVector()

    def table(*fields):
        builder.StartObject(8)
        for slot, prepend, value in fields:
            getattr(builder, prepend)(slot, value, 0)
        return builder.EndObject()

    def tables(offset):
        builder.StartVector(4, 1, 4)
        builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    offset = "PrependUOffsetTRelativeSlot"
    mean, std = vector([127.5, 0.0, 1.0]), vector([127.5, 1.0, 2.0])
    options = table((0, offset, mean), (1, offset, std))
    units = tables(table((0, "PrependUint8Slot", 1), (1, offset, options)))
    inputs = tables(table((4, offset, units)))
    graphs = tables(table((2, offset, inputs)))
    builder.Finish(table((3, offset, graphs)), b"M001")
    info = FileInfo((), (), (), (), {"TFLITE_METADATA": bytes(builder.Output())})
    mean, std = read_normalization(info)
    np.testing.assert_array_equal(mean, [127.5, 0.0, 1.0])
    np.testing.assert_array_equal(std, [127.5, 1.0, 2.0])
    assert read_normalization(read_flatbuffer(files["float32"])) is None


def test_a_dtype_that_metadata_makes_up_is_not_believed(files, pictures):
    content = write_labels(files["int8"], NAMES)
    with zipfile.ZipFile(BytesIO(content)) as archive:
        metadata = archive.read("inputs.json")
    forged = metadata.replace(b'"uint8"', b'"bogus"')
    content = content.replace(metadata, forged)
    content = content.replace(zlib.crc32(metadata).to_bytes(4, "little"), zlib.crc32(forged).to_bytes(4, "little"))
    assert read_inputs(content).tensor.dtype == "bogus"
    np.testing.assert_array_equal(open_litert(content).predict(pictures), open_litert(files["int8"]).predict(pictures))
