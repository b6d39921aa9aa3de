"""`keras-transfer demo`: a first run that needs neither data nor a network."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from keras_transfer.cli import options

_REVIEWS = "made-reviews"
# What the demonstration trains on: enough test pictures that one of them is a third of a point.
_RECIPES: dict[str, dict[str, str | float]] = {
    "pizza": {"data": "pizza:per_class=150", "val": 0.15, "test": 0.49},
    "digits": {"data": "digits", "val": 0.15, "test": 0.25},
    _REVIEWS: {"data": "made-reviews", "val": 0.15, "test": 0.45, "backbone": "tfidf"},
}
_PICTURES: dict[str, str | float] = {"weights": "bundled", "baselines": "scratch"}


def command(
    modality: Annotated[Literal["image", "text"], typer.Option(help="Pictures, or texts (made reviews).")] = "image",
    data: Annotated[
        Literal["pizza", "digits", "made-reviews"] | None,
        typer.Option(help="pizza: drawn pictures of four kinds; digits: real scans; made-reviews."),
    ] = None,
    few_shot: Annotated[
        int | None, typer.Option(min=1, help="Training items of each class.  [10 pictures, all reviews]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split and of training.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The run directory.  [runs/demo-DATA]")] = None,
    json: options.ResultJson = False,
) -> None:
    """See a first run on embedded pictures or made reviews, without a network.

    It trains, exports and proves files: of pictures in about two minutes.
    """
    from keras_transfer.cli.summary import train_and_print
    from keras_transfer.recipe import make_recipe

    chosen = data or (_REVIEWS if modality == "text" else "pizza")
    fields = dict(_RECIPES[chosen])
    if chosen != _REVIEWS:
        fields = _PICTURES | {"few_shot": 10} | fields
    recipe = make_recipe(seed=seed, **fields | ({"few_shot": few_shot} if few_shot is not None else {}))
    train_and_print(recipe, out or Path("runs") / f"demo-{chosen}", json)
    if json:
        return
    if chosen == _REVIEWS:
        print(
            "\nWith your own texts: keras-transfer train TABLE.csv (a pretrained encoder, downloaded once)\nor with an "
            "encoder's folder: keras-transfer train TABLE.csv --backbone FOLDER"
        )
    else:
        print(
            "\nWith your own photographs in class folders: keras-transfer train PHOTOS/ (ImageNet weights, downloaded "
            "once)\nor without a network: keras-transfer train PHOTOS/ --weights bundled"
        )
