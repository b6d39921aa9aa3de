"""The report of a run: its figures, its baselines, its page, on data of every kind."""

import json
import shutil

import numpy as np
import pytest
from html_page import check_page
from PIL import Image

from keras_transfer.cli.summary import print_artifacts
from keras_transfer.errors import InputError
from keras_transfer.evaluation import load_keras, open_classifier
from keras_transfer.evaluation.calibration import calibrated
from keras_transfer.files import write_json
from keras_transfer.jobs import baselines as baselines_module
from keras_transfer.jobs import learning_curve as curve_module
from keras_transfer.jobs.finish import calibrate
from keras_transfer.jobs.parts import load_data
from keras_transfer.jobs.report import report_run
from keras_transfer.jobs.train import train
from keras_transfer.modalities.image.builder import build_classifier
from keras_transfer.models.head import last_dense
from keras_transfer.recipe import Phase, make_recipe
from keras_transfer.run import read_run

NASTY = "<script>alert(1)</script> & \"x\" 'y' | `z`".replace("/", "∕")
HEAD = (Phase(name="frozen", epochs=3, learning_rate=0.02, batch_size=16),)


@pytest.fixture(autouse=True, scope="module")
def own_cache(short_networks, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(baselines_module, "_SCRATCH_EPOCHS", (2, 2))
        patch.setattr(curve_module, "_EPOCHS", 1)
        patch.setattr(curve_module, "_MOST_SIZES", 2)
        yield


def paint(path, number, tints):
    """A noisy picture with more of some colours."""
    pixels = np.random.default_rng(number).integers(0, 120, (40, 48, 3))
    for channel in tints:
        pixels[..., channel] += 100
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of the kind that a pretrained backbone has."""
    file = tmp_path_factory.mktemp("weights") / "backbone.keras"
    build_classifier("mobilenet", 2, alpha=0.25, image_size=32, weights="none").save(file)
    return str(file)


def run_of(data, folder, **told):
    recipe = make_recipe(
        data=str(data), backbone="mobilenet", alpha=0.25, image_size=32, strategy="feature-extraction", phases=HEAD,
        views=1, augmentation="none", formats=["float32"], tolerance=0.9, **told,
    )  # fmt: skip
    train(recipe, folder)
    return folder


@pytest.fixture(scope="module")
def run(weights, tmp_path_factory):
    """Three classes, one with a name that would break a page that did not escape it."""
    folder = tmp_path_factory.mktemp("photographs")
    for index, name in enumerate(("blue", "green", NASTY)):
        for number in range(30):
            paint(folder / name / f"{number}.png", 100 * index + number, (2 - index,))
    return run_of(folder, tmp_path_factory.mktemp("run") / "run", weights=weights)


@pytest.fixture(scope="module")
def report(run):
    return json.loads((run / "report.json").read_text())


def test_the_page_shows_the_run_and_fetches_nothing(run, report):
    page = check_page(run / "report.html")
    text = " ".join(page.text)
    for sentence in report["verdict"]["sentences"]:
        assert sentence in text
    assert NASTY in text and "svg" in page.tags and page.images
    card = (run / "report.md").read_text()
    assert "<script>" not in card and "## Intended use" in card and "## Limitations" in card


def test_figures_agree_with_the_result(run, report):
    result = json.loads((run / "result.json").read_text())
    for name, row in report["metrics"].items():
        assert row["value"] == pytest.approx(result["test"][name], abs=1e-9)
    assert report["metrics"]["accuracy"]["low"] <= result["test"]["accuracy"] <= report["metrics"]["accuracy"]["high"]
    assert report["confusion"]["matrix"] == result["test"]["confusion_matrix"]
    assert [row["phase"] for row in report["history"]] == ["frozen"] * len(report["history"])


def test_baselines_stand_on_the_same_test_split(report):
    made = {row["kind"]: row for row in report["baselines"]}
    assert list(made) == ["majority", "pretrained probe", "random probe", "scratch"]
    for row in made.values():
        gain = report["metrics"]["accuracy"]["value"] - row["accuracy"]["value"]
        assert row["difference"]["value"] == pytest.approx(gain, abs=1e-9)
        assert row["difference"]["low"] <= gain <= row["difference"]["high"]
    assert report["verdict"]["outcome"] in ("helped", "unclear", "negative")
    assert report["images"]["test"] < 100 and "only" in report["verdict"]["sentences"][1]


def test_a_second_report_takes_its_baselines_from_the_cache(run, report, weights):
    again = report_run(run, compare_backbones=[f"mobilenet@0.25={weights}", "mobilenet@0.25=nowhere.h5"])
    same = [(row["name"], row["accuracy"]) for row in report["baselines"]]
    assert [(row["name"], row["accuracy"]) for row in again["baselines"][:4]] == same
    other, missing = again["baselines"][4:]
    assert other["kind"] == "backbone" and other["accuracy"] == again["baselines"][1]["accuracy"]
    assert missing["accuracy"] is None and "nowhere.h5" in missing["what"]
    check_page(run / "report.html")
    fewer = report_run(run, baselines="none")
    assert [row["kind"] for row in fewer["baselines"]] == ["majority"]
    assert fewer["verdict"]["outcome"] == "unknown"
    check_page(run / "report.html")


def test_learning_curves_segments_and_corruptions(run, audit):
    again = report_run(run, baselines="none", corruptions=True, curve={"draws": 1, "scratch": True})
    curve, bad = again["learning_curve"], again["corruptions"]
    assert list(curve["ways"]) == ["head", "scratch"] and len(curve["ways"]["head"]) == len(curve["sizes"]) == 2
    assert curve["sizes"][-1] < again["images"]["train"] + again["images"]["val"] == curve["images"]
    assert json.loads((run / "learning_curve.json").read_text()) == curve
    assert len(bad["rows"]) == 5 and all(len(row["by_strength"]) == 5 for row in bad["rows"])
    assert bad["images"] == again["images"]["test"]
    text = " ".join(check_page(run / "report.html").text)
    for said in (*curve["sentences"], "JPEG compression", "Which kinds of photographs"):
        assert said in text
    card = (run / "report.md").read_text()
    assert "More photographs?" in card and "Gaussian blur" in card
    kept = report_run(run, baselines="none")
    assert kept["learning_curve"] == curve and kept["corruptions"] == bad
    assert not any("--corruptions" in step["command"] for step in kept["next"])
    assert audit(run / "report.html") == []


def test_the_runs_temperature_is_applied_to_what_its_files_say(run, report):
    classifier = open_classifier(run / "export" / "model_float32.tflite")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    plain, scaled = classifier.predict(pixels), calibrated(classifier).predict(pixels)
    assert (plain.argmax(axis=1) == scaled.argmax(axis=1)).all()
    assert (report["calibration"]["temperature"] == 1) == np.allclose(plain, scaled, atol=1e-5)


def test_a_model_that_learned_from_validation_items_is_not_calibrated_by_them(run, report, tmp_path):
    recipe, result = read_run(run)
    assert result["fitted_to_val"] == ("val" not in report["calibration"])
    data, model = load_data(recipe, run), load_keras(run / "model.keras")
    assert calibrate(model, data, learned=True) == 1
    wrong = np.roll(np.eye(3, dtype=np.float32)[data.val.labels], 1, axis=1) * 0.98 + 0.01
    kernel = last_dense(model)[0].get_weights()[0]
    found = calibrate(model, data, wrong, learned=True)
    assert found > 2 and np.allclose(last_dense(model)[0].get_weights()[0] * found, kernel, rtol=1e-5)
    shutil.copytree(run, tmp_path / "run")
    for learned in (True, False):
        write_json(tmp_path / "run" / "result.json", {**result, "fitted_to_val": learned, "temperature": 2.0})
        figures = report_run(tmp_path / "run", baselines="none")["calibration"]
        assert figures["folded"] == 2 and ("val" in figures) != learned
        assert not learned or figures["temperature"] == 1
        check_page(tmp_path / "run" / "report.html")
        page = (tmp_path / "run" / "report.html").read_text()
        assert ("before the head learned from those as well" in page) == learned


def test_two_classes_without_transfer(tmp_path):
    for index in range(2):
        for number in range(30):
            paint(tmp_path / "data" / "ab"[index] / f"{number}.png", 50 * index + number, (index,))
    run = run_of(tmp_path / "data", tmp_path / "run", weights="none")
    found = json.loads((run / "report.json").read_text())
    assert found["verdict"]["outcome"] == "none" and [row["kind"] for row in found["baselines"]] == [
        "majority",
        "random probe",
    ]
    check_page(run / "report.html")


def test_several_labels_an_image(tmp_path, weights, monkeypatch, capsys):
    monkeypatch.setattr(baselines_module, "SCRATCH_BUDGET", 0)
    rows = ["path,labels"]
    for number in range(60):
        tints = [channel for channel in range(3) if number >> channel & 1]
        paint(tmp_path / "pictures" / f"{number}.png", number, tints)
        rows.append(f"pictures/{number}.png,{'|'.join('rgb'[channel] for channel in tints) or 'r'}")
    (tmp_path / "data.csv").write_text("\n".join(rows) + "\n")
    run = run_of(tmp_path / "data.csv", tmp_path / "run", weights=weights)
    found = json.loads((run / "report.json").read_text())
    assert found["multi_label"] and found["confusion"] is None and "micro_f1" in found["metrics"]
    assert {row["kind"] for row in found["baselines"]} >= {"majority", "pretrained probe", "random probe"}
    check_page(run / "report.html")
    # One definition of accuracy everywhere: a float file answers as the model does, so that all rows are equal.
    result = json.loads((run / "result.json").read_text())
    [file], test = result["artifacts"], result["test"]
    assert found["metrics"]["accuracy"]["value"] == test["accuracy"] == file["test_accuracy"]
    assert test["label_accuracy"] == file["test_label_accuracy"] > file["test_accuracy"]
    precision = found["metrics"]["mean_average_precision"]
    assert precision["low"] <= precision["value"] <= precision["high"]
    print_artifacts(result)
    printed = capsys.readouterr().out
    assert "accuracy: photographs with all labels right, labels: single labels right" in printed
    assert "Use this: model_float32.tflite\n" in printed
    assert printed.count(f"{test['accuracy']:.1%}") >= 2 and printed.count(f"{test['label_accuracy']:.1%}") == 2
    page = (run / "report.html").read_text()
    assert "Validation accuracy of single labels" in page and "Accuracy of single labels, all phases" in page
    assert "Accuracy (all labels right)" in page and "Mean average precision" in page and "Single labels" in page


def test_only_a_finished_run_has_a_report(tmp_path):
    with pytest.raises(InputError, match="no finished run"):
        report_run(tmp_path)
