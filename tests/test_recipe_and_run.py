"""Recipes and run directories."""

import contextlib
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keras_transfer.errors import InputError
from keras_transfer.files import replacing, write_bytes
from keras_transfer.recipe import Phase, Recipe, differences, make_recipe, write_recipe
from keras_transfer.run import begin, open_run


def test_a_recipe_survives_the_file(tmp_path):
    recipe = make_recipe(
        data="ä b/",
        hidden=[64, 32],
        phases=[Phase(name="x", stages="all"), Phase(name="y", from_layer="z")],
        alpha=0.35,
    )
    assert make_recipe(write_recipe(tmp_path / "r.yaml", recipe)) == recipe


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
        begin(folder, recipe.model_copy(update={"image_size": 96}))
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
        assert make_recipe(folder / "recipe.yaml").data == "b" and not (folder / "data.csv").exists()
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
    assert (told.epochs, told.phases, told.views, told.strategy, told.weights) == (60, None, None, "scratch", "none")
