"""`keras-transfer lr-find`: which learning rates suit the data."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    data: Annotated[str, typer.Argument(help="As for `train`.")],
    backbone: Annotated[str | None, typer.Option(help="See `keras-transfer backbones`.  [mobilenet_v2]")] = None,
    alpha: Annotated[float | None, typer.Option(help="Width multiplier of the MobileNets.  [1.0]")] = None,
    weights: Annotated[str | None, typer.Option(help="imagenet, none, or a weights file.  [imagenet]")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side in pixels.  [the backbone's own]")] = None,
    strategy: Annotated[str | None, typer.Option(help="As for `train`.  [auto]")] = None,
    seed: Annotated[int | None, typer.Option(help="Of splits and orders.  [0]")] = None,
    recipe: Annotated[Path | None, typer.Option(help="A recipe file; options given here win over it.")] = None,
    steps: Annotated[int, typer.Option(min=10, help="Training steps of each sweep.")] = 100,
    json: Annotated[bool, typer.Option("--json", help="Print the sweeps as JSON instead of a table.")] = False,
) -> None:
    """Sweep the learning rate of each training phase and suggest a peak (nothing is trained or written)."""
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.jobs.lr_find import find_rates
    from keras_transfer.progress import set_quiet
    from keras_transfer.recipe import make_recipe

    set_quiet(json)
    told = make_recipe(
        recipe,
        data=data,
        backbone=backbone,
        alpha=alpha,
        weights=weights,
        image_size=image_size,
        strategy=strategy,
        seed=seed,
    )
    found = find_rates(told, steps)
    if json:
        print_json(found)
        return
    print_table(
        ("phase", "planned rate", "suggested rate"),
        [(f["phase"], f"{f['planned']:.1e}", f"{f['suggested']:.1e}") for f in found],
    )
    print("A rate goes into the `phases` of a recipe: RUN/recipe.yaml of a run shows them; give the file to --recipe.")
