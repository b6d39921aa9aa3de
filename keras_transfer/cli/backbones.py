"""`keras-transfer backbones`: what can be transferred from."""

from typing import Annotated

import typer


def command(
    fit_for: Annotated[
        str | None, typer.Option(help="Only those fit for: phone, microcontroller, edgetpu or server.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
) -> None:
    """List the backbones to transfer from."""
    from dataclasses import asdict

    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.errors import InputError
    from keras_transfer.models import BACKBONES

    homes = sorted({home for row in BACKBONES.values() for home in row.fit_for})
    if fit_for not in (None, *homes):
        raise InputError(f"--fit-for must be one of {', '.join(homes)}. Received: {fit_for!r}.")
    rows = [row for row in BACKBONES.values() if fit_for is None or fit_for in row.fit_for]
    if json:
        print_json([asdict(row) for row in rows])
        return
    columns = ("backbone", "image size", "parameters (M)", "alphas", "preprocessing", "weights' licence", "fit for")
    print_table(
        columns,
        [
            (r.name, r.image_size, r.parameters, ", ".join(map(str, r.alphas)), r.preprocessing, r.licence,
             ", ".join(r.fit_for))
            for r in rows
        ],
    )  # fmt: skip
