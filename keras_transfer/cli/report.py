"""`keras-transfer report`: did the transfer help, how sure is that, where does it fail, and would more data help."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from keras_transfer.cli import options

if TYPE_CHECKING:
    from keras_transfer.schemas import LearningCurve


_Corruptions = Annotated[
    bool, typer.Option("--corruptions", help="Score it on test items made worse: noise, blur, compression, light.")
]


@dataclass(frozen=True)
class _Curve:
    """Whether a learning curve is drawn, and how."""

    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Show whether more data would help, or more unfreezing.")
    ] = False
    draws: Annotated[int, typer.Option(help="For --learning-curve: draws of nested parts of the data.")] = 5
    scratch: Annotated[
        bool | None,
        typer.Option(help="For --learning-curve: from scratch as well.  [where that takes about a minute]"),
    ] = None
    own: Annotated[
        bool,
        typer.Option("--own", help="For --learning-curve: as the run was trained as well; about a run for each draw."),
    ] = False


@dataclass(frozen=True)
class _Sight:
    """Whether the page of what the network sees is written, and what for."""

    see: Annotated[
        bool, typer.Option("--see", help="Write RUN/see.html: first filters, activations, a map of the test items.")
    ] = False
    held_back: Annotated[
        str | None, typer.Option(help="For --see: other labelled data, on which it shows what training forgot.")
    ] = None


def command(
    run: options.Run,
    data: options.RunData = None,
    baselines: options.Baselines = None,
    compare_backbones: options.CompareBackbones = None,
    corruptions: _Corruptions = False,
    curve: _Curve = _Curve(),
    sight: _Sight = _Sight(),
    json: Annotated[bool, typer.Option("--json", help="Print report.json instead of the verdict.")] = False,
) -> None:
    """Write the report of a finished run again, with more in it if asked.

    That is RUN/report.html, report.json and report.md. What is added once stays in later reports.
    """
    from keras_transfer.cli.output import print_json
    from keras_transfer.cli.summary import print_verdict
    from keras_transfer.errors import InputError
    from keras_transfer.jobs.report import report_run
    from keras_transfer.jobs.see import see_run
    from keras_transfer.progress import set_quiet

    if not curve.learning_curve and curve != _Curve():
        raise InputError("--draws, --scratch and --own are for --learning-curve: add it.")
    if not sight.see and sight.held_back:
        raise InputError("--held-back is for --see: add it.")
    set_quiet(json)
    if sight.see:
        see_run(run, data=data, held_back=sight.held_back)
    report = report_run(
        run,
        data=data,
        baselines=baselines and baselines.value,
        compare_backbones=compare_backbones or (),
        corruptions=corruptions,
        curve={"draws": curve.draws, "scratch": curve.scratch, "own": curve.own} if curve.learning_curve else None,
    )
    if json:
        print_json(report)
        return
    print_verdict(report, run)
    if curve.learning_curve and report["learning_curve"] is not None:
        _print_curve(report["learning_curve"])
    if sight.see:
        print(f"What the network sees: {run / 'see.html'}")


def _print_curve(curve: "LearningCurve") -> None:
    from keras_transfer.cli.output import print_table

    rows = [
        (size, *(f"{points[i]['mean']:.1%}" for points in curve["ways"].values()))
        for i, size in enumerate(curve["sizes"])
    ]
    print_table(("items", *curve["names"].values()), rows, f"Accuracy on left-out items, {curve['draws']} draws")
    print("\n" + "\n".join(curve["sentences"]))
