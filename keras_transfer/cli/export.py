"""`keras-transfer export`: other files of a finished run."""

from pathlib import Path
from typing import Annotated

import typer

from keras_transfer.cli import options

_Run = Annotated[
    Path, typer.Argument(help="The run directory of a finished `train`; or a .keras of your own, with --data.")
]
_InputType = Annotated[str, typer.Option(help="Of the int8 file: uint8, or int8 for microcontrollers.")]
_CalibrationItems = Annotated[
    int | None, typer.Option("--calibration-items", "--calibration-images", help="Training items that calibrate int8.")
]
_Board = Annotated[str | None, typer.Option(help="With --target microcontroller: must fit on it, such as rp2040.")]
_Fit = Annotated[str | None, typer.Option(help="With --target microcontroller: must fit, such as flash=1MB,ram=256KB.")]
_Repair = Annotated[bool, typer.Option("--repair", help="Where int8 loses too much, try remedies from cheap to dear.")]
_Remedies = Annotated[
    list[str] | None, typer.Option("--remedy", help="Repair by this one; see the table in docs; may be repeated.")
]


def command(
    run: _Run,
    data: options.RunData = None,
    own: options.OwnFile = options.OwnFile(),
    out: Annotated[Path | None, typer.Option(help="Where the files go.  [RUN/export]")] = None,
    files: options.Files = options.Files(),
    input_type: _InputType = "uint8",
    calibration_items: _CalibrationItems = None,
    board: _Board = None,
    fit: _Fit = None,
    repair: _Repair = False,
    remedies: _Remedies = None,
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
    from keras_transfer.jobs.export import export_run, result_with
    from keras_transfer.progress import set_quiet
    from keras_transfer.run import read_run

    set_quiet(json)
    run, data = run_of(run, data, **own.options())
    gate: GateError | None = None
    try:
        result = export_run(
            run, data=data, out=out, **vars(files), input_dtype=input_type, calibration_items=calibration_items,
            board=board, fit=fit, repair=remedies or repair,
        )  # fmt: skip
    except ExportGateError as error:  # all is written, and worth showing
        gate, result = error, read_run(run)[1]
        if out is not None:  # nothing of it is the run's
            result = result_with(result, error.artifacts, out)
    if json:
        print_json(result["artifacts"])
    else:
        print_artifacts(result)
        for note in result["gate_notes"]:
            print(f"Note: {note}")
        print(f"\nThe files and their proofs are in {out or run / 'export'}/")
    if gate is not None:
        raise gate
