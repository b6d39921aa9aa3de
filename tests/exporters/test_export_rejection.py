"""Files that say how unlike all classes an item is: the score, its limit, its proof."""

import json
import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_transfer.decisions import RejectionLimit, auroc
from keras_transfer.errors import InputError
from keras_transfer.evaluation import open_classifier, predict_files
from keras_transfer.evaluation.rejection import fit_rejection
from keras_transfer.exporters import export
from keras_transfer.exporters.rejection import judge_rejection, of_pieces
from keras_transfer.inputs import InputSpec
from keras_transfer.litert import read_flatbuffer
from keras_transfer.litert.labels import read_limit
from keras_transfer.models import save_model
from keras_transfer.models.rejection import feature_tensor, read_rejection, with_rejection

API = Path(__file__).parent / "tflm_api"


@pytest.fixture(scope="module")
def features(classifier):
    model = keras.Model(classifier.input, feature_tensor(classifier))
    return lambda split: model.predict(split.images.astype("float32"), verbose=0)


@pytest.fixture(scope="module")
def rejection(features, train_split, test_split):
    return fit_rejection(features(train_split), train_split.labels, features(test_split))[0]


@pytest.fixture(scope="module")
def exported(classifier, rejection, train_split, test_split, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rejecting")
    artifacts = export(
        classifier, folder, proof=test_split, calibration=train_split, validation=test_split, rejection=rejection,
        formats=["float32", "int8"], targets=["android", "mediapipe", "web", "microcontroller"],
    )  # fmt: skip
    return folder, artifacts


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_the_file_computes_the_score(exported, rejection, features, test_split, kind):
    opened = open_classifier(exported[0] / f"model_{kind}.tflite")
    probabilities, scores = opened.predict_with_scores(test_split.images)
    assert np.array_equal(probabilities, opened.predict(test_split.images))
    if kind == "float32":
        np.testing.assert_allclose(scores, rejection.scores(features(test_split)), rtol=1e-3, atol=1e-2)
    accepted = (scores <= opened.limit.threshold).mean()
    assert 0.94 < accepted <= 1  # these are the items by which the limit was set
    noise = np.random.default_rng(0).choice(np.uint8([0, 255]), (50, 24, 24, 3))
    assert auroc(scores, opened.predict_with_scores(noise)[1]) > 0.95


def test_the_proof_says_what_it_is_worth(exported):
    folder, artifacts = exported
    for artifact in artifacts[:2]:
        proof = json.loads((folder / artifact["path"].rpartition("/")[2]).with_suffix(".json").read_text())
        assert proof["rejection"] == artifact["rejection"]
        assert abs(proof["rejection"]["drop"]) < 0.05 and 0.9 < proof["rejection"]["accepted"] <= 1
    assert all(verdict["ok"] for verdict in artifacts[1]["targets"].values() if verdict["target"] != "microcontroller")
    content = (folder / "model_int8.tflite").read_bytes()
    operators = {operator.name for operator in read_flatbuffer(content).operators}
    assert not operators & {"DIV", "SQRT", "EXP", "DEQUANTIZE"}
    assert read_limit(content) != read_limit((folder / "model_float32.tflite").read_bytes())


def test_the_android_app_knows_the_limit(exported):
    limit = json.loads((exported[0] / "android" / "app/src/main/assets/rejection.json").read_text())
    content = (exported[0] / "android" / "app/src/main/assets/model.tflite").read_bytes()
    assert RejectionLimit.from_dict(limit) == read_limit(content)


def test_the_web_page_knows_the_limit(exported):
    about = json.loads((exported[0] / "web" / "model.json").read_text())
    limit = read_limit((exported[0] / about["file"]).read_bytes())
    assert RejectionLimit.from_dict(about["rejection"]) == limit
    assert about["rejection"]["scale"] > 0 and about["output"]["shape"] == [1, 3]


def test_what_is_none_of_the_classes_is_said(exported, tmp_path):
    Image.fromarray(np.tile(np.uint8([[[255, 255, 255], [0, 0, 0]]]), (12, 12, 1))).save(tmp_path / "stripes.png")
    Image.fromarray(np.full((24, 24, 3), (160, 60, 60), np.uint8)).save(tmp_path / "red.png")
    for name in ("model_float32.tflite", "model_int8.tflite"):
        [found] = predict_files(open_classifier(exported[0] / name), [tmp_path / "stripes.png"])
        assert found.rejected and found.labels == () and found.unlikeness > 0.95 and found.label


def test_it_travels_in_the_keras_file(classifier, rejection, tmp_path, test_split):
    path = save_model(classifier, tmp_path / "model.keras", InputSpec("image", (), {}), rejection)
    loaded = read_rejection(path)
    assert loaded.limit == rejection.limit
    for name in ("mean", "classes", "directions"):
        assert np.array_equal(getattr(loaded, name), getattr(rejection, name))
    scores = with_rejection(classifier, loaded).predict(test_split.images.astype("float32"), verbose=0)[1]
    assert scores.shape == (151, 1)
    assert read_rejection(save_model(classifier, tmp_path / "plain.keras", InputSpec("image", (), {}))) is None


def test_models_without_features_are_refused(rejection):
    inputs = keras.Input((5000,))
    with pytest.raises(InputError, match="5,000"):
        feature_tensor(keras.Model(inputs, keras.layers.Dense(3)(inputs)))
    pooled = keras.layers.GlobalAveragePooling2D()(maps := keras.Input((4, 4, 3)))
    with pytest.raises(InputError, match="ends in another"):
        feature_tensor(keras.Model(maps, keras.layers.Softmax()(pooled)))
    small = keras.Input((7,))
    with pytest.raises(InputError, match="has 7"):
        with_rejection(keras.Model(small, keras.layers.Dense(3)(small)), rejection)


@pytest.mark.parametrize("shape", [(8, 8, 3), (9,), (10, 2), (2, 5, 1)])
def test_pieces_are_of_the_same_places(shape):
    items = np.arange(6)[:, None] * 1000 + np.arange(np.prod(shape))
    [made] = of_pieces([items.reshape(6, *shape)], 0)
    assert made.shape == (6, *shape)
    assert np.array_equal(made.reshape(6, -1) % 1000, items % 1000)
    assert len(np.unique(made // 1000)) > 1


def test_a_score_that_was_lost_fails():
    share = {"accepted": 0.95, "keras_auroc": 0.9, "auroc": 0.8, "drop": 0.1}
    assert "lost 0.100" in judge_rejection({**share, "drop_low": 0.05})
    assert not judge_rejection({**share, "drop_low": -0.01})


@pytest.mark.parametrize("wrong", [{}, [], {"threshold": "x", "acceptance": 0.9, "reference": []},
                                   {"threshold": float("nan"), "acceptance": 0.9, "reference": [1]}])  # fmt: skip
def test_a_limit_from_anywhere_is_checked(wrong):
    with pytest.raises(InputError, match="makes no sense"):
        RejectionLimit.from_dict(wrong)


def test_the_microcontrollers_sources_say_it(exported):
    folder = exported[0] / "microcontroller"
    header, main = (folder / "classifier.h").read_text(), (folder / "main.cc").read_text()
    limit = read_limit((exported[0] / "model_int8.tflite").read_bytes())
    assert f"kRejectAbove = {limit.threshold:.5g}"[:18] in header and "if (ClassifierRejects())" in main
    if shutil.which("g++") is not None:
        flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{API}", f"-I{folder}"]
        subprocess.run(["g++", *flags, folder / "main.cc", folder / "classifier.cc"], check=True)
