"""Versions, options and constants of operators, against what the file was made of."""

import numpy as np
import pytest
from crafted import Graph
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transfer.errors import InputError
from keras_transfer.litert import read_flatbuffer
from keras_transfer.litert.details import read_constants, read_details


@pytest.fixture(scope="module")
def content() -> bytes:
    graph = Graph()
    x = graph.conv(graph.input((1, 8, 8, 4)), (1, 8, 8, 4), version=3, dilationWFactor=2, fusedActivationFunction=3)
    graph.op("MEAN", [x, graph.constant([1, 2])], (1, 4))
    return graph.file()


def test_versions_and_options(content):
    convolution, mean = read_details(content)
    assert (convolution.version, mean.version) == (3, 1)
    assert convolution.options["dilationWFactor"] == 2
    assert convolution.options["dilationHFactor"] == 1
    assert convolution.options["fusedActivationFunction"] == 3
    assert mean.options == {}


def test_constants(content):
    constants = read_constants(content, range(6))
    assert {index: (values.shape, str(values.dtype)) for index, values in constants.items()} == {
        1: ((4, 1, 1, 4), "int8"),
        2: ((4,), "int32"),
        4: ((2,), "int32"),
    }
    assert constants[4].tolist() == [1, 2]
    assert constants[1].base is not None  # a view, whatever the file's size


def test_options_that_a_converter_wrote(files):
    info, details = read_flatbuffer(files["int8"]), read_details(files["int8"])
    by_name = {operator.name: detail for operator, detail in zip(info.operators, details, strict=True)}
    assert (by_name["DEPTHWISE_CONV_2D"].options["strideW"], by_name["DEPTHWISE_CONV_2D"].options["strideH"]) == (2, 2)
    axes = next(operator.inputs[1] for operator in info.operators if operator.name == "MEAN")
    assert sorted(read_constants(files["int8"], [axes])[axes].tolist()) == [1, 2]
    weights = read_constants(files["float32"], range(len(read_flatbuffer(files["float32"]).tensors)))
    assert all(np.isfinite(values).all() for values in weights.values())


@settings(max_examples=300)
@given(offset=st.integers(0, 1 << 20), value=st.binary(min_size=1, max_size=4))
def test_any_edit(content, offset, value):
    data = bytearray(content)
    offset %= len(data) - len(value)
    data[offset : offset + len(value)] = value
    try:
        tensors = len(read_flatbuffer(bytes(data)).tensors)
        read_details(bytes(data))
        read_constants(bytes(data), range(tensors))
    except InputError as error:
        assert "\n" not in str(error)
