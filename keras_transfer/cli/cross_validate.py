"""`keras-transfer cross-validate`: how good a recipe is on a small data set, and whether another is better."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_transfer.cli import options

if TYPE_CHECKING:
    from keras_transfer.schemas import CrossValidation, RecipeComparison


def command(
    context: typer.Context,
    data: options.RecipeData = None,
    recipe: Annotated[
        list[Path] | None,
        typer.Option(help="A recipe file; may be repeated, and each is compared with the first. Options win over it."),
    ] = None,
    folds: Annotated[int, typer.Option(help="Parts that are left out in turn.")] = 5,
    repeats: Annotated[int, typer.Option(help="How often the items are cut into parts anew.")] = 2,
    use_test: Annotated[
        bool, typer.Option("--use-test", help="Also the items that `train` would keep for the test.")
    ] = False,
    network: options.Network = options.Network(),
    strategy: options.Strategy = None,
    seed: options.Seed = None,
    layout: options.SplitLayout = options.SplitLayout(),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Measure a recipe on several splits, or compare recipes.

    Each recipe is measured on the same folds; near-duplicates stand in one fold.
    """
    from keras_transfer.cli.output import print_json
    from keras_transfer.jobs.cross_validate import cross_validate
    from keras_transfer.progress import set_quiet
    from keras_transfer.run import follow_recipe

    set_quiet(json)
    values = options.recipe_values(context)
    files: list[Path | None] = [*(recipe or [])] or [None]
    names = [file.stem if file is not None else "this recipe" for file in files]
    if len(set(names)) < len(names):
        names = [str(file) for file in files]
    found = cross_validate(
        *(follow_recipe(file, **values) for file in files),
        names=names,
        folds=folds,
        repeats=repeats,
        use_test=use_test,
    )
    if json:
        print_json(found)
        return
    _print(found)
    for row in found["comparisons"]:
        print(sentence(found["recipes"][0]["name"], row))


def _print(found: "CrossValidation") -> None:
    from keras_transfer.cli.output import print_table

    rows = [
        (row["name"], row["strategy"], f"{row['accuracy']['value']:.1%}", f"{100 * row['accuracy']['spread']:.1f}",
         f"{row['accuracy']['low']:.1%} to {row['accuracy']['high']:.1%}", f"{row['macro_f1']['value']:.1%}")
        for row in found["recipes"]
    ]  # fmt: skip
    title = f"{found['images']} items in {found['folds']} folds, {found['repeats']} times" + (
        f"; {found['held_out']} more are kept for the test" if found["held_out"] else ""
    )
    print_table(("recipe", "strategy", "accuracy", "spread of folds", "95% interval", "macro F1"), rows, title)


def sentence(first: str, row: "RecipeComparison") -> str:
    """Whether a recipe beats the first one.

    >>> row = {"name": "b", "difference": 0.02, "spread": 0.01, "low": 0.005, "high": 0.035, "p": 0.01}
    >>> sentence("a", {**row, "adjusted_p": 0.01})
    'b is better than a by 2.0 points (95% interval +0.5 to +3.5, p = 0.01).'
    """
    gain, low, high, p = row["difference"], row["low"], row["high"], row["adjusted_p"]
    ends = f"(95% interval {100 * low:+.1f} to {100 * high:+.1f}, p = {p:.2g})"
    if p >= 0.05:
        return f"{row['name']} and {first} differ by {100 * gain:+.1f} points, which may be chance {ends}."
    return f"{row['name']} is {'better' if gain > 0 else 'worse'} than {first} by {abs(100 * gain):.1f} points {ends}."
