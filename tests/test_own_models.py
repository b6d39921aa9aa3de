"""Models that people bring: each kind of them with each command, or the sentence that says why not.

All of them name a picture dark or bright, by weights that are set here: so whatever is wrong with the pixels that a
model is given, or with a file that is made of it, shows as a wrong answer.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from typer.testing import CliRunner

import keras_transfer as kt
from keras_transfer.cli.app import app
from keras_transfer.evaluation import load_keras, open_classifier, predict_files
from keras_transfer.geometry import LEGACY, MODES
from keras_transfer.jobs.adopt import adopt
from keras_transfer.modalities.image.targets.android import GOLDEN
from keras_transfer.recipe import make_recipe
from keras_transfer.run import read_result

pytestmark = pytest.mark.slow
SIZE = 24
NAMES = ["bright", "dark"]
SPLITS = {"train": 12, "val": 4, "test": 6}  # pictures of each class


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train/`, `val/` and `test/` of small pictures, all of one size."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for split, count in SPLITS.items():
        for name, light in (("bright", 150), ("dark", 10)):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = light + random.integers(0, 90, (36, 40, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def data(photos: Path) -> Any:
    return kt.load_images(photos)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own, in which runs are made."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*words: object) -> Any:
    """What a command prints with `--json`."""
    done = CliRunner().invoke(app, [*map(str, words), "--json"])
    if done.exception is not None:
        raise done.exception
    return json.loads(done.stdout)


def words_of(told: dict[str, Any]) -> list[str]:
    return [f"--{option.replace('_', '-')}={value}" for option, value in told.items()]


# The kinds


def trunk(x: Any, low: float = 0.0, high: float = 255.0) -> Any:
    """Four features of a picture, each its brightness in 0..1, for pixels of the range `low` to `high`."""
    channels = x.shape[-1]
    convolution = layers.Conv2D(4, 3, strides=2, activation="relu")
    x = layers.GlobalAveragePooling2D()(convolution(x))
    kernel = np.full((3, 3, channels, 4), 1 / (9 * channels * (high - low)))
    convolution.set_weights([kernel, np.full(4, -low / (high - low))])
    return x


def head(x: Any, units: int = 2, activation: Any = "softmax", **more: Any) -> Any:
    """Scores of `NAMES`; of one unit, of the second. The brightness in between is a half."""
    dense = layers.Dense(units, activation=activation, **more)
    scores = dense(x)
    sign = np.array([[5.0, -5.0]] if units == 2 else [[-10.0]])
    dense.set_weights([np.repeat(sign, 4, axis=0), -2 * sign[0]])
    return scores


def functional(
    shape: tuple[int | None, ...] = (SIZE, SIZE, 3), dtype: str | None = None, **of_head: Any
) -> keras.Model:
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, head(trunk(layers.Rescaling(1 / 255)(inputs), 0, 1), **of_head))


def under_policy(policy: str, make: Callable[[], keras.Model]) -> keras.Model:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return make()
    finally:
        keras.config.set_dtype_policy(before)


def of_fixed_batch() -> keras.Model:
    inputs = keras.Input(batch_shape=(8, SIZE, SIZE, 3))
    return keras.Model(inputs, head(trunk(inputs)))


def without_channel_axis() -> keras.Model:
    inputs = keras.Input((SIZE, SIZE))
    return keras.Model(inputs, head(trunk(layers.Reshape((SIZE, SIZE, 1))(inputs))))


def never_given_an_input() -> keras.Model:
    source = functional()
    model = keras.Sequential([layer.__class__.from_config(layer.get_config()) for layer in source.layers[1:]])
    model(np.zeros((1, SIZE, SIZE, 3), np.float32))
    model.set_weights(source.get_weights())
    return model


def guide() -> keras.Model:
    """As Keras's guide to transfer learning builds it: augmentation, scaling, a base model called inside, a logit."""
    inner = keras.Input((None, None, 3))
    base = keras.Model(inner, layers.Reshape((1, 1, 4))(trunk(inner, -1, 1)), name="base")
    base.trainable = False
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])(inputs)
    x = base(layers.Rescaling(1 / 127.5, offset=-1)(x), training=False)
    return keras.Model(inputs, head(layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x)), 1, None))


def tutorial() -> keras.Model:
    """As TensorFlow's tutorial has it: `preprocess_input` as operations of the graph, one sigmoid."""
    inputs = keras.Input((SIZE, SIZE, 3))
    scaled = keras.applications.mobilenet_v2.preprocess_input(inputs)
    return keras.Model(inputs, head(trunk(scaled, -1, 1), 1, "sigmoid"))


def two_like_blocks() -> keras.Model:
    """Two nested models whose layers have the same names."""
    inputs = keras.Input((SIZE, SIZE, 3))
    features = []
    for name in ("left", "right"):
        inner = keras.Input((SIZE, SIZE, 3), name="pixels")
        features.append(keras.Model(inner, layers.Activation("relu", name="same")(trunk(inner)), name=name)(inputs))
    return keras.Model(inputs, head(layers.Average()(features)))


def recurrent() -> keras.Model:
    """Reads a picture row by row, and adds up its brightness."""
    inputs = keras.Input((SIZE, SIZE, 3))
    sums = layers.SimpleRNN(4, activation="linear")
    x = sums(layers.Reshape((SIZE, SIZE * 3))(inputs))
    sums.set_weights([np.full((SIZE * 3, 4), 1 / (255 * SIZE * SIZE * 3)), np.eye(4), np.zeros(4)])
    return keras.Model(inputs, head(x))


def softmax_operation() -> keras.Model:
    inputs = keras.Input((SIZE, SIZE, 3))
    return keras.Model(inputs, keras.ops.softmax(head(trunk(inputs), activation=None)))


def of_one_by_one_maps() -> keras.Model:
    inputs = keras.Input((SIZE, SIZE, 3))
    return keras.Model(inputs, layers.Reshape((1, 1, 2))(head(trunk(inputs))))


def prepared_outside(low: float, high: float, channels: int = 3) -> Callable[[], keras.Model]:
    def make() -> keras.Model:
        inputs = keras.Input((SIZE, SIZE, channels))
        return keras.Model(inputs, head(trunk(inputs, low, high)))

    return make


class Subclassed(keras.Model):
    """A model whose graph is Python code."""

    def __init__(self, outputs: int = 1, **more: Any) -> None:
        super().__init__(**more)
        self.inner, self.outputs_wanted = functional(activation=None), outputs

    def call(self, x: Any, training: bool = False) -> Any:
        scores = keras.ops.softmax(self.inner(x))
        return scores if self.outputs_wanted == 1 else [scores] * self.outputs_wanted


def subclassed(outputs: int = 1) -> keras.Model:
    model = Subclassed(outputs)
    model(np.zeros((1, SIZE, SIZE, 3), np.float32))
    return model


@dataclass(frozen=True)
class Kind:
    """A kind of model that must work: how it is made, and what must be told beside it."""

    make: Callable[[], keras.Model]
    told: dict[str, Any] = field(default_factory=dict)
    only_python: bool = False  # a `.keras` file of it cannot be loaded
    device: str = "edgetpu"  # one that takes it


KINDS = {
    "functional": Kind(functional),
    "one channel": Kind(lambda: functional((SIZE, SIZE, 1))),
    "no channel axis": Kind(without_channel_axis),
    "any size": Kind(lambda: functional((None, None, 3)), {"image_size": SIZE}),
    "any size, one channel": Kind(lambda: functional((None, None, 1)), {"image_size": SIZE}),
    "mixed_float16": Kind(lambda: under_policy("mixed_float16", functional)),
    "mixed_bfloat16": Kind(lambda: under_policy("mixed_bfloat16", guide)),
    "float64": Kind(lambda: under_policy("float64", functional)),
    "uint8 input": Kind(lambda: functional(dtype="uint8")),
    "fixed batch": Kind(of_fixed_batch),
    "Sequential without Input": Kind(never_given_an_input),
    "logits": Kind(lambda: functional(activation=None)),
    "softmax operation": Kind(softmax_operation),
    "recurrent": Kind(recurrent, device="android"),
    "one sigmoid": Kind(lambda: functional(units=1, activation="sigmoid")),
    "layers named as ours": Kind(lambda: functional(activation=None, name="probabilities")),
    "1 x 1 maps": Kind(of_one_by_one_maps),
    "nested base and a logit": Kind(guide),
    "preprocess_input inside": Kind(tutorial),
    "two nested models alike": Kind(two_like_blocks),
    "0..1 outside": Kind(prepared_outside(0, 1), {"pixels": "0..1"}),
    "0..1 outside, one channel": Kind(prepared_outside(0, 1, 1), {"pixels": "0..1"}),
    "-1..1 outside": Kind(prepared_outside(-1, 1), {"pixels": "-1..1"}),
    "caffe outside": Kind(prepared_outside(-114.8, 140.2), {"pixels": "caffe"}),
    "subclassed": Kind(subclassed, only_python=True),
    "subclassed, mixed_float16": Kind(lambda: under_policy("mixed_float16", subclassed), only_python=True),
}


def two_inputs() -> keras.Model:
    image, age = keras.Input((SIZE, SIZE, 3), name="image"), keras.Input((4,), name="age")
    return keras.Model([image, age], head(layers.Add()([trunk(image), age])))


def two_outputs() -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    features = trunk(image)
    return keras.Model(image, {"kind": head(features, name="kind"), "box": layers.Dense(4, name="box")(features)})


def channels_first() -> keras.Model:
    image = keras.Input((3, SIZE, SIZE))
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(
        layers.Conv2D(4, 3, data_format="channels_first", name="stem")(image)
    )
    return keras.Model(image, head(x))


def maps() -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    return keras.Model(image, layers.Conv2D(2, 1, activation="softmax")(image))


def quantized() -> keras.Model:
    model = functional()
    model.layers[-1].quantize("int8")
    return model


REFUSED: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "two inputs": (two_inputs, r"has 2 inputs: image \[24, 24, 3\], age \[4\]"),
    "two outputs": (two_outputs, r"has 2 outputs: .*kind \[2\].*get_layer\(NAME\)"),
    "channels first": (channels_first, r"channels first \(NCHW\): layer 'stem' has data_format='channels_first'"),
    "four channels": (lambda: functional((SIZE, SIZE, 4)), "takes pictures of 4 channels"),
    "numbers": (lambda: keras.Sequential([keras.Input((784,)), layers.Dense(2)]), r"takes \(None, 784\)"),
    "maps": (maps, r"gives \(None, 24, 24, 2\), no scores"),
    "quantized by Keras": (quantized, "was quantized by Keras"),
}


@pytest.fixture(scope="module")
def model_of() -> Callable[[str], keras.Model]:
    """Makes each kind once: whatever a command does with a model, the next one must find it as it was."""
    made: dict[str, keras.Model] = {}

    def find(name: str) -> keras.Model:
        if name not in made:
            made[name] = KINDS[name].make()
        return made[name]

    return find


@pytest.fixture(scope="module")
def file_of(model_of: Callable[[str], keras.Model], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The `.keras` file of each kind."""
    folder = tmp_path_factory.mktemp("files")

    def find(name: str) -> Path:
        path = folder / f"{name.replace(' ', '_')}.keras"
        if not path.exists():
            model_of(name).save(path)
        return path

    return find


# What must work

FROM_PYTHON = [
    "functional",
    "one channel",
    "any size",
    "mixed_float16",
    "nested base and a logit",
    "two nested models alike",
]
FILES = [name for name, kind in KINDS.items() if not kind.only_python]


@pytest.mark.parametrize("name", [*FROM_PYTHON, *(name for name in KINDS if name not in FILES)])
def test_evaluated_and_exported_from_python(name: str, model_of: Any, data: Any, tmp_path: Path) -> None:
    model, told = model_of(name), KINDS[name].told
    before = [weight.copy() for weight in model.get_weights()]
    assert kt.evaluate(model, data.test, **told)["accuracy"] == 1
    options: dict[str, Any] = {"calibration": data.train, "proof": data.test, "targets": ()}
    for artifact in kt.export(model, tmp_path, formats=["float32", "int8"], **options, **told):
        assert (artifact["test_accuracy"], artifact["agreement"]) == (1, 1)
        found = kt.open_classifier(tmp_path / Path(artifact["path"]).name)
        pictures = [data.test.paths[0], data.test.paths[-1]]
        assert [(p.label, p.confidence > 0.9) for p in predict_files(found, pictures)] == [(n, True) for n in NAMES]
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("name", KINDS)
def test_converted_by_itself(name: str, model_of: Any, data: Any) -> None:
    """`convert` takes what `export` takes; scores stay what the model makes of them."""
    model, told = model_of(name), KINDS[name].told
    opened = kt.open_litert(kt.convert(model, ["float32"], **told)["float32"])
    scores = opened.predict(data.test.pixels(opened.inputs[0].shape[1:])).reshape(len(data.test), -1)
    if scores.shape[1] == 1:
        scores = np.concatenate([(0.0 if scores.min() < 0 else 1.0) - scores, scores], axis=1)
    assert np.array_equal(scores.argmax(axis=1), data.test.labels)


@pytest.mark.parametrize("name", FILES)
def test_files_on_the_command_line(name: str, file_of: Any, photos: Path, here: Path) -> None:
    file, told = file_of(name), words_of(KINDS[name].told)
    assert command("evaluate", file, photos, *told)["accuracy"] == 1
    pictures = [photos / "test" / label / "0.png" for label in NAMES]
    found = command("predict", file, *pictures, *told)
    assert [(row["label"], row["confidence"] > 0.9) for row in found] == [("0", True), ("1", True)]
    assert command("check", file, "--target", KINDS[name].device, *told)["ok"] is True
    [artifact] = command("export", file, "--data", photos, "--format", "int8", *told)
    assert (artifact["test_accuracy"], artifact["agreement"], artifact["gate"]["outcome"]) == (1, 1, "pass")
    [run] = Path("runs").iterdir()
    assert command("predict", run / artifact["path"], *pictures)[0]["label"] == "bright"
    assert command("evaluate", run, photos)["accuracy"] == 1


@pytest.mark.parametrize("name", ["0..1 outside", "0..1 outside, one channel", "-1..1 outside", "caffe outside"])
def test_training_photographs_show_how_pixels_were_prepared(name: str, file_of: Any, photos: Path, here: Path) -> None:
    run = adopt(file_of(name), str(photos), here / "run")
    assert make_recipe(run / "recipe.yaml").model.pixels == KINDS[name].told["pixels"]
    assert (read_result(run) or {})["test"]["accuracy"] == 1


def test_a_microcontrollers_folder_for_one_channel(file_of: Any, photos: Path, here: Path) -> None:
    command("export", file_of("one channel"), "--data", photos, "--target", "microcontroller", "--target", "android")
    [run] = Path("runs").iterdir()
    folder = run / "export" / "microcontroller"
    assert np.load(folder / "golden_inputs.npy").shape == (2 * SPLITS["test"], SIZE, SIZE, 1)
    assert "constexpr int kInputChannels = 1;" in (folder / "model.h").read_text()
    assert "Colours: gray: (19595 R + 38470 G + 7471 B" in (folder / "README.txt").read_text()
    assert "pixels gray through QuantizePixel()" in (folder / "main.cc").read_text()
    assert json.loads((folder / "tflm.json").read_text())["different"] == 0
    golden = run / "export" / "android" / GOLDEN
    assert "input_channels,1" in (golden / "model.csv").read_text()
    assert (golden / "case_000.input").stat().st_size == SIZE * SIZE


@pytest.fixture(scope="module")
def trained(data: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of one channel that was trained, as the guide builds it, with room to compress."""
    keras.utils.set_random_seed(0)
    inner = x = keras.Input((None, None, 1))
    for filters in (16, 32, 32):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.5)(x))
    base = keras.Model(inner, x, name="base")
    inputs = keras.Input((SIZE, SIZE, 1))
    x = keras.Sequential([layers.RandomFlip("horizontal")])(inputs)
    x = layers.GlobalAveragePooling2D()(base(layers.Rescaling(1 / 255)(x)))
    model = keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.2)(x)))
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(data.train.dataset((SIZE, SIZE, 1), 8), epochs=15, shuffle=False, verbose=0)
    path = tmp_path_factory.mktemp("trained") / "person.keras"
    model.save(path)
    return path


def test_compressed(trained: Path, photos: Path, here: Path) -> None:
    """The steps that train, of which the last makes the int8 file, on one channel and on a nested base."""
    options = ("--data", photos, "--prune", "0.5", "--qat", "--epochs", "1", "--tolerance", "0.4", "--format", "int8")
    result = command("compress", trained, *options)
    assert [step["name"] for step in result["steps"]] == ["base", "prune", "qat"]
    assert result["steps"][0]["accuracy"] == 1 and result["steps"][1]["zeros"] > 0.45
    [base, run] = sorted(Path("runs").iterdir())
    assert run.name == f"{base.name}-prune50-qat" and (run / "report.html").is_file()
    assert open_classifier(run / "export" / "model_int8.tflite").image_shape == (SIZE, SIZE, 1)


def test_distilled_into_a_backbone(trained: Path, photos: Path, here: Path) -> None:
    """The teacher sees the luma of what its student sees in colours."""
    student = ("--student", "mobilenet", "--alpha", "0.25", "--weights", "none", "--image-size", "32")
    options = ("--data", photos, "--epochs", "1", "--tolerance", "0.9", "--format", "float32")
    result = command("compress", trained, *student, *options)
    assert result["backbone"] == "mobilenet" and result["steps"][0]["accuracy"] == 1


def test_what_is_built_here_is_taken_as_it_is() -> None:
    model = kt.build_classifier("mobilenet_v2", 2, weights="none", alpha=0.35, image_size=32)
    assert kt.as_classifier(model) is model


def test_a_nested_base_is_opened_and_shares_its_weights(model_of: Any) -> None:
    model = model_of("nested base and a logit")
    found = kt.as_classifier(model)
    kinds = [type(layer).__name__ for layer in found.layers]
    assert "Functional" not in kinds and "Sequential" not in kinds and "RandomFlip" not in kinds
    assert kt.stages(found)
    assert {id(weight) for weight in found.weights} == {id(weight) for weight in model.weights}


def test_copies_in_float32_leave_the_model_and_the_policy_alone() -> None:
    model = under_policy("mixed_float16", functional)
    found = under_policy("mixed_float16", lambda: kt.as_classifier(model))
    assert {layer.compute_dtype for layer in found.layers} == {"float32"} and found.output.dtype == "float32"
    assert "float16" in {layer.compute_dtype for layer in model.layers}
    assert keras.config.dtype_policy().name == "float32"


# What is refused


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name: str, data: Any, tmp_path: Path) -> None:
    make, said = REFUSED[name]
    model = make()
    with pytest.raises(kt.InputError, match=said):
        kt.evaluate(model, data.test)
    with pytest.raises(kt.InputError, match=said):
        kt.export(model, tmp_path / "out", calibration=data.train, proof=data.test)
    assert not (tmp_path / "out").exists()
    model.save(tmp_path / "own.keras")
    with pytest.raises(kt.InputError, match=rf"own\.keras {said}" if not said.startswith("channels") else said):
        open_classifier(tmp_path / "own.keras")


def test_any_size_is_that_of_the_pictures_or_asked_for(photos: Path, data: Any, tmp_path: Path) -> None:
    model = functional((None, None, 3))
    assert kt.evaluate(model, data.test)["accuracy"] == 1
    [artifact] = kt.export(model, tmp_path, formats=["float32"], proof=data.test, targets=())
    assert open_classifier(tmp_path / Path(artifact["path"]).name).image_shape == (36, 40, 3)
    model.save(tmp_path / "own.keras")
    assert kt.evaluate(tmp_path / "own.keras", data.test)["accuracy"] == 1
    shutil.copytree(photos, tmp_path / "photos")
    Image.new("RGB", (80, 60)).save(tmp_path / "photos" / "test" / "dark" / "larger.png")
    others = kt.load_images(tmp_path / "photos").test
    for use in (lambda: kt.evaluate(model, others), lambda: open_classifier(tmp_path / "own.keras")):
        with pytest.raises(
            kt.InputError, match=r"takes pictures of any size \(\(None, None, None, 3\)\).*--image-size"
        ):
            use()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"image_size": 32}, "takes pictures of 24 x 24. Received: image_size=32"),
        ({"pixels": "0..2"}, r"`pixels` must be one of 0\.\.255, 0\.\.1"),
    ],
)
def test_wrong_words_beside_a_model(model_of: Any, data: Any, told: dict[str, Any], said: str) -> None:
    with pytest.raises(kt.InputError, match=said):
        kt.evaluate(model_of("functional"), data.test, **told)


def test_models_without_a_graph() -> None:
    with pytest.raises(kt.InputError, match="has no weights yet"):
        kt.as_classifier(Subclassed())
    with pytest.raises(kt.InputError, match=r"has 3 outputs: output_0 \[2\]"):
        kt.as_classifier(subclassed(3))
    with pytest.raises(kt.InputError, match=r"must be a keras\.Model\. Received: Dense"):
        kt.as_classifier(layers.Dense(2))


def test_one_channel_has_no_colours_to_prepare() -> None:
    with pytest.raises(kt.InputError, match="Pixels as 'caffe' have three channels, and the model takes 1"):
        kt.as_classifier(functional((SIZE, SIZE, 1)), pixels="caffe")


def test_a_class_of_ones_own_in_a_file(tmp_path: Path, data: Any) -> None:
    """The file says what is missing; where the class is registered, it is loaded."""
    subclassed().save(tmp_path / "own.keras")
    with pytest.raises(kt.InputError, match=r"needs Python code that no model file brings \(Subclassed\).*From Python"):
        open_classifier(tmp_path / "own.keras")

    @keras.saving.register_keras_serializable("own_models")
    class Registered(Subclassed):
        pass

    model = Registered()
    model(np.zeros((1, SIZE, SIZE, 3), np.float32))
    model.save(tmp_path / "registered.keras")
    assert kt.evaluate(tmp_path / "registered.keras", data.test)["accuracy"] == 1
    keras.saving.get_custom_objects().pop("own_models>Registered")
    with pytest.raises(kt.InputError, match=r"\(own_models>Registered\)"):
        load_keras(tmp_path / "registered.keras")


def test_a_loss_of_ones_own_does_not_matter(model_of: Any, tmp_path: Path) -> None:
    def loss(truth: Any, scores: Any) -> Any:
        return keras.ops.mean(scores)

    model = keras.models.clone_model(model_of("functional"))
    model.compile("adam", loss)
    model.save(tmp_path / "own.keras")
    load_keras(tmp_path / "own.keras")


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_other_formats_name_the_way_to_a_keras_file(model_of: Any, tmp_path: Path) -> None:
    model = model_of("functional")
    model.save(tmp_path / "old.h5")
    model.save_weights(tmp_path / "own.weights.h5")
    (tmp_path / "damaged.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    for name, said in (
        ("old.h5", r"old HDF5 format.*keras\.models\.load_model\('.*old\.h5'\)\.save\('.*old\.keras'\)"),
        ("own.weights.h5", r"holds weights alone.*model\.load_weights\("),
        ("damaged.h5", "damaged HDF5 file"),
        ("saved", "is a SavedModel"),
    ):
        with pytest.raises(kt.InputError, match=said):
            open_classifier(tmp_path / name)


# A model as a run


def test_a_model_becomes_a_run_once(file_of: Any, model_of: Any, photos: Path, here: Path, capsys: Any) -> None:
    file = file_of("functional")
    first = command("export", file, "--data", photos, "--format", "float32", "--out", "files")
    assert sorted(path.name for path in Path("files").iterdir()) == [
        "geometry.json", "inputs.json", "labels.txt", "model_float32.json", "model_float32.tflite",
    ]  # fmt: skip
    [run] = Path("runs").iterdir()
    assert run.name.startswith(f"{photos.name}-functional-") and not (run / "export").exists()
    written = (run / "model.keras").stat().st_mtime_ns
    command("export", file, "--data", photos, "--format", "int8")
    assert [run] == list(Path("runs").iterdir()) and (run / "model.keras").stat().st_mtime_ns == written
    assert [row["format"] for row in command("export", run, "--format", "int8")] == ["int8"]
    assert first[0]["format"] == "float32"
    with pytest.raises(kt.InputError, match=r"--pixels is for a \.keras of your own"):
        command("export", run, "--pixels", "0..1")
    with pytest.raises(kt.InputError, match="differs in `pixels`"):
        command("export", file, "--data", photos, "--pixels", "0..1")


def test_a_report_of_it_claims_no_transfer(file_of: Any, photos: Path, here: Path) -> None:
    run = adopt(file_of("one channel"), str(photos), here / "run")
    report = command("report", run, "--corruptions")
    assert report["verdict"]["outcome"] == "unknown" and "whether transfer helped was not asked" in str(
        report["verdict"]
    )
    assert report["corruptions"]["clean"]["value"] == 1


def test_what_is_said_of_a_model_without_data_and_of_other_photographs(
    file_of: Any, photos: Path, here: Path, capsys: Any
) -> None:
    file = shutil.copy(file_of("functional"), here / "own.keras")
    with pytest.raises(kt.InputError, match=r"own\.keras is a model of your own: say with --data"):
        command("export", file)
    with pytest.raises(kt.InputError, match=r"own\.keras is a model, not a run: .*export .*own.keras --data PHOTOS"):
        command("report", file)
    shutil.copytree(photos / "train", here / "all")
    shutil.copytree(photos / "test", here / "all", dirs_exist_ok=True)
    fitted = adopt(file, str(photos), here / "squashed", geometry="squash")
    assert make_recipe(fitted / "recipe.yaml").data.geometry == MODES["squash"]
    assert (read_result(fitted) or {})["warnings"] == []
    plain = adopt(file, str(photos), here / "plain")
    assert make_recipe(plain / "recipe.yaml").data.geometry == LEGACY
    assert "does not say how pictures are fitted to it" in (read_result(plain) or {})["warnings"][0]
    result = read_result(adopt(file, str(here / "all"), here / "drawn"))
    assert result is not None and "all has no test/ of its own" in result["warnings"][-1]
    shutil.copytree(here / "all" / "dark", here / "all" / "darker")
    with pytest.raises(
        kt.InputError, match=r"own.keras gives 2 scores, and .*all has 3 classes \(bright, dark, darker"
    ):
        adopt(file, str(here / "all"), here / "three")


def test_the_order_of_classes_is_that_of_keras_or_of_labels_beside_the_file(
    file_of: Any, photos: Path, here: Path, capsys: Any
) -> None:
    """Keras's loaders sort names as text, where `10` comes before `9`."""
    for split in SPLITS:
        shutil.copytree(photos / split / "bright", here / "photos" / split / "10")
        shutil.copytree(photos / split / "dark", here / "photos" / split / "9")
    file = shutil.copy(file_of("functional"), here / "own.keras")
    assert command("evaluate", file, here / "photos")["accuracy"] == 1
    run = adopt(file, str(here / "photos"), here / "run")
    assert (run / "labels.txt").read_text() == "10\n9\n" and (read_result(run) or {})["test"]["accuracy"] == 1
    (here / "labels.txt").write_text("9\n10\n")
    assert command("evaluate", file, here / "photos")["accuracy"] == 0
    result = read_result(adopt(file, str(here / "photos"), here / "other"))
    assert result is not None and "does no better than chance" in result["warnings"][-1]
