"""Networks of sounds: flat graphs that can be cut, frozen, saved and converted, with their authors' weights."""

from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import keras_transfer as kt
from keras_transfer import InputError
from keras_transfer.compression.cut import copy_model, cut_below
from keras_transfer.compression.sparsity import kernel_layers
from keras_transfer.litert import open_litert, read_flatbuffer
from keras_transfer.litert.packing import pack
from keras_transfer.modalities import open_modality
from keras_transfer.modalities.audio.backbones import AUDIO_BACKBONES
from keras_transfer.modalities.audio.builder import POOLINGS
from keras_transfer.modalities.audio.front_end import log_mel
from keras_transfer.modalities.audio.items import decode, resample
from keras_transfer.modalities.audio.preparer import AudioPreparer
from keras_transfer.models import boundary, cut_points, freeze_backbone, head_layers, model_inputs, prefix, suffix
from keras_transfer.models.stage import can_train
from keras_transfer.models.twin import make_twin

NAMES = ["no", "yes"]
CONVOLUTIONS = {"yamnet": [3, 4, 4, 12, 4], "speech_embedding": [3, 4, 4, 8, 1], "ds_cnn": [1] * 9}  # of each stage


@pytest.fixture(scope="module", params=AUDIO_BACKBONES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(name: str) -> keras.Model:
    return kt.build_audio_classifier(name, NAMES, samples=24000, weights="none")


def waveforms(model: keras.Model) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (3, *model.input_shape[1:])).astype(np.float32)


def test_compression_leaves_the_front_end_alone(name: str, model: keras.Model) -> None:
    copy = copy_model(model)
    layers = kernel_layers(copy)
    assert len(layers) > 3 and not any("preprocessing" in layer for layer in layers)
    _, top = cut_below(copy, {id(layer) for layer in list(layers.values())[-4:]}, 96_000)
    assert make_twin(top).output_shape == (None, 2)  # whose answers it compares itself


def test_a_front_end_is_known_by_its_kernels(name: str, model: keras.Model) -> None:
    preparer = AudioPreparer(samples=24000)
    found = open_modality("audio").preparer_with(model, preparer)
    assert found.settings["front_end"] == AUDIO_BACKBONES[name].front_end.to_dict()
    assert open_modality("audio").preparer_with(keras.Sequential([keras.Input((24000,))]), preparer) is preparer


def test_stages_and_head(name: str, model: keras.Model) -> None:
    found = kt.stages(model)
    convolutions = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    assert [sum(isinstance(layer, convolutions) for layer in stage.layers) for stage in found] == CONVOLUTIONS[name]
    layers = [layer for stage in found for layer in stage.layers] + head_layers(model)
    assert sorted(layer.name for layer in layers) == sorted(layer.name for layer in model.layers[1:] if is_layer(layer))


def is_layer(layer: keras.Operation) -> bool:
    return isinstance(layer, keras.layers.Layer)


def test_what_is_frozen_is_cut_off(model: keras.Model) -> None:
    items = waveforms(model)
    expected = model(items, training=False)
    for point in [*cut_points(model)[1:-1:5], model.get_layer("log_mel").output]:
        assert np.allclose(suffix(model, point)(prefix(model, point)(items)), expected, atol=1e-5)
    freeze_backbone(model)
    assert len(boundary(model).shape) == 2
    trained = kt.unfreeze_top(model, stages="all")
    own = [layer for layer in model.layers if can_train(layer) and layer not in head_layers(model)]
    assert trained == [layer for layer in own if not isinstance(layer, keras.layers.BatchNormalization)]
    assert boundary(model).shape[1:3] == model.get_layer("log_mel").output.shape[1:]


def test_saved_and_converted_it_is_the_same(model: keras.Model, tmp_path: Path) -> None:
    items = waveforms(model)
    expected = model.predict(items, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert np.allclose(again.predict(items, verbose=0), expected, atol=1e-6)
    content = kt.convert(model, ["float32"])["float32"]
    assert not any(
        operator.custom or operator.name.startswith("FLEX") for operator in read_flatbuffer(content).operators
    )
    (tmp_path / "model.tflite").write_bytes(content)
    assert np.allclose(open_litert(tmp_path / "model.tflite").predict(items), expected, atol=1e-4)


def test_clips_of_any_length(name: str) -> None:
    row = AUDIO_BACKBONES[name]
    longer = kt.build_audio_classifier(name, NAMES, samples=2 * row.samples, weights="none", pooling="max")
    assert model_inputs(longer)[0].name == "waveform" and longer.input_shape == (None, 2 * row.samples)
    with pytest.raises(InputError, match=f"{row.samples} samples or more"):
        kt.build_audio_classifier(name, NAMES, samples=row.samples - 1, weights="none")


@pytest.mark.parametrize("pooling", POOLINGS)
def test_poolings(pooling: str) -> None:
    model = kt.build_audio_classifier("yamnet", NAMES, weights="none", pooling=pooling, hidden=[8], multi_label=True)
    assert model.get_layer("hidden_0").input.shape[1] == 1024
    assert model.layers[-1].activation.__name__ == "sigmoid" and kt.stages(model)[-1].layers[-1].name == "layer14_relu"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"classes": 1}, "2 classes"),
        ({"pooling": "mean"}, "pooling='mean'"),
        ({"backbone": "yamnett"}, "Did you mean yamnet"),
        ({"samples": 100}, "samples=100"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        kt.build_audio_classifier(**{"backbone": "yamnet", "classes": 2, "weights": "none", **arguments})


def test_yamnet_sees_each_window_by_itself() -> None:
    longer = kt.build_audio_classifier("yamnet", NAMES, samples=3 * 15360 + 240)
    single = kt.build_audio_classifier("yamnet", NAMES)
    items = waveforms(longer)
    maps = keras.Model(longer.input, longer.get_layer("pool").input).predict(items, verbose=0)
    assert maps.shape == (3, 3 * 3, 2, 1024)
    alone = keras.Model(single.input, single.get_layer("pool").input)
    windows = [alone.predict(items[:, start : start + 15600], verbose=0) for start in (0, 15360, 2 * 15360)]
    assert np.allclose(maps, np.concatenate(windows, axis=1), atol=1e-4) and maps.std() > 0.01


def test_a_network_of_pictures_hears_too(tmp_path: Path) -> None:
    model = kt.build_audio_classifier("mobilenet_v2", NAMES, samples=16000, weights="bundled", alpha=0.35)
    items = waveforms(model)
    expected = model.predict(items, verbose=0)
    assert len(kt.stages(model)) == 5 and np.ptp(expected[:, 0]) > 0
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert np.allclose(again.predict(items, verbose=0), expected, atol=1e-6)


def test_weights_that_cannot_be_had_are_refused(tmp_path: Path) -> None:
    for name, weights, words in (
        ("ds_cnn", "pretrained", "no pretrained"),
        ("yamnet", "my.h5", "my.h5"),
        ("speech_embedding", str(tmp_path), "openwakeword"),
    ):
        with pytest.raises(InputError, match=words):
            kt.build_audio_classifier(name, NAMES, weights=weights)


def test_a_file_that_is_no_speech_embedding_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "embedding_model.onnx"
    for content, words in (
        (b"PK", "no ONNX file"),
        (b"\x3a\x00", "does not hold the weights"),
        (b"\x3a\x7f", "no ONNX"),
    ):
        place.write_bytes(content)
        with pytest.raises(InputError, match=words):
            kt.build_audio_classifier("speech_embedding", NAMES, weights=str(tmp_path))


@pytest.mark.photos
def test_yamnet_computes_what_its_authors_file_does(shared_weights: Path, shared_data: Path) -> None:
    """The file rounds activations to 8 bits as it runs; here it runs in floats, from its own spectrogram on."""
    file = floats(shared_weights / "yamnet" / "yamnet.tflite")
    model = kt.build_audio_classifier("yamnet", NAMES)
    network = keras.Model(model.get_layer("log_mel").output, model.get_layer("pool").output)
    spectrogram = keras.Model(model.input, model.get_layer("log_mel").output)
    recordings = sorted((shared_data / "esc10").rglob("*.ogg"))[::3][:100]
    clips = np.stack([clip(path) for path in recordings])
    assert len(clips) == 100
    theirs = [run(file, item) for item in clips]
    pooled = network.predict(np.stack([log_mel for log_mel, _, _ in theirs]), verbose=0)
    kernel, bias = file.get_tensor(12), file.get_tensor(1)
    scores = keras.ops.convert_to_numpy(keras.ops.sigmoid(pooled @ kernel.T + bias))
    assert np.abs(pooled - np.stack([each for _, each, _ in theirs])).max() < 1e-3
    assert np.abs(scores - np.stack([each for _, _, each in theirs])).max() < 1e-3
    own = spectrogram.predict(clips, verbose=0)
    exact = np.stack([log_mel(item, AUDIO_BACKBONES["yamnet"].front_end) for item in clips])
    assert np.quantile(np.abs(own - exact), 0.999) < 1e-4 and np.abs(own - exact).max() < 1e-3


def clip(path: Path, samples: int = 15600) -> np.ndarray:
    content, rate = decode(path.read_bytes(), 5)
    return np.resize(resample(content, rate, 16000), samples)


def floats(path: Path) -> Interpreter:
    """A LiteRT file whose 8-bit constants are floats, so that nothing in it is rounded while it runs."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph, reader = model.subgraphs[0], Interpreter(str(path))
    operators = read_flatbuffer(path.read_bytes()).operators
    same = {each.outputs[0]: each.inputs[0] for each in operators if each.name == "DEQUANTIZE"}
    graph.operators = [each for each in graph.operators if each.outputs[0] not in same]
    for each in graph.operators:
        each.inputs = [same.get(int(i), int(i)) for i in each.inputs]
    for index, tensor in enumerate(graph.tensors):
        if tensor.type == schema.TensorType.INT8:
            values = reader.get_tensor(index).astype(np.float32) * np.float32(tensor.quantization.scale[0])
            model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
            tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    found = Interpreter(
        model_content=pack(model), experimental_op_resolver_type=resolver, experimental_preserve_all_tensors=True
    )
    found.allocate_tensors()
    return found


def run(file: Interpreter, item: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The file's spectrogram, its pooled features and its scores."""
    file.set_tensor(file.get_input_details()[0]["index"], item[None])
    file.invoke()
    return file.get_tensor(89), file.get_tensor(121)[0], file.get_tensor(123)[0]


@pytest.mark.photos
def test_speech_embedding_computes_what_onnx_runtime_does(shared_weights: Path, shared_data: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = shared_weights / "speech_embedding"
    model = kt.build_audio_classifier("speech_embedding", NAMES, samples=20000, weights=str(folder))
    network = keras.Model(model.input, model.get_layer("pool").input)
    mels, embedding = (
        onnxruntime.InferenceSession(folder / f"{n}.onnx") for n in ("melspectrogram", "embedding_model")
    )
    for path in sorted((shared_data / "spoken_digits").glob("*.wav"))[::150]:
        item = clip(path, 20000)
        (spectrogram,) = mels.run(None, {"input": item[None] * 32768})
        rows = spectrogram.squeeze() / 10 + 2
        windows = np.stack([rows[start : start + 76] for start in range(0, 41, 8)])
        (expected,) = embedding.run(None, {"input_1": windows[..., None]})
        found = network.predict(item[None], verbose=0).reshape(6, 96)
        assert np.allclose(found, expected.reshape(6, 96), rtol=1e-5, atol=1e-4)
