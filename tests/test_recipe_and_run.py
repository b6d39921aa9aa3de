"""Recipes and run directories."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keras_transfer.errors import InputError
from keras_transfer.files import replacing, write_bytes
from keras_transfer.geometry import LEGACY, MODES, Geometry
from keras_transfer.modalities import settled
from keras_transfer.recipe import Phase, Recipe, differences, make_recipe, write_recipe
from keras_transfer.run import (
    add_to_run,
    begin,
    beside,
    command_line,
    data_option,
    follow_recipe,
    open_run,
    read_run,
    recommended_file,
)


def test_a_recipe_survives_the_file(tmp_path):
    recipe = make_recipe(
        data="ä b/",
        hidden=[64, 32],
        phases=[Phase(name="x", stages="all"), Phase(name="y", from_layer="z")],
        alpha=0.35,
    )
    assert make_recipe(write_recipe(tmp_path / "r.yaml", recipe)) == recipe


def test_a_geometry_is_told_by_its_mode_or_by_some_fields(tmp_path):
    assert make_recipe(data="a").data.geometry is None is make_recipe(data="a", geometry="auto").data.geometry
    for told, expected in (
        ("squash", MODES["squash"]),
        ({"mode": "crop", "crop": 1.0}, Geometry("crop", 1.0)),
        ({"mode": "letterbox", "padding": 0}, Geometry("letterbox", 1.0, "mediapipe", 0)),
        ("crop", LEGACY),
    ):
        recipe = make_recipe(data="a", geometry=told)
        path = write_recipe(tmp_path / "r.yaml", recipe)
        assert make_recipe(path).data.geometry == recipe.data.geometry == expected
        assert differences(make_recipe(data="a", geometry="auto"), recipe) == []
        assert differences(recipe, make_recipe(path)) == []
    (tmp_path / "r.yaml").write_text("data: a\ngeometry: letterbox\n")
    assert make_recipe(tmp_path / "r.yaml").data.geometry == MODES["letterbox"]
    assert make_recipe(tmp_path / "r.yaml", geometry="auto").data.geometry is None


@given(
    st.fixed_dictionaries(
        {
            "data": st.text(min_size=1),
            "seed": st.integers(0, 2**31 - 1),
            "dropout": st.floats(0, 0.99),
            "views": st.none() | st.integers(1, 99),
            "strategy": st.sampled_from(["auto", "full", "scratch"]),
        }
    )
)
@example({"data": "\x85", "seed": 0})
def test_any_sound_recipe_survives_the_file(tmp_path_factory, fields):
    recipe = make_recipe(**fields)
    path = write_recipe(tmp_path_factory.mktemp("recipe") / "r.yaml", recipe)
    assert make_recipe(path) == recipe and differences(recipe, make_recipe(path)) == []


@pytest.mark.parametrize(
    "text",
    [
        "data: photos\nalpha: 0.5\nviews: 3\nmodel: net.keras\ncalibration_images: 7\n",
        "data: {source: photos}\nmodel: {alpha: 0.5, file: net.keras}\ntraining: {views: 3}\n"
        "export: {calibration_items: 7}\n",
        "data: photos\nmodel: {file: net.keras}\nalpha: 0.5\nviews: 3\nexport: {calibration_items: 7}\n",
    ],
)
def test_fields_stand_in_their_sections_or_without(tmp_path, text):
    (tmp_path / "r.yaml").write_text(text)
    recipe = make_recipe(tmp_path / "r.yaml", views=4)
    assert (recipe.data.source, recipe.model.alpha, recipe.model.file) == ("photos", 0.5, "net.keras")
    assert (recipe.training.views, recipe.export.calibration_items) == (4, 7)
    assert recipe == make_recipe(None, **recipe.fields()) == recipe.replace(views=4)


def test_no_two_sections_share_a_field():
    names = [
        name for section in Recipe.model_fields.values() for name in getattr(section.annotation, "model_fields", ())
    ]
    assert len(names) == len(set(names)) > 30
    with pytest.raises(TypeError, match="no field wieghts"):
        make_recipe(data="a").replace(wieghts="none")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "must be a YAML mapping"),
        ("data: a\nsede: 1", "Did you mean `seed`"),
        ("data: a\nseed: -1", "`seed`.*greater than or equal to 0.*-1"),
        ("data: a\nstrategy: best", "`strategy`"),
        ("data: !!python/object/apply:os.system ['true']", "Cannot read"),
        ("data: [", "Cannot read"),
        ("a: &a [*a]", "not a field|Cannot read|missing"),
        ("data: a\nval: .nan", "`val`"),
        ("seed: 1", "`data`"),
        ("data: {val: 0.1}", "`data` is missing"),
        ("data: {source: a, vla: 0.1}", "`vla` in .* is not a field.*Did you mean `val`"),
        ("data: a\ntraining: 3", "`training`"),
        ("data: a\nmodel: {backbone: 3}", "`backbone` in .* is wrong"),
        ("data: a\ngeometry: zoom", "`geometry` in .* is wrong: `mode` must be crop, squash or letterbox"),
        ("data: a\ngeometry: {mode: crop, corp: 1}", "a geometry has mode, crop.*Received: corp"),
        ("data: a\ngeometry: {mode: squash, crop: 0.5}", "`crop` must be 1 where mode is squash"),
        ("data: a\ngeometry: 3", "`geometry`"),
    ],
)
def test_a_bad_recipe_is_one_sentence(tmp_path, text, message):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        make_recipe(tmp_path / "r.yaml")
    assert "\n" not in str(error.value)


@given(st.binary(max_size=200))
def test_no_file_crashes_the_reader(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("recipe") / "r.yaml"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        assert isinstance(make_recipe(path), Recipe)


def test_values_told_win_over_the_file(tmp_path):
    path = write_recipe(tmp_path / "r.yaml", make_recipe(data="a", seed=1))
    assert make_recipe(path, seed=2, alpha=None).seed == 2


def test_a_run_is_opened_again_only_with_its_own_recipe(tmp_path):
    run, recipe = tmp_path / "run", make_recipe(data="a")
    with open_run(run, recipe) as folder:
        begin(folder, recipe.replace(image_size=96))
    with open_run(run, recipe):
        pass
    with pytest.raises(InputError, match="differs in `seed`"), open_run(run, make_recipe(data="a", seed=5)):
        pass


def test_a_run_that_never_began_may_be_told_anew(tmp_path):
    """A weights file that does not exist is noticed after the photographs have been listed."""
    run = tmp_path / "run"
    with open_run(run, make_recipe(data="a", seed=1)) as folder:
        (folder / "data.csv").write_text("listed")
    with open_run(run, make_recipe(data="b")) as folder:
        assert make_recipe(folder / "recipe.yaml").data.source == "b" and not (folder / "data.csv").exists()
    (run / ".lock").unlink()  # as where somebody laid down a recipe of his own
    with pytest.raises(InputError, match="holds another run"), open_run(run, make_recipe(data="a")):
        pass


def test_other_peoples_folders_are_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no run"), open_run(tmp_path, make_recipe(data="a")):
        pass
    with pytest.raises(InputError, match="is a file"), open_run(tmp_path / "thesis.txt", make_recipe(data="a")):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_one_process_writes_a_run_at_a_time(tmp_path):
    recipe = make_recipe(data="a")
    with open_run(tmp_path / "run", recipe) as folder:
        begin(folder, recipe)
        program = (
            "import sys\nfrom keras_transfer.recipe import make_recipe\nfrom keras_transfer.run import open_run\n"
            "with open_run(sys.argv[1], make_recipe(data='a')): pass\n"
        )
        other = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True)
    assert other.returncode != 0 and "Another process" in other.stderr


def test_an_interrupted_write_leaves_the_old_content(tmp_path):
    path = write_bytes(tmp_path / "a", b"old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and [file.name for file in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"Cannot write .*No space left"), replacing(tmp_path / "a") as temporary:
        raise OSError(28, "No space left on device", str(temporary))
    assert not list(tmp_path.iterdir())


def test_from_scratch_a_recipe_keeps_neither_its_own_epochs_nor_its_phases():
    from keras_transfer.jobs.parts import from_scratch

    told = from_scratch(make_recipe(data="photos/", epochs=3, views=2, phases=[{"name": "frozen"}]), 60)
    training = told.training
    assert (training.epochs, training.phases, training.views, training.strategy) == (60, None, None, "scratch")
    assert not told.model.pretrained


@pytest.fixture
def finished_run(tmp_path):
    """A run of `project/photos` in `project/runs/first`, told by relative paths, without its model."""
    project = tmp_path / "project"
    (project / "photos").mkdir(parents=True)
    (project / "net.h5").touch()
    with contextlib.chdir(project):
        recipe = make_recipe(data="photos", weights="net.h5", compare_backbones=["mobilenet@0.25=net.h5"])
        with open_run("runs/first", recipe) as run:
            begin(run, recipe)
            (run / "result.json").write_text("{}")
    return project / "runs" / "first"


def test_what_a_recipe_names_is_meant_from_any_folder(finished_run):
    project = finished_run.parents[1]
    recipe, _ = read_run(finished_run)
    assert (recipe.data.source, recipe.model.weights) == (str(project / "photos"), str(project / "net.h5"))
    assert recipe.report.compare_backbones == (f"mobilenet@0.25={project}/net.h5",)
    for name in ("pizza", "tfds:beans", "nowhere"):
        assert make_recipe(data=name, weights="bundled").data.source == name
    with contextlib.chdir(project):
        assert "data" not in differences(make_recipe(data="photos"), recipe)
    assert "data" in differences(make_recipe(data="photos"), recipe)


def test_what_moved_with_its_run_is_found_again(finished_run):
    project = finished_run.parents[1]
    moved = project.rename(project.with_name("moved ü"))
    recipe, _ = read_run(moved / "runs" / "first")
    assert (recipe.data.source, recipe.model.weights) == (str(moved / "photos"), str(moved / "net.h5"))
    (moved / "link").symlink_to(moved / "runs" / "first")
    assert read_run(moved / "link")[0].data.source == str(moved / "photos")
    alone = (moved / "runs" / "first").rename(moved.parent / "alone")
    assert read_run(alone)[0].data.source == str(project / "photos")  # where it was, for want of anything better
    assert read_run(alone, data="elsewhere")[0].data.source == "elsewhere"
    assert data_option(alone, read_run(alone, data="elsewhere")[0]) == ("--data", "elsewhere")
    assert data_option(alone, read_run(alone)[0]) == ()


def test_the_recipe_of_a_run_that_moved_is_followed(finished_run):
    project = finished_run.parents[1]
    made = make_recipe(finished_run / "recipe.yaml")
    moved = project.rename(project.with_name("moved"))
    run = moved / "runs" / "first"
    recipe = follow_recipe(run / "recipe.yaml", seed=1)
    assert (recipe.data.source, recipe.model.weights) == (str(moved / "photos"), str(moved / "net.h5"))
    with pytest.raises(InputError, match="differs in `seed`"), open_run(run, recipe):
        pass
    with open_run(run, follow_recipe(run / "recipe.yaml")):  # the same run, not another on other photographs
        pass
    (moved / "photos").rename(moved / "others")
    told = follow_recipe(run / "recipe.yaml", data=str(moved / "others"))
    assert (told.data.source, told.model.weights) == (str(moved / "others"), str(moved / "net.h5"))
    alone = (run / "recipe.yaml").rename(moved / "copy.yaml")
    assert follow_recipe(alone) == made
    assert follow_recipe(None, data="photos").data.source == "photos"


def test_a_run_stands_for_the_file_that_it_recommends(finished_run, capsys):
    path = finished_run / "result.json"
    (finished_run / "model_int8.tflite").touch()
    for recommended in ({}, {"recommended": None}, {"recommended": "gone.tflite"}, {"recommended": "model.onnx"}):
        path.write_text(json.dumps(recommended))
        assert recommended_file(finished_run) == finished_run
    assert recommended_file(path) == path and capsys.readouterr().err == ""
    path.write_text(json.dumps({"recommended": "model_int8.tflite"}))
    assert recommended_file(finished_run) == finished_run / "model_int8.tflite"
    assert "model_int8.tflite, the file that it recommends" in capsys.readouterr().err


def test_a_run_that_cannot_be_read_says_why(tmp_path):
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "recipe.yaml").touch()
    for name, message in [("nowhere", "does not exist"), (".", "no finished run"), ("begun", "stopped before its end")]:
        with pytest.raises(InputError, match=message):
            read_run(tmp_path / name)


def test_a_run_that_cannot_be_written_says_so_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anything
    with (
        pytest.raises(InputError, match=r"Cannot write to .* \(Permission denied\): copy the run"),
        add_to_run(tmp_path),
    ):
        pass


def test_commands_can_be_pasted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command_line("report", tmp_path / "a b", "--data", f"{tmp_path}/-photos") == (
        "keras-transfer report 'a b' --data ./-photos"
    )
    assert command_line("predict", "/etc/x", "PHOTO.jpg") == "keras-transfer predict /etc/x PHOTO.jpg"
    assert beside(Path(), "adabn") == tmp_path.with_name(f"{tmp_path.name}-adabn")


def test_a_rank_goes_with_lora_alone() -> None:
    assert make_recipe(data="reviews.csv", strategy="lora", rank=4).training.rank == 4
    with pytest.raises(InputError, match="`rank` is wrong: it goes with the strategies lora and adapter alone"):
        make_recipe(data="reviews.csv", rank=4)


@pytest.mark.parametrize(
    ("told", "strategy", "baselines"),
    [
        ({}, "auto", "auto"),
        ({"effort": "quick"}, "feature-extraction", "none"),
        ({"effort": "quick", "strategy": "auto", "baselines": "auto"}, "auto", "auto"),
        ({"effort": "quick", "weights": "none"}, "auto", "auto"),
        ({"effort": "best"}, "full", "auto"),
    ],
)
def test_an_effort_stands_for_what_a_recipe_does_not_say(told, strategy, baselines, tmp_path):
    recipe = settled(make_recipe(data="photos/", **told))
    assert (recipe.training.strategy, recipe.report.baselines) == (strategy, baselines)
    assert settled(make_recipe(write_recipe(tmp_path / "recipe.yaml", recipe))) == recipe


def test_the_best_effort_takes_larger_pictures():
    sizes = [
        settled(make_recipe(data="photos/", effort="best", **told)).model.image_size
        for told in ({}, {"backbone": "efficientnet_b3"}, {"image_size": 96}, {"weights": "bundled"})
    ]
    assert sizes == [320, 416, 96, None]
