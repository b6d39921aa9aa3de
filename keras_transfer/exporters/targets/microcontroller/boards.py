"""Microcontroller boards, and which networks would fit on one."""

import csv
from pathlib import Path
from typing import NamedTuple

from keras_transfer.budget import Budget, kilobytes, parse_budget
from keras_transfer.errors import InputError
from keras_transfer.exporters.targets.devices import DEVICES
from keras_transfer.exporters.targets.fit import CODE_BYTES, MARGIN_BYTES, Needs, judge_fit

ARENAS = Path(__file__).with_name("arena.csv")
_SUGGESTIONS = 3
BOARDS = {name: device for name, device in DEVICES.items() if device.target == "microcontroller"}


class Measured(NamedTuple):
    """A row of the table of measured backbones."""

    backbone: str
    alpha: str
    side: int
    bytes: int
    arena_bytes: int


def room_of(fit: str | None, board: str | None) -> Budget:
    """The budget that is asked about; empty where neither is given, and `fit` wins over the board's own figures."""
    if board is not None and board not in BOARDS:
        raise InputError(f"`board` must be out of {', '.join(BOARDS)}. Received: {board!r}.")
    asked = parse_budget(fit) if fit is not None else Budget()
    return asked.within(BOARDS[board].budget) if board is not None else asked


def what_fits(room: Budget) -> list[Measured]:
    """Backbones of the measured table whose memory fits into some room, the largest files first: the most capacity."""
    with ARENAS.open(newline="", encoding="utf-8") as file:
        _, *lines = csv.reader(file)
    rows = [Measured(name, alpha, int(side), int(size), int(arena)) for name, alpha, side, size, arena in lines]
    memory = Budget(flash=room.flash, ram=room.ram)
    fitting = [
        row
        for row in rows
        if not judge_fit(memory, Needs(row.bytes + CODE_BYTES, row.arena_bytes + MARGIN_BYTES, 0, 0))[1]
    ]
    return sorted(fitting, key=lambda row: (row.bytes, row.side), reverse=True)


def suggestion(room: Budget) -> str:
    """A sentence that names what would fit.

    >>> suggestion(Budget(ram=1))
    'Nothing in the measured table (arena.csv) fits.'
    """
    seen: dict[tuple[str, str], Measured] = {}
    for row in what_fits(room):
        seen.setdefault((row.backbone, row.alpha), row)
    if not seen:
        return "Nothing in the measured table (arena.csv) fits."
    names = [
        f"{row.backbone}{' alpha ' + row.alpha if row.alpha else ''} at {row.side} x {row.side} "
        f"({kilobytes(row.bytes)} file, {kilobytes(row.arena_bytes)} arena)"
        for row in list(seen.values())[:_SUGGESTIONS]
    ]
    return f"What would fit: {'; '.join(names)}."
