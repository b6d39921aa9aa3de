"""The main job through the command: the run directory's contract, resuming, gates, and bad input."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import pytest
import yaml
from in_turn import answer, short_command
from terminal import in_terminal, press_ctrl_c

import keras_transfer as kt
from keras_transfer.evaluation import load_keras, predict_files
from keras_transfer.geometry import LEGACY, Geometry
from keras_transfer.jobs.export import export_run
from keras_transfer.jobs.parts import epoch_recorder, load_data, plan_of, read_history
from keras_transfer.jobs.train import complete
from keras_transfer.recipe import Phase, make_recipe, write_recipe

pytestmark = pytest.mark.slow
PHASES = [
    Phase(name="frozen", epochs=3, learning_rate=0.02, batch_size=16),
    Phase(name="fine-tuning", stages=1, epochs=2, learning_rate=0.002, batch_size=16),
]


def keras_transfer(*arguments, cache):
    """A command in this process, where TensorFlow is imported already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_TRANSFER_CACHE", str(cache))
        patch.setattr("sys.argv", sys.argv)
        return answer(list(map(str, arguments)))


def in_a_process(*arguments, cache, kill_after=None):
    command, path = short_command(*arguments)
    environment = os.environ | path | {"KERAS_TRANSFER_CACHE": str(cache)}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    if kill_after is not None:
        while not kill_after.exists() and process.poll() is None:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


@pytest.fixture(scope="module")
def photographs(coloured_noise, tmp_path_factory):
    """Three classes, 40 pictures each, one of them broken."""
    folder = coloured_noise(tmp_path_factory.mktemp("photographs"), 40, (48, 64))
    (folder / "red" / "7.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    return folder


@pytest.fixture(scope="module")
def recipe(photographs, tmp_path_factory):
    told = make_recipe(
        data=str(photographs), backbone="mobilenet", alpha=0.25, image_size=32, weights="none", strategy="fine-tuning",
        phases=PHASES, views=2, formats=["float32", "int8"], tolerance=0.9, baselines="none",
        geometry={"mode": "letterbox", "padding": 7},
    )  # fmt: skip
    return write_recipe(tmp_path_factory.mktemp("recipe") / "recipe.yaml", told)


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    code, output, errors = in_a_process("train", "--recipe", recipe, "--out", folder / "run", cache=folder / "cache")
    assert code == 0, errors
    assert "model_int8.tflite" in output and "Next: keras-transfer predict" in output
    return folder / "run"


def test_the_run_directory_keeps_its_contract(run, photographs):
    result = json.loads((run / "result.json").read_text())
    assert {
        "backbone",
        "weights",
        "image_size",
        "classes",
        "seconds",
        "phases",
        "test",
        "artifacts",
        "warnings",
    } <= set(result)
    assert result["classes"] == ["blue", "green", "red"] and result["image_size"] == [32, 32]
    assert [phase["name"] for phase in result["phases"]] == ["frozen", "fine-tuning"]
    for artifact in result["artifacts"]:
        file = run / artifact["path"]
        assert file.stat().st_size == artifact["bytes"] and file.with_suffix(".json").is_file()
        assert artifact["targets"] == {} or all({"ok", "why"} <= set(v) for v in artifact["targets"].values())
    assert (
        (run / "labels.txt").read_text().split() == result["classes"] == (run / "export/labels.txt").read_text().split()
    )
    with (run / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["phase"] for row in rows] == [p["name"] for p in result["phases"] for _ in range(p["epochs"])]
    with (run / "data.csv").open(newline="") as file:
        listed = {row["path"]: row for row in csv.DictReader(file)}
    assert len(listed) == 120
    broken = listed[str(photographs / "red" / "7.png")]
    assert broken["problem"] and not broken["split"]
    assert make_recipe(run / "recipe.yaml").training.phases == tuple(PHASES)
    assert json.loads((run / "environment.json").read_text())["packages"]["keras"]


def test_the_geometry_stands_wherever_the_model_goes(run):
    geometry = Geometry("letterbox", 1.0, "mediapipe", 7)
    assert make_recipe(run / "recipe.yaml").data.geometry == geometry
    places = [json.loads((run / name).read_text()) for name in ("result.json", "report.json", "export/model_int8.json")]
    assert places[0]["geometry"]["mode"] == places[1]["geometry"]["mode"] == "letterbox"
    for told in (places[0]["geometry"], places[2]["input"]["geometry"]):
        assert geometry.to_dict().items() <= told.items()
    for name in ("model.keras", "export/model_float32.tflite", "export/model_int8.tflite"):
        assert kt.open_classifier(run / name).geometry == geometry
    assert "bars of gray 7" in (run / "report.html").read_text()
    # What is proved and reported was decoded so.
    test = load_data(make_recipe(run / "recipe.yaml"), run).test
    assert test.geometry == geometry and (test.read(0, 32)[:4] == 7).all()
    assert kt.evaluate(run, test)["accuracy"] == places[0]["test"]["accuracy"]
    assert kt.evaluate(run, test.fitted(LEGACY))["accuracy"] == places[0]["test"]["accuracy"]  # the model's own counts


def test_a_run_from_before_there_was_a_choice_is_cropped_as_it_was(run, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(run, old)
    keras.models.load_model(run / "model.keras", compile=False).save(old / "model.keras")
    told = yaml.safe_load((run / "recipe.yaml").read_text())
    del told["data"]["geometry"]
    (old / "recipe.yaml").write_text(yaml.safe_dump(told))
    recipe = make_recipe(old / "recipe.yaml")
    photographs = load_data(recipe, old)
    assert photographs.test.geometry == LEGACY and kt.open_classifier(old).geometry is None
    (found,) = predict_files(kt.open_classifier(old), [photographs.test.paths[0]], top_k=3)
    pixels = kt.decode_image(photographs.test.paths[0], 32)
    assert found.confidence == kt.open_classifier(old).predict(pixels[None]).max()
    result = export_run(old, formats=["float32"])
    assert kt.open_classifier(old / "export" / "model_float32.tflite").geometry == LEGACY
    assert result["test"] == json.loads((run / "result.json").read_text())["test"]


def test_what_the_recipe_leaves_open_is_chosen_and_can_be_told_again(photographs):
    data = kt.load_images(photographs)
    told = make_recipe(data=str(photographs), backbone="mobilenet", alpha=0.25, weights="none", strategy="fine-tuning")
    model = kt.build_classifier("mobilenet", data.class_names, alpha=0.25, image_size=32, weights="none")
    chosen = complete(told, model, data, plan_of(told, model, data))
    assert chosen.model.image_size == 32 and chosen.training.views and chosen.training.phases[0].frozen
    assert complete(chosen, model, data, plan_of(chosen, model, data)) == chosen


def test_a_finished_run_is_shown_again_and_not_repeated(run, recipe):
    before = (run / "result.json").stat().st_mtime_ns
    code, output, _ = keras_transfer("train", "--recipe", recipe, "--out", run, "--json", cache=run.parent / "cache")
    assert code == 0 and json.loads(output) == json.loads((run / "result.json").read_text())
    assert (run / "result.json").stat().st_mtime_ns == before


def test_another_recipe_is_refused(run, recipe):
    code, _, errors = keras_transfer("train", "--recipe", recipe, "--seed", 1, "--out", run, cache=run.parent / "cache")
    assert code == 2 and "`seed`" in errors and len(errors.strip().splitlines()) == 1


def figures(folder):
    result = json.loads((folder / "result.json").read_text())
    phases = [{k: v for k, v in phase.items() if k != "seconds"} for phase in result["phases"]]
    # Names inside a file, and so its size, depend on what else its process has built.
    vary = ("latency_ms", "bytes", "zipped_bytes")
    files = [{name: value for name, value in file.items() if name not in vary} for file in result["artifacts"]]
    weights = [weight.tolist() for weight in load_keras(folder / "model.keras").get_weights()]
    return phases, files, result["test"], result["kept"], weights


@pytest.mark.usefixtures("short_networks")
@pytest.mark.parametrize("moment", ["data.csv", "model.keras"])
def test_a_killed_run_ends_as_the_undisturbed_one(run, recipe, tmp_path, moment):
    target = tmp_path / "run"
    arguments = ("train", "--recipe", recipe, "--out", target)
    in_a_process(*arguments, cache=tmp_path / "cache", kill_after=target / moment)
    assert not (target / "result.json").exists()
    code, _, errors = keras_transfer(*arguments, cache=tmp_path / "cache")
    assert code == 0, errors
    assert figures(target) == figures(run)


@pytest.mark.usefixtures("short_networks")
@pytest.mark.parametrize("moment", ["history.csv", "export/model_float32.tflite"])
def test_a_run_stopped_at_the_terminal_ends_as_the_undisturbed_one(run, recipe, tmp_path, moment):
    target, cache = tmp_path / "run", tmp_path / "cache"
    arguments = ("train", "--recipe", recipe, "--out", target)
    words, path = short_command(*arguments)
    environment = path | {"KERAS_TRANSFER_CACHE": str(cache)}
    ended = in_terminal(words, press_ctrl_c, lambda _: (target / moment).exists(), environment)
    assert (ended.code, ended.left) == (130, [])
    assert ended.output.endswith("Stopped; the same command goes on from here.\r\n")
    assert not [path for path in target.rglob("*") if ".tmp" in path.name] and not list(cache.glob(".making-*"))
    assert not (target / "result.json").exists()
    before = json.loads((target / "checkpoints" / "clock.json").read_text())["wall_seconds"]
    code, _, errors = keras_transfer(*arguments, cache=cache)
    assert code == 0, errors
    assert figures(target) == figures(run)
    result = json.loads((target / "result.json").read_text())
    assert result["wall_seconds"] > before + result["parts"]["export"] > before > 0


def test_a_run_stopped_before_its_report_gets_it(run, recipe, tmp_path):
    target = shutil.copytree(run, tmp_path / "run")
    (target / "report.html").unlink()
    code, output, errors = keras_transfer("train", "--recipe", recipe, "--out", target, cache=run.parent / "cache")
    assert code == 0 and "finished but for its report" in errors
    assert (target / "report.html").is_file() and figures(target) == figures(run)
    before, after = (json.loads((folder / "result.json").read_text()) for folder in (run, target))
    assert after["wall_seconds"] > before["wall_seconds"] > before["seconds"]
    assert f" {after['wall_seconds']:.0f} s" in output


def test_a_gate_that_fails_exits_with_3_and_leaves_all_written(run, tmp_path):
    code, output, errors = keras_transfer(
        "export", run, "--format", "int8", "--target", "web", "--input-type", "int8", "--out", tmp_path / "files",
        cache=run.parent / "cache",
    )  # fmt: skip
    assert code == 3 and "web" in errors and "model_int8" in output
    assert (tmp_path / "files" / "model_int8.tflite").is_file()
    assert json.loads((run / "result.json").read_text())["gate"] is None  # files elsewhere are not the run's
    code, output, errors = keras_transfer(
        "export", run, "--format", "int8", "--target", "microcontroller", "--out", tmp_path / "more", "--json",
        cache=run.parent / "cache",
    )  # fmt: skip
    assert code == 0, errors
    taken = [file["targets"]["microcontroller"]["ok"] for file in json.loads(output)]
    assert taken[0] is not True and any(taken)  # the file with uint8 ends is not taken, the one made of it is


def test_the_finder_suggests_a_rate_for_each_phase(recipe, tmp_path, photographs):
    code, output, errors = keras_transfer(
        "lr-find", photographs, "--recipe", recipe, "--steps", 20, "--json", cache=tmp_path / "cache"
    )
    if code == 2:  # random frozen features may let no rate help within 20 steps; then it says so
        assert "No rate" in errors
    else:
        assert [found["phase"] for found in json.loads(output)] == ["frozen", "fine-tuning"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere/"], "nowhere"),
        (["train"], "`data` is missing"),
        (["train", "digits", "--backbone", "mobilenet_v9"], "mobilenet_v9"),
        (["train", "digits", "--image-size", "7", "--weights", "none"], "7"),
        (["train", "digits", "--tolerance", "2"], "tolerance"),
        (["export", "nowhere/"], "nowhere does not exist"),
    ],
)
def test_wrong_calls_are_one_sentence(arguments, message, tmp_path):
    out = ["--out", tmp_path / "run"] if arguments[0] == "train" else []
    code, _, errors = keras_transfer(*arguments, *out, cache=tmp_path / "cache")
    assert code == 2 and message in errors.splitlines()[-1]


def test_the_cache_is_listed_and_cleared(run):
    cache = run.parent / "cache"
    code, output, _ = keras_transfer("cache", "--json", cache=cache)
    kinds = {entry["about"]["kind"] for entry in json.loads(output)["entries"]}
    assert code == 0 and kinds == {"features", "inputs"}
    assert keras_transfer("cache", "clear", "--yes", cache=cache)[0] == 0
    assert json.loads(keras_transfer("cache", "--json", cache=cache)[1])["entries"] == []


def test_a_run_whose_gate_failed_exits_with_3_each_time(run, recipe, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    result = json.loads((copy / "result.json").read_text()) | {"gate": "model_int8.tflite lost too much."}
    (copy / "result.json").write_text(json.dumps(result))
    code, output, errors = keras_transfer("train", "--recipe", recipe, "--out", copy, cache=run.parent / "cache")
    assert code == 3 and "lost too much" in errors and "model_int8" in output


def test_long_epochs_say_how_long_it_may_still_take(tmp_path, capsys):
    record = epoch_recorder(tmp_path, [Phase(name="fine-tuning", epochs=20)])
    figures = {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}
    for epoch, seconds in ((1, 60.0), (2, 1.0), (20, 60.0)):
        record("fine-tuning", {"epoch": epoch, "seconds": seconds, **figures})
    first, *others = capsys.readouterr().err.splitlines()
    assert first.endswith("60.0 s  19 min left at most") and not any("left" in line for line in others)
    assert [row["epoch"] for row in read_history(tmp_path / "history.csv")] == ["1", "2", "20"]
