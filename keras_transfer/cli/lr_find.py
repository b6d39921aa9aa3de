"""`keras-transfer lr-find`: which learning rates suit the data."""

from typing import Annotated

import typer

from keras_transfer.cli import options


def command(
    context: typer.Context,
    data: options.Data,
    network: options.Network = options.Network(),
    strategy: options.Strategy = None,
    seed: options.Seed = None,
    recipe: options.RecipeFile = None,
    layout: options.SplitLayout = options.SplitLayout(),
    steps: Annotated[int, typer.Option(min=10, help="Training steps of each sweep.")] = 100,
    json: Annotated[bool, typer.Option("--json", help="Print the sweeps as JSON instead of a table.")] = False,
) -> None:
    """Suggest a learning rate for each training phase.

    Sweeps the learning rate of each; nothing is kept of the training.
    """
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.jobs.lr_find import find_rates
    from keras_transfer.progress import set_quiet
    from keras_transfer.run import follow_recipe

    set_quiet(json)
    sweeps = find_rates(follow_recipe(recipe, **options.recipe_values(context)), steps)
    if json:
        print_json(sweeps)
        return
    print_table(
        ("phase", "planned rate", "suggested rate"),
        [(sweep["phase"], f"{sweep['planned']:.1e}", f"{sweep['suggested']:.1e}") for sweep in sweeps],
    )
    print("A rate goes into the `phases` of a recipe: RUN/recipe.yaml of a run shows them; give the file to --recipe.")
