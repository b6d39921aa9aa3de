"""uint8 ends become int8 ones, and nothing else changes."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_transfer.errors import InputError
from keras_transfer.inputs import TensorSpec
from keras_transfer.litert import convert, open_litert, read_flatbuffer, write_labels
from keras_transfer.litert.io_types import int8_io, with_unused_inputs, without_metadata
from keras_transfer.litert.packing import pack
from keras_transfer.litert.trust import is_ours


def test_answers_are_the_same_less_128(files, pictures):
    rewritten = int8_io(files["int8"])
    before, after = open_litert(files["int8"]), open_litert(rewritten)
    assert {t.dtype for t in (*after.inputs, *after.outputs)} == {"int8"}
    for picture in pictures:
        [expected] = before.run([picture[None]])
        [actual] = after.run([(picture[None] ^ 128).view(np.int8)])
        np.testing.assert_array_equal(actual, (expected ^ 128).view(np.int8))
    np.testing.assert_array_equal(before.predict(pictures), after.predict(pictures))


def test_two_operators_and_two_tensors_go(files):
    before, after = read_flatbuffer(files["int8"]), read_flatbuffer(int8_io(files["int8"]))
    assert before.counts()["QUANTIZE"] == 2
    assert after.counts() == {name: n for name, n in before.counts().items() if name != "QUANTIZE"}
    assert len(after.tensors) == len(before.tensors) - 2
    assert not after.metadata
    model = schema.ModelT.InitFromPackedBuf(int8_io(files["int8"]), 0)
    [signature] = model.signatureDefs
    assert [e.tensorIndex for e in signature.inputs] == list(after.inputs)
    assert [e.tensorIndex for e in signature.outputs] == list(after.outputs)


def test_the_converter_itself_makes_no_other_graph(trained, files, pictures):
    direct = convert(trained, ["int8"], calibration=pictures, input_dtype="int8")["int8"]
    ours, theirs = read_flatbuffer(int8_io(files["int8"])), read_flatbuffer(direct)
    assert [o.name for o in ours.operators] == [o.name for o in theirs.operators]
    as_int8 = (pictures ^ 128).view(np.int8)
    for image in as_int8[:8]:
        a, b = (open_litert(c, threads=1).run([image[None]])[0] for c in (int8_io(files["int8"]), direct))
        np.testing.assert_array_equal(a, b)


def test_int8_io_stay_as_they_are(files):
    rewritten = int8_io(files["int8"])
    assert int8_io(rewritten) == rewritten
    assert is_ours(rewritten)


def test_labels_go(files):
    labelled = write_labels(files["int8"], ["a", "b", "c"])
    assert int8_io(labelled) == int8_io(files["int8"])
    bare = without_metadata(labelled)
    assert not read_flatbuffer(bare).metadata and len(bare) < len(labelled)
    assert without_metadata(bare) == bare


@pytest.mark.parametrize("name", ["float32", "float16", "dynamic"])
def test_floats_are_refused(files, name):
    with pytest.raises(InputError, match="convert the model to int8"):
        int8_io(files[name])


def test_a_quantize_that_does_more_than_shift_is_refused(files):
    model = schema.ModelT.InitFromPackedBuf(files["int8"], 0)
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].quantization.scale = np.array([0.5], np.float32)
    with pytest.raises(InputError, match="only"):
        int8_io(pack(model))


def test_damage_is_refused(files):
    for end in (0, 20, 1000):
        with pytest.raises(InputError):
            int8_io(files["int8"][:end])


def test_inputs_that_nothing_reads_change_nothing(files, pictures):
    wider = with_unused_inputs(files["float32"], [TensorSpec("mask", (7,), "int32"), TensorSpec("gain", (), "float32")])
    before, after = open_litert(files["float32"]), open_litert(wider)
    assert [(t.name, t.dtype, t.shape) for t in after.inputs[1:]] == [
        ("mask", "int32", (1, 7)),
        ("gain", "float32", (1,)),
    ]
    assert not after.info.metadata and is_ours(wider)
    [signature] = schema.ModelT.InitFromPackedBuf(wider, 0).signatureDefs
    assert [entry.tensorIndex for entry in signature.inputs] == list(after.info.inputs)
    for picture in pictures[:4]:
        others = np.full((1, 7), 5, np.int32), np.array([3.0], np.float32)
        np.testing.assert_array_equal(before.run([picture[None]]), after.run([picture[None], *others]))
