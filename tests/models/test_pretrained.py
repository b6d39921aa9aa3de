"""Weights from files of every kind end up in the right layers, with the preprocessing they were made with."""

import urllib.error

import keras
import numpy as np
import pytest
from test_backbones import module_of

from keras_transfer.errors import InputError
from keras_transfer.modalities.image import decode_image
from keras_transfer.modalities.image.backbones import BACKBONES
from keras_transfer.modalities.image.builder import build_classifier, build_imagenet_classifier
from keras_transfer.modalities.image.weights import construct
from keras_transfer.models import head_layers, prefix
from keras_transfer.models.graph import cut_nodes
from keras_transfer.models.preprocessing import MEAN, STD


def shaken(model: keras.Model) -> keras.Model:
    """The model with other weights than a fresh one has, so that a file not loaded shows."""
    rng = np.random.default_rng(7)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([array + rng.uniform(0.1, 0.5, array.shape) for array in layer.get_weights()])
    return model


def features(model: keras.Model, pictures: np.ndarray) -> np.ndarray:
    """What the model's pooling gives."""
    pool = head_layers(model)[0]
    tensor = next(node.output for node in cut_nodes(model) if node.operation is pool)
    return answers(prefix(model, tensor), pictures)


def answers(model: keras.Model, pictures: np.ndarray) -> np.ndarray:
    """What a model gives for a few pictures: called, for tracing it takes longer."""
    return keras.ops.convert_to_numpy(model(pictures, training=False))


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


def test_flat_graph_is_the_network_of_keras_on_its_preprocessing(light_row, tmp_path, pixels):
    row = light_row
    alpha = min(row.alphas, default=None)
    shape = (row.min_size, row.min_size, 3)
    theirs = shaken(construct(row, alpha, weights=None, include_top=False, input_shape=shape))
    theirs.save_weights(tmp_path / "notop.weights.h5")
    path = tmp_path / "notop.weights.h5"
    ours = build_classifier(row.name, 2, weights=path, alpha=alpha, image_size=row.min_size)
    pictures = pixels(row)
    expected = answers(theirs, module_of(row).preprocess_input(pictures.copy()))
    if row.constructor.startswith(
        "ConvNeXt"
    ):  # Keras normalizes the map if it does not pool; the 1000-class model after
        assert features(ours, pictures).shape == (3, expected.shape[-1])
        assert_same(ours.get_layer(index=4).get_weights()[0], theirs.get_layer(index=4).get_weights()[0])
    else:
        assert_same(features(ours, pictures), expected.mean(axis=(1, 2)))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("mobilenet", f"{what}{suffix}") for what in ("with_top", "notop") for suffix in (".weights.h5", ".h5")),
        *((name, f"ours{suffix}") for name in ("mobilenet", "vgg16") for suffix in (".keras", ".weights.h5")),
    ],
)
def test_every_kind_of_file_gives_the_same_classifier(name, kind, tmp_path, pixels):
    row = BACKBONES[name]
    alpha = min(row.alphas, default=None)
    size, path = 64, tmp_path / kind
    top = kind.startswith("with_top")
    source = shaken(construct(row, alpha, weights=None, include_top=top, input_shape=(size, size, 3)))
    pictures = pixels(size)
    network = source if not top else keras.Model(source.input, _last_map(source))
    expected = answers(network, module_of(row).preprocess_input(pictures.copy())).mean(axis=(1, 2))
    if kind.startswith("ours"):
        source.save_weights(tmp_path / "notop.weights.h5")
        ours = build_classifier(name, 5, weights=tmp_path / "notop.weights.h5", alpha=alpha, image_size=32)
        ours.save(path) if kind.endswith(".keras") else ours.save_weights(path)
    else:
        source.save_weights(path) if path.name.endswith(".weights.h5") else source.save(path)  # the latter is Keras 2's
    assert_same(features(build_classifier(name, 2, weights=path, alpha=alpha, image_size=size), pictures), expected)


def _last_map(model: keras.Model):
    return head_layers(model)[0].input


def test_efficientnet_gets_keras_own_normalization_however_its_file_comes(tmp_path, pixels, monkeypatch):
    source = shaken(keras.applications.EfficientNetB0(weights=None, include_top=False, input_shape=(64, 64, 3)))
    normalization = source.get_layer(index=2)
    normalization.set_weights([np.array(MEAN), np.array(STD), np.array(0)])  # as Keras's published files have it
    path = tmp_path / "efficientnetb0_notop.weights.h5"
    source.save_weights(path)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *given, **named: str(path))
    theirs = keras.applications.EfficientNetB0(
        weights="imagenet", include_top=False, pooling="avg", input_shape=(64, 64, 3)
    )
    expected = answers(theirs, pixels(64))
    for weights in ("imagenet", path):
        ours = build_classifier("efficientnet_b0", 2, weights=weights, image_size=64)
        assert_same(features(ours, pixels(64)), expected)
    ours.save(tmp_path / "ours.keras")  # already mended: not mended twice
    theirs.save(tmp_path / "theirs.keras")
    for name in ("ours", "theirs"):
        again = build_classifier("efficientnet_b0", 2, weights=tmp_path / f"{name}.keras", image_size=64)
        assert_same(features(again, pixels(64)), expected)


def test_the_nearest_size_is_downloaded_and_no_network_is_one_sentence(monkeypatch, tmp_path):
    asked = []

    def refuse(url, timeout):
        asked.append(url.rsplit("/", 1)[-1])
        raise urllib.error.URLError(OSError(-2, "Name or service not known"))

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("keras.src.backend.config.keras_home", lambda: str(tmp_path))
    for size, file in ((100, "96"), (112, "128"), ((96, 300), "224")):
        with pytest.raises(InputError, match=r"Name or .*--weights bundled.* fetch https://.* put it at") as error:
            build_classifier("mobilenet_v2", 2, image_size=size, alpha=0.35)
        name = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_{file}_no_top.h5"
        assert asked.pop() == name and str(tmp_path / "models" / name) in str(error.value)
        assert not list((tmp_path / "models").iterdir())
    with pytest.raises(InputError, match=r"exist for alpha 0.35, .* Received: alpha=0.4"):
        build_classifier("mobilenet_v2", 2, alpha=0.4)


def test_damaged_download_is_one_sentence(monkeypatch):
    def fetch(*given, **named):
        raise urllib.error.ContentTooShortError("cut off", b"")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", fetch)
    with pytest.raises(InputError, match=r"cannot be loaded .* delete their file"):
        build_classifier("mobilenet_v2", 2)


def test_files_of_another_kind_are_refused(tmp_path):
    (tmp_path / "text.h5").write_text("no weights")
    (tmp_path / "zip.keras").write_bytes(b"PK\x05\x06" + bytes(18))
    construct(BACKBONES["mobilenet"], 0.25, weights=None, include_top=False).save_weights(tmp_path / "a.weights.h5")
    for name, message in (
        ("text.h5", "does not hold the weights of mobilenet_v2"),
        ("a.weights.h5", "does not hold the weights of mobilenet_v2"),
        ("zip.keras", "cannot be loaded as a Keras model in safe mode"),
    ):
        with pytest.raises(InputError, match=message):
            build_classifier("mobilenet_v2", 2, weights=tmp_path / name, image_size=32)


@pytest.mark.photos
def test_with_top_weights_recognize_photographs(shared_data, shared_weights):
    files = sorted((shared_data / "photos1000").iterdir())
    photos = [decode_image(file, 128) for file in files]
    path = shared_weights / "mobilenet_0.25_128_imagenet.weights.h5"
    model = build_imagenet_classifier("mobilenet", weights=path, image_size=128, alpha=0.25)
    top1 = model.predict(np.stack(photos).astype("float32"), batch_size=100, verbose=0).argmax(axis=1)
    assert (top1 == np.arange(1000)).mean() > 0.42
