"""`keras-transfer adapt`: a run made fit for items of another kind, or less forgetful."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from keras_transfer.cli import options


class _Method(StrEnum):
    pretrain = "pretrain"
    adabn = "adabn"
    coral = "coral"
    mmd = "mmd"
    dann = "dann"
    wise_ft = "wise-ft"


def command(
    run: Annotated[Path, typer.Argument(help="The --out of a finished `train`; it is left as it is.")],
    to: Annotated[str | None, typer.Option(help="New items, without labels or with.")] = None,
    method: Annotated[
        _Method,
        typer.Option(
            help="adabn (no training), coral, mmd or dann (train the top; dann rarely helps), wise-ft (no new items); "
            "pretrain (texts: guess masked words of both, then train anew)."
        ),
    ] = _Method.adabn,
    data: options.MovedData = None,
    out: Annotated[Path | None, typer.Option(help="The new run directory.  [RUN-METHOD]")] = None,
    layout: options.Layout = options.Layout(),
    json: options.ResultJson = False,
) -> None:
    """Adapt a run to new photographs, texts, recordings or series without labels.

    Or undo some of what fine-tuning forgot (--method wise-ft).
    """
    from keras_transfer.cli.output import print_json
    from keras_transfer.jobs.adapt import adapt_run
    from keras_transfer.jobs.shift import use_command
    from keras_transfer.progress import set_quiet
    from keras_transfer.run import beside

    set_quiet(json)
    place = out if out is not None else beside(run, method.value)
    result = adapt_run(run, place, method=method.value, new_items=to, data=data, layout=layout.source())
    if json:
        print_json(result)
        return
    adapted = result["adapted"]
    print(f"{place}: {adapted['what']}.")
    if adapted["before"] is not None:
        print(f"On {to}: {adapted['before']:.1%} right before, {adapted['after']:.1%} now.")
    print(f"On the test items of {run}: {result['test']['accuracy']:.1%} right now.")
    if to is not None:
        print(f"\nNext: {use_command(place, Path(to) if Path(to).exists() else to)}")
