"""`compress`, `compare` and `sensitivity` on runs of a tiny network; the steps that need tfmot when it is there."""

import csv
import json
import re
import shutil

import keras
import pytest

from keras_transfer.cli.app import run
from keras_transfer.compression import weight_figures
from keras_transfer.errors import GateError, InputError
from keras_transfer.evaluation import load_keras, open_classifier
from keras_transfer.exporters import ExportGateError, exporter
from keras_transfer.jobs.compare import compare
from keras_transfer.jobs.compress import compress
from keras_transfer.jobs.export import export_run
from keras_transfer.jobs.sensitivity import scan
from keras_transfer.jobs.train import train
from keras_transfer.recipe import Phase, make_compression, make_recipe
from keras_transfer.report.tradeoff import pareto_front

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("short_networks")]
PHASES = [Phase(name="scratch", stages="all", batchnorm=True, epochs=30, learning_rate=0.01, batch_size=8, patience=30)]


@pytest.fixture(scope="module")
def photographs(coloured_noise, tmp_path_factory):
    return coloured_noise(tmp_path_factory.mktemp("photographs"), 24, (40, 40))


@pytest.fixture(scope="module")
def base(short_networks, photographs, tmp_path_factory):
    told = make_recipe(
        data=str(photographs), backbone="mobilenet", alpha=0.25, image_size=32, weights="none", strategy="scratch",
        phases=PHASES, augmentation="none", formats=["int8"], tolerance=0.9, baselines="none",
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("runs") / "base"
    assert train(told, folder)["test"]["accuracy"] > 0.9  # a network that can lose something
    return folder


@pytest.fixture(scope="module")
def small(base):
    """Channels removed, then pruned, then trained through rounding: one epoch each."""
    told = make_compression(multiply_adds=0.7, sparsity=0.5, qat=True, epochs=1)
    compress(base, base.with_name("small"), told, tolerance=0.9)
    return base.with_name("small")


def test_every_step_is_accounted_for(base, small):
    result = json.loads((small / "result.json").read_text())
    assert [step["name"] for step in result["steps"]] == ["base", "channels", "prune", "qat"]
    first, channels, pruned, trained = result["steps"]
    assert first["accuracy"] == json.loads((base / "result.json").read_text())["test"]["accuracy"]
    assert channels["multiply_adds"] <= 0.7 * first["multiply_adds"]
    assert channels["parameters"] < first["parameters"]
    assert pruned["zeros"] == pytest.approx(0.5, abs=0.05)
    assert trained["zeros"] >= pruned["zeros"] - 0.01  # rounding keeps zeros
    assert trained["accuracy"] == result["test"]["accuracy"]
    for before, step in zip(result["steps"], result["steps"][1:], strict=False):
        change = step["difference"]
        assert change["value"] == pytest.approx(step["accuracy"] - before["accuracy"])
        assert change["low"] <= change["value"] <= change["high"]
    with (small / "history.csv").open(newline="") as file:
        rows = [(row["phase"], row["epoch"]) for row in csv.DictReader(file)]
    assert rows == [("channels", "1"), ("prune", "1"), ("qat", "0"), ("qat", "1")]  # qat may keep what it began with


def test_the_files_are_those_of_the_last_step(small):
    content = (small / "export" / "model_int8.tflite").read_bytes()
    assert weight_figures(content)["sparsity"] >= 0.45
    proof = json.loads((small / "export" / "model_int8.json").read_text())
    assert proof["agreement"] >= 0.9  # the Keras model took the trained weights home
    assert (small / "checkpoints" / "2-qat.tflite").is_file()
    assert open_classifier(small).class_names == ["blue", "green", "red"]
    page = (small / "report.html").read_text()
    assert "quantization-aware training" in page and "What each step did" in page


def test_a_stopped_one_goes_on_where_it_was(base, tmp_path, monkeypatch):
    from keras_transfer.jobs import compress as job

    told = make_compression(multiply_adds=0.6, epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(job, "finish", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            compress(base, tmp_path / "run", told, tolerance=0.9)
    made = (tmp_path / "run" / "checkpoints" / "0-channels.keras").read_bytes()
    result = compress(base, tmp_path / "run", told, tolerance=0.9)
    assert (tmp_path / "run" / "checkpoints" / "0-channels.keras").read_bytes() == made
    assert result["phases"][0]["epochs"] == 1
    assert compress(base, tmp_path / "run", told, tolerance=0.9) == result  # finished: nothing is done again


def test_a_student_is_a_network_of_its_own(base, tmp_path):
    told = make_compression(distill=True, epochs=2)
    changes = {"backbone": "mobilenet", "alpha": 0.5, "weights": "none", "image_size": 32, "tolerance": 0.9}
    result = compress(base, tmp_path / "student", told, **changes)
    assert (result["backbone"], result["alpha"]) == ("mobilenet", 0.5)
    widths = [load_keras(run / "model.keras").get_layer("conv1").filters for run in (base, tmp_path / "student")]
    assert widths == [8, 16]
    assert [step["name"] for step in result["steps"]] == ["base", "distill"]


def test_what_lost_too_much_is_written_and_fails(base, tmp_path, monkeypatch):
    from keras_transfer import compression

    def spoil(model, *_, **__):
        model.set_weights([0 * weight for weight in model.get_weights()])
        return model

    monkeypatch.setattr(compression, "shrink", spoil)
    with pytest.raises(GateError, match=r"against the one it began with: .* over the tolerance of 5 beyond doubt"):
        compress(base, tmp_path / "run", make_compression(multiply_adds=0.6), tolerance=0.05)
    assert json.loads((tmp_path / "run" / "result.json").read_text())["gate"]


def test_only_a_file_that_was_asked_for_fails_an_export(base, tmp_path, monkeypatch):
    real = exporter.convert

    def broken(model, formats, **options):
        files = real(model, formats, **options)
        if "dynamic" in formats:
            constant = keras.models.clone_model(model)  # its weights are random
            constant.layers[-2].set_weights([0 * weight for weight in constant.layers[-2].get_weights()])
            files["dynamic"] = real(constant, ["dynamic"])["dynamic"]
        return files

    monkeypatch.setattr(exporter, "convert", broken)
    copy = tmp_path / "run"
    shutil.copytree(base, copy)
    recipe = (copy / "recipe.yaml").read_text()
    (copy / "recipe.yaml").write_text(re.sub(r"  formats:\n(  - .*\n)+", "  formats: null\n", recipe))
    result = export_run(copy, tolerance=0.01)
    outcomes = {file["format"]: file["gate"]["outcome"] for file in result["artifacts"]}
    assert outcomes["dynamic"] == "fail" and result["gate"] is None
    assert any("model_dynamic.tflite" in note for note in result["gate_notes"])
    recommended = next(file for file in result["artifacts"] if file["path"] == result["recommended"])
    assert recommended["gate"]["outcome"] == "pass"
    assert json.loads((copy / "result.json").read_text()) == result
    with pytest.raises(ExportGateError, match="model_dynamic") as caught:
        export_run(copy, tolerance=0.01, formats=["dynamic"])
    assert caught.value.exit_code == 3
    assert "model_dynamic" in json.loads((copy / "result.json").read_text())["gate"]


@pytest.mark.parametrize(
    "told, said",
    [
        ({}, "Nothing to do"),
        ({"sparsity": 1.5}, "`sparsity`"),
        ({"clusters": 1}, "`clusters`"),
        ({"multiply_adds": 0.0}, "`multiply_adds`"),
    ],
)
def test_wrong_calls(base, tmp_path, told, said):
    with pytest.raises(InputError, match=said):
        compress(base, tmp_path / "run", make_compression(**told))
    with pytest.raises(InputError, match="no finished run"):
        compress(tmp_path, tmp_path / "run", make_compression(sparsity=0.5))


def test_options_that_need_another(monkeypatch, capsys, base):
    monkeypatch.setattr("sys.argv", ["keras-transfer", "compress", str(base), "--pattern", "2:4", "--debug"])
    with pytest.raises(InputError, match="--pattern is for --prune"):
        run()


def test_compare(base, small, tmp_path, audit):
    found = compare([base, small], tmp_path, seconds=0.1)
    dense, pruned = found["files"]
    assert pruned["zipped_bytes"] < dense["zipped_bytes"] and "zipped_bytes" in pruned["front"]
    assert dense["ratio"] == 1 and dense["accuracy"]["low"] <= dense["accuracy"]["value"] <= dense["accuracy"]["high"]
    with (tmp_path / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == [str(base), str(small)]
    page = (tmp_path / "comparison.html").read_text()
    assert page.count("<svg") == 3 and 'src="http' not in page
    assert audit(tmp_path / "comparison.html", small / "report.html") == []
    with pytest.raises(InputError, match="no file of format float32"):
        compare([base], tmp_path, formats=["float32"])


def test_runs_with_other_test_photographs_are_not_compared(base, small, tmp_path):
    import shutil

    other = shutil.copytree(base, tmp_path / "other")
    listing = (other / "data.csv").read_text().replace(",test,", ",train,", 1)
    (other / "data.csv").write_text(listing)
    with pytest.raises(InputError, match="different test items"):
        compare([base, other], tmp_path / "page")


def test_the_front_holds_what_no_other_beats():
    points = [(0.9, 10.0), (0.9, 10.0), (0.85, 12.0), (0.5, 1.0)]
    assert pareto_front(points) == [0, 1, 3]


def test_sensitivity(base):
    rows = scan(base, kinds=["prune 50%"], n_items=12)
    with (base / "sensitivity.csv").open(newline="") as file:
        assert [row["stage"] for row in csv.DictReader(file)] == [row.stage for row in rows]
    assert len(rows) >= 3 and all(0 <= row.accuracy <= 1 for row in rows)
