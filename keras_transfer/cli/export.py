"""`keras-transfer export`: other files of a finished run."""

from pathlib import Path
from typing import Annotated

import typer

from keras_transfer.cli import options


def command(
    run: Annotated[
        Path, typer.Argument(help="The run directory of a finished `train`; or a .keras of your own, with --data.")
    ],
    data: options.RunData = None,
    image_size: options.OwnImageSize = None,
    pixels: options.Pixels = None,
    geometry: options.FileGeometry = None,
    out: Annotated[Path | None, typer.Option(help="Where the files go.  [RUN/export]")] = None,
    formats: options.Formats = None,
    targets: options.Targets = None,
    input_type: Annotated[str, typer.Option(help="Of the int8 file: uint8, or int8 for microcontrollers.")] = "uint8",
    calibration_items: Annotated[
        int | None,
        typer.Option("--calibration-items", "--calibration-images", help="Training items that calibrate int8."),
    ] = None,
    tolerance: options.Tolerance = None,
    board: Annotated[
        str | None, typer.Option(help="With --target microcontroller: must fit on it, such as rp2040.")
    ] = None,
    fit: Annotated[
        str | None, typer.Option(help="With --target microcontroller: must fit, such as flash=1MB,ram=256KB.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Where int8 loses too much, try remedies from cheap to dear.")
    ] = False,
    remedies: Annotated[
        list[str] | None, typer.Option("--remedy", help="Repair by this one; see the table in docs; may be repeated.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the files' entries as JSON instead of a table.")] = False,
) -> None:
    """Export the model of a finished run again.

    Each file is proved on the run's test split.
    """
    from keras_transfer.cli.output import print_json
    from keras_transfer.cli.summary import print_artifacts
    from keras_transfer.errors import GateError
    from keras_transfer.exporters import ExportGateError
    from keras_transfer.jobs.adopt import run_of
    from keras_transfer.jobs.export import export_run
    from keras_transfer.progress import set_quiet
    from keras_transfer.run import read_result

    set_quiet(json)
    run, data = run_of(
        run, data, image_size=image_size, pixels=pixels and pixels.value, geometry=geometry and geometry.value
    )
    gate: GateError | None = None
    try:
        result = export_run(
            run,
            data=data,
            out=out,
            formats=formats,
            targets=targets,
            input_dtype=input_type,
            calibration_items=calibration_items,
            tolerance=tolerance,
            board=board,
            fit=fit,
            repair=remedies or repair,
        )
    except ExportGateError as error:
        gate, files, known = error, error.artifacts, read_result(run)
        assert known is not None
        result = known
        if out is not None:  # nothing of it is the run's
            result["artifacts"], result["recommended"] = files, files.recommended  # type: ignore[typeddict-item]
            result["gate_notes"] = list(files.notes)
    if json:
        print_json(result["artifacts"])
    else:
        print_artifacts(result)
        for note in result["gate_notes"]:
            print(f"Note: {note}")
        print(f"\nThe files and their proofs are in {out or run / 'export'}/")
    if gate is not None:
        raise gate
