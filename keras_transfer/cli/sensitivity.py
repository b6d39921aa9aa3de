"""`keras-transfer sensitivity`: which stage bears how much compression."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[Path, typer.Argument(help="The --out of a finished `train` or `compress`.")],
    kinds: Annotated[
        list[str] | None,
        typer.Option("--kind", help="'prune 50%', 'channels 50%', 'int8' and the like; may be repeated.  [all]"),
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Validation photographs that are looked at.")] = 300,
    data: Annotated[str | None, typer.Option(help="Where the run's items are now, if they have moved.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
) -> None:
    """Say which stage bears how much compression.

    Compresses one stage at a time, without training, and measures it on the validation photographs.
    """
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.jobs.sensitivity import FILE, scan
    from keras_transfer.progress import set_quiet
    from keras_transfer.run import command_line

    set_quiet(json)
    rows = scan(run, data=data, kinds=kinds, n_items=images)
    if json:
        print_json([row._asdict() for row in rows])
        return
    names = list(dict.fromkeys(row.kind for row in rows))
    cells = {(row.stage, row.kind): f"{0.0 - 100 * row.drop:+.1f}" for row in rows}
    stages = dict.fromkeys(row.stage for row in rows)
    table = [(stage, *(cells.get((stage, name)) for name in names)) for stage in stages]
    print_table(("stage", *names), table, title="Points of validation accuracy, with only this stage compressed so")
    moved = ("--data", Path(data)) if data else ()
    print(f"\nAll figures: {run / FILE}\nNext: {command_line('compress', run, '--prune', 0.5, *moved)}")
