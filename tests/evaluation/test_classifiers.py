"""Saved models answer alike whatever their format, and files from outside cannot do harm."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import keras

from keras_transfer.errors import InputError
from keras_transfer.evaluation import evaluate, open_classifier, predict_files
from keras_transfer.geometry import MODES, Geometry
from keras_transfer.inputs import InputSpec
from keras_transfer.litert import convert
from keras_transfer.litert.labels import write_labels
from keras_transfer.modalities import held_out
from keras_transfer.modalities.image import ImagePreparer, decode_image, load_images
from keras_transfer.models import model_inputs, read_inputs, save_model

NAMES = ["red", "green", "blue"]
SIZE = 16


def colour_model(activation: str = "softmax", units: int = 3) -> keras.Model:
    """Names the strongest colour channel; with one unit, whether a picture is green rather than red."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 1, name="mix")(x))
    x = keras.layers.Dense(units, name="logits")(x)
    model = keras.Model(inputs, keras.layers.Activation(activation)(x))
    model.get_layer("mix").set_weights([np.eye(3)[None, None], np.zeros(3)])
    kernel = 3 * np.eye(3) if units == 3 else np.array([[-3.0], [3.0], [0.0]])
    model.get_layer("logits").set_weights([kernel, np.zeros(units)])
    return model


def draw(folder: Path, names: list[str], each: int = 4, seed: int = 0) -> Path:
    """A folder a class of noisy pictures of that colour."""
    random = np.random.default_rng(seed)
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(each):
            pixels = random.integers(0, 120, (24, 20, 3))
            pixels[..., NAMES.index(name)] += 110
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same classifier in every format, and pictures."""
    folder = tmp_path_factory.mktemp("models")
    model = colour_model()
    model.save(folder / "model.keras")
    (folder / "labels.txt").write_text("\n".join(NAMES) + "\n")
    calibration = np.random.default_rng(0).integers(0, 256, (16, SIZE, SIZE, 3), dtype=np.uint8)
    found = {"keras": folder / "model.keras", "pictures": draw(folder / "pictures", NAMES)}
    (folder / "lite").mkdir()
    for name, content in convert(model, ["float32", "int8"], calibration=calibration).items():
        found[name] = folder / "lite" / f"{name}.tflite"
        found[name].write_bytes(write_labels(content, NAMES))
    return found


@pytest.mark.parametrize(("name", "near"), [("float32", 1e-5), ("int8", 0.05)])
def test_a_tflite_answers_like_the_keras_file(files: dict[str, Path], name: str, near: float) -> None:
    ours, theirs = open_classifier(files["keras"]), open_classifier(files[name])
    assert ours.class_names == theirs.class_names == NAMES
    assert ours.image_size == theirs.image_size == (SIZE, SIZE)
    assert ours.multi_label is theirs.multi_label is False
    pixels = np.random.default_rng(1).integers(0, 256, (40, SIZE, SIZE, 3), dtype=np.uint8)
    expected, found = ours.predict(pixels), theirs.predict(pixels)
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=near)


@pytest.mark.parametrize("name", ["keras", "float32", "int8"])
def test_files_are_predicted_in_order_with_problems_in_place(files: dict[str, Path], name: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    good = sorted(files["pictures"].rglob("*.png"))
    paths = [*good[:5], broken, tmp_path / "absent.png", *good[5:]]
    found = list(predict_files(open_classifier(files[name]), paths, top_k=2))
    assert [p.path for p in found] == [str(path) for path in paths]
    assert [bool(p.problem) for p in found] == [path.parent == tmp_path for path in paths]
    for prediction, path in zip(found, paths, strict=True):
        if not prediction.problem:
            assert prediction.label == path.parent.name
            assert prediction.top[0] == (prediction.label, prediction.confidence)
            assert len(prediction.top) == 2
            assert prediction.labels == (prediction.label,)


@pytest.mark.parametrize("told", ["crop", "squash", "letterbox"])
def test_pictures_are_fitted_as_the_file_says(files: dict[str, Path], told: str, tmp_path: Path) -> None:
    """A green frame around red: the whole picture is more green than red, its centre is red."""
    geometry = replace(MODES[told], crop=0.5) if told == "crop" else MODES[told]
    save_fitted(keras.models.load_model(files["keras"]), tmp_path / "model.keras", geometry)
    (tmp_path / "labels.txt").write_text("\n".join(NAMES))
    (tmp_path / "model.tflite").write_bytes(write_labels(files["float32"].read_bytes(), NAMES, geometry))
    bare = tmp_path / "bare" / "model.tflite"
    bare.parent.mkdir()
    bare.write_bytes(convert(keras.models.load_model(files["keras"]), ["float32"])["float32"])
    (bare.parent / "geometry.json").write_text(json.dumps(geometry.to_dict()))
    (bare.parent / "labels.txt").write_text("\n".join(NAMES))
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[..., 1] = 255
    pixels[8:32, 8:32] = (255, 0, 0)
    for name in NAMES[:2]:
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "data" / name / f"{name}.png")
        pixels[0, 0, 2] = 1  # byte for byte another picture
    data = load_images(tmp_path / "data", val=0, test=1, near_duplicates=False, class_names=NAMES).test
    expected = "red" if told == "crop" else "green"
    for path in (tmp_path / "model.keras", tmp_path / "model.tflite", bare):
        classifier = open_classifier(path)
        assert classifier.geometry == geometry
        assert {found.label for found in predict_files(classifier, data.paths)} == {expected}
        assert evaluate(classifier, data)["per_class"][expected]["recall"] == 1


def test_a_file_that_says_nothing_is_fitted_as_it_always_was(files: dict[str, Path], tmp_path: Path) -> None:
    for name in ("keras", "float32"):
        bare = tmp_path / files[name].name
        bare.write_bytes(files["keras"].read_bytes() if name == "keras" else _bare(files["float32"]))
        assert open_classifier(bare).geometry is None
        assert open_classifier(bare, geometry="squash").geometry == MODES["squash"]
        (path,) = list(files["pictures"].rglob("0.png"))[:1]
        (found,) = predict_files(open_classifier(bare), [path], top_k=3)
        expected = open_classifier(bare).predict(decode_image(path, SIZE)[None])[0]
        assert found.confidence == expected.max()
    with pytest.raises(InputError, match="Leave --geometry out"):
        open_classifier(files["float32"], geometry="squash")
    (tmp_path / "geometry.json").write_text('{"mode": "zoom"}')
    with pytest.raises(InputError, match=r"geometry\.json.*mode='zoom'"):
        open_classifier(tmp_path / "model.keras")


def save_fitted(model: keras.Model, path: Path, geometry: Geometry) -> Path:
    return save_model(model, path, ImagePreparer(geometry).spec(model_inputs(model)))


def _bare(path: Path) -> bytes:
    from keras_transfer.litert.io_types import without_metadata

    return without_metadata(path.read_bytes())


def test_the_geometry_is_one_more_entry_of_keras_own_metadata(files: dict[str, Path], tmp_path: Path) -> None:
    """Keras loads the file without this package, and its answers are the same."""
    path = save_fitted(keras.models.load_model(files["keras"]), tmp_path / "model.keras", MODES["letterbox"])
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["config.json", "metadata.json", "model.weights.h5"]
        about = json.loads(archive.read("metadata.json"))
    assert about["keras_version"] == keras.__version__
    assert about["keras_transfer"]["geometry"] == MODES["letterbox"].to_dict()
    assert InputSpec.from_dict(about["keras_transfer"]["inputs"]) == read_inputs(path)
    assert read_inputs(path).preparation == {"geometry": MODES["letterbox"].to_dict()}
    assert read_inputs(files["keras"]) is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.keras"]
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('IPython', 'cv2', 'matplotlib', 'sklearn')))\n"
        "import keras, numpy as np\nfor name in sys.argv[1:]: print(keras.saving.load_model(name)"
        f"(np.full((1, {SIZE}, {SIZE}, 3), 99.0)).numpy().tobytes().hex(), 'keras_transfer' in sys.modules)"
    )
    call = [sys.executable, "-c", code, str(path), str(files["keras"])]
    found = subprocess.run(call, capture_output=True, text=True, check=True).stdout.split()
    assert found[:2] == found[2:] and found[1] == "False"


def test_a_geometry_in_a_keras_file_that_is_none_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    for entry, refused in (({"mode": "zoom"}, True), ([1], True), (None, True), ({"mode": "squash"}, False)):
        with zipfile.ZipFile(files["keras"]) as source, zipfile.ZipFile(tmp_path / "a.keras", "w") as target:
            for name in source.namelist():
                content = source.read(name)
                if name == "metadata.json":
                    content = json.dumps({"keras_transfer": {"geometry": entry}}).encode()
                target.writestr(name, content)
        if refused:
            with pytest.raises(InputError, match="does not say what its inputs are: `geometry` is wrong"):
                open_classifier(tmp_path / "a.keras")
        else:
            assert open_classifier(tmp_path / "a.keras").geometry == MODES["squash"]


def test_a_run_directory_stands_for_its_model(files: dict[str, Path]) -> None:
    assert open_classifier(files["keras"].parent).path == files["keras"]
    with pytest.raises(InputError, match=r"no model\.keras"):
        open_classifier(files["pictures"])


def test_one_sigmoid_unit_shows_as_two_columns(tmp_path: Path) -> None:
    model = colour_model("sigmoid", units=1)
    model.save(tmp_path / "binary.keras")
    (tmp_path / "binary.tflite").write_bytes(convert(model, ["float32"])["float32"])
    pixels = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    pixels[0, ..., 0] = pixels[1, ..., 1] = 255
    answers = [open_classifier(tmp_path / name) for name in ("binary.keras", "binary.tflite")]
    for classifier in answers:
        assert classifier.class_names == ["0", "1"]
        assert classifier.multi_label is False
        assert classifier.predict(pixels).argmax(axis=1).tolist() == [0, 1]
        np.testing.assert_allclose(classifier.predict(pixels).sum(axis=1), 1, atol=1e-6)
    data = load_images(draw(tmp_path / "two", NAMES[:2]), val=0, test=1, class_names=NAMES[:2])
    assert evaluate(model, data.test)["accuracy"] == 1


def test_several_labels(tmp_path: Path) -> None:
    model = colour_model("sigmoid")
    model.save(tmp_path / "many.keras")
    (tmp_path / "many.labels.txt").write_text("\n".join(NAMES))
    draw(tmp_path, NAMES)
    rows = [f"{name}/{i}.png,{name}" for name in NAMES for i in range(4)]
    (tmp_path / "data.csv").write_text("path,labels\n" + "\n".join(rows))
    classifier = open_classifier(tmp_path / "many.keras")
    assert classifier.multi_label is True
    scores = evaluate(classifier, held_out(tmp_path / "data.csv"))
    assert scores["auc_roc"] == scores["mean_average_precision"] == 1
    (prediction,) = predict_files(classifier, [tmp_path / "red" / "0.png"])
    assert all((probability >= 0.5) == (name in prediction.labels) for name, probability in prediction.top)
    with pytest.raises(InputError, match="several labels per item and the data have one"):
        evaluate(classifier, held_out(draw(tmp_path / "single", NAMES)))


@pytest.mark.parametrize("name", ["keras", "float32"])
def test_classes_are_matched_by_name(files: dict[str, Path], name: str) -> None:
    data = held_out(files["pictures"])
    assert data.class_names == sorted(NAMES) != NAMES
    scores = evaluate(files[name], data)
    assert scores["accuracy"] == 1
    assert list(scores["per_class"]) == NAMES
    # A model without names goes by position: wrong here, right where the order is the same.
    assert evaluate(colour_model(), data)["accuracy"] < 0.5
    same_order = load_images(files["pictures"], val=0, test=1, class_names=NAMES).test
    assert evaluate(colour_model(), same_order)["confusion_matrix"] == scores["confusion_matrix"]


def test_photographs_of_some_classes_are_enough(files: dict[str, Path], tmp_path: Path) -> None:
    scores = evaluate(files["keras"], held_out(draw(tmp_path, ["blue"])))
    assert scores["accuracy"] == 1
    assert scores["per_class"]["red"]["recall"] is None


def test_unknown_classes_are_named(files: dict[str, Path], tmp_path: Path) -> None:
    draw(tmp_path, NAMES)
    (tmp_path / "red").rename(tmp_path / "crimson")
    with pytest.raises(InputError, match=r"does not know \(crimson\); the model's are red, green, blue"):
        evaluate(files["keras"], held_out(tmp_path))
    with pytest.raises(InputError, match="has 3 classes and the data have 2"):
        evaluate(colour_model(), held_out(draw(tmp_path / "two", NAMES[:2])))


def test_what_is_held_out(tmp_path: Path) -> None:
    plain, parted = draw(tmp_path / "plain", NAMES), tmp_path / "parted"
    for i, split in enumerate(("train", "test")):
        draw(parted / split, NAMES, each=2 + i, seed=i)
    sizes = {
        (source.name, split): (part.name, len(part))
        for source, split in [(plain, None), (plain, "all"), (parted, None), (parted, "train"), (parted, "all")]
        for part in [held_out(source, split)]
    }
    assert sizes == {
        ("plain", None): ("all", 12),
        ("plain", "all"): ("all", 12),
        ("parted", None): ("test", 9),
        ("parted", "train"): ("train", 6),
        ("parted", "all"): ("all", 15),
    }
    for source, split, said in [
        (plain, "test", "no splits of its own"),
        (parted, "val", "no val split"),
        (plain, "x", "'x'"),
    ]:
        with pytest.raises(InputError, match=said):
            held_out(source, split)


def test_pixels_of_another_kind_are_refused(files: dict[str, Path]) -> None:
    classifier = open_classifier(files["keras"])
    assert classifier.predict(np.zeros((0, SIZE, SIZE, 3), np.uint8)).shape == (0, 3)
    for pixels in (np.zeros((1, SIZE, SIZE, 3)), np.zeros((1, 8, 8, 3), np.uint8), np.zeros((SIZE, SIZE, 3), np.uint8)):
        with pytest.raises(InputError, match="must be uint8"):
            classifier.predict(pixels)


# Files from outside


def rewrite(source: Path, target: Path, change: Callable[[dict], object]) -> Path:
    """A `.keras` file with another configuration."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.namelist():
            content = old.read(member)
            if member == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            new.writestr(member, content)
    return target


def test_custom_code_is_refused_before_keras_sees_it(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("Keras was asked to load it"))
    layer = {"module": "evil", "class_name": "Layer", "registered_name": "Evil>Layer", "config": {}}
    function = {
        "module": "builtins",
        "class_name": "function",
        "config": "evil_function",
        "registered_name": "function",
    }
    by_lambda = {"module": "keras.layers", "class_name": "Lambda", "registered_name": None, "config": {}}
    nested = {
        "module": "keras.layers",
        "class_name": "TimeDistributed",
        "registered_name": None,
        "config": {"layer": layer},
    }
    for put, said in [
        (layer, "Evil>Layer"),
        (function, "evil_function"),
        (by_lambda, "Lambda"),
        (nested, "Evil>Layer"),
    ]:
        path = rewrite(files["keras"], tmp_path / "evil.keras", lambda c, put=put: c["config"]["layers"].append(put))
        with pytest.raises(InputError, match=said) as caught:
            open_classifier(path)
        assert "\n" not in str(caught.value)


def test_a_custom_loss_does_not_matter(files: dict[str, Path], tmp_path: Path) -> None:
    path = rewrite(
        files["keras"],
        tmp_path / "loss.keras",
        lambda c: c.update(compile_config={"loss": {"module": "mine", "class_name": "L", "registered_name": "L"}}),
    )
    assert open_classifier(path).image_size == (SIZE, SIZE)


def test_a_zip_bomb_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.keras"
    with zipfile.ZipFile(files["keras"]) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("metadata.json", old.read("metadata.json"))
        new.writestr("model.weights.h5", old.read("model.weights.h5"))
        new.writestr("config.json", b" " * (80 << 20) + old.read("config.json"))
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(InputError, match="would unpack"):
        open_classifier(bomb)


def test_foreign_and_damaged_files_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    def written(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    whole = files["keras"].read_bytes()
    dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    dense.save(tmp_path / "dense.keras")
    anysize = keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()])
    anysize.save(tmp_path / "anysize.keras")
    for path, said in [
        (tmp_path / "absent.keras", "Cannot open"),
        (written("empty.keras", b""), "must be a .keras or a .tflite"),
        (written("text.tflite", b"hello, world"), "must be a .keras or a .tflite"),
        (written("old.h5", b"\x89HDF\r\n\x1a\n" + bytes(100)), "HDF5"),
        (written("cut.keras", whole[: len(whole) // 2]), "damaged"),
        (written("torn.keras", whole[:60] + bytes(800) + whole[860:]), "damaged|cannot be loaded"),
        (written("cut.tflite", files["int8"].read_bytes()[:500]), "damaged|cannot run|LiteRT"),
        (tmp_path / "other.zip", "no Keras model: it has no config.json"),
        (tmp_path / "dense.keras", "no|not"),
        (tmp_path / "anysize.keras", "pictures of any size"),
    ]:
        with pytest.raises(InputError, match=said) as caught:
            open_classifier(path)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_labels_of_another_model_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(files["keras"].read_bytes())
    assert open_classifier(tmp_path / "model.keras").class_names == ["0", "1", "2"]
    (tmp_path / "labels.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match="3 classes but 2 labels"):
        open_classifier(tmp_path / "model.keras")
