"""`keras-transfer report`: did the transfer help, how sure is that, and where does it fail."""

from pathlib import Path
from typing import Annotated

import typer

from keras_transfer.cli import options


def command(
    run: Annotated[Path, typer.Argument(help="The --out of a finished `train`.")],
    data: Annotated[str | None, typer.Option(help="Where the run's photographs are now, if they have moved.")] = None,
    baselines: options.Baselines = None,
    compare_backbones: options.CompareBackbones = None,
    corruptions: Annotated[
        bool, typer.Option("--corruptions", help="Score it on test images with noise, blur, compression, other light.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print report.json instead of the verdict.")] = False,
) -> None:
    """Write the report of a finished run again.

    That is RUN/report.html, report.json and report.md; with other baselines if asked.
    """
    from keras_transfer.cli.output import print_json
    from keras_transfer.cli.summary import print_verdict
    from keras_transfer.jobs.report import report_run
    from keras_transfer.progress import set_quiet

    set_quiet(json)
    found = report_run(
        run,
        data=data,
        baselines=baselines and baselines.value,
        compare_backbones=compare_backbones or (),
        corruptions=corruptions,
    )
    if json:
        print_json(found)
    else:
        print_verdict(found, run)
