"""`keras-transfer check`: which devices take a LiteRT file, and why not."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_transfer.cli import options

if TYPE_CHECKING:
    from keras_transfer.schemas import TargetVerdict

_MOST_REASONS = 8  # shown of a target in the table; the JSON has all


def command(
    file: Annotated[Path, typer.Argument(help="A .tflite file from anywhere; a run; or a .keras, which is converted.")],
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help=f"{options.TARGETS}; may be repeated.  [all]"),
    ] = None,
    board: Annotated[str | None, typer.Option(help="For microcontroller: a board's name, such as rp2040.")] = None,
    fit: Annotated[str | None, typer.Option(help="For microcontroller: memory, such as flash=1MB,ram=256KB.")] = None,
    accelerator: Annotated[str | None, typer.Option(help="For ethos-u: U55-32 to U65-512.  [U55-128]")] = None,
    data: Annotated[
        str | None, typer.Option(help="For a .keras: items, whose training part calibrates.  [made-up ones]")
    ] = None,
    own: options.OwnModel = options.OwnModel(),
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, or a list for several targets, instead of a table.")
    ] = False,
) -> None:
    """Say which devices take a model file, and why not.

    A run is judged by the file that it recommends, a .keras by the int8 file that `export` would make of it.

    Says for each how many operators its own hardware or runtime takes, and why it leaves the others. Ends with 3 where
    a device named by --target refuses the file.
    """
    from keras_transfer.cli.output import print_json
    from keras_transfer.errors import GateError
    from keras_transfer.jobs.check import judge_file
    from keras_transfer.progress import set_quiet

    set_quiet(json)
    about = {name: value for name, value in (("board", board), ("fit", fit), ("accelerator", accelerator)) if value}
    verdicts = judge_file(file, target, about, data=data, **own.options())
    if json:
        print_json(verdicts[0] if target is not None and len(target) == 1 else verdicts)
    else:
        _print(file, verdicts)
    refused = [f"{verdict['target']}: {verdict['why']}" for verdict in verdicts if verdict["ok"] is False]
    if refused and target is not None:
        raise GateError(f"{file} is refused for {'; '.join(refused)}.")


def _print(file: Path, verdicts: "Sequence[TargetVerdict]") -> None:
    from keras_transfer.cli.output import print_table

    words = {True: "yes", False: "no", None: "not judged"}
    rows = [
        (v["target"], words[v["ok"]], "-" if v["mapped"] is None else f"{v['mapped']} of {v['operators']}", v["why"])
        for v in verdicts
    ]
    print_table(("target", "takes it", "operators", "why"), rows, title=str(file))
    for verdict in verdicts:
        reasons = _reasons(verdict)
        if reasons:
            print_table(("operators", "op", "why"), reasons, title=f"\n{verdict['target']}: not mapped")
        figures = [(key.replace("_", " "), _number(value)) for key, value in verdict.items() if _is_figure(key, value)]
        if figures:
            print_table((verdict["target"], ""), figures)
        for note in verdict.get("notes", ()):
            print(f"Note: {note}")


def _reasons(verdict: "TargetVerdict") -> list[tuple[str, str, str]]:
    """The operators left out, those with the same reason together, the first ones of the file first."""
    groups: dict[tuple[str, str], list[int]] = {}
    for left in verdict["cpu"]:
        groups.setdefault((left["op"], left["why"]), []).append(left["index"])
    rows = []
    for (op, why), indices in groups.items():
        shown = ", ".join(map(str, indices[:4])) + (f" and {len(indices) - 4} more" if len(indices) > 4 else "")
        rows.append((shown, op, why))
    more = len(rows) - _MOST_REASONS
    return rows[:_MOST_REASONS] + ([("...", "", f"{more} more reasons: see --json")] if more > 0 else [])


def _is_figure(key: str, value: object) -> bool:
    known = ("file", "sha256", "target", "ok", "operators", "mapped", "why")
    return key not in known and isinstance(value, int | float | str) and value != ""


def _number(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
