"""`keras-transfer retrain`: a challenger from new labelled items, promoted only if it is better."""

from pathlib import Path
from typing import Annotated

import typer

from keras_transfer.cli import options

_Champion = Annotated[
    Path, typer.Argument(metavar="RUN", parser=options.model_path, help="The champion: a run, or cats@champion.")
]


def command(
    run: _Champion,
    add: Annotated[str, typer.Option(help="New labelled items of the run's classes.")],
    data: options.MovedData = None,
    out: Annotated[Path | None, typer.Option(help="The challenger's run directory.  [RUN-retrained]")] = None,
    margin: Annotated[float, typer.Option(help="Accuracy on the old test items that may be lost.")] = 0.03,
    name: Annotated[str | None, typer.Option(help="Add it to the registry under this name, and promote it.")] = None,
    schedule: Annotated[bool, typer.Option("--schedule", help="Print how to repeat this each week, and stop.")] = False,
    layout: options.Layout = options.Layout(),
    json: options.ResultJson = False,
) -> None:
    """Train a run further on new labelled items beside its own.

    Promoted only if not worse on the old test items and better on the new.
    """
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.errors import GateError
    from keras_transfer.jobs.renew import retrain_run
    from keras_transfer.jobs.renew import schedule as schedule_of
    from keras_transfer.operations.registry import add as add_run
    from keras_transfer.operations.registry import open_registry, promote
    from keras_transfer.progress import set_quiet
    from keras_transfer.run import beside

    if schedule:
        print(schedule_of(["retrain", run, "--add", add, *(["--name", name] if name else [])]))
        return
    set_quiet(json)
    place = out if out is not None else beside(run, "retrained")
    verdict = retrain_run(run, place, add, data=data, layout=layout.source(), margin=margin)
    if json:
        print_json(verdict)
    else:
        sides = (("old", verdict["old"]), ("new", verdict["new"]))
        rows = [(kind, side["items"], f"{side['champion']:.1%}", f"{side['challenger']:.1%}", side["lost"],
                 side["gained"], side["p"]) for kind, side in sides]  # fmt: skip
        print_table(("test items", "count", "champion", "challenger", "lost", "gained", "p"), rows)
    if not verdict["promote"]:
        raise GateError(f"The champion stays. {' '.join(verdict['reasons'])}")
    if name is not None:
        version = add_run(open_registry(), place, name)
        promote(open_registry(), f"{name}@{version['version']}")
    if not json:
        print(f"{place} may replace {run}: better on the new items, not worse on the old.")
