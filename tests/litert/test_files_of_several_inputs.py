"""Models of several inputs: token ids, a padding mask, and numbers beside them."""

import sys
from types import ModuleType, SimpleNamespace

import keras
import numpy as np
import pytest

from keras_transfer.errors import InputError
from keras_transfer.inputs import MODALITIES, InputSpec, TensorNotes, TensorSpec
from keras_transfer.litert import convert, open_litert, read_flatbuffer, read_inputs, read_labels, write_labels
from keras_transfer.litert.convert import FORMATS
from keras_transfer.litert.io_types import int8_io
from keras_transfer.litert.probe import probe
from keras_transfer.litert.timing import File

SPECS = (
    TensorSpec("tokens", (6,), "int32", 0, 19, "token ids"),
    TensorSpec("mask", (6,), "bool", meaning="which tokens are text"),
    TensorSpec("facts", (3,), "float32", -8, 8, "measurements"),
)
NAMES = ["a", "b", "c"]


def classifier():
    """Words averaged where they are text, beside three numbers."""
    keras.utils.set_random_seed(0)
    tokens, mask, facts = (keras.Input(spec.shape, dtype=spec.dtype, name=spec.name) for spec in SPECS)
    x = keras.layers.Embedding(20, 8, embeddings_initializer="normal")(tokens)
    x = keras.layers.Conv1D(8, 3, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling1D()(x, mask=mask)
    x = keras.layers.Concatenate()([x, keras.layers.Dense(8, activation="relu")(facts)])
    x = keras.layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(stddev=0.6))(x)
    return keras.Model([tokens, mask, facts], keras.layers.Softmax()(x))


@pytest.fixture(scope="module")
def model():
    return classifier()


@pytest.fixture(scope="module")
def arrays():
    random = np.random.default_rng(0)
    mask = random.random((40, 6)) > 0.3
    mask[:, 0] = True
    facts = np.clip(random.normal(0, 3, (40, 3)), -8, 8).astype(np.float32)
    return random.integers(0, 20, (40, 6)).astype(np.int32), mask, facts


@pytest.fixture(scope="module")
def files(model, arrays):
    contents = convert(model, FORMATS, calibration=arrays, item=SPECS)
    inputs = InputSpec("several", SPECS)
    return {name: write_labels(content, NAMES, inputs) for name, content in contents.items()}


@pytest.fixture(scope="module", autouse=True)
def modality():
    """A modality of such items, of which only the preparer and the notes in files are asked."""

    class Preparer:
        modality, settings = "several", {}
        spec = staticmethod(lambda inputs: InputSpec("several", SPECS))

    module = ModuleType("several_inputs_modality")
    module.MODALITY = SimpleNamespace(
        preparer=lambda preparation: Preparer(),
        tensor_notes=lambda inputs: [TensorNotes(spec.name, spec.meaning) for spec in inputs.tensors],
    )
    sys.modules[module.__name__] = module
    MODALITIES["several"] = module.__name__
    yield
    del MODALITIES["several"], sys.modules[module.__name__]


@pytest.mark.parametrize("name", FORMATS)
def test_files_answer_as_the_model(files, model, arrays, name):
    expected = model.predict(list(arrays), verbose=0)
    assert np.ptp(expected, axis=0).min() > 0.3
    opened = open_litert(files[name])
    assert [(t.shape[1:], t.name.partition(":")[0]) for t in opened.inputs] == [(s.shape, s.name) for s in SPECS]
    actual = opened.predict(arrays)
    np.testing.assert_allclose(actual, expected, atol={"float32": 1e-5, "float16": 5e-3}.get(name, 0.05))
    rows = opened.predict(zip(*arrays, strict=True))
    np.testing.assert_array_equal(rows, actual)


@pytest.mark.parametrize("input_dtype", ["uint8", "int8"])
def test_each_int8_input_has_its_own_type_and_range(model, arrays, input_dtype):
    info = read_flatbuffer(convert(model, ["int8"], calibration=arrays, item=SPECS, input_dtype=input_dtype)["int8"])
    tokens, mask, facts = (info.tensors[index] for index in info.inputs)
    assert (tokens.dtype, mask.dtype, facts.dtype) == ("int32", "bool", input_dtype)
    assert tokens.scale == mask.scale == ()
    assert facts.scale == pytest.approx((16 / 255,))
    assert info.tensors[info.outputs[0]].dtype == input_dtype
    weights = [info.tensors[o.inputs[1]].dtype for o in info.operators if o.name in ("CONV_2D", "FULLY_CONNECTED")]
    assert weights and set(weights) == {"int8"}


def test_without_specs_the_model_s_own_types_and_the_calibration_s_ranges_hold(model, arrays):
    info = read_flatbuffer(convert(model, ["int8"], calibration=arrays)["int8"])
    assert [info.tensors[index].dtype for index in info.inputs] == ["int32", "bool", "uint8"]
    facts = info.tensors[info.inputs[2]]
    assert facts.scale == pytest.approx((np.ptp(arrays[2]) / 255,), rel=1e-3)


def test_bytes_beside_numbers(arrays):
    """An input of bytes spans exactly 0..255, the one beside it its own range."""
    level, facts = keras.Input((4,), name="level"), keras.Input((3,), name="facts")
    x = keras.layers.Concatenate()([keras.layers.Dense(4)(level), keras.layers.Dense(4)(facts)])
    network = keras.Model([level, facts], keras.layers.Dense(2)(x))
    specs = TensorSpec("level", (4,), "uint8", 0, 255), SPECS[2]
    levels = np.random.default_rng(1).integers(0, 200, (40, 4), dtype=np.uint8)
    file = open_litert(convert(network, ["int8"], calibration=(levels, arrays[2]), item=specs)["int8"])
    assert file.inputs[0].scale == pytest.approx((1.0,)) and file.inputs[0].zero_point == (0,)
    assert file.inputs[1].scale == pytest.approx((16 / 255,))


def test_files_say_what_their_inputs_are(files):
    for content in files.values():
        assert read_labels(content) == NAMES
        assert read_inputs(content) == InputSpec("several", SPECS)


def test_unknown_files_are_tried_with_token_ids_that_exist(files, tmp_path):
    for name, content in files.items():
        probe(content)
        (tmp_path / f"{name}.tflite").write_bytes(content)
        assert File(str(tmp_path / f"{name}.tflite"), 1, "xnnpack").run() > 0


def test_int8_io_leave_token_ids(model, arrays):
    content = convert(model, ["int8"], calibration=arrays, item=SPECS)["int8"]
    bare = read_flatbuffer(int8_io(content))
    assert [bare.tensors[index].dtype for index in (*bare.inputs, *bare.outputs)] == ["int32", "bool", "int8", "int8"]


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (lambda arrays: arrays[:2], "one array for each of 3 inputs. Received: 2"),
        (lambda arrays: (arrays[0].astype("int64"), *arrays[1:]), "'tokens' must be int32"),
        (lambda arrays: (*arrays[:2], arrays[2][:7]), "'facts' must be float32 .*Received: float32 .7, 3"),
        (lambda arrays: None, "int8 needs `calibration`: some int32, bool, float32"),
    ],
)
def test_wrong_calibration_is_refused_by_name(model, arrays, calibration, message):
    with pytest.raises(InputError, match=message):
        convert(model, ["int8"], calibration=calibration(arrays), item=SPECS)


def test_wrong_items_are_refused_by_name(files, arrays):
    opened = open_litert(files["int8"])
    with pytest.raises(InputError, match=r"Items for 'facts' must be float32 \[3\]\. Received: float64"):
        opened.predict((*arrays[:2], arrays[2].astype("float64")))
    with pytest.raises(InputError, match=r"an array for each of 3 inputs\. Received: 1"):
        opened.predict(arrays[0])
    with pytest.raises(InputError, match="The file has 3 inputs, but 1 are described"):
        write_labels(files["int8"], NAMES, InputSpec("several", SPECS[:1]))
