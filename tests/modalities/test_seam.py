"""The seam between jobs and modalities, proved by a modality of which the package knows nothing."""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from bumps import BumpPreparer

import keras_transfer as kt
from keras_transfer import InputError
from keras_transfer.cli.predict import command as predict_command
from keras_transfer.evaluation import evaluate, open_classifier, predict_files
from keras_transfer.exporters import export
from keras_transfer.inputs import InputSpec, TensorSpec, open_preparer
from keras_transfer.jobs.adopt import adopt
from keras_transfer.jobs.inspect import inspect_data
from keras_transfer.jobs.report import report_run
from keras_transfer.jobs.see import see_run
from keras_transfer.jobs.segments import segment_columns
from keras_transfer.jobs.shift import shift_run
from keras_transfer.jobs.train import train
from keras_transfer.litert import open_litert
from keras_transfer.modalities import modality_of, open_modality, recipe_modality
from keras_transfer.models.freezing import suffix
from keras_transfer.recipe import make_recipe

LOUD = TensorSpec("front", (64, 1), "float32", -100, 100, "a loud signal")


@pytest.fixture(scope="module")
def run(registered, tmp_path_factory):
    """A run trained on signals with a bump up or down."""
    folder, random = tmp_path_factory.mktemp("bumps"), np.random.default_rng(0)
    place = np.arange(64)
    for sign, name in ((1, "up"), (-1, "down")):
        (folder / "data" / name).mkdir(parents=True)
        for i in range(60):
            signal = sign * random.uniform(0.6, 0.9) * np.exp(-(((place - random.integers(16, 48)) / 3) ** 2))
            signal += random.normal(0, 0.02, 64)
            (folder / "data" / name / f"{i}.bump").write_bytes(signal.astype(np.float32).tobytes())
    (folder / "data" / "up" / "cut.bump").write_bytes(b"1234")
    recipe = make_recipe(
        data=str(folder / "data"), weights="none", strategy="fine-tuning", baselines="none", formats=("int8", "float32")
    )
    result = train(recipe, folder / "run")
    return folder / "run", result


def test_it_is_found_from_the_source(run):
    assert modality_of(str(run[0].parent / "data")).name == "bumps"
    assert modality_of(str(run[0])).name == "image"


def test_it_trains_is_exported_and_proved(run):
    folder, result = run
    assert result["test"]["accuracy"] > 0.9 and result["gate"] is None and result["gain"] == 1.0
    assert [phase["name"] for phase in result["phases"]] == ["frozen", "fine-tuning"]
    assert (
        "a signal has 64 values" in (folder / "data.csv").read_text() and ",peak," in (folder / "data.csv").read_text()
    )
    proof = json.loads((folder / "export" / "model_int8.json").read_text())
    assert proof["input"]["dtype"] == "uint8" and proof["agreement"] > 0.95
    assert proof["inputs"] == result["inputs"] and "modality: bumps" in (folder / "recipe.yaml").read_text()
    assert proof["input"]["scale"] == pytest.approx(2 / 255) and proof["input"]["value_range"] == "-1..1"
    assert (folder / "report.html").is_file()


def test_the_files_say_what_their_inputs_are(run):
    folder, result = run
    spec = InputSpec.from_dict(result["inputs"])
    assert spec.modality == "bumps" and spec.tensor.shape == (64, 1) and spec.preparation == {"gain": 1.0}
    for name in ("model.keras", "export/model_int8.tflite", "export/model_float32.tflite"):
        classifier = open_classifier(folder / name)
        assert classifier.inputs == spec and classifier.preparer == open_preparer("bumps", {"gain": 1.0})


@pytest.mark.parametrize("name", ["model.keras", "export/model_int8.tflite", "export/model_float32.tflite"])
def test_files_are_predicted(run, name):
    folder, _ = run
    paths = sorted((folder.parent / "data").rglob("*.bump"))
    predictions = list(predict_files(open_classifier(folder / name), paths))
    problems = [prediction for prediction in predictions if prediction.problem]
    assert [problem.path for problem in problems] == [str(folder.parent / "data" / "up" / "cut.bump")]
    right = [p.label == Path(p.path).parent.name for p in predictions if not p.problem]
    assert np.mean(right) > 0.9


def test_it_is_evaluated(run):
    folder, result = run
    data = kt.load(str(folder.parent / "data"), val=0.15, test=0.15)
    assert evaluate(folder, data.test)["accuracy"] == result["test"]["accuracy"]
    int8 = open_litert(folder / "export" / "model_int8.tflite")
    assert int8.inputs[0].dtype == "uint8"


def test_it_is_inspected(run, tmp_path):
    folder = run[0].parent / "data"
    (folder / "down" / "copy.bump").write_bytes((folder / "up" / "0.bump").read_bytes())
    try:
        inspection = inspect_data(make_recipe(data=str(folder), weights="none"), tmp_path)
    finally:
        (folder / "down" / "copy.bump").unlink()
    assert [row["file"] for row in inspection["broken"]] == ["up/cut.bump"] and inspection["clashes"] == 1
    assert "sides" not in inspection and "<img" not in (tmp_path / "inspection.html").read_text()


def test_new_items_are_compared_with_those_of_a_run(run, tmp_path):
    folder, _ = run
    signals = [np.fromfile(path, np.float32) for path in sorted((folder.parent / "data").rglob("[0-9]*.bump"))]
    (tmp_path / "new").mkdir()
    for i, signal in enumerate(signals):
        (tmp_path / "new" / f"{i}.bump").write_bytes((0.1 * signal).tobytes())
    shift = shift_run(folder, tmp_path / "new", tmp_path / "out")
    assert shift["verdict"]["outcome"] == "far" and shift["images"]["new"] == len(signals)
    assert shift["differences"] == [] and "<img" not in (tmp_path / "out" / "shift.html").read_text()


def test_the_facts_of_its_files_are_segments(run):
    rows = json.loads((run[0] / "report.json").read_text())["segments"]["rows"]
    assert rows == [] or {row["column"] for row in rows} == {"peak"}
    data = recipe_modality(make_recipe(run[0] / "recipe.yaml")).load(make_recipe(run[0] / "recipe.yaml"))
    peaks = segment_columns(data, data.test)["peak"]
    assert peaks == [int(np.fromfile(path, np.float32).argmax()) for path in data.test.paths]


def test_its_report_leaves_out_what_it_does_not_offer(run):
    folder, _ = run
    see_run(folder)
    page = (folder / "report.html").read_text()
    assert "<img" not in page and "--corruptions" not in page
    with pytest.raises(InputError, match="no ways to make bumps items worse"):
        report_run(folder, corruptions=True)


def test_the_command_takes_its_files_and_no_camera(run, capsys):
    folder, _ = run
    predict_command(folder, [str(folder.parent / "data" / "up")], json=True)
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 61 and [row["path"] for row in rows if row["problem"]] == [
        str(folder.parent / "data" / "up" / "cut.bump")
    ]
    with pytest.raises(InputError, match="No device records signals here"):
        predict_command(folder, camera=0)


def test_a_model_from_elsewhere_is_refused(run, tmp_path):
    folder, _ = run
    with pytest.raises(InputError, match="not supported yet for signals"):
        adopt(folder / "model.keras", str(folder.parent / "data"), tmp_path / "adopted")


def test_files_in_whole_numbers_may_begin_behind_a_front_end(run, tmp_path, monkeypatch):
    class Loud(BumpPreparer):
        def spec(self, inputs):
            plain = super().spec(inputs)
            return (
                plain if inputs[0].name == "signal" else replace(plain, tensors=(replace(LOUD, name=inputs[0].name),))
            )

        def prepare(self, content, spec=None):
            return super().prepare(content) * (100 if spec is not None and spec.tensor.high == 100 else 1)

    part = staticmethod(lambda model: suffix(model, model.get_layer("front").output))
    monkeypatch.setattr(type(open_modality("bumps")), "quantized_part", part)
    data = kt.load(str(run[0].parent / "data"), val=0.15, test=0.15).prepared_by(Loud())
    signal = keras.Input((64, 1), name="signal")
    loud = keras.layers.Rescaling(100, name="front")(signal)
    scores = keras.layers.Dense(2)(keras.layers.Flatten()(keras.layers.ReLU()(loud)))
    model = keras.Model(signal, keras.layers.Softmax()(scores))
    files = export(
        model,
        tmp_path,
        calibration=data.train,
        proof=data.test,
        formats=["float32", "int8"],
        targets=["microcontroller"],
    )
    assert [file["agreement"] > 0.9 for file in files] == [True] * 3
    proofs = [
        json.loads((tmp_path / file["path"].partition("/")[2]).with_suffix(".json").read_text()) for file in files
    ]
    assert [proof["inputs"]["tensors"][0]["high"] for proof in proofs] == [1, 100, 100]
    assert [proof["input"]["value_range"] for proof in proofs] == ["-1..1", "-100..100", "-100..100"]
