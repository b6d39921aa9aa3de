"""The options that say how people's own files are arranged, on every command that takes such files."""

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from keras_transfer.cli.app import COMMANDS, app
from keras_transfer.cli.options import with_groups
from keras_transfer.data.listing import Layout
from keras_transfer.modalities.modality import layout_of
from keras_transfer.recipe import Recipe, make_recipe, write_recipe
from keras_transfer.run import read_run

OPTIONS = ("root", "path_column", "label_column", "text_column", "classes_at_depth")
SAID = {
    "root": "pictures", "path_column": "photo", "label_column": "breed", "text_column": "said", "classes_at_depth": 2
}  # fmt: skip
WORDS = [word for name, value in SAID.items() for word in (f"--{name.replace('_', '-')}", str(value))]

# Each command: its words before the options, and the function that is told of them.
TELLS = {
    "train": (("train", "table.csv"), "keras_transfer.cli.summary:train_and_print"),
    "inspect": (("inspect", "table.csv"), "keras_transfer.jobs.inspect:inspect_data"),
    "cross_validate": (("cross-validate", "table.csv"), "keras_transfer.jobs.cross_validate:cross_validate"),
    "search": (("search", "table.csv"), "keras_transfer.jobs.search:search"),
    "lr_find": (("lr-find", "table.csv"), "keras_transfer.jobs.lr_find:find_rates"),
    "evaluate": (("evaluate", "model.keras", "table.csv"), "keras_transfer.modalities:held_out"),
    "shift": (("shift", "run", "table.csv"), "keras_transfer.jobs.shift:shift_run"),
    "retrain": (("retrain", "run", "--add", "table.csv"), "keras_transfer.jobs.renew:retrain_run"),
    "adapt": (("adapt", "run", "--to", "table.csv"), "keras_transfer.jobs.adapt:adapt_run"),
}


class Stop(Exception):
    """Enough is known."""


@pytest.mark.parametrize("name", TELLS)
def test_a_layout_goes_from_the_command_line_to_the_job(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, target = TELLS[name]
    module, function = target.split(":")
    told: list[Any] = []

    def stop(*arguments: Any, **more: Any) -> None:
        told.extend((*arguments, *more.values()))
        raise Stop

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.import_module(module), function, stop)
    monkeypatch.setattr("keras_transfer.evaluation.require_model", lambda model: None)
    monkeypatch.setattr("keras_transfer.evaluation.opening.known_inputs", lambda model: None)
    with pytest.raises(Stop):
        app([*words, *WORDS], standalone_mode=False)
    recipes = [layout_of(one.data) for one in told if isinstance(one, Recipe)]
    (layout,) = recipes or [one for one in told if isinstance(one, Layout)]
    assert layout.said() == SAID


def test_no_command_that_takes_data_lacks_the_options() -> None:
    modules = {name: importlib.import_module(f"keras_transfer.cli.{name}") for name in COMMANDS}
    modules.pop("models")  # whose commands take no data
    parameters = {name: inspect.signature(with_groups(module.command)).parameters for name, module in modules.items()}
    having = {name for name, own in parameters.items() if set(OPTIONS) <= set(own)}
    assert having == set(TELLS)
    taking = {name for name, own in parameters.items() if "data" in own and not {"run", "file"} & set(own)}
    assert taking - {"demo"} <= having


def test_a_recipe_keeps_the_layout(tmp_path: Path) -> None:
    recipe = make_recipe(data="table.csv", **SAID)
    again = make_recipe(write_recipe(tmp_path / "recipe.yaml", recipe))
    assert again == recipe and layout_of(again.data).said() == SAID


@pytest.mark.parametrize("moved", [True, False])
def test_photographs_that_move_with_their_table_are_found(moved: bool, tmp_path: Path) -> None:
    for place in ("old", "new") if moved else ("old",):
        (tmp_path / place / "photos").mkdir(parents=True)
    (tmp_path / "new" / "lists").mkdir(parents=True)
    run = tmp_path / "run"
    told = make_recipe(data=str(tmp_path / "old/lists/table.csv"), root=str(tmp_path / "old/photos"))
    write_recipe(run / "recipe.yaml", told)
    (run / "result.json").write_text("{}")
    for recipe in (
        make_recipe(run / "recipe.yaml", data=str(tmp_path / "new/lists/table.csv")),
        read_run(run, data=str(tmp_path / "new/lists/table.csv"))[0],
    ):
        assert recipe.data.root is not None
        assert Path(recipe.data.root).resolve() == tmp_path / ("new" if moved else "old") / "photos"
