"""`keras-transfer shift`: are these the items that a run was made for?"""

from pathlib import Path
from typing import Annotated

import typer

from keras_transfer.cli import options


def command(
    run: options.Run,
    photos: Annotated[
        str, typer.Argument(help="A folder of new items without labels, or labelled ones as for `train`.")
    ],
    data: options.MovedData = None,
    out: Annotated[Path | None, typer.Option(help="Where the page goes.  [shifts/PHOTOS]")] = None,
    layout: options.Layout = options.Layout(),
    json: Annotated[bool, typer.Option("--json", help="Print shift.json instead of the verdict.")] = False,
) -> None:
    """Say how new photographs, texts, recordings or series differ from those of a run.

    How far they lie from them, in what, and what helps.
    """
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.jobs.shift import shift_run
    from keras_transfer.progress import set_quiet

    set_quiet(json)
    place = out if out is not None else Path("shifts") / (Path(photos).stem.replace(":", "-") or "photos")
    found = shift_run(run, photos, place, data=data, layout=layout.source())
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
