"""A student learns its teacher's predictions for the same views, by the loss of the literature."""

from importlib import import_module

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.compression.distill import distill
from keras_transfer.compression.teacher import Teacher, label_table, open_teacher, score_table, teach
from keras_transfer.errors import InputError
from keras_transfer.modalities.image import build_augmenter
from keras_transfer.modalities.image.preparer import resize

SIZE = 24


@pytest.fixture(scope="module")
def data():
    return kt.load_images("pizza:per_class=20")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path / "cache"))


def network(classes, size=SIZE, width=8, seed=0, activation="softmax", fused=False, scale=1.0):
    """One strided convolution, BatchNorm, and a head of the kind wanted."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    x = keras.layers.Conv2D(width, 5, strides=4, use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    wide = keras.initializers.RandomNormal(stddev=scale)
    if fused:
        return keras.Model(inputs, keras.layers.Dense(classes, activation, kernel_initializer=wide)(x))
    return keras.Model(
        inputs, keras.layers.Activation(activation)(keras.layers.Dense(classes, kernel_initializer=wide)(x))
    )


def softmax(scores, temperature=1.0):
    powers = np.exp(scores / temperature - np.max(scores / temperature, -1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("activation", "classes"), [("softmax", 4), ("sigmoid", 4), ("sigmoid", 1)])
def test_a_softmax_of_the_scores_is_what_the_model_answers(activation, classes, fused):
    model = network(classes, activation=activation, fused=fused)
    images = np.random.default_rng(0).uniform(0, 255, (3, SIZE, SIZE, 3)).astype(np.float32)
    actual = softmax(keras.Model(model.inputs[0], score_table(model))(images).numpy())
    expected = model(images).numpy()
    if activation == "sigmoid":
        assert actual.shape == (3, classes, 2)
        np.testing.assert_allclose(actual[..., 1], expected, atol=1e-5)
    else:
        np.testing.assert_allclose(actual[:, 0], expected, atol=1e-5)


def test_the_loss_is_hintons():
    chance = np.random.default_rng(0)
    scores, labels = chance.normal(0, 3, (5, 4)), np.eye(4)[[0, 1, 2, 3, 0]]
    student = network(4)
    teacher = Teacher((SIZE, SIZE), (1, 4), 0, "", lambda images: iter)
    distiller = import_module("keras_transfer.compression.distill")._distiller(
        student, teacher, temperature=3.0, alpha=0.7, features=0.0
    )
    distiller.compile(
        "sgd", loss=lambda y, made: keras.losses.categorical_crossentropy(y[:, 0], made, from_logits=True)
    )
    images = chance.uniform(0, 255, (5, SIZE, SIZE, 3)).astype(np.float32)
    made = keras.Model(student.inputs[0], score_table(student))(images).numpy()[:, 0]
    actual = float(
        distiller.compute_loss([images, scores.astype(np.float32)], labels[:, None].astype(np.float32), training=False)
    )
    soft, answer = softmax(scores, 3.0), softmax(made, 3.0)
    divergence = (soft * np.log(soft / answer)).sum(-1).mean()
    cross_entropy = -np.log(softmax(made)[labels == 1]).mean()
    assert actual == pytest.approx(0.7 * 9 * divergence + 0.3 * cross_entropy, rel=1e-4)


def test_every_view_is_shown_to_both(data):
    """The student's pixels are the teacher's view made smaller, and the scores are of that view."""
    model = network(4, size=32)
    teacher = open_teacher(model, data.class_names)
    part = data.train.take(range(6))
    with_views = teach(teacher, (SIZE, SIZE), part, augmenter=build_augmenter("strong"), views=3, seed=1)
    pixels, scores = np.array(with_views["inputs"]), np.array(with_views["scores"])
    assert pixels.shape == (18, SIZE, SIZE, 3)
    assert scores.shape == (18, 1, 4)
    np.testing.assert_array_equal(pixels[::3], resize(part.pixels(32), (SIZE, SIZE)))
    assert all(np.abs(pixels[i].astype(int) - pixels[i + 1]).mean() > 1 for i in range(0, 18, 3))
    np.testing.assert_allclose(softmax(scores[::3, 0]), model(part.pixels(32).astype(np.float32)), atol=1e-3)
    same_size = teach(teacher, (32, 32), part, augmenter=build_augmenter("strong"), views=3, seed=1)
    np.testing.assert_array_equal(resize(np.array(same_size["inputs"]), (SIZE, SIZE)), pixels)
    seen = model(np.array(same_size["inputs"]).astype(np.float32))
    np.testing.assert_allclose(softmax(np.array(same_size["scores"])[:, 0]), seen, atol=1e-3)
    larger = teach(teacher, (48, 48), part, augmenter=build_augmenter("strong"), views=2, seed=1)
    seen = model(resize(np.array(larger["inputs"]), (32, 32)).astype(np.float32))
    np.testing.assert_allclose(softmax(np.array(larger["scores"])[:, 0]), seen, atol=1e-3)


def test_a_teacher_is_asked_once(data):
    teacher = open_teacher(network(4), data.class_names)
    first = teach(teacher, (SIZE, SIZE), data.val, augmenter=build_augmenter("none"))

    def refuse(images):
        raise AssertionError("asked again")

    asked = Teacher(teacher.inputs, teacher.groups, 0, teacher.digest, refuse)
    again = teach(asked, (SIZE, SIZE), data.val, augmenter=build_augmenter("none"))
    np.testing.assert_array_equal(first["scores"], again["scores"])
    other = open_teacher(network(4, seed=1), data.class_names)
    different = teach(other, (SIZE, SIZE), data.val, augmenter=build_augmenter("none"))
    assert np.abs(np.array(first["scores"]) - different["scores"]).max() > 1e-3


def test_mixed_images_bring_their_mixed_labels(data):
    teacher = open_teacher(network(4), data.class_names)
    augmenter = build_augmenter({"mixup": 1.0}, classes=4)
    labels = np.array(teach(teacher, (SIZE, SIZE), data.train, augmenter=augmenter, views=3)["labels"])
    np.testing.assert_array_equal(labels[::3], np.eye(4)[data.train.labels])
    np.testing.assert_allclose(labels.sum(1), 1, atol=1e-6)
    assert ((labels[1::3] > 0.01) & (labels[1::3] < 0.99)).any()


@pytest.mark.parametrize("features", [0.0, 0.5])
def test_a_student_comes_to_answer_like_its_teacher(data, features):
    """The teacher is arbitrary, so that nothing but its answers leads to it."""
    teacher = network(4, size=32, width=16, seed=3, scale=12.0)
    student = network(4, width=12)
    images = data.val.pixels(SIZE).astype(np.float32)
    asked = softmax(keras.Model(teacher.inputs[0], score_table(teacher))(data.val.pixels(32).astype(np.float32))[:, 0])
    before, weights = student(images).numpy(), teacher.get_weights()
    options = {"epochs": 12, "learning_rate": 1e-2, "temperature": 1.0, "alpha": 1.0, "augmentation": "light"}
    rows = distill(student, teacher, data, features=features, **options)
    assert len(rows) == 12
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"} <= set(rows[0])
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    last = student(images).numpy()
    assert np.abs(last - asked).mean() < 0.7 * np.abs(before - asked).mean()
    assert student.input_shape == (None, SIZE, SIZE, 3)
    assert student.output_shape == (None, 4)
    assert all(np.array_equal(old, new) for old, new in zip(weights, teacher.get_weights(), strict=True))
    bn = next(layer for layer in student.layers if isinstance(layer, keras.layers.BatchNormalization))
    np.testing.assert_array_equal(bn.moving_mean, np.zeros(12))


def test_a_teacher_in_a_file_may_name_its_classes_in_another_order(data, tmp_path):
    model = network(4)
    model.save(tmp_path / "model.keras")
    order = [2, 0, 3, 1]
    (tmp_path / "labels.txt").write_text("\n".join(data.class_names[i] for i in order))
    teacher = open_teacher(tmp_path, data.class_names)
    actual = np.array(teach(teacher, (SIZE, SIZE), data.val, augmenter=build_augmenter("none"))["scores"])[:, 0]
    expected = model(data.val.pixels(SIZE).astype(np.float32)).numpy()
    np.testing.assert_allclose(softmax(actual)[:, order], expected, atol=1e-4)
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd")
    with pytest.raises(InputError, match="does not know the class 'funghi'"):
        open_teacher(tmp_path, data.class_names)


@pytest.mark.slow
def test_a_litert_file_teaches(data, tmp_path):
    model = network(4)
    (tmp_path / "teacher.tflite").write_bytes(kt.convert(model, ["float32"])["float32"])
    teacher = open_teacher(tmp_path / "teacher.tflite", data.class_names)
    actual = np.array(teach(teacher, (SIZE, SIZE), data.val, augmenter=build_augmenter("none"))["scores"])[:, 0]
    expected = model(data.val.pixels(SIZE).astype(np.float32)).numpy()
    np.testing.assert_allclose(softmax(actual), expected, atol=1e-3)
    with pytest.raises(InputError, match="features=0"):
        open_teacher(tmp_path / "teacher.tflite", data.class_names, features=True)


def test_labels_as_questions_and_choices():
    np.testing.assert_array_equal(label_table(np.array([2, 0]), (1, 3)), [[[0, 0, 1]], [[1, 0, 0]]])
    np.testing.assert_array_equal(label_table(np.array([[1, 0, 1]]), (3, 2)), [[[0, 1], [1, 0], [0, 1]]])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 0.0}, "`temperature` must be above 0"),
        ({"alpha": 1.5}, "`alpha` must be above 0 and at most 1"),
        ({"features": -1.0}, "`features` must be 0 or more"),
    ],
)
def test_wrong_arguments(data, options, words):
    with pytest.raises(InputError, match=words):
        distill(network(4), network(4), data, **options)


def test_other_classes_are_refused(data):
    with pytest.raises(InputError, match="same classes"):
        distill(network(4), network(3), data)
