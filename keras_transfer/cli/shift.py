"""`keras-transfer shift`: are these the photographs that a run was made for?"""

from pathlib import Path
from typing import Annotated

import typer

from keras_transfer.cli import options


def command(
    run: Annotated[Path, typer.Argument(help="The --out of a finished `train`.")],
    photos: Annotated[
        str, typer.Argument(help="A folder of pictures without labels, or labelled ones as for `train`.")
    ],
    data: Annotated[str | None, typer.Option(help="Where the run's own photographs are now, if they moved.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the page goes.  [shifts/PHOTOS]")] = None,
    root: options.Root = None,
    path_column: options.PathColumn = None,
    label_column: options.LabelColumn = None,
    text_column: options.TextColumn = None,
    classes_at_depth: options.ClassesAtDepth = None,
    json: Annotated[bool, typer.Option("--json", help="Print shift.json instead of the verdict.")] = False,
) -> None:
    """Say how new photographs differ from those of a run.

    How far they lie from them, in what, and what helps.
    """
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.data.listing import Layout
    from keras_transfer.jobs.shift import shift_run
    from keras_transfer.progress import set_quiet

    set_quiet(json)
    place = out if out is not None else Path("shifts") / (Path(photos).stem.replace(":", "-") or "photos")
    layout = Layout(None, root, path_column, label_column, classes_at_depth, text_column)
    found = shift_run(run, photos, place, data=data, layout=layout)
    if json:
        print_json(found)
        return
    rows = [
        (row["property"], row["ours"], row["theirs"], row["words"] or "about the same") for row in found["differences"]
    ]
    verdict = found["verdict"]
    print(f"{verdict['title']}. {' '.join(verdict['sentences'])}\n")
    print_table(("property", "the run's own", "new", "the new ones are"), rows)
    print(f"\nPage: {place / 'shift.html'}")
    for step in found["next"]:
        print(f"\n{step['why']}\n  {step['command']}")
