"""What commands print: results as tables or JSON on standard output, and nothing of the libraries' chatter."""

import json
import logging
import os
import sys
from collections.abc import Iterable, Sequence


def silence_libraries() -> None:
    """Keeps what the libraries' native code logs off the screen; Python's own standard error stays where it is."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not sys.warnoptions:
        import warnings

        warnings.simplefilter("ignore")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # TensorFlow's Python side
    try:
        screen = os.dup(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # there is no standard error, or it is no file
        return
    # TensorFlow logs to descriptor 2 while it is imported, before it looks at any setting.
    sys.stderr = os.fdopen(screen, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def print_json(value: object) -> None:
    """Writes one JSON value to standard output."""
    print(json.dumps(value, indent=2, allow_nan=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Writes a table to standard output, as wide as it needs where that is no terminal.

    Args:
        columns: the headings. Columns that hold numbers alone are set to the right.
        rows: one cell a column; `None` shows as a dash, a float with four figures.
        title: a line above.
    """
    from rich.console import Console
    from rich.table import Table

    cells = [list(row) for row in rows]
    table = Table()
    for i, heading in enumerate(columns):
        numbers = all(isinstance(row[i], int | float | None) for row in cells)
        table.add_column(heading, justify="right" if numbers else "left", overflow="fold")
    for row in cells:
        table.add_row(*(_text(cell) for cell in row))
    width = None if sys.stdout.isatty() else 10_000
    console = Console(width=width, markup=False, highlight=False, emoji=False)
    if title:  # above the table, not in it: there it would be folded to the table's width
        console.print(title, style="bold")
    console.print(table)


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
