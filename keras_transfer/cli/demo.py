"""`keras-transfer demo`: a first run that needs neither data nor a network."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from keras_transfer.cli import options

_REVIEWS, _SOUNDS, _GESTURES = "made-reviews", "made-sounds", "made-gestures"
# What the demonstration trains on: enough test pictures that one of them is a third of a point.
_RECIPES: dict[str, dict[str, object]] = {
    "pizza": {"data": "pizza:per_class=150", "val": 0.15, "test": 0.49},
    "digits": {"data": "digits", "val": 0.15, "test": 0.25},
    _REVIEWS: {"data": _REVIEWS, "val": 0.15, "test": 0.45, "backbone": "tfidf"},
    _SOUNDS: {"data": _SOUNDS, "val": 0.15, "test": 0.49, "backbone": "yamnet"},
    _GESTURES: {"data": _GESTURES, "val": 0.15, "test": 0.4, "backbone": "rocket_small"},
}
_PICTURES: dict[str, object] = {"weights": "bundled", "baselines": "scratch", "few_shot": 10}
_FIRST = {"image": "pizza", "text": _REVIEWS, "audio": _SOUNDS, "series": _GESTURES}
_OWN = {
    "image": "photographs in class folders: keras-transfer train PHOTOS/ (ImageNet weights, downloaded once)\n"
    "or without a network: keras-transfer train PHOTOS/ --weights bundled",
    "text": "texts: keras-transfer train TABLE.csv (a pretrained encoder, downloaded once)\n"
    "or without a network: keras-transfer train TABLE.csv --backbone mini",
    "audio": "recordings in class folders: keras-transfer train SOUNDS/\n"
    "of several people or machines: keras-transfer train TABLE.csv --group-by COLUMN",
    "series": "sensor data: keras-transfer train GESTURES/ (class folders of CSV files)\n"
    "or one long table: keras-transfer train TABLE.csv --label-column LABEL --group-by PERSON --window 2s",
}


def command(
    modality: Annotated[
        Literal["image", "text", "audio", "series"],
        typer.Option(help="Pictures, texts (made reviews), made sounds or series (made gestures)."),
    ] = "image",
    data: Annotated[
        Literal["pizza", "digits", "made-reviews", "made-sounds", "made-gestures"] | None,
        typer.Option(
            help="pizza: drawn pictures of four kinds; digits: real scans; made-reviews; made-sounds; made-gestures."
        ),
    ] = None,
    few_shot: Annotated[
        int | None, typer.Option(min=1, help="Training items of each class.  [10 pictures, else all]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split and of training.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The run directory.  [runs/demo-DATA]")] = None,
    json: options.ResultJson = False,
) -> None:
    """See a first run on embedded pictures, made reviews, sounds or gestures, without a network.

    It trains, exports and proves files: of pictures in about two minutes.
    """
    from keras_transfer.cli.summary import train_and_print
    from keras_transfer.recipe import make_recipe

    chosen = data or _FIRST[modality]
    kind = next((name for name, first in _FIRST.items() if first == chosen), "image")
    fields = (_PICTURES if kind == "image" else {}) | _RECIPES[chosen]
    recipe = make_recipe(seed=seed, **fields | ({"few_shot": few_shot} if few_shot is not None else {}))
    train_and_print(recipe, out or Path("runs") / f"demo-{chosen}", json)
    if not json:
        print(f"\nWith your own {_OWN[kind]}")
