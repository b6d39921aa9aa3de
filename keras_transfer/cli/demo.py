"""`keras-transfer demo`: a first run that needs neither photographs nor a network."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from keras_transfer.cli import options


class _Data(StrEnum):
    pizza = "pizza"
    digits = "digits"


# What the demonstration trains on: enough test pictures that one of them is a third of a point.
_RECIPES: dict[str, dict[str, str | float]] = {
    "pizza": {"data": "pizza:per_class=150", "val": 0.15, "test": 0.49},
    "digits": {"data": "digits", "val": 0.15, "test": 0.25},
}


def command(
    data: Annotated[_Data, typer.Option(help="pizza: drawn pictures of four kinds; digits: real scans.")] = _Data.pizza,
    few_shot: Annotated[int, typer.Option(min=1, help="Training pictures of each class.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the split and of training.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The run directory.  [runs/demo-DATA]")] = None,
    json: options.ResultJson = False,
) -> None:
    """See a first run on embedded pictures, without a network.

    It trains, exports and proves an int8 file, in about two minutes.
    """
    from keras_transfer.cli.summary import train_and_print
    from keras_transfer.recipe import make_recipe

    recipe = make_recipe(weights="bundled", few_shot=few_shot, seed=seed, baselines="scratch", **_RECIPES[data])
    train_and_print(recipe, out or Path("runs") / f"demo-{data.value}", json)
    if not json:
        print(
            "\nWith your own photographs in class folders: keras-transfer train PHOTOS/ (ImageNet weights, downloaded "
            "once)\nor without a network: keras-transfer train PHOTOS/ --weights bundled"
        )
