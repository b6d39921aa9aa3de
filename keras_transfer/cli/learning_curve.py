"""`keras-transfer learning-curve`: would more photographs help, or more unfreezing?"""

from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[Path, typer.Argument(help="The --out of a finished `train`.")],
    data: Annotated[str | None, typer.Option(help="Where the run's photographs are now, if they have moved.")] = None,
    draws: Annotated[int, typer.Option(help="Draws of nested parts of the photographs.")] = 5,
    scratch: Annotated[
        bool | None, typer.Option(help="The network from scratch as well.  [where that takes about a minute]")
    ] = None,
    own: Annotated[
        bool, typer.Option("--own", help="Train as the run was trained as well: long, about a run for each draw.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print learning_curve.json instead of a table.")] = False,
) -> None:
    """Show whether more photographs would help.

    Draws accuracy against the number of photographs into RUN's report. The test split is not touched.
    """
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.jobs.report import report_run
    from keras_transfer.progress import set_quiet

    set_quiet(json)
    report = report_run(run, data=data, curve={"draws": draws, "scratch": scratch, "own": own})
    found = report["learning_curve"]
    if json:
        print_json(found)
        return
    rows = [
        (size, *(f"{way[i]['mean']:.1%}" for way in found["ways"].values())) for i, size in enumerate(found["sizes"])
    ]
    print_table(("images", *found["names"].values()), rows, f"Accuracy on left-out photographs, {draws} draws")
    print("\n" + "\n".join(found["sentences"]))
    print(f"\nReport: {run / 'report.html'}")
