"""`keras-transfer monitor`: what a deployed model's log says."""

from pathlib import Path
from typing import Annotated

import typer

from keras_transfer.cli import options

_Run = Annotated[
    Path, typer.Argument(metavar="RUN", parser=options.model_path, help="The run that made it, or cats@champion.")
]
_Logs = Annotated[list[Path], typer.Argument(metavar="LOG...", help="Logs of `predict --log`, or folders of them.")]
_Window = Annotated[int, typer.Option(help="Items that a look takes, the last ones.")]
_Every = Annotated[int | None, typer.Option(help="Look anew after so many items.  [the window]")]
_Alpha = Annotated[float, typer.Option(help="The chance of a false alarm, in all looks together.")]
_Looks = Annotated[int, typer.Option(help="How many looks share it.")]
_Watch = Annotated[
    float | None,
    typer.Option(
        parser=options.seconds, metavar="SECONDS",
        help="Read the log again every so many seconds, until an alert or so many looks.",
    ),
]  # fmt: skip
_LabelNext = Annotated[
    Path | None, typer.Option(help="A new folder for copies of the 50 items most worth a label, in class folders.")
]
_Webhook = Annotated[
    str | None,
    typer.Option(envvar="KERAS_TRANSFER_WEBHOOK", help="An address that is sent JSON on an alert.", show_envvar=True),
]


def command(
    run: _Run,
    logs: _Logs,
    window: _Window = 300,
    every: _Every = None,
    alpha: _Alpha = 0.05,
    looks: _Looks = 7,
    watch: _Watch = None,
    label_next: _LabelNext = None,
    webhook: _Webhook = None,
    data: options.MovedData = None,
    parquet: Annotated[
        Path | None, typer.Option(help="Also write what was read as this Parquet table, which is a log as well.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the page goes.  [monitors/RUN]")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print monitor.json instead of tables.")] = False,
) -> None:
    """Say whether what a deployed model meets has changed, and how many of its answers are right.

    Ends with exit code 3 on an alert.
    """
    import time

    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.errors import GateError, InputError
    from keras_transfer.jobs.monitor import Watch, monitor_run, post
    from keras_transfer.progress import say, set_quiet

    if watch is not None and label_next is not None:
        raise InputError("--label-next copies once, and --watch looks again and again: give one of them.")
    set_quiet(json)
    place = out if out is not None else Path("monitors") / run.resolve().name
    how, first = Watch(window, every or window, alpha, looks), 0
    while True:
        found = monitor_run(run, logs, place, watch=how, data=data, label_next=label_next)
        end = found["looks"][-1]["end"]
        first = first or end
        if watch is None or found["alert"] or end >= first + how.looks * how.every:
            break
        say(f"{found['items']} items: {found['title'].lower()}.")
        time.sleep(watch)
    if parquet is not None:
        from keras_transfer.operations.log import read_logs, write_parquet

        write_parquet(read_logs(logs).entries, parquet)
        say(f"The log as a table: {parquet}")
    if json:
        print_json(found)
    else:
        rows = [
            (test["title"], test["reference"], test["window"], test["adjusted"], "alarm" if test["alarm"] else "")
            for test in found["looks"][-1]["tests"]
        ]
        print(f"{found['title']}. {' '.join(found['sentences'])}\n")
        print_table(("what", "before", "now", "p", ""), rows)
        print(f"\nPage: {place / 'monitor.html'}")
    if found["alert"]:
        if webhook is not None and (problem := post(webhook, found)):
            say(f"Note: the webhook was not reached ({problem}).")
        raise GateError(f"{found['title']}: see {place / 'monitor.html'}.")
