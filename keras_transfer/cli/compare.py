"""`keras-transfer compare`: files of several runs side by side."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[list[Path], typer.Argument(help="Run directories of `train` and `compress`, the dense one first.")],
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("comparison"),
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="Files to look at; may be repeated.  [int8, or what all have]")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long each file is timed.")] = 2.0,
    json: Annotated[bool, typer.Option("--json", help="Print comparison.json instead of a table.")] = False,
) -> None:
    """Compare runs: accuracy against size and latency.

    Writes a page with the size of the files, as they are and zipped, their latency, and the Pareto front.
    """
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.jobs.compare import COSTS, compare
    from keras_transfer.progress import set_quiet

    set_quiet(json)
    found = compare(runs, out, formats=formats, seconds=seconds)
    if json:
        print_json(found)
        return
    rows = [
        (number, row["name"], row["format"], f"{row['accuracy']['value']:.1%}",
         f"{row['accuracy']['low']:.1%} to {row['accuracy']['high']:.1%}", f"{row['bytes'] / 1e6:.2f}",
         f"{row['zipped_bytes'] / 1e6:.2f}", f"{row['latency_ms']:.2f}", f"{row['ratio']:.2f}",
         ", ".join(COSTS[cost] for cost in row["front"]) or "-")
        for number, row in enumerate(found["files"], 1)
    ]  # fmt: skip
    columns = ("no.", "run", "format", "accuracy", "95% interval", "MB", "zipped", "ms", "to the first", "front of")
    print_table(columns, rows, title=f"On the same {found['images']} test images")
    print(f"Times of this machine ({found['machine']}), taken in turns: on a device only their ratios are a hint.")
    print(f"\nThe pictures: {out / 'comparison.html'}")
