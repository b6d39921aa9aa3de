"""`keras-transfer benchmark`: how fast LiteRT files are, side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from keras_transfer.schemas import Timing

_SHOWN_OPERATORS = 10


def command(
    files: Annotated[list[Path], typer.Argument(help=".tflite files; of a run the one that it recommends.")],
    threads: Annotated[list[int] | None, typer.Option(help="Of LiteRT's CPU kernels; may be repeated.  [1]")] = None,
    delegate: Annotated[
        list[str] | None,
        typer.Option(help="xnnpack, none, or a delegate's library; may be repeated.  [xnnpack]"),
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long each is run.")] = 2.0,
    operators: Annotated[bool, typer.Option("--operators", help="Show which operators take the time.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
) -> None:
    """Time LiteRT files side by side on this machine.

    Latency, peak memory, operators. The files take turns, so that their ratio holds on a busy machine too.
    """
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.exporters import benchmark
    from keras_transfer.progress import set_quiet
    from keras_transfer.run import recommended_file

    set_quiet(json)
    files = [recommended_file(file) for file in files]
    rows = benchmark(
        files, threads=threads or [1], delegates=delegate or ["xnnpack"], seconds=seconds, operators=operators
    )
    if json:
        print_json(rows)
        return
    columns = ("file", "MB", "delegate", "threads", "median ms", "p95 ms", "ratio", "load ms", "first ms", "memory MB")
    keys = ("delegate", "threads", "median_ms", "p95_ms", "ratio", "load_ms", "first_ms", "added_mb")
    figures: list[Mapping[str, object]] = list(rows)
    cells = [
        (row["file"], row["bytes"] / 1e6, *(all_of[key] for key in keys))
        for row, all_of in zip(rows, figures, strict=True)
    ]
    print_table(columns, cells)
    print(
        f"Times of this machine ({rows[0]['machine']}), not of a phone: there only ratios are a hint, and a run tells. "
        "Memory is what the file and its runs added to the process at its peak."
    )
    for row in rows if operators else ():
        _print_operators(row)


def _print_operators(row: "Timing") -> None:
    from keras_transfer.cli.output import print_table

    operators = row.get("operators")
    if operators is None:
        return
    slowest = sorted(enumerate(operators), key=lambda item: -item[1]["ms"])[:_SHOWN_OPERATORS]
    cells = [(i, one["op"], one["ms"], f"{one['share']:.1%}") for i, one in sorted(slowest)]
    title = f"{row['file']}, {row['threads']} threads: the slowest {len(cells)} of {len(operators)} operators"
    print_table(("place", "operator", "ms", "share"), cells, title)
