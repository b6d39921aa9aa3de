"""SavedModels: proved like the others, and run where there is nothing of this package."""

import io
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_transfer.evaluation.rejection import fit_rejection
from keras_transfer.exporters import export
from keras_transfer.exporters.saved_model import SavedModel, convert_saved_model
from keras_transfer.geometry import MODES, Geometry
from keras_transfer.inputs import InputSpec, TensorSpec
from keras_transfer.modalities.image import ImagePreparer, decode_image
from keras_transfer.modalities.image.serving_graph import decode
from keras_transfer.models.rejection import feature_tensor

GEOMETRIES = [*MODES.values(), Geometry("crop", 1.0, "mediapipe"), Geometry("letterbox", 1.0, "bilinear", 0)]
ALONE = """
import json, sys
from pathlib import Path
import numpy as np
import tensorflow as tf
folder, pixels, *pictures = sys.argv[1:]
model = tf.saved_model.load(folder)
serve = model.signatures["serving_default"]
[name] = serve.structured_input_signature[1]
raw = serve(**{name: tf.constant(np.load(pixels))})
encoded = model.signatures["encoded"](item_bytes=tf.constant([Path(name).read_bytes() for name in pictures]))
said = {}
for name, answer in (("raw", raw), ("encoded", encoded)):
    names = [[name.decode() for name in row] for row in answer["classes"].numpy()]
    labels = [label.decode() for label in answer["label"].numpy()]
    said[name] = {"scores": answer["scores"].numpy().tolist(), "classes": names, "label": labels}
assert "keras_transfer" not in sys.modules
print(json.dumps(said))
"""


def picture(chance: np.random.Generator, width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Soft shapes under fine noise."""
    soft = Image.fromarray(chance.integers(0, 256, (5, 5, 3), np.uint8)).resize((width, height), 3)
    noise = chance.integers(-40, 41, (height, width, 3))
    image = Image.fromarray(np.clip(np.asarray(soft, np.int16) + noise, 0, 255).astype(np.uint8)).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(chance.integers(0, 256, (height, width), np.uint8)))
    return image


def encoded(image: Image.Image, format_: str, orientation: int = 1) -> bytes:
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x010F], exif[0x0112] = "maker", orientation
    image.save(buffer, format_, **({"exif": exif, "quality": 90} if format_ == "JPEG" else {}))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def exported(classifier, test_split, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "export"
    formats = ["float32", "saved-model"]
    return out, export(classifier, out, formats=formats, proof=test_split, targets=["android"])


def test_proof_says_what_running_it_shows(exported, classifier, test_split):
    out, artifacts = exported
    path = "model_saved_model/1/saved_model.pb"
    assert [artifact["path"] for artifact in artifacts] == ["export/model_float32.tflite", f"export/{path}"]
    assert artifacts.recommended == "export/model_float32.tflite"
    proof = json.loads((out / path).with_suffix(".json").read_text())
    assert proof["file"] == path and proof["gate"]["ok"] and proof["agreement"] == 1.0 and proof["targets"] == {}
    assert {"encoded", "serving_default"} <= set(proof["signatures"])
    assert proof["input"]["shape"] == ["batch", 24, 24, 3] and proof["input"]["dtype"] == "uint8"
    assert proof["images"] == len(test_split) and proof["latency"]["median_ms"] > 0


def test_answers_in_a_process_without_this_package(exported, classifier, test_split, tmp_path):
    out, _ = exported
    chance = np.random.default_rng(0)
    pictures = []
    for i, (width, height) in enumerate([(24, 24), (300, 200), (61, 97), (200, 31)]):
        format_ = "JPEG" if i % 2 else "PNG"
        pictures.append(tmp_path / f"{i}.{format_.lower()}")
        pictures[-1].write_bytes(encoded(picture(chance, width, height), format_, orientation=i + 5))
    np.save(tmp_path / "pixels.npy", test_split.images[:4])
    call = [sys.executable, "-c", ALONE, out / "model_saved_model" / "1", tmp_path / "pixels.npy", *pictures]
    done = subprocess.run(list(map(str, call)), capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    decoded = np.stack([decode_image(path, 24) for path in pictures])
    for name, pixels in (("raw", test_split.images[:4]), ("encoded", decoded)):
        expected = classifier.predict(pixels.astype("float32"), verbose=0)
        np.testing.assert_allclose(said[name]["scores"], expected, atol=1e-4)
        assert said[name]["classes"] == [test_split.class_names] * 4
        assert said[name]["label"] == [test_split.class_names[i] for i in expected.argmax(1)]


@pytest.mark.parametrize("size", [(48, 64, 3), (32, 32, 1)], ids=str)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda geometry: geometry.mode + geometry.interpolation)
def test_pictures_are_seen_as_in_python(geometry, size):
    """JPEG and PNG alike, to the bit: TensorFlow's libjpeg, and the resizing in whole numbers."""
    signature = [tf.TensorSpec((), tf.string)]
    graph = tf.function(lambda content: decode(content, *size, geometry), input_signature=signature, autograph=False)
    chance = np.random.default_rng(0)
    for turn in range(1, 9):
        width, height = (64, 48) if turn == 1 else chance.integers(20, 700, 2).tolist()
        for format_, mode in (("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("JPEG", "RGB"), ("JPEG", "L")):
            content = encoded(picture(chance, width, height, mode), format_, turn)
            expected = decode_image(content, size, geometry)
            np.testing.assert_array_equal(graph(content).numpy(), expected, f"{width} x {height} {format_} {mode}")


@pytest.mark.photos
def test_photographs_are_seen_as_in_python(shared_data: Path):
    signature = [tf.TensorSpec((), tf.string)]
    graph = tf.function(lambda c: decode(c, 224, 224, 3, MODES["crop"]), input_signature=signature, autograph=False)
    for path in sorted((shared_data / "photos1000").glob("*.jpg"))[:56]:
        np.testing.assert_array_equal(graph(path.read_bytes()).numpy(), decode_image(path, 224), path.name)


def test_other_items_come_as_arrays_and_several_labels_have_none():
    keras.utils.set_random_seed(0)
    parts = [keras.Input((6,), name="ids", dtype="int32"), keras.Input((2,), name="extra")]
    joined = keras.layers.Concatenate()([keras.ops.cast(parts[0], "float32"), parts[1]])
    model = keras.Model(parts, keras.layers.Dense(3, activation="sigmoid", name="head")(joined))
    spec = InputSpec("text", (TensorSpec("ids", (6,), "int32"), TensorSpec("extra", (2,), "float32")))
    opened = SavedModel(convert_saved_model(model, ["a", "b", "c"], spec), spec)
    assert "encoded" not in opened.loaded.signatures and set(opened.call.structured_outputs) == {"scores", "classes"}
    arrays = (np.arange(12, dtype=np.int32).reshape(2, 6), np.ones((2, 2), np.float32))
    np.testing.assert_allclose(opened.predict(arrays), model.predict(list(arrays), verbose=0), atol=1e-5)


def test_unknown_items_are_rejected(classifier, train_split, test_split):
    model = keras.Model(classifier.input, feature_tensor(classifier))
    train, test = (model.predict(split.images.astype("float32"), verbose=0) for split in (train_split, test_split))
    rejection, _ = fit_rejection(train, train_split.labels, test)
    spec = ImagePreparer().spec(24)
    content = convert_saved_model(classifier, test_split.class_names, spec, rejection)
    opened = SavedModel(content, spec)
    answer = opened.call(**{opened.inputs[0].name: tf.constant(test_split.images)})
    np.testing.assert_allclose(answer["unlike"], rejection.scores(test), rtol=1e-3, atol=1e-2)
    assert np.array_equal(answer["rejected"], answer["unlike"] > rejection.limit.threshold)
    np.testing.assert_array_equal(opened.predict(test_split.images), answer["scores"])


def test_what_is_no_picture_is_an_error_and_the_next_is_answered(exported):
    out, _ = exported
    model = tf.saved_model.load(str(out / "model_saved_model" / "1")).signatures["encoded"]
    whole = encoded(picture(np.random.default_rng(0), 90, 60), "JPEG")
    for content in (b"", b"no picture", whole[: len(whole) // 2], b"\x89PNG\r\n\x1a\n" + bytes(40)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            model(item_bytes=tf.constant([content]))
        assert model(item_bytes=tf.constant([whole]))["scores"].shape == (1, 3)
