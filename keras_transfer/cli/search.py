"""`keras-transfer search`: the network and the training that suit the data best."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_transfer.cli import options

if TYPE_CHECKING:
    from keras_transfer.schemas import Search

_Trials = Annotated[int, typer.Option(min=1, help="How many trainings, short ones among them.")]
_Hours = Annotated[float | None, typer.Option(help="Begin no new training after so many hours.  [no end]")]
_Storage = Annotated[
    str | None,
    typer.Option(
        envvar="KERAS_TRANSFER_STORAGE",
        help="Optuna's storage, such as sqlite:////PATH or postgresql://USER@HOST/NAME: several machines may share it. "
        " [OUT/study.db]",
    ),
]
_After = Annotated[
    list[Path] | None, typer.Option(help="The --out of an earlier search, from which to learn; may be repeated.")
]


def command(
    context: typer.Context,
    data: options.RecipeData = None,
    trials: _Trials = 40,
    hours: _Hours = None,
    storage: _Storage = None,
    study: Annotated[str | None, typer.Option(help="The study's name in the storage.  [that of OUT]")] = None,
    after: _After = None,
    network: options.Network = options.Network(),
    geometry: options.Geometry = None,
    strategy: options.Strategy = None,
    seed: options.Seed = None,
    out: Annotated[Path | None, typer.Option(help="Where all of it goes.  [searches/DATA]")] = None,
    recipe: options.RecipeFile = None,
    layout: options.SplitLayout = options.SplitLayout(),
    fit: options.Fit = None,
    device: options.Device = None,
    files: options.Files = options.Files(),
    json: Annotated[bool, typer.Option("--json", help="Print search.json instead of tables.")] = False,
) -> None:
    """Search for the network and the training that suit the data best, within a budget if there is one.

    All pretrained networks of this machine are tried, unless --backbone names one. Stopped, the same command goes on
    from there; several may work on one --out or --storage at once.
    """
    from keras_transfer.cli.output import print_json
    from keras_transfer.errors import GateError
    from keras_transfer.jobs.search import search
    from keras_transfer.progress import set_quiet
    from keras_transfer.recipe import AUTO
    from keras_transfer.run import follow_recipe

    set_quiet(json)
    wanted = follow_recipe(recipe, **options.recipe_values(context))
    if wanted.model.backbone is None:
        wanted = wanted.replace(backbone=AUTO)
    place = out or Path("searches", Path(wanted.data.source).stem.replace(":", "-") or "data")
    found = search(wanted, place, trials=trials, hours=hours, storage=storage, study=study, after=after or ())
    if found is None:
        return
    if json:
        print_json(found)
    else:
        _print(found, place)
    if found["best"]["gate"]:
        raise GateError(found["best"]["gate"])


def _print(found: "Search", out: Path) -> None:
    from keras_transfer.cli.output import print_table
    from keras_transfer.report.searched import choice_words

    whole = [trial for trial in found["trials"] if trial["rung"] == "whole" and trial["accuracy"] is not None]
    best = sorted(whole, key=lambda trial: -(trial["accuracy"] or 0))[:10]
    rows = [
        (
            trial["network"],
            choice_words(trial["choices"], found["usual_choices"]),
            f"{trial['accuracy']:.1%}",
            f"{100 * (trial['error'] or 0):.1f}",
            "front" if trial["place"] in found["front"] else "",
        )
        for trial in best
    ]
    if rows:
        title = f"The best of {len(whole)} whole trainings"
        print_table(("network", "training", "accuracy", "error", ""), rows, title=title)
    for sentence in found["sentences"]:
        print(sentence)
    print(f"\nPage: {out / 'search.html'}\nNext: {found['command']}")
