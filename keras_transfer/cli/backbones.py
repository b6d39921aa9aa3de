"""`keras-transfer backbones`: what can be transferred from."""

from typing import Annotated

import typer

_HEADINGS = {
    "name": "backbone",
    "image_size": "image size",
    "tokens": "tokens",
    "parameters": "parameters (M)",
    "alphas": "alphas",
    "preprocessing": "preprocessing",
    "licence": "weights' licence",
    "fit_for": "fit for",
    "words": "what",
    "handle": "downloaded from",
    "source": "weights from",
}  # in this order; what no row has is left out


def command(
    fit_for: Annotated[
        str | None, typer.Option(help="Only those fit for: phone, microcontroller, edgetpu or server.")
    ] = None,
    fit: Annotated[
        str | None, typer.Option(help="Only those measured to fit a microcontroller's flash=1MB,ram=256KB.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="The same by a board's name, such as rp2040.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of tables.")] = False,
) -> None:
    """List the backbones to transfer from.

    With --fit or --device those of pictures whose int8 files were measured to fit, the largest first, with ten classes.
    """
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.errors import InputError
    from keras_transfer.inputs import MODALITIES
    from keras_transfer.modalities import open_modality

    if fit is not None or device is not None:
        _print_fitting(fit, device, json)
        return
    modalities = [open_modality(name) for name in MODALITIES]
    tables = {modality: [{"modality": modality.name, **row} for row in modality.backbones()] for modality in modalities}
    homes = sorted({home for rows in tables.values() for row in rows for home in _several(row["fit_for"])})
    if fit_for not in (None, *homes):
        raise InputError(f"--fit-for must be one of {', '.join(homes)}. Received: {fit_for!r}.")
    for modality, rows in tables.items():
        tables[modality] = [row for row in rows if fit_for is None or fit_for in _several(row["fit_for"])]
    if json:
        print_json([row for rows in tables.values() for row in rows])
        return
    for modality, rows in tables.items():
        columns = [name for name in _HEADINGS if any(name in row for row in rows)]
        cells = [[row.get(name) for name in columns] for row in rows]
        if rows:
            print_table(
                [_HEADINGS[name] for name in columns],
                [[", ".join(_several(cell)) if isinstance(cell, tuple) else cell for cell in row] for row in cells],
                f"For {modality.kind.items}",
            )


def _print_fitting(fit: str | None, device: str | None, json: bool) -> None:
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.exporters.targets.microcontroller.boards import room_of, what_fits

    rows = what_fits(room_of(fit, device))
    if json:
        print_json([row._asdict() for row in rows])
        return
    print_table(
        ["backbone", "alpha", "image size", "file, KiB", "arena, KiB"],
        [(r.backbone, r.alpha, r.side, -(-r.bytes // 1024), -(-r.arena_bytes // 1024)) for r in rows],
        "Whole networks; `train --fit` tries shorter ones and other sizes, too",
    )


def _several(cell: object) -> list[str]:
    return [str(part) for part in cell] if isinstance(cell, tuple) else []
