"""`keras-transfer add-class`: a run with one class more, from a few examples."""

from pathlib import Path
from typing import Annotated

import typer

from keras_transfer.cli import options


def command(
    run: Annotated[Path, typer.Argument(help="The --out of a finished `train`; it is left as it is.")],
    name: Annotated[str, typer.Argument(help="The new class.")],
    files: Annotated[list[Path], typer.Argument(help="1 to 20 examples of it, or folders of them.")],
    data: options.MovedData = None,
    out: Annotated[Path | None, typer.Option(help="The new run directory.  [RUN-NAME]")] = None,
    json: options.ResultJson = False,
) -> None:
    """Add a class to a run from a few examples, in seconds.

    Nothing is trained but the new class's weights in the last layer. Exported and proved anew.
    """
    from keras_transfer.cli.output import print_json
    from keras_transfer.jobs.add_class import add_class, said
    from keras_transfer.progress import set_quiet

    set_quiet(json)
    result = add_class(run, name, files, out, data=data)
    print_json(result) if json else print(said(result["added"]))
