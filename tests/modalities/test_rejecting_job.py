"""A run with --reject, of a modality of which the package knows nothing: fitted, exported, proved, predicted."""

import csv
import io
import json

import numpy as np
import pytest

from keras_transfer.cli import options
from keras_transfer.cli.monitor import command as monitor_command
from keras_transfer.cli.predict import command as predict_command
from keras_transfer.errors import GateError
from keras_transfer.evaluation import evaluate, open_classifier, predict_files
from keras_transfer.jobs.export import export_run
from keras_transfer.jobs.train import train
from keras_transfer.modalities import load
from keras_transfer.recipe import make_recipe


@pytest.fixture(scope="module")
def run(registered, tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("rejecting"), np.random.default_rng(0)
    place = np.arange(64)
    for name, signs in (("up", (1, 1)), ("down", (-1, -1)), ("both", (1, -1))):
        (folder / "data" / name).mkdir(parents=True)
        for i in range(60):
            signal = random.normal(0, 0.02, 64)
            for sign, low in zip(signs, (8, 36), strict=True):
                centre = random.integers(low, low + 16)
                signal += sign * random.uniform(0.6, 0.9) * np.exp(-(((place - centre) / 3) ** 2))
            (folder / "data" / name / f"{i}.bump").write_bytes(signal.astype(np.float32).tobytes())
    noise = random.uniform(-1, 1, 64).astype(np.float32)
    (folder / "noise.bump").write_bytes(noise.tobytes())
    recipe = make_recipe(
        data=str(folder / "data"),
        weights="none",
        strategy="fine-tuning",
        baselines="none",
        formats=("int8", "float32"),
        reject=True,
    )
    return folder / "run", train(recipe, folder / "run")


def test_the_result_and_the_proofs_say_it(run):
    folder, result = run
    figures = result["rejection"]
    said = json.loads((folder / "report.json").read_text())["calibration"]
    assert said["folded"] == result["temperature"] and (said["temperature"] == 1 or result["temperature"] == 1)
    assert figures["permuted"] > 0.5 and figures["promise"]["low"] < 0.95 < figures["promise"]["high"]
    assert figures["accepted"]["value"] > 0.8
    for name in ("int8", "float32"):
        proof = json.loads((folder / "export" / f"model_{name}.json").read_text())
        assert proof["rejection"]["accepted"] > 0.8 and 0 <= proof["ece"] <= 1
    assert "None of these" in (folder / "report.html").read_text()


@pytest.mark.parametrize("name", ["model.keras", "export/model_int8.tflite", "export/model_float32.tflite"])
def test_noise_is_none_of_these(run, name):
    folder, _ = run
    classifier = open_classifier(folder / name)
    [found] = predict_files(classifier, [folder.parent / "noise.bump"])
    assert found.rejected and found.unlikeness == 1
    items = sorted((folder.parent / "data").rglob("*.bump"))
    assert np.mean([not found.rejected for found in predict_files(classifier, items)]) > 0.8


def test_the_command_says_it(run, capsys):
    folder, _ = run
    paths = [str(folder.parent / "noise.bump"), str(next((folder.parent / "data" / "up").glob("*")))]
    predict_command(folder, paths)
    assert "none of these (1.00)" in capsys.readouterr().out
    predict_command(folder, paths, csv=True)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert (
        rows[0]["rejected"] == "True" and float(rows[0]["unlikeness"]) == 1 and 0 <= float(rows[1]["unlikeness"]) <= 1
    )


def test_the_score_does_not_touch_the_answers(run):
    folder, result = run
    data = load(str(folder.parent / "data"), val=0.15, test=0.15)
    assert evaluate(folder / "export" / "model_float32.tflite", data.test)["accuracy"] == result["test"]["accuracy"]


def test_an_old_run_gets_it_by_exporting(run, tmp_path):
    folder, _ = run
    recipe = make_recipe(data=str(folder.parent / "data"), weights="none", strategy="feature-extraction", epochs=1,
                         baselines="none", formats=("float32",))  # fmt: skip
    train(recipe, tmp_path / "old")
    assert open_classifier(tmp_path / "old").limit is None
    export_run(tmp_path / "old", formats=["float32"], reject=True)
    assert open_classifier(tmp_path / "old").limit is not None
    assert open_classifier(tmp_path / "old" / "export" / "model_float32.tflite").limit is not None


@pytest.mark.parametrize("name", ["model.keras", "export/model_int8.tflite"])
def test_its_log_is_watched(run, tmp_path, name):
    folder, _ = run
    random, keras = np.random.default_rng(1), name == "model.keras"
    for number in range(40):
        content = random.uniform(-1, 1, 64).astype(np.float32).tobytes()
        (tmp_path / f"{number:02d}.bump").write_bytes(content)
    log = options.Log(log=tmp_path / "log.jsonl", log_sketch=keras, log_items=True)
    predict_command(folder / name, [str(tmp_path)], logging=log, csv=True)
    with pytest.raises(GateError, match="Something has changed"):
        monitor_command(folder, [log.log], window=40, out=tmp_path / "out", label_next=tmp_path / "sort")
    found = json.loads((tmp_path / "out" / "monitor.json").read_text())
    tests = {test["name"]: test["alarm"] for test in found["looks"][-1]["tests"]}
    assert found["file"] == name and tests["unlike"] and tests["score"] and not tests["repeats"]
    assert ("features" in tests) is keras and found["looks"][-1]["estimate"]["trust"] is False
    assert len(list((tmp_path / "sort").rglob("*.bump"))) == 40
