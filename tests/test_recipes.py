"""The recipes beside the package."""

from pathlib import Path

import pytest

from keras_transfer.modalities import open_modality
from keras_transfer.recipe import make_recipe
from keras_transfer.training.plan import make_phases

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_sound_and_tells_its_command_and_result(path):
    recipe = make_recipe(path)
    assert recipe.training.phases is not None or recipe.training.strategy == "auto"
    rows = open_modality({"food10": "image", "basic_motions": "series"}.get(path.stem, "audio")).backbones()
    assert recipe.backbone in {row["name"] for row in rows}
    comment = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any("keras-transfer train" in line for line in comment) and any("docs/results" in line for line in comment)


def test_the_food_recipe_is_what_the_strategy_plans():
    recipe = make_recipe(next(path for path in RECIPES if path.stem == "food10"))
    assert recipe.training.phases == make_phases("fine-tuning", stage_count=5)
