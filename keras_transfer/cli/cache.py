"""`keras-transfer cache`: what is kept of earlier runs' computations, and clearing it."""

from enum import StrEnum
from typing import Annotated

import typer


class _Action(StrEnum):
    list = "list"
    clear = "clear"


def command(
    action: Annotated[_Action, typer.Argument(help="What to do.")] = _Action.list,
    yes: Annotated[bool, typer.Option("--yes", help="Clear without asking.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List or clear what is kept of earlier computations.

    Features and decoded pictures; they are made again when needed.
    """
    import time

    from keras_transfer import cache
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.errors import InputError

    entries = cache.entries()
    total = sum(entry.bytes for entry in entries)
    if action is _Action.clear:
        if not yes and not typer.confirm(f"Clear {len(entries)} entries ({total / 1e6:.0f} MB)?"):
            raise InputError("Nothing was cleared.")
        freed = cache.clear()
        print_json({"freed": freed}) if json else print(f"Cleared {freed / 1e6:.0f} MB.")
        return
    if json:
        kept = [{"key": e.key, "about": dict(e.about), "bytes": e.bytes, "used": e.used} for e in entries]
        print_json({"folder": str(cache.cache_folder()), "bound": cache.cache_bound(), "entries": kept})
        return
    rows = [
        (
            entry.key[:8],
            entry.about.get("kind", "?"),
            entry.about.get("backbone", ""),
            entry.about.get("items"),
            entry.about.get("views"),
            f"{entry.bytes / 1e6:.1f} MB",
            time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used)),
        )
        for entry in entries
    ]
    bound = f"{total / 1e6:.0f} of at most {cache.cache_bound() / 1e6:.0f} MB in {cache.cache_folder()}"
    print_table(("key", "kind", "backbone", "items", "views", "size", "last used"), rows, title=bound)
