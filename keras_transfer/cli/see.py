"""`keras-transfer see`: what a run's network sees, and what fine-tuning changed of it."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[Path, typer.Argument(help="The --out of a finished `train`.")],
    data: Annotated[str | None, typer.Option(help="Where the run's photographs are now, if they have moved.")] = None,
    held_back: Annotated[
        str | None,
        typer.Option(help="Other labelled photographs, as for `train`: what its features still tell of them."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print see.json instead of a table.")] = False,
) -> None:
    """Show what the network sees, and what it forgot.

    Writes RUN/see.html: first filters, activations, and a map of the test photographs.
    """
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.jobs.see import see_run
    from keras_transfer.progress import set_quiet

    set_quiet(json)
    found = see_run(run, data=data, held_back=held_back)
    if json:
        print_json(found)
        return
    if found["cka"]:
        rows = [(row["stage"], row["cka"]) for row in found["cka"]]
        print_table(("stage", "CKA with the pretrained"), rows, title="What fine-tuning changed (1: nothing)")
    if found["held_back"]:
        back = found["held_back"]
        print(f"Linear probe on {back['data']}: {back['before']:.1%} before fine-tuning, {back['after']:.1%} after.")
    print(f"Page: {run / 'see.html'}")
